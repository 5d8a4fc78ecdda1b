"""`sandbox`: serve the project's own upstream by itself, until Ctrl-C or SIGTERM."""

import argparse
import signal

import anyio

from pipeline import streams
from pipeline.arguments import program


def serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal says to stop.

    Raises:
        UsageError: A fault or a script is wrong, the port is taken, or the painter is not installed.
    """
    from sandbox import KINDS

    if arguments.kinds:
        width = max(map(len, KINDS))
        streams.out("\n".join(f"{kind:<{width}}  {meaning}" for kind, meaning in KINDS.items()))
        return 0
    return anyio.run(_serve, arguments)


async def _serve(arguments: argparse.Namespace) -> int:
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
    return 0
