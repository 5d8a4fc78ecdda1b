"""The key goes into one header, and nowhere else: whatever a server does with it."""

import logging
from dataclasses import asdict
from pathlib import Path

import pytest
from aiohttp import web

from pipeline import Summary
from sandbox import KINDS, Behaviour, Fault
from tests.run.site import KEY, Site
from tests.run.upstream import picture, serving

SLOW = {"hang", "hang-in-body", "cdn-hang", "cdn-drip", "cdn-gzip-bomb", "cdn-endless"}


def holders(folder: Path) -> list[Path]:
    """The files under a folder that hold the key."""
    return [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def assert_kept_secret(site: Site, summary: Summary, *said: str) -> None:
    assert holders(site.folder) == []
    for text in (repr(asdict(summary)), "\n".join(summary.lines()), *said):
        assert KEY not in text


@pytest.mark.usefixtures("_short_probes")
async def test_no_fault_brings_the_key_to_light(
    site: Site, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    kinds = [kind for kind in KINDS if kind not in SLOW and "ok" not in kind]
    fatal = {"401", "402", "403", "301", "307", "308", "425", "429"}
    # Each kind strikes a prompt of its own, so that all of them do in one run.
    site.sandbox.behaviour = Behaviour(
        faults=tuple(Fault(kind, match=f"<{kind}>") for kind in kinds if kind not in fatal)
    )
    prompts = [f"A fox <{kind}>" for kind in kinds if kind not in fatal]
    summary = await site.run(*prompts, limits={"attempts": 2})
    assert summary.images == len(prompts)
    assert_kept_secret(site, summary, *capfd.readouterr(), caplog.text)


@pytest.mark.usefixtures("time")
@pytest.mark.parametrize("status", [200, 201, 307, 400, 401, 403, 429, 500, 502])
async def test_a_server_that_echoes_the_key_does_not_get_it_written_down(
    site: Site, status: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def echo(request: web.Request) -> web.StreamResponse:
        said = request.headers["Authorization"]
        body = {"message": f"you sent {said}", "requestId": said, "data": [{"url": "/p.png", "prompt": said}]}
        headers = {"x-inference-id": said, "Location": f"/{said}", "Retry-After": "0", "x-echo": said}
        return web.json_response(body, status=status, headers=headers)

    async with serving(echo, **{"p.png": picture}) as base:
        summary = await site.run("A fox", endpoint=base, limits={"attempts": 2, "patience": 0})
    assert_kept_secret(site, summary, *capfd.readouterr(), caplog.text)


async def test_an_exception_in_the_callers_own_code_does_not_show_the_key(site: Site) -> None:
    def break_down(record: object) -> None:
        raise RuntimeError("the caller's own mistake")

    with pytest.raises(RuntimeError, match="the caller's own mistake") as raised:
        await site.run("A fox", on_record=break_down)
    assert KEY not in repr(raised.value)
    assert holders(site.folder) == []
