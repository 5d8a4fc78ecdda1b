"""The second night: only what is missing or changed is made, and nothing else is paid for."""

import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest

from pipeline import Selection
from pipeline.clock import utc
from pipeline.ledger import Known
from pipeline.model import Item
from pipeline.plan.decision import Decision
from pipeline.plan.planner import Planner
from sandbox import Fault, Sandbox
from tests.policies import QUICK
from tests.run.site import Site, faults

DEAD = faults("cdn-404")
DEAD_ONCE = faults(Fault("cdn-410", times=QUICK.fetches_when_refused))
"""Of no more than one picture: after so many tries its download is given up."""


async def test_a_deleted_picture_whose_server_is_gone_for_good_is_made_again_by_the_second_run(site: Site) -> None:
    async with Sandbox() as old:
        await site.run("A fox", endpoint=old.base)
        (picture,) = site.output.glob("*.png")
        site.job["endpoint"] = old.base
        port = int(old.base.rpartition(":")[2])
    picture.unlink()
    async with Sandbox(port=port) as new:
        assert dict((await site.run()).failed) == {"download": 1}
        assert new.request_log.count() == 0
        assert (await site.run()).exit_code == 0
        assert new.request_log.count() == 1


async def test_a_picture_that_never_arrived_is_asked_for_anew_when_a_person_says_so(site: Site) -> None:
    site.sandbox.behaviour = faults("cdn-500")
    await site.run("A fox")
    assert await site.asks() == 0
    assert await site.asks(selection=Selection(retry_failed=True)) == 1


async def test_a_second_run_sends_nothing_and_changes_nothing(site: Site) -> None:
    await site.run("A fox", "A crow", {"prompt": "An owl", "count": 2})
    before, gets = (site.pictures(), site.records()), site.sandbox.request_log.gets()
    assert await site.asks() == 0
    assert (site.pictures(), site.records()) == before
    assert site.sandbox.request_log.gets() == gets


async def test_a_second_run_says_that_all_is_there(site: Site) -> None:
    await site.run("A fox")
    summary = await site.run()
    assert (summary.exit_code, summary.saved, summary.made, summary.requests, summary.tokens_used) == (0, 1, 0, 0, 0)


async def test_a_reordered_job_sends_nothing_and_reorders_the_manifest(site: Site) -> None:
    await site.run("A fox", "A crow", "An owl")
    before = site.pictures()
    assert await site.asks("An owl", "A fox", "A crow") == 0
    assert site.pictures() == before
    assert [record.prompt for record in site.records()] == ["An owl", "A fox", "A crow"]


async def test_one_edited_prompt_is_one_request(site: Site) -> None:
    await site.run("A fox", "A crow", "An owl")
    assert await site.asks("A fox", "A black crow", "An owl") == 1
    assert site.sandbox.request_log.requests()[-1].prompt == "A black crow"


async def test_a_new_line_is_one_request(site: Site) -> None:
    await site.run("A fox")
    assert await site.asks("A crow", "A fox") == 1


async def test_a_changed_parameter_is_one_request(site: Site) -> None:
    await site.run("A fox")
    assert await site.asks(parameters={"add_watermark": True}) == 1


async def test_another_base_url_for_the_same_model_buys_nothing_again_of_the_real_one(site: Site) -> None:
    await site.run("A fox")
    key = site.record().key
    job = site.load("A fox", endpoint="http://127.0.0.1:9")
    assert [item.key for item in _expand(job)] == [key]


def _expand(job: Any) -> Any:
    from pipeline import expand

    return expand(job)


async def test_a_deleted_file_is_downloaded_again_without_asking(site: Site) -> None:
    await site.run("A fox")
    before = site.pictures()
    (site.output / next(iter(before))).unlink()
    assert await site.asks() == 0
    assert site.pictures() == before
    assert site.sandbox.request_log.gets() == 2


async def test_a_damaged_file_is_downloaded_again_without_asking_and_kept(site: Site) -> None:
    await site.run("A fox")
    before = site.pictures()
    (site.output / next(iter(before))).write_bytes(b"scribbled over")
    assert await site.asks() == 0
    assert site.pictures() == before
    assert site.replaced() == [b"scribbled over"]


async def test_a_file_that_was_only_touched_is_left_alone(site: Site) -> None:
    await site.run("A fox")
    (site.output / next(iter(site.pictures()))).touch()
    assert await site.asks() == 0
    assert site.sandbox.request_log.gets() == 1


