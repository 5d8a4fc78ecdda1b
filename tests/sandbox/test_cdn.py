import hashlib
from contextlib import suppress

import aiohttp
import anyio
import pytest

from sandbox import Behaviour, Fault, Sandbox
from sandbox.cdn_faults import BOMB_SIDE
from tests.sandbox.client import Reply, fetch, picture_url


async def test_pictures_come_from_another_port_without_any_key() -> None:
    async with Sandbox(key="right") as sandbox:
        assert sandbox.base != sandbox.cdn_base
    async with Sandbox() as sandbox:
        url = await picture_url(sandbox)
        reply = await fetch(url)
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "image/png"
        assert reply.headers["x-pipeline-sandbox"] == "1"
        assert sandbox.request_log.gets() == 1
        (get,) = sandbox.request_log.last_gets(url.removeprefix(sandbox.cdn_base))
        assert "authorization" not in get.headers


async def test_an_unknown_picture_is_not_there() -> None:
    async with Sandbox() as sandbox:
        assert (await fetch(sandbox.cdn_base + "/generations/guepard/none.png")).status == 404
        assert sandbox.request_log.last_gets() == []


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=100-199", 100, 199), ("bytes=100-", 100, -1), ("bytes=-100", -100, -1)],
)
async def test_a_part_is_served(asked: str, first: int, last: int) -> None:
    async with Sandbox() as sandbox:
        url = await picture_url(sandbox, seed=1)
        whole = await fetch(url)
        part = await fetch(url, Range=asked, If_Range=whole.headers["ETag"])
    size = len(whole.body)
    assert part.status == 206
    assert part.body == whole.body[first % size : last % size + 1]
    assert part.headers["Content-Range"] == f"bytes {first % size}-{last % size}/{size}"
    assert part.headers["ETag"] == whole.headers["ETag"]


async def test_a_part_that_is_not_there_is_refused() -> None:
    async with Sandbox() as sandbox:
        url = await picture_url(sandbox)
        size = len((await fetch(url)).body)
        part = await fetch(url, Range=f"bytes={size}-")
    assert part.status == 416
    assert part.headers["Content-Range"] == f"bytes */{size}"


async def test_all_is_served_where_a_part_makes_no_sense() -> None:
    async with Sandbox() as sandbox:
        url = await picture_url(sandbox)
        assert (await fetch(url, Range="bytes=5-", If_Range='"other"')).status == 200
        for asked in ("bytes=-", "lines=1-2", "bytes=1-2,4-5", "bytes=9-5"):
            status = (await fetch(url, Range=asked)).status
            assert status == (416 if asked == "bytes=9-5" else 200)


async def answered_with(kind: str, **headers: str) -> tuple[Reply, bytes]:
    """What a download meets that a fault strikes, and the picture it asked for."""
    async with Sandbox() as sandbox:
        url = await picture_url(sandbox, seed=1, aspect_ratio="16:9")
        right = await fetch(url)
        sandbox.behaviour = Behaviour(faults=(Fault(kind, retry_after="7"),))
        return await fetch(url, **headers), right.body


@pytest.mark.parametrize("status", [403, 404, 410, 429, 500, 502, 503, 504])
async def test_a_download_may_be_refused(status: int) -> None:
    reply, _ = await answered_with(f"cdn-{status}")
    assert (reply.status, reply.headers["Retry-After"]) == (status, "7")


async def test_a_fault_without_retry_after_sends_none() -> None:
    async with Sandbox(behaviour=Behaviour(faults=(Fault("cdn-503"),))) as sandbox:
        assert "Retry-After" not in (await fetch(await picture_url(sandbox))).headers


@pytest.mark.parametrize("kind", ["cdn-truncated", "cdn-long-length", "cdn-reset", "cdn-no-answer", "cdn-garbage"])
async def test_a_download_may_break(kind: str) -> None:
    with pytest.raises(aiohttp.ClientError):
        await answered_with(kind)


