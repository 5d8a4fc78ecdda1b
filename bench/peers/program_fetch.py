"""This program's downloads through their public functions: checked while they stream, put on the disk, renamed."""

from pathlib import Path

import anyio

from bench.assignment import MODEL, RATIO, Assignment, received
from pipeline.download import Downloads
from pipeline.generated import GeneratedImage
from pipeline.http import sessions
from pipeline.output.local import OutputFolder
from pipeline.providers import catalogue
from pipeline.run.pool import run_pool


async def main(assignment: Assignment) -> None:
    """Do the assignment."""
    model = catalogue.find(MODEL)
    assert model is not None

    def fits(width: int, height: int) -> bool:
        return model.accepts_shape(RATIO, width, height)

    with OutputFolder(Path(assignment.folder)) as store:
        async with sessions.cdn_session(downloads=assignment.in_flight, allow_private=True) as session:
            downloads = Downloads(session, store, https_only=False)

            async def fetch(number: int) -> None:
                image = GeneratedImage(url=assignment.url(number))
                with downloads.transfer(image, f"{number:07d}", fits) as transfer:
                    await transfer.attempt()

            await run_pool(assignment.in_flight, iter(range(assignment.items)), fetch, is_open=lambda: True)


if __name__ == "__main__":
    anyio.run(main, received())
