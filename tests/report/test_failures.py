"""What a run says of images that failed, and what its exit code makes of them."""

from dataclasses import replace

from pipeline import Selection
from pipeline.report.failures import SHOWN, Failure, RecordCounts, failure_lines
from pipeline.report.summary import Summary
from sandbox import Behaviour, Fault
from tests.inspection.test_reports import record
from tests.run.site import Site

SUMMARY = Summary(job="site", endpoint="aimlapi", output="out", manifest="out/manifest.jsonl")
REFUSING = Behaviour(faults=(Fault("400", match="crow"),))


def test_ten_failures_are_named_and_the_others_counted() -> None:
    outcome = RecordCounts()
    for number in range(SHOWN + 3):
        outcome.add(record(id=f"fox-{number}", status="failed", cause="moderated", error="no\nfoxes"))
    lines = failure_lines(outcome.failed, outcome.failures, "CMD")
    assert lines[0] == "  failed: 13 moderated — the API refused the prompt, or its own picture, for its content"
    assert lines[1] == "    fox-0: moderated: no\\nfoxes"
    assert lines[SHOWN + 1] == "    and 3 more"
    assert lines[-1] == "    CMD"
    assert len(lines) == SHOWN + 4


def test_the_cure_is_only_for_what_the_next_run_leaves_alone() -> None:
    download = Failure("fox", 1, "download", None)
    assert failure_lines({"download": 1}, [download], "CMD")[1:] == [
        "    fox (image 2): download: no reason is known",
        "  the next run tries it again by itself",
    ]
    assert failure_lines({"download": 1, "lost": 2}, [download], "CMD")[3:] == [
        "    and 2 more",
        "  the next run tries 1 of them again by itself",
        "  the next run leaves 2 of them alone: change the prompt, or ask again:",
        "    CMD",
    ]


def test_trouble_is_nothing_where_nothing_is_wrong() -> None:
    assert SUMMARY.trouble() == []
    assert replace(SUMMARY, pending=3, made=2).trouble() == []
    assert replace(SUMMARY, not_remade=1).trouble()[1:] == [
        "  1 image could not be made again; the old ones are still there"
    ]


async def test_a_run_names_what_failed(site: Site) -> None:
    site.sandbox.behaviour = REFUSING
    summary = await site.run({"id": "fox", "prompt": "A fox"}, {"id": "crow", "prompt": "A crow"})
    assert [(failure.id, failure.cause) for failure in summary.failures] == [("crow", "rejected")]
    assert summary.as_dict()["failures"][0]["id"] == "crow"
    assert any(line.startswith("    crow: rejected: ") for line in summary.lines())


async def test_the_exit_code_of_only_is_about_what_it_chose(site: Site) -> None:
    site.sandbox.behaviour = REFUSING
    prompts = [{"id": name, "prompt": f"A {name}"} for name in ("fox", "crow", "hen")]
    assert (await site.run(*prompts)).exit_code == 1
    for only, code in ((("fox",), 0), (("hen", "fox"), 0), (("crow",), 1), (("*",), 1), (("fox", "c*"), 1)):
        summary = await site.run(*prompts, selection=Selection(only=only))
        assert (only, summary.exit_code) == (only, code)
        assert dict(summary.failed) == {"rejected": 1}
        assert dict(summary.selected_failed) == ({"rejected": 1} if code else {})
        assert bool(summary.trouble()) == bool(code)
    site.sandbox.behaviour = Behaviour()
    again = Selection(only=("crow",), retry_failed=True)
    assert (await site.run(*prompts, selection=again)).exit_code == 0
    assert (await site.run(*prompts)).exit_code == 0


async def test_the_exit_code_of_a_limit_is_about_what_it_let_in(site: Site) -> None:
    site.sandbox.behaviour = REFUSING
    prompts = [{"id": name, "prompt": f"A {name}"} for name in ("crow", "fox", "hen")]
    first = await site.run(*prompts, selection=Selection(limit=1))
    assert (first.exit_code, dict(first.failed), first.pending) == (1, {"rejected": 1}, 2)
    second = await site.run(*prompts, selection=Selection(limit=1))
    assert (second.exit_code, second.made, second.pending) == (0, 1, 1)
    third = await site.run(*prompts)
    assert (third.exit_code, third.made) == (1, 1)


async def test_a_file_that_is_fetched_again_is_not_called_made(site: Site) -> None:
    first = await site.run("A fox", "An owl")
    assert (first.made, first.fetched) == (2, 0)
    next(iter(site.output.glob("*.png"))).unlink()
    second = await site.run()
    assert (second.made, second.fetched, second.requests) == (0, 1, 0)
    assert second.lines()[0].endswith("(0 made now, 1 fetched again, 1 unchanged)")


async def test_what_an_earlier_run_paid_for_is_made_now_and_costs_this_one_nothing(site: Site) -> None:
    site.sandbox.behaviour = Behaviour(faults=(Fault("cdn-500"),))
    assert (await site.run("A fox")).exit_code == 1
    site.sandbox.behaviour = Behaviour()
    second = await site.run("A fox", "An owl")
    assert (second.made, second.fetched, second.tokens_used) == (2, 0, 126_000)
