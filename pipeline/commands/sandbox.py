"""`sandbox`: serve the project's own upstream by itself, until Ctrl-C or SIGTERM."""

import argparse
import signal
import sys
from pathlib import Path

import anyio

HOST = "127.0.0.1"


def add_options(made: argparse.ArgumentParser) -> None:
    """The options of the command."""
    made.add_argument("--host", default=HOST, help=f"address to listen on (default {HOST})")
    made.add_argument("--port", type=int, default=8080, help="port of the API; 0 for a free one (default 8080)")
    made.add_argument("--cdn-port", type=int, default=0, help="port of the pictures (default: a free one)")
    made.add_argument("--key", help="the only key that is accepted (default: any)")
    made.add_argument("--balance", type=float, metavar="USD", help="dollars on the account (default: plenty)")
    made.add_argument("--state", type=Path, metavar="DIR", help="keep the books here over restarts")
    made.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds an answer takes")
    made.add_argument("--latency-jitter", type=float, default=0.0, metavar="S", help="up to S seconds more, at random")
    made.add_argument("--requests-per-minute", type=float, metavar="N", help="answer 429 beyond this rate")
    made.add_argument("--burst", type=float, metavar="N", help="requests let in at once (default: a second's worth)")
    made.add_argument("--concurrency", type=int, metavar="N", help="answer 429 beyond this many requests in work")
    made.add_argument(
        "--retry-after", default="auto", metavar="VALUE", help="Retry-After of a 429: auto, none, or the value itself"
    )
    made.add_argument(
        "--fault", action="append", default=[], metavar="KIND[=P]", help="misbehave, with probability P; repeatable"
    )
    made.add_argument("--script", type=Path, metavar="FILE", help="YAML: text of a prompt to a list of kinds")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything random")
    made.add_argument("--kinds", action="store_true", help="list the kinds of faults and exit")


def serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal says to stop.

    Raises:
        UsageError: A fault or a script is wrong, the port is taken, or the painter is not installed.
    """
    from pipeline.sandbox import KINDS

    if arguments.kinds:
        width = max(map(len, KINDS))
        print("\n".join(f"{kind:<{width}}  {meaning}" for kind, meaning in KINDS.items()))
        return 0
    return anyio.run(_serve, arguments)


async def _serve(arguments: argparse.Namespace) -> int:
    from pipeline.sandbox import Behaviour, Sandbox, parse_fault, read_script

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
            print(f"sandbox: {sandbox.base} (pictures: {sandbox.cdn_base})")
            print(f"  try: AIML_API_BASE={sandbox.base} AIML_API_KEY=any python -m pipeline run JOB --endpoint aimlapi")
            sys.stdout.flush()
            async for _ in signals:
                break
    return 0