@pytest.mark.parametrize("kind", ["cdn-404", "cdn-410", "cdn-403"])
async def test_a_deleted_file_whose_url_is_dead_is_asked_for_again_exactly_once(site: Site, kind: str) -> None:
    await site.run({"id": "fox", "prompt": "A fox"})
    (site.output / "fox.png").unlink()
    site.sandbox.behaviour = faults(kind)
    # A server that refuses everybody for one night proves nothing.
    assert await site.asks() == 0
    assert site.record().cause == "download"
    site.sandbox.behaviour = faults(Fault(kind, times=QUICK.fetches_when_refused))
    assert await site.asks() == 1
    assert list(site.pictures()) == ["fox.png"]
    assert site.record().attempts == 2
    assert await site.asks() == 0


async def test_a_damaged_file_whose_url_is_dead_is_asked_for_again_exactly_once(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox"})
    (site.output / "fox.png").write_bytes(b"scribbled over")
    site.sandbox.behaviour = DEAD
    assert await site.asks() == 0
    site.sandbox.behaviour = DEAD_ONCE
    assert await site.asks() == 1
    assert site.record().status == "saved"


async def test_a_picture_that_stays_dead_after_asking_again_is_never_asked_for_in_a_loop(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox"})
    (site.output / "fox.png").unlink()
    site.sandbox.behaviour = DEAD
    assert [await site.asks() for _ in range(4)] == [0, 1, 0, 0]
    assert site.record().cause == "download"
    site.sandbox.behaviour = faults()
    assert await site.asks() == 0
    assert site.record().status == "saved"


async def test_a_deleted_file_whose_download_fails_for_now_still_counts_as_once_delivered(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox"})
    (site.output / "fox.png").unlink()
    site.sandbox.behaviour = faults("cdn-503")
    assert await site.asks() == 0
    assert (site.record().status, site.record().cause, site.record().path) == ("failed", "download", None)
    site.sandbox.behaviour = DEAD_ONCE
    assert await site.asks() == 1
    assert site.record().status == "saved"


@pytest.mark.parametrize("kind", ["cdn-403", "cdn-404", "cdn-410", "cdn-redirect-loop"])
async def test_a_server_that_refuses_for_a_night_loses_nothing(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(kind)
    summary = await site.run("A fox")
    assert (summary.exit_code, dict(summary.failed)) == (1, {"download": 1})
    assert await site.asks() == 0
    site.sandbox.behaviour = faults()
    assert await site.asks() == 0
    assert site.record().status == "saved"


async def age(site: Site, days: float) -> None:
    """Let the only answer be so old."""
    at = utc(time.time() - days * 86_400)
    with closing(sqlite3.connect(site.output / ".pipeline" / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE attempts SET created_at = ?", (at,))


async def test_a_refused_picture_is_lost_only_when_its_url_is_too_old_to_be_good(site: Site) -> None:
    site.sandbox.behaviour = DEAD
    await site.run("A fox")
    await age(site, 6.9)
    await site.run()
    assert site.record().cause == "download"
    await age(site, 7.1)
    await site.run()
    assert site.record().cause == "lost"
    assert "it cost 126,000 tokens" in (site.record().error or "")
    assert await site.asks() == 0


async def test_a_lost_picture_whose_url_works_again_is_fetched_when_told_to_and_not_paid_for(site: Site) -> None:
    site.sandbox.behaviour = DEAD
    await site.run("A fox")
    await age(site, 8)
    await site.run()
    assert site.record().cause == "lost"
    site.sandbox.behaviour = faults()
    assert await site.asks(selection=Selection(retry_failed=True)) == 0
    assert site.record().status == "saved"


async def test_a_refused_picture_is_asked_for_again_when_told_to(site: Site) -> None:
    site.sandbox.behaviour = DEAD
    await site.run("A fox")
    site.sandbox.behaviour = DEAD_ONCE
    assert await site.asks(selection=Selection(retry_failed=True)) == 1
    assert site.record().status == "saved"


async def test_a_failed_download_is_fetched_by_the_next_run_at_no_cost(site: Site) -> None:
    site.sandbox.behaviour = faults("cdn-500")
    summary = await site.run("A fox")
    assert (summary.exit_code, dict(summary.failed)) == (1, {"download": 1})
    site.sandbox.behaviour = faults()
    assert await site.asks() == 0
    assert site.record().status == "saved"


async def test_a_prompt_that_is_changed_back_costs_nothing_and_gives_the_same_bytes(site: Site) -> None:
    await site.run({"id": "hero", "prompt": "A fox"})
    fox = site.pictures()
    assert await site.asks({"id": "hero", "prompt": "A crow"}) == 1
    crow = site.pictures()
    assert list(crow) == ["hero.png"]
    assert site.replaced() == [fox["hero.png"]]
    assert await site.asks({"id": "hero", "prompt": "A fox"}) == 0
    assert site.pictures() == fox
    assert await site.asks({"id": "hero", "prompt": "A crow"}) == 0
    assert site.pictures() == crow


async def test_a_new_id_renames_the_file_and_sends_nothing_at_all(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox", "count": 2})
    before = site.pictures()
    gets = site.sandbox.request_log.gets()
    assert await site.asks({"id": "renard", "prompt": "A fox", "count": 2}) == 0
    assert site.pictures() == {"renard.png": before["fox.png"], "renard-2.png": before["fox-2.png"]}
    assert [record.path for record in site.records()] == ["renard.png", "renard-2.png"]
    assert site.sandbox.request_log.gets() == gets


async def test_two_ids_that_are_swapped_swap_their_files(site: Site) -> None:
    await site.run({"id": "a", "prompt": "A fox"}, {"id": "b", "prompt": "A crow"})
    before = site.pictures()
    assert await site.asks({"id": "b", "prompt": "A fox"}, {"id": "a", "prompt": "A crow"}) == 0
    assert site.pictures() == {"a.png": before["b.png"], "b.png": before["a.png"]}
    assert await site.asks() == 0


async def test_an_id_that_goes_to_a_new_prompt_while_its_picture_gets_another_is_one_request(site: Site) -> None:
    await site.run({"id": "a", "prompt": "A fox"})
    fox = site.pictures()["a.png"]
    assert await site.asks({"id": "b", "prompt": "A fox"}, {"id": "a", "prompt": "A crow"}) == 1
    assert site.pictures()["b.png"] == fox
    assert sorted(site.pictures()) == ["a.png", "b.png"]


async def test_a_raised_count_asks_only_for_what_is_added(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox", "count": 2})
    before = site.pictures()
    assert await site.asks({"id": "fox", "prompt": "A fox", "count": 5}) == 1
    assert site.sandbox.request_log.requests()[-1].images == 3
    assert sorted(site.pictures()) == ["fox-2.png", "fox-3.png", "fox-4.png", "fox-5.png", "fox.png"]
    assert before.items() <= site.pictures().items()


async def test_a_lowered_count_sends_nothing_keeps_the_files_and_drops_the_lines(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox", "count": 3})
    assert await site.asks({"id": "fox", "prompt": "A fox", "count": 1}) == 0
    assert len(site.records()) == 1
    assert len(site.pictures()) == 3
    assert await site.asks({"id": "fox", "prompt": "A fox", "count": 3}) == 0


async def test_a_file_of_the_users_own_is_never_lost_to_a_picture_of_that_name(site: Site) -> None:
    site.output.mkdir()
    (site.output / "fox.png").write_bytes(b"my own drawing")
    (site.output / "fox.webp").write_bytes(b"another one")
    await site.run({"id": "fox", "prompt": "A fox"})
    assert list(site.pictures()) == ["fox.png"]
    assert sorted(site.replaced()) == [b"another one", b"my own drawing"]


async def test_force_makes_what_is_there_and_keeps_the_old_one(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox"})
    (old,) = site.pictures().values()
    assert await site.asks(selection=Selection(force=True)) == 1
    assert list(site.pictures()) == ["fox.png"]
    assert site.replaced() == [old]
    assert await site.asks() == 0


async def test_only_makes_what_it_names_and_leaves_the_rest_pending(site: Site) -> None:
    job = ({"id": "fox", "prompt": "A fox"}, {"id": "crow", "prompt": "A crow"})
    summary = await site.run(*job, selection=Selection(only=("fo*",)))
    assert (site.posts, summary.saved, summary.pending) == (1, 1, 1)
    assert [record.cause for record in site.records()] == [None, "pending"]
    assert await site.asks() == 1


async def test_limit_counts_images_not_requests(site: Site) -> None:
    summary = await site.run({"prompt": "A fox", "count": 6}, selection=Selection(limit=5))
    assert [row.images for row in site.sandbox.request_log.requests()] == [4, 1]
    assert (summary.saved, summary.pending) == (5, 1)


async def test_a_missing_file_that_a_run_left_out_is_not_called_saved(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox"}, {"id": "crow", "prompt": "A crow"})
    (site.output / "fox.png").unlink()
    summary = await site.run(selection=Selection(only=("crow",)))
    assert (summary.exit_code, summary.saved, summary.pending) == (0, 1, 1)
    fox, crow = site.records()
    assert (fox.status, fox.cause, fox.path, fox.sha256) == ("failed", "pending", None, None)
    assert crow.status == "saved"
    assert await site.asks() == 0
    assert {record.status for record in site.records()} == {"saved"}


async def test_a_run_decides_about_what_is_there_once_and_not_again_when_its_turn_comes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.run(*(f"Fox {n}" for n in range(12)))
    decided: list[str] = []
    decide = Planner._decide

    def counting(self: Planner, item: Item, known: Known) -> Decision:
        decided.append(item.id)
        return decide(self, item, known)

    monkeypatch.setattr(Planner, "_decide", counting)
    assert await site.asks(*(f"Fox {n}" for n in range(12)), "A hen") == 1
    assert sum(name.startswith("fox") for name in decided) == 12
