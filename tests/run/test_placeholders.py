"""A sandbox never puts its placeholders in the place of what was paid for, unless that is meant."""

from typing import Any

import pytest

from pipeline import Plan, Selection, UsageError, plan
from tests.run.site import Site
from tests.run.upstream import picture, saying, serving

FOX = {"id": "fox", "prompt": "A fox"}


@pytest.fixture
async def paid(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A picture that an API was paid for: a sandbox that does not say that it is one."""
    await site.run(FOX)
    return site


@pytest.mark.parametrize(
    "prompt", [FOX, {"id": "fox", "prompt": "Another fox"}, {"id": "fox", "prompt": "A", "count": 3}]
)
async def test_placeholders_never_push_a_paid_picture_aside(paid: Site, prompt: dict[str, Any]) -> None:
    before = paid.pictures()
    with pytest.raises(UsageError, match=r"fox\.png") as refused:
        await paid.run(prompt, endpoint="sandbox")
    assert refused.value.exit_code == 2
    assert "--placeholders" in str(refused.value)
    assert "--endpoint" in str(refused.value)
    assert paid.pictures() == before


async def test_plan_says_that_a_run_would_stop_for_placeholders(paid: Site) -> None:
    *_, total = plan(paid.load({"id": "fox", "prompt": "A", "count": 3}, endpoint="sandbox"))
    assert isinstance(total, Plan)
    assert total.displaced == 1
    assert "--placeholders" in "".join(total.lines())
    *_, total = plan(paid.load({"id": "crow", "prompt": "A"}, endpoint="sandbox"))
    assert isinstance(total, Plan)
    assert total.displaced == 0


async def test_placeholders_take_the_name_when_they_are_meant_to_and_give_it_back_at_no_cost(paid: Site) -> None:
    before = paid.pictures()
    summary = await paid.run(endpoint="sandbox", selection=Selection(placeholders=True))
    assert summary.exit_code == 0
    assert paid.pictures() != before
    assert await paid.asks(endpoint=paid.sandbox.base) == 0
    assert paid.pictures() == before


async def test_placeholders_of_new_pictures_and_of_older_placeholders_need_no_word(paid: Site) -> None:
    assert (await paid.run({"id": "crow", "prompt": "A crow"}, endpoint="sandbox")).exit_code == 0
    assert (await paid.run({"id": "crow", "prompt": "Another crow"}, endpoint="sandbox")).exit_code == 0
    assert set(paid.pictures()) == {"fox.png", "crow.png"}


async def test_placeholders_may_fill_the_place_of_a_paid_picture_whose_file_is_gone(paid: Site) -> None:
    (paid.output / "fox.png").unlink()
    assert (await paid.run(endpoint="sandbox")).exit_code == 0


async def test_a_sandbox_that_stands_at_the_apis_address_pushes_no_paid_picture_aside(site: Site) -> None:
    async with serving(saying({"data": [{"url": "/p.png"}]}), **{"p.png": picture}) as base:
        await site.run(FOX, endpoint=base)
    before = site.pictures()
    asked = site.sandbox.request_log.count()
    summary = await site.run({"id": "fox", "prompt": "Another fox"}, endpoint=site.sandbox.base)
    assert summary.exit_code == 2
    assert "fox.png" in (summary.reason or "")
    assert "correct AIML_API_BASE" in (summary.reason or "")
    assert (site.pictures(), site.sandbox.request_log.count()) == (before, asked)
    await site.run(selection=Selection(placeholders=True))
    assert site.pictures() != before


async def test_what_such_a_sandbox_has_made_gives_way_to_what_it_makes_next(site: Site) -> None:
    await site.run(FOX)
    assert (await site.run({"id": "fox", "prompt": "Another fox"})).saved == 1
