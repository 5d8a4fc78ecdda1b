"""What `plan` says where the command line's own tests do not go."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import Selection, load_job
from pipeline.inspection.forecast import Plan, decision_dict, decision_lines, plan
from pipeline.ledger import LedgerReader
from pipeline.ledger.reading import AT_ONCE
from pipeline.plan.decision import Decision, Reason
from tests.run.site import PRICE, Site, faults

SERVER = "http://127.0.0.1:9"


def planned(folder: Path, environ: dict[str, str] | None = None, **job: Any) -> tuple[list[Decision], Plan]:
    path = folder / "job.yaml"
    path.write_text(json.dumps({"endpoint": SERVER, "output": str(folder / "out"), "prompts": ["A fox"]} | job))
    steps = list(plan(load_job(path), environ or {}, Selection()))
    return [step for step in steps if isinstance(step, Decision)], steps[-1]  # type: ignore[return-value]


def test_a_model_without_a_price_is_left_out_of_the_sum_and_named(tmp_path: Path) -> None:
    _, total = planned(tmp_path, prompts=["A fox", {"prompt": "A hen", "model": "somebody/elses-model"}])
    assert (total.tokens, total.unpriced, total.requests) == (PRICE, 1, 2)
    assert "  without a known price, and not in that sum: 1 image" in list(total.lines())


def test_where_no_price_is_known_no_sum_is_told(tmp_path: Path) -> None:
    _, total = planned(tmp_path, model="somebody/elses-model", prompts=["A fox", "A hen"])
    assert (total.tokens, total.unpriced) == (0, 2)
    assert list(total.lines())[1:] == ["  a run would send 2 requests (no list price known)"]


def test_an_empty_difference_would_send_nothing(tmp_path: Path) -> None:
    assert "  a run would send nothing" in list(Plan("site").lines())


def test_columns_that_nothing_uses_are_listed(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("sku,name,\x1b[2Jprice\n1,fox,2\n")
    _, total = planned(tmp_path, prompts=[{"file": "list.csv", "prompt": "A {name}"}])
    file = str(tmp_path / "list.csv")
    assert list(total.lines())[-1] == f"  columns of {file} that nothing uses: sku, \\x1b[2Jprice"
    assert total.as_dict()["unused_columns"] == {file: ["sku", "\x1b[2Jprice"]}


def test_of_a_great_many_orphans_twenty_are_shown() -> None:
    lines = list(Plan("site", orphans=[f"{n}.png" for n in range(25)]).lines())
    assert sum("no longer in the job" in line for line in lines) == 20
    assert lines[-1] == "  and 5 more orphaned"


def test_the_ledger_is_asked_about_many_items_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = 0
    read = LedgerReader._read

    def counting(self: LedgerReader, *query: Any) -> list[Any]:
        nonlocal queries
        queries += 1
        return read(self, *query)

    monkeypatch.setattr(LedgerReader, "_read", counting)
    (tmp_path / "prompts.txt").write_text("".join(f"Fox {n}\n" for n in range(3 * AT_ONCE)))
    decisions, _ = planned(tmp_path, prompts=[{"file": "prompts.txt"}])
    assert len(decisions) == 3 * AT_ONCE
    assert 3 <= queries <= 3 * 4


async def test_what_is_paid_for_is_only_to_be_downloaded(site: Site) -> None:
    site.sandbox.behaviour = faults("cdn-500")
    await site.run("A fox")
    *_, total = plan(site.load(), {}, Selection())
    assert isinstance(total, Plan)
    assert total.reasons == {Reason.PAID: 1}
    assert (total.requests, total.downloads, total.tokens) == (0, 1, 0)
    assert "  and download 1 image already paid for" in list(total.lines())


async def test_files_that_would_be_renamed_are_named(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox"})
    decision, total = plan(site.load({"id": "vixen", "prompt": "A fox"}), {}, Selection())
    assert isinstance(decision, Decision)
    assert isinstance(total, Plan)
    assert list(decision_lines(decision)) == ["  renamed: fox.png -> vixen.png"]
    assert decision_dict(decision)["renames"] == [{"from": "fox.png", "to": "vixen.png"}]
    assert list(total.lines())[1:] == ["  a run would send nothing", "  and rename 1 file"]
    summary = await site.run()
    assert summary.renamed == 1
    assert summary.lines()[0].endswith("(0 made now, 1 unchanged, 1 renamed)")


async def test_a_budget_that_does_not_suffice_is_told_by_what_it_leaves(site: Site) -> None:
    limits = {"budget_tokens": 2 * PRICE, "budget_window": "1d"}
    await site.run("A fox", limits=limits)
    *_, total = plan(site.load("A fox", "A crow", "A hen"), {}, Selection())
    assert isinstance(total, Plan)
    assert total.as_dict()["budget_left"] == PRICE
    assert "  the budget leaves 126,000 tokens ($0.063) for that: a run would stop there" in list(total.lines())
    *_, total = plan(site.load("A fox", "A crow"), {}, Selection())
    assert isinstance(total, Plan)
    assert not any("budget" in line for line in total.lines())


def test_a_prompt_of_several_lines_is_shown_in_one(tmp_path: Path) -> None:
    (decision,), _ = planned(tmp_path, prompts=["A fox\nin the snow"])
    assert next(decision_lines(decision)).endswith("A fox\\nin the snow")


async def test_what_was_given_up_is_named_and_left_alone(site: Site) -> None:
    site.sandbox.behaviour = faults("400")
    await site.run("A fox")
    decision, total = plan(site.load(), {}, Selection())
    assert isinstance(decision, Decision)
    assert isinstance(total, Plan)
    assert decision.reasons == {0: Reason.GIVEN_UP}
    assert "waits for --retry-failed" in next(decision_lines(decision))
    assert (total.requests, total.downloads) == (0, 0)


def test_a_decision_tells_programs_each_images_reason(tmp_path: Path) -> None:
    (decision,), _ = planned(tmp_path, prompts=[{"id": "fox", "prompt": "A fox", "count": 2}])
    found = decision_dict(decision)
    assert (found["id"], found["prompt"]) == ("fox", "A fox")
    assert found["images"] == [{"index": 0, "reason": "new"}, {"index": 1, "reason": "new"}]
