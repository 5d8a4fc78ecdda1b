"""How the program looks to servers, and what it bears of their heads."""

import pytest
from aiohttp import web

from tests.run.site import Site
from tests.run.upstream import GOOD, ONE_AT_A_TIME, picture, png, serving

PNG = png()


async def test_servers_see_the_programs_own_name_unless_the_job_says_otherwise(site: Site) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["User-Agent"])
        return web.json_response(GOOD)

    async def cdn(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["User-Agent"])
        return await picture(request)

    async with serving(answer, **{"p.png": cdn}) as base:
        await site.run("A fox", endpoint=base)
        await site.run("A crow", endpoint=base, user_agent="acme-nightly/7 (+https://acme.example)")
    assert [name.partition("/")[0] for name in seen[:2]] == ["image-pipeline"] * 2
    assert seen[2:] == ["acme-nightly/7 (+https://acme.example)"] * 2


@pytest.mark.parametrize("headers", [{"X-Trace": "x" * 60_000}, {f"X-{n}": "x" for n in range(400)}])
async def test_large_heads_of_api_and_cdn_are_read(site: Site, headers: dict[str, str]) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(GOOD, headers=headers)

    async def cdn(request: web.Request) -> web.StreamResponse:
        return web.Response(body=PNG, content_type="image/png", headers=headers)

    async with serving(answer, **{"p.png": cdn}) as base:
        assert (await site.run("A fox", endpoint=base)).exit_code == 0


async def test_a_head_that_is_too_large_is_named_and_stops_the_run_after_a_handful(site: Site) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(GOOD, headers={"X-Trace": "x" * 70_000})

    said: list[str] = []
    async with serving(answer) as base:
        limits = ONE_AT_A_TIME | {"on_unknown_outcome": "hold"}
        summary = await site.run(*(f"Fox {n}" for n in range(20)), endpoint=base, limits=limits, note=said.append)
    assert summary.exit_code == 8
    assert any("longer than 64 KiB" in (record.error or "") for record in site.records())
