"""`check: decode`: a run whose pictures are decoded before they get their names."""

import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from aiohttp import web

from pipeline.errors import UsageError
from pipeline.picture import decoding, worker
from tests.picture.samples import EOI, IEND, SOI, SOS, chunk, frame, header
from tests.picture.samples import png as container
from tests.picture.test_decoding import script
from tests.run.site import Site
from tests.run.upstream import picture, saying, serving

EMPTY = container(header(64, 36, 8, 2), chunk(b"IDAT", zlib.compress(b"")), IEND)
SCANLESS = SOI + frame(64, 36) + SOS + bytes(range(99)) + EOI
ANSWER = {"data": [{"url": "/it"}]}


def sending(data: bytes) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def send(request: web.Request) -> web.StreamResponse:
        return web.Response(body=data)

    return send


async def test_what_a_decoder_opens_is_saved(site: Site) -> None:
    summary = await site.run("A fox", "An owl", check="decode")
    assert (summary.exit_code, summary.saved, site.posts) == (0, 2, 2)


@pytest.mark.parametrize(("data", "suffix"), [(EMPTY, ".png"), (SCANLESS, ".jpg")])
async def test_what_no_decoder_opens_is_kept_in_quarantine_and_paid_for_once(
    site: Site, data: bytes, suffix: str
) -> None:
    posts: list[Any] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        posts.append(await request.json())
        return web.json_response(ANSWER)

    async with serving(answer, it=sending(data)) as base:
        summary = await site.run("A fox", endpoint=base, check="decode")
        assert (summary.exit_code, dict(summary.failed)) == (1, {"bad-picture": 1})
        (kept,) = site.output.glob(".pipeline/quarantine/*")
        assert (kept.suffix, kept.read_bytes(), site.pictures()) == (suffix, data, {})
        assert str(kept.relative_to(site.output)) in str(site.record().error)
        await site.run(endpoint=base)
        assert len(posts) == 1
        assert not list(site.output.glob(".*.part"))


async def test_by_default_only_the_container_is_looked_at(site: Site) -> None:
    async with serving(saying(ANSWER), it=sending(EMPTY)) as base:
        assert (await site.run("A fox", endpoint=base)).saved == 1


async def test_without_pillow_nothing_is_asked_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"pip install 'image-pipeline\[sandbox\]', or set `check: structure`"):
        await site.run("A fox", check="decode")
    assert site.posts == 0


async def test_a_decoder_that_crashes_over_one_picture_is_started_again_for_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "os.abort() if '/.owl' in line else print('null', flush=True)"
    monkeypatch.setattr(worker, "__file__", script(site.folder, body))
    summary = await site.run(*({"id": name, "prompt": name} for name in ("fox", "owl", "elk")), check="decode")
    assert (summary.saved, dict(summary.failed)) == (2, {"bad-picture": 1})


async def test_the_event_loop_goes_on_while_a_picture_is_decoded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = site.folder / "begun", site.folder / "go"
    steps = (
        f"open({str(begun)!r}, 'w')",
        f"while not os.path.exists({str(go)!r}): time.sleep(0.005)",
        "print('null', flush=True)",
    )
    monkeypatch.setattr(worker, "__file__", script(site.folder, "\n    ".join(steps)))

    async def release() -> None:
        while not begun.exists():
            await anyio.sleep(0.005)
        go.touch()

    async with anyio.create_task_group() as group, serving(saying(ANSWER), it=picture) as base:
        group.start_soon(release)
        assert (await site.run("A fox", endpoint=base, check="decode")).saved == 1
