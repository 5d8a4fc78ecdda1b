"""The server's process: prints where it listens as one JSON line, and serves until its standard input ends."""

import asyncio
import gc
import json
import sys
import time

from bench.upstream.api import Api, Connection
from bench.upstream.cdn import Cdn


async def serve() -> None:
    """Serve until whoever started this process lets go of it."""

    def served() -> None:
        api.books.pictures += 1

    cdn = Cdn(served)
    api = Api(cdn.base, time.monotonic)
    cdn.start()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(api), "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps({"base": f"http://127.0.0.1:{port}", "pictures": cdn.base}) + "\n")
    sys.stdout.flush()
    gc.freeze()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
