"""aiohttp behind aiolimiter's `AsyncLimiter`: the usual way to keep to a rate that one knows."""

import asyncio

import aiohttp
from aiolimiter import AsyncLimiter

from bench.assignment import Assignment, received

BURST = 10
"""Requests that the limiter lets out at once: as many as the server takes at once."""


async def main(assignment: Assignment) -> None:
    """Do the assignment; what is refused is asked again."""
    assert assignment.per_minute is not None
    limiter = AsyncLimiter(BURST, BURST * 60.0 / assignment.per_minute)
    numbers = iter(range(assignment.items))

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as workers:

        async def work() -> None:
            for number in numbers:
                status = 429
                while status == 429:
                    async with (
                        limiter,
                        session.post(assignment.endpoint, json=assignment.body(number)) as response,
                    ):
                        await response.read()
                        status = response.status

        for _ in range(assignment.in_flight):
            workers.create_task(work())


if __name__ == "__main__":
    asyncio.run(main(received()))
