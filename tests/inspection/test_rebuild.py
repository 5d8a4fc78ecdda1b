"""The manifest, made again from the ledger."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import FolderLocked, UsageError
from pipeline.inspection.rebuild import rebuild, shown
from pipeline.manifest.file import to_line
from pipeline.output.local import OutputFolder
from pipeline.plan.decision import Selection
from sandbox import Behaviour, Fault, Sandbox
from tests.run.site import PRICE, Site, faults


@pytest.fixture
async def site(tmp_path: Path) -> Any:
    async with Sandbox() as sandbox:
        yield Site(tmp_path, sandbox)


def bytes_of(site: Site) -> bytes:
    return (site.output / "manifest.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("behaviour", "more"),
    [
        (Behaviour(), {}),
        (faults("400"), {}),
        (faults("cdn-500"), {}),
        (faults(Fault("cut", match="2")), {}),
        (Behaviour(), {"limits": {"budget_tokens": 2 * PRICE}}),
        (Behaviour(), {"selection": Selection(limit=2)}),
    ],
    ids=["saved", "refused", "not downloaded", "lost", "budget", "limit"],
)
async def test_a_manifest_is_rebuilt_to_the_byte(site: Site, behaviour: Behaviour, more: dict[str, Any]) -> None:
    site.sandbox.behaviour = behaviour
    await site.run(*(f"Fox {n}" for n in range(4)), **more)
    written = bytes_of(site)
    assert b"".join(map(to_line, shown(site.load(), {}))) == written
    (site.output / "manifest.jsonl").write_bytes(b"{}\n")
    assert rebuild(site.load(), {}).images == 4
    assert bytes_of(site) == written


async def test_a_file_that_has_gone_since_is_not_called_saved(site: Site) -> None:
    await site.run("A fox", "A crow")
    next(site.output.glob("a-fox*")).unlink()
    found = rebuild(site.load(), {})
    assert (found.images, found.saved) == (2, 1)
    assert site.records()[0].cause == "pending"


async def test_a_partial_run_and_its_rebuilt_manifest_agree_about_a_file_that_is_gone(site: Site) -> None:
    await site.run("A fox", "A crow")
    next(site.output.glob("a-fox*")).unlink()
    await site.run("A fox", "A crow", "A hare", selection=Selection(only=("a-hare*",)))
    written = bytes_of(site)
    rebuild(site.load(), {})
    assert bytes_of(site) == written


async def test_pictures_of_a_sandbox_in_the_place_of_the_real_api_are_there_for_it(site: Site) -> None:
    environ = {"AIML_API_BASE": site.sandbox.base, "AIML_API_KEY": "any"}
    await site.run("A fox", endpoint="aimlapi", environ=environ)
    written = bytes_of(site)
    rebuild(site.load(), environ)
    assert bytes_of(site) == written


async def test_without_a_ledger_there_is_nothing_to_make_it_from(site: Site) -> None:
    with pytest.raises(UsageError, match="run the job first"):
        rebuild(site.load("A fox"), {})
    with pytest.raises(UsageError, match="run the job first"):
        next(shown(site.load("A fox"), {}))


async def test_a_folder_in_use_is_left_alone_but_may_be_looked_at(site: Site) -> None:
    await site.run("A fox")
    with OutputFolder(site.output):
        with pytest.raises(FolderLocked):
            rebuild(site.load(), {})
        assert b"".join(map(to_line, shown(site.load(), {}))) == bytes_of(site)
