"""`sandbox`: serve the project's own upstream by itself, until Ctrl-C or SIGTERM."""

import argparse
import signal
from collections.abc import Mapping
from pathlib import Path

from pipeline import streams
from pipeline.arguments.invocation import program
from pipeline.commands.contract import Report
from pipeline.exit_codes import ExitCode

help = "serve the sandbox: the same API, real pictures, no cost"  # noqa: A001
examples = (
    "sandbox",
    "sandbox --port 0 --latency 2 --fault 500=0.1",
    "sandbox --kinds",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where to serve, and how to misbehave."""
    host = "127.0.0.1"
    parser.add_argument("--host", default=host, help=f"address to listen on (default {host})")
    parser.add_argument("--port", type=int, default=8080, help="port of the API; 0 for a free one (default 8080)")
    parser.add_argument("--cdn-port", type=int, default=0, help="port of the pictures (default: a free one)")
    parser.add_argument("--key", help="the only key that is accepted (default: any)")
    parser.add_argument("--balance", type=float, metavar="USD", help="dollars on the account (default: plenty)")
    parser.add_argument("--state", type=Path, metavar="DIR", help="keep the books here over restarts")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds an answer takes")
    parser.add_argument(
        "--latency-jitter", type=float, default=0.0, metavar="S", help="up to S seconds more, at random"
    )
    parser.add_argument("--requests-per-minute", type=float, metavar="N", help="answer 429 beyond this rate")
    parser.add_argument("--burst", type=float, metavar="N", help="requests let in at once (default: a second's worth)")
    parser.add_argument("--concurrency", type=int, metavar="N", help="answer 429 beyond this many requests in work")
    parser.add_argument(
        "--retry-after", default="auto", metavar="VALUE", help="Retry-After of a 429: auto, none, or the value itself"
    )
    parser.add_argument(
        "--fault", action="append", default=[], metavar="KIND[=P]", help="misbehave, with probability P; repeatable"
    )
    parser.add_argument("--script", type=Path, metavar="FILE", help="YAML: text of a prompt to a list of kinds")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything random")
    parser.add_argument("--kinds", action="store_true", help="list the kinds of faults and exit")


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Report:  # noqa: ARG001 - asks nobody
    """Serve until a signal says to stop; or list the faults.

    Raises:
        UsageError: A fault or a script is wrong, the port is taken, or the painter is not installed.
    """
    from sandbox import KINDS

    if arguments.kinds:
        width = max(map(len, KINDS))
        kinds = [f"{kind:<{width}}  {meaning}" for kind, meaning in KINDS.items()]
        return Report(ExitCode.DONE, lambda: KINDS, lambda: kinds)
    import anyio

    anyio.run(_serve, arguments)
    return Report(ExitCode.DONE, dict, list)


async def _serve(arguments: argparse.Namespace) -> None:
    import anyio

    from sandbox import Behaviour, Sandbox, parse_fault, read_script

    faults = tuple(parse_fault(text) for text in arguments.fault)
    behaviour = Behaviour(
        latency=arguments.latency,
        latency_jitter=arguments.latency_jitter,
        requests_per_minute=arguments.requests_per_minute,
        burst=arguments.burst,
        concurrency=arguments.concurrency,
        retry_after=None if arguments.retry_after == "none" else arguments.retry_after,
        faults=(*(read_script(arguments.script) if arguments.script else ()), *faults),
        seed=arguments.seed,
    )
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with Sandbox(
            host=arguments.host,
            port=arguments.port,
            cdn_port=arguments.cdn_port,
            state=arguments.state,
            behaviour=behaviour,
            key=arguments.key,
            balance=arguments.balance,
        ) as sandbox:
            # Who can't read this may know the port all the same: it is served.
            streams.out(f"sandbox: {sandbox.base} (pictures: {sandbox.cdn_base})", needed=False)
            how = f"AIML_API_BASE={sandbox.base} AIML_API_KEY=any {program()} run JOB --endpoint aimlapi"
            streams.out(f"  try: {how}", needed=False)
            streams.flush(needed=False)
            async for _ in signals:
                break
