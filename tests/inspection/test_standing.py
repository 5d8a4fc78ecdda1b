"""What `status` and `verify` say: by the job, and in real money."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from pipeline import Selection, load_job, run, run_async, status, verify
from pipeline.report.summary import Summary
from sandbox import Behaviour, Fault
from tests.policies import QUICK
from tests.run.site import KEY, PRICE, Site
from tests.run.upstream import picture, saying, serving

FOXES = ["A fox", "An owl", {"id": "hen", "prompt": "A hen", "count": 3}]


async def test_the_denominator_is_the_jobs_own_number_of_images(site: Site) -> None:
    await site.run("A fox")
    site.load(*FOXES)
    found = status(site.folder / "site.yaml")
    assert (found.saved, found.images, found.pending, found.not_in_job) == (1, 5, 4, 0)
    assert ": 1 of 5 images saved" in found.lines()[0]
    assert (status(site.output).saved, status(site.output).images) == (1, 1)


async def test_images_that_left_the_job_are_not_counted_among_its_own(site: Site) -> None:
    await site.run(*FOXES)
    found = status(site.load("A fox"))
    assert (found.saved, found.images, found.not_in_job) == (1, 1, 4)
    assert "  4 more images in the manifest, no longer in the job" in found.lines()


async def test_without_its_job_a_killed_run_is_counted_so_far(site: Site) -> None:
    site.sandbox.behaviour = Behaviour(faults=(Fault("hang", match="owl"),))
    await site.run("A fox", "An owl", stop_when=lambda: list(site.output.glob("*.png")), stop_after=0.02)
    assert "1 of 1 image so far saved" in status(site.output).lines()[0]
    assert "1 of 2 images saved" in status(site.load()).lines()[0]


async def test_failed_items_are_named_with_the_command_that_asks_again(site: Site) -> None:
    site.sandbox.behaviour = Behaviour(faults=(Fault("400", match="owl"),))
    await site.run("A fox", {"id": "owl", "prompt": "An owl"})
    lines = status(site.load()).lines("python -m pipeline run site.yaml --retry-failed")
    assert any(line.startswith("    owl: rejected: ") for line in lines)
    assert "    python -m pipeline run site.yaml --retry-failed" in lines
    assert status(site.load()).as_dict()["failures"][0]["id"] == "owl"


def paid_and_played(tmp_path: Path) -> Path:
    """A job of which one picture was paid for, and two were made by the sandbox."""
    path = tmp_path / "shop.yaml"
    prompts = [{"id": name, "prompt": f"A {name}"} for name in ("fox", "owl", "hen")]
    path.write_text(json.dumps({"endpoint": "sandbox", "output": str(tmp_path / "out"), "prompts": prompts}))
    assert run(load_job(path), selection=Selection(only=("owl", "hen"))).exit_code == 0
    return path


async def pay_for(path: Path, *only: str) -> Summary:
    """Make some of a job's pictures at a real server, which gives what a picture costs."""
    body: dict[str, Any] = {
        "data": [{"url": "/picture"}],
        "meta": {"usage": {"tokens_used": PRICE, "usd_spent": 0.063}},
    }
    async with serving(saying(body), picture=picture) as base:
        job = load_job(path, endpoint=base)
        return await run_async(job, environ={"AIML_API_KEY": KEY}, selection=Selection(only=only), policy=QUICK)


def test_play_money_is_never_added_to_real_money(tmp_path: Path) -> None:
    path = paid_and_played(tmp_path)
    paid = anyio.run(pay_for, path, "fox")
    assert (paid.exit_code, paid.sandbox) == (0, False)
    found = status(path)
    assert (found.saved, found.tokens_used, found.usd) == (1, PRICE, 0.063)
    assert (found.books.billed, found.sandbox_books.billed) == (PRICE, 2 * PRICE)
    said = found.as_dict()
    assert (said["tokens_used"], said["books"]["billed"], said["sandbox_books"]["billed"]) == (PRICE, PRICE, 2 * PRICE)
    assert "378,000" not in "\n".join(found.lines())
    assert any("all runs: sandbox, nothing billed: 252,000 tokens" in line for line in found.lines())


async def test_a_sandbox_that_is_served_by_itself_is_no_real_money_either(site: Site) -> None:
    site.sandbox.behaviour = Behaviour(faults=(Fault("empty", match="owl"),))
    summary = await site.run("A fox", "An owl")
    assert summary.sandbox
    assert "no cost (at the real API" in summary.lines()[1]
    found = status(site.load())
    assert (found.tokens_used, found.books.billed) == (0, 0)
    assert found.sandbox_cost.tokens == found.sandbox_books.billed == 3 * PRICE


@pytest.mark.parametrize("given", [0, 2])
async def test_a_cost_that_no_answer_gave_is_unknown_and_not_nothing(tmp_path: Path, given: int) -> None:
    path = tmp_path / "job.yaml"
    answers: list[dict[str, Any]] = [{"data": [{"url": "/picture"}]} for _ in range(5)]
    for answer in answers[:given]:
        answer["meta"] = {"usage": {"tokens_used": PRICE, "usd_spent": 0.063}}

    async def answering(request: web.Request) -> web.StreamResponse:
        return await saying(answers.pop())(request)

    async with serving(answering, picture=picture) as base:
        path.write_text(json.dumps({"endpoint": base, "output": str(tmp_path / "out"), "prompts": list("abcde")}))
        summary = await run_async(load_job(path), environ={"AIML_API_KEY": KEY}, policy=QUICK)
    unknown = f"cost unknown for {5 - given} of 5 answers"
    assert unknown in summary.lines()[1]
    assert ("$0.00" in summary.lines()[1]) is False
    found = status(path)
    assert any(unknown in line for line in found.lines())
    assert any(f"cost unknown for {5 - given} of 5 images" in line for line in found.lines())
    costs = (None, None) if not given else (given * PRICE, pytest.approx(given * 0.063))
    for said in (summary.as_dict(), found.as_dict()):
        assert (said["tokens_used"], said["usd"]) == costs
        assert (said["books"]["answers"], said["books"]["unknown_cost"]) == (5, 5 - given)


async def test_verify_fails_where_an_image_of_the_job_is_not_there(site: Site) -> None:
    await site.run("A fox")
    assert verify(site.output).sound
    found = verify(site.load("A fox", "An owl"))
    assert (found.sound, found.not_saved, found.as_dict()["sound"]) == (False, 1, False)


async def test_verify_does_not_pass_a_manifest_that_it_cannot_read(site: Site) -> None:
    await site.run("A fox")
    with (site.output / "manifest.jsonl").open("ab") as lines:
        lines.write(b"{broken\n")
    for source in (site.output, site.load()):
        assert (verify(source).sound, verify(source).broken_lines) == (False, 1)


async def test_verify_takes_the_lock_of_the_run_where_the_ledger_lies_in_the_output_folder_itself(
    site: Site,
) -> None:
    inside = site.output / "ledger"
    await site.run("A fox", state_dir=str(inside))
    next(iter(site.output.glob("*.png"))).write_bytes(b"broken")
    assert verify(site.load()).states == {"damaged": 1}
    assert (await site.run()).exit_code == 0


def test_a_folder_and_a_job_file_may_be_named_by_text_or_by_path(tmp_path: Path) -> None:
    path = paid_and_played(tmp_path)
    sources = (str(path), path, str(tmp_path / "out"), tmp_path / "out", load_job(str(path)))
    assert [status(source).saved for source in sources] == [2] * 5
    assert [verify(source).states["sound"] for source in sources] == [2] * 5
