"""The OpenAI SDK in an `asyncio.gather` behind a semaphore: what most scripts look like.

Its option `aiohttp` takes the SDK's aiohttp transport in place of its default; pictures are fetched with httpx, as such
scripts do. With `retry` the SDK tries ten times where it would try twice, so that a rate limit does not lose items.
"""

import asyncio

import httpx
import openai

from bench.assignment import KEY, MODEL, Assignment, received


async def main(assignment: Assignment) -> None:
    """Do the assignment."""
    transport = openai.DefaultAioHttpClient() if "aiohttp" in assignment.options else None
    retries = 10 if "retry" in assignment.options else openai.DEFAULT_MAX_RETRIES
    limits = httpx.Limits(max_connections=assignment.in_flight)
    slots = asyncio.Semaphore(assignment.in_flight)
    urls: list[str] = []

    async with (
        openai.AsyncOpenAI(
            api_key=KEY, base_url=f"{assignment.base}/v1", http_client=transport, max_retries=retries
        ) as client,
        httpx.AsyncClient(limits=limits, timeout=300) as cdn,
    ):

        async def one(number: int) -> None:
            async with slots:
                answer = await client.images.generate(model=MODEL, prompt=assignment.prompt(number))
                url = (answer.data or [])[0].url or ""
                if assignment.task == "both":
                    response = await cdn.get(url)
                    response.raise_for_status()
                    assignment.path(url).write_bytes(response.content)
                urls.append(url)

        await asyncio.gather(*[one(number) for number in range(assignment.items)], return_exceptions=True)
    if assignment.task == "ask":
        assignment.hand_in(urls)


if __name__ == "__main__":
    asyncio.run(main(received()))
