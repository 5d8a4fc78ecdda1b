"""What `status`, `verify` and the summary say where the command line's own tests do not go."""

from dataclasses import replace
from pathlib import Path

from pipeline.inspection.standing import status
from pipeline.inspection.verification import verify
from pipeline.manifest import file as manifest
from pipeline.model import Record
from pipeline.output.local import OutputFolder
from pipeline.report.summary import MAYBE_SHOWN, MaybePaid, Summary, maybe_lines
from tests.run.site import Site

SUMMARY = Summary(job="site", endpoint="sandbox", output="out", manifest="out/manifest.jsonl")


def test_the_summary_names_whatever_needs_a_look() -> None:
    told = "\n".join(
        replace(
            SUMMARY, unknown_cost=1, not_remade=2, pending=3, failed={"lost": 4}, selected_failed={"lost": 4}
        ).lines()
    )
    assert "cost unknown for 1 of 1 answer" in told
    assert "2 images could not be made again; the old ones are still there" in told
    assert "3 images not made yet" in told
    assert "failed: 4 lost — paid for, but its answer or its picture can't be had" in told


def test_what_somebody_removed_during_the_run_is_not_counted_below_nothing() -> None:
    assert "5 of 60 images there (25 made now, 0 unchanged)" in replace(SUMMARY, images=60, saved=5, made=25).lines()[0]


def test_of_many_attempts_that_may_have_been_billed_the_sum_is_told_and_the_first_ones() -> None:
    maybe = [MaybePaid(f"run.{n}", "fox", 126_000, "cut") for n in range(MAYBE_SHOWN + 2)]
    lines = maybe_lines(maybe)
    assert lines[0].endswith("may have been billed without an answer: 12 requests, 1,512,000 tokens ($0.756)")
    assert lines[-1] == "    and 2 more"
    assert len(lines) == MAYBE_SHOWN + 2


def record(**changes: object) -> Record:
    known = dict.fromkeys(Record.__slots__) | {
        "id": "fox",
        "key": "k",
        "status": "saved",
        "prompt": "A fox",
        "model": "m",
        "index": 0,
        "attempts": 1,
        "created_at": "2026-11-23T02:30:00.000Z",
    }
    return Record(**(known | changes))  # type: ignore[arg-type]


def test_broken_lines_of_a_manifest_are_counted_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / manifest.NAME
    path.write_bytes(manifest.to_line(record(bytes=10)) + b"{broken\n" + manifest.to_line(record(index=1, usd=0.5)))
    found = status(tmp_path)
    assert (found.images, found.broken_lines, found.usd) == (2, 1, 0.5)
    assert any("1 line can't be read" in line for line in found.lines())


def test_a_later_line_of_an_image_replaces_the_earlier_one(tmp_path: Path) -> None:
    failed = record(status="failed", cause="download")
    (tmp_path / manifest.NAME).write_bytes(manifest.to_line(failed) + manifest.to_line(record()))
    found = status(tmp_path)
    assert (found.images, found.saved, dict(found.failed)) == (1, 1, {})


async def test_verify_leaves_a_locked_folder_as_it_is(site: Site) -> None:
    await site.run("A fox", "An owl")
    next(iter(site.output.glob("*.png"))).unlink()
    with OutputFolder(site.output):
        found = verify(site.output)
    assert found.states == {"sound": 1, "missing": 1}
    assert not found.sound


async def test_verify_names_the_images_that_were_never_there(site: Site) -> None:
    await site.run("A fox", "An owl", limits={"budget_tokens": 130_000})
    found = verify(site.output)
    assert (found.sound, found.not_saved) == (False, 1)
    assert any("1 image of the job not there" in line for line in found.lines())
