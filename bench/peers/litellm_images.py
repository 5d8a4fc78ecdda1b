"""litellm's `aimage_generation` in an `asyncio.gather` behind a semaphore."""

import asyncio
import os

from bench.assignment import KEY, MODEL, Assignment, received

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch a price list at import

import litellm


async def main(assignment: Assignment) -> None:
    """Do the assignment."""
    litellm.suppress_debug_info = True
    slots = asyncio.Semaphore(assignment.in_flight)
    urls: list[str] = []

    async def one(number: int) -> None:
        async with slots:
            answer = await litellm.aimage_generation(
                model=f"openai/{MODEL}",
                prompt=assignment.prompt(number),
                api_base=f"{assignment.base}/v1",
                api_key=KEY,
                num_retries=10 if "retry" in assignment.options else 2,
            )
            urls.append(answer.data[0].url)

    await asyncio.gather(*[one(number) for number in range(assignment.items)], return_exceptions=True)
    assignment.hand_in(urls)


if __name__ == "__main__":
    asyncio.run(main(received()))
