"""async-batch-llm around one aiohttp call, as its manual says to wrap an existing client.

Its option `default` leaves its cooldown after a 429 at the library's five minutes; without it the cooldown is one
second and the slow start short, which is what someone would choose who knows what the server answers. So is a burst
of one second where the rate is known: left alone, the library begins with a minute's worth.
"""

import asyncio

import aiohttp
from async_batch_llm import (
    CallableStrategy,
    CallOutcome,
    ProcessorConfig,
    RateLimitConfig,
    RetryConfig,
    process_prompts,
)

from bench.assignment import Assignment, received


class TooManyRequests(Exception):
    """A 429, under a name and with a status that the library's classifier knows."""

    status_code = 429


async def main(assignment: Assignment) -> None:
    """Do the assignment."""
    urls: list[str] = []
    connector = aiohttp.TCPConnector(limit=assignment.in_flight)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def invoke(prompt: str, **_: object) -> CallOutcome[str]:
            number = int(prompt.rpartition(" ")[2])
            async with session.post(assignment.endpoint, json=assignment.body(number)) as response:
                if response.status == 429:
                    raise TooManyRequests("429 rate limit")
                url: str = (await response.json())["data"][0]["url"]
            if assignment.task == "both":
                async with session.get(url) as picture:
                    picture.raise_for_status()
                    assignment.path(url).write_bytes(await picture.read())
            urls.append(url)
            return CallOutcome(url)

        patient = RateLimitConfig(cooldown_seconds=1.0, slow_start_items=10, slow_start_initial_delay=0.1)
        config = ProcessorConfig(
            concurrency=assignment.in_flight,
            max_requests_per_minute=assignment.per_minute,
            quota_burst_seconds=1.0 if assignment.per_minute else None,
            rate_limit=RateLimitConfig() if "default" in assignment.options else patient,
            retry=RetryConfig(max_rate_limit_retries=1000),
        )
        prompts = [assignment.prompt(number) for number in range(assignment.items)]
        await process_prompts(CallableStrategy(invoke), prompts, config=config)
    if assignment.task == "ask":
        assignment.hand_in(urls)


if __name__ == "__main__":
    asyncio.run(main(received()))
