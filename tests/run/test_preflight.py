"""What the whole plan needs is there before its first request, or all that is missing is said at once."""

import resource
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from sandbox import Sandbox
from tests.run.site import PRICE, Site, faults
from tests.run.upstream import picture, saying, serving

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def _files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_balance_below_the_price_of_the_plan_is_said_with_both_figures(site: Site) -> None:
    async with Sandbox(balance=0.1) as poor:
        summary = await site.run("A fox", "A crow", endpoint=poor.base)
        assert (summary.exit_code, poor.request_log.count(), summary.pending) == (3, 0, 2)
        assert "$0.10 left" in (summary.reason or "")
        assert "the plan costs $0.126 (252,000 tokens" in (summary.reason or "")
        assert (await site.run("A fox", endpoint=poor.base)).exit_code == 0


async def test_a_budget_makes_a_plan_affordable(site: Site) -> None:
    async with Sandbox(balance=0.1) as poor:
        summary = await site.run("A fox", "A crow", endpoint=poor.base, limits={"budget_tokens": PRICE})
        assert (summary.exit_code, poor.request_log.count()) == (7, 1)


@pytest.mark.parametrize(
    "body", [{"current_balance": "plenty"}, {"current_balance": 0, "currency": "EUR"}, []], ids=str
)
async def test_a_balance_that_is_not_told_in_dollars_says_nothing(site: Site, body: object) -> None:
    async def billing(request: web.Request) -> web.StreamResponse:
        return web.json_response(body)

    answer = {"data": [{"url": "/picture"}]}
    async with serving(saying(answer), picture=picture, **{"v2/billing": billing}) as base:
        assert (await site.run("A fox", endpoint=base)).exit_code == 0


async def test_a_disk_too_small_for_the_plan_is_said_before_the_first_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 70 * 1024 * 1024))
    summary = await site.run(*(f"Fox {n}" for n in range(9)))
    assert (summary.exit_code, site.posts, summary.pending) == (6, 0, 9)
    assert "--limit" in (summary.reason or "")
    # What pictures have weighed so far is a better guess than any.
    assert (await site.run("A fox")).exit_code == 0
    assert (await site.run(*(f"Fox {n}" for n in range(9)))).exit_code == 0


async def test_all_that_is_missing_is_said_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 70 * 1024 * 1024))
    async with Sandbox(balance=0.1) as poor:
        summary = await site.run(*(f"Fox {n}" for n in range(9)), endpoint=poor.base)
    assert summary.exit_code == 3
    assert "left, and 9 images" in (summary.reason or "")
    assert "the account has $0.10 left" in (summary.reason or "")


async def test_nothing_is_needed_for_what_is_only_to_be_downloaded(tmp_path: Path) -> None:
    async with Sandbox(state=tmp_path / "sandbox", behaviour=faults("cdn-500")) as sandbox:
        site = Site(tmp_path, sandbox)
        await site.run("A fox")
    port, cdn_port = (int(base.rpartition(":")[2]) for base in (sandbox.base, sandbox.cdn_base))
    async with Sandbox(port=port, cdn_port=cdn_port, state=tmp_path / "sandbox", key="another"):
        assert (await site.run()).exit_code == 0


@pytest.mark.usefixtures("_files")
async def test_the_limit_of_open_files_is_raised_as_far_as_the_run_needs(site: Site) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    summary = await site.run(*(f"Fox {n}" for n in range(8)), limits={"concurrency": 32, "downloads": 32})
    assert (summary.exit_code, site.posts) == (0, 8)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 2 * 32 + 3 * 32 + 64


async def test_too_low_a_limit_of_open_files_is_said_before_the_first_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (40, 40))
    summary = await site.run("A fox", limits={"concurrency": 32})
    assert (summary.exit_code, site.posts) == (6, 0)
    assert "may open 40 files and needs 176" in (summary.reason or "")
