"""The method of the OpenAI cookbook's parallel processor, written anew: the script that many batch jobs began as.

The method: one loop looks every millisecond whether a bucket that fills continuously has room for another request, and
starts a task for it. The bucket is full at the start. A request that fails waits in a queue, five attempts in all.
After a refusal nothing new starts for 15 seconds. Every answer is appended to a file that is opened for it.
"""

import asyncio
import json
import time
from collections import deque
from pathlib import Path

import aiohttp

from bench.assignment import KEY, Assignment, received

TICK = 0.001
PAUSE = 15.0
ATTEMPTS = 5
DEFAULT_PER_MINUTE = 1500.0
"""What its command line takes for a request limit that nobody names: half of 3,000."""


class Processor:
    """One run of it."""

    def __init__(self, session: aiohttp.ClientSession, assignment: Assignment) -> None:
        self.session = session
        self.assignment = assignment
        self.per_minute = assignment.per_minute or DEFAULT_PER_MINUTE
        self.again: deque[tuple[int, int]] = deque()
        self.running = 0
        self.refused_at = -PAUSE
        self.out = Path(assignment.folder) / "answers.jsonl"

    async def one(self, number: int, attempts: int) -> None:
        """One attempt of one request."""
        headers = {"Authorization": f"Bearer {KEY}"}
        try:
            async with self.session.post(
                self.assignment.endpoint, headers=headers, json=self.assignment.body(number)
            ) as response:
                found = await response.json()
            if "data" in found:
                with self.out.open("a") as out:
                    out.write(json.dumps([self.assignment.body(number), found]) + "\n")
                return
            self.refused_at = time.time()
        except (aiohttp.ClientError, OSError):
            pass
        finally:
            self.running -= 1
        if attempts > 1:
            self.again.append((number, attempts - 1))

    async def run(self) -> None:
        """All requests."""
        room, updated, next_one = self.per_minute, time.time(), None
        numbers = iter(range(self.assignment.items))
        waiting = True
        async with asyncio.TaskGroup() as tasks:
            while True:
                if next_one is None:
                    if self.again:
                        next_one = self.again.popleft()
                    elif waiting:
                        number = next(numbers, None)
                        waiting = number is not None
                        next_one = None if number is None else (number, ATTEMPTS)
                now = time.time()
                room = min(room + self.per_minute * (now - updated) / 60.0, self.per_minute)
                updated = now
                if next_one is not None and room >= 1:
                    room -= 1
                    self.running += 1
                    tasks.create_task(self.one(*next_one))
                    next_one = None
                if next_one is None and not self.running and not self.again and not waiting:
                    return
                await asyncio.sleep(TICK)
                if (left := self.refused_at + PAUSE - time.time()) > 0:
                    await asyncio.sleep(left)


async def main(assignment: Assignment) -> None:
    """Do the assignment."""
    async with aiohttp.ClientSession() as session:
        processor = Processor(session, assignment)
        await processor.run()
    answers = (json.loads(line)[1] for line in processor.out.read_text().splitlines())
    assignment.hand_in(answer["data"][0]["url"] for answer in answers)


if __name__ == "__main__":
    asyncio.run(main(received()))