async def test_a_cut_may_look_like_an_end() -> None:
    reply, right = await answered_with("cdn-cut-close")
    assert reply.status == 200
    assert "Content-Length" not in reply.headers
    assert reply.body == right[: len(right) // 2]


async def test_one_bit_may_be_wrong_and_another_one_each_time() -> None:
    replies = [await answered_with("cdn-bit-flip") for _ in range(4)]
    for reply, right in replies:
        assert sum(a != b for a, b in zip(reply.body, right, strict=True)) == 1
    assert len({reply.body for reply, _ in replies}) > 1


@pytest.mark.parametrize(
    ("kind", "type_", "begins"),
    [
        ("cdn-html", "text/html", b"<!doctype"),
        ("cdn-json", "application/json", b"{"),
        ("cdn-svg", "image/svg+xml", b"<svg"),
        ("cdn-eps", "image/png", b"%!PS"),
        ("cdn-wrong-type", "image/jpeg", b"\x89PNG"),
        ("cdn-wrong-size", "image/png", b"\x89PNG"),
        ("cdn-empty", "image/png", b""),
    ],
)
async def test_a_download_may_be_something_else(kind: str, type_: str, begins: bytes) -> None:
    reply, right = await answered_with(kind)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == type_
    assert reply.body.startswith(begins)
    assert (reply.body == right) == (kind == "cdn-wrong-type")
    if kind == "cdn-wrong-size":
        assert reply.body[16:24] == (768).to_bytes(4, "big") + (704).to_bytes(4, "big")


async def test_a_pixel_bomb_is_small_as_a_file() -> None:
    reply, _ = await answered_with("cdn-pixel-bomb")
    assert len(reply.body) < 200_000
    assert reply.body[16:24] == BOMB_SIDE.to_bytes(4, "big") * 2


async def test_a_length_may_be_absurd() -> None:
    async with Sandbox(behaviour=Behaviour(faults=(Fault(("cdn-huge-length", "cdn-negative-length")),))) as sandbox:
        url = await picture_url(sandbox)
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as response:
                assert response.content_length == 50 * 1024**3
            with pytest.raises(aiohttp.ClientError):
                await session.get(url)


async def test_a_gzip_bomb_is_small_on_the_wire() -> None:
    reply, _ = await answered_with("cdn-gzip-bomb")
    assert reply.headers["Content-Encoding"] == "gzip"
    assert len(reply.body) < 2_000_000


async def test_ranges_may_be_ignored_or_wrong_or_of_another_picture() -> None:
    reply, right = await answered_with("cdn-no-range", Range="bytes=100-")
    assert (reply.status, reply.body) == (200, right)
    assert "Accept-Ranges" not in reply.headers
    reply, right = await answered_with("cdn-wrong-range", Range="bytes=100-")
    assert (reply.status, reply.body) == (206, right[1:])
    assert reply.headers["Content-Range"] == f"bytes 1-{len(right) - 1}/{len(right)}"
    reply, right = await answered_with("cdn-wrong-range")
    assert (reply.status, reply.body) == (200, right)
    reply, right = await answered_with("cdn-changed", Range="bytes=100-")
    assert reply.status == 200
    assert hashlib.sha256(reply.body).digest() != hashlib.sha256(right).digest()


@pytest.mark.parametrize(
    ("kind", "leads"),
    [
        ("cdn-redirect", "?moved=1"),
        ("cdn-redirect-loop", ".png"),
        ("cdn-redirect-host", "http://169.254.169.254/"),
        ("cdn-redirect-file", "file:///etc/passwd"),
    ],
)
async def test_a_download_may_be_sent_elsewhere(kind: str, leads: str) -> None:
    reply, _ = await answered_with(kind)
    assert reply.status == 302
    assert leads in reply.headers["Location"]


async def test_a_redirect_leads_to_the_picture() -> None:
    async with Sandbox(behaviour=Behaviour(faults=(Fault("cdn-redirect"),))) as sandbox:
        url = await picture_url(sandbox)
        moved = await fetch(url)
        assert (await fetch(sandbox.cdn_base + moved.headers["Location"])).body.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("kind", "enough", "most"), [("cdn-endless", 3_000_000, None), ("cdn-drip", 1, 1), ("cdn-hang", 1, 0)]
)
async def test_a_download_may_never_end(
    kind: str, enough: int, most: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    read = 0
    async with Sandbox(behaviour=Behaviour(faults=(Fault(kind),))) as sandbox, aiohttp.ClientSession() as session:
        url = await picture_url(sandbox)
        with suppress(TimeoutError), anyio.fail_after(0.05 if kind == "cdn-hang" else 10):
            async with session.get(url) as response:
                while read < enough:
                    read += len(await response.content.readany())
        await fetch(f"{sandbox.cdn_base}/once-more")  # by now the sandbox has noticed that nobody reads on
    assert read >= enough if most is None else read == most
    assert caplog.text == "", "a client that goes away is no error"
