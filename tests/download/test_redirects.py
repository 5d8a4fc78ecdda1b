import socket
from pathlib import Path

import pytest

from pipeline.errors import DownloadBroken, GiveUp
from pipeline.generated import GeneratedImage
from pipeline.http import sessions
from tests.download.cdn import downloading, http, pictures, serving, transferring


def to(target: str) -> bytes:
    return http(b"", "302 Found", Location=target)


async def test_three_redirects_are_followed_and_carry_nothing(tmp_path: Path) -> None:
    replies = to("/two?token=1"), to("three"), to("?four=4"), http()
    async with transferring(tmp_path, *replies) as (cdn, transfer):
        await transfer.attempt()
    assert [asked.path for asked in cdn.asked] == [
        "/fox.png?signature=SECRET",
        "/two?token=1",
        "/three",
        "/three?four=4",
    ]
    assert not any({"Authorization", "Cookie", "Referer"} & set(asked.headers) for asked in cdn.asked)


async def test_ten_redirects_are_followed(tmp_path: Path) -> None:
    async with transferring(tmp_path, *(to(f"/{n}") for n in range(10)), http()) as (cdn, transfer):
        await transfer.attempt()
    assert len(cdn.asked) == 11


async def test_redirects_without_end_say_that_the_picture_is_not_there_now(tmp_path: Path) -> None:
    async with transferring(tmp_path, to("/again")) as (cdn, transfer):
        with pytest.raises(DownloadBroken, match="redirected more than 10 times") as caught:
            await transfer.attempt()
    assert (len(cdn.asked), caught.value.cause, caught.value.refused) == (11, "download", True)


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:image/png;base64,AAAA", "http://me:pw@127.0.0.1/", "http://[::1"],
)
async def test_a_redirect_to_what_may_not_be_fetched_is_not_followed_and_proves_nothing_about_the_url(
    tmp_path: Path, target: str
) -> None:
    """A portal that wants a log-in redirects so, and is gone the next night."""
    async with transferring(tmp_path, to(target), http()) as (cdn, transfer):
        with pytest.raises(DownloadBroken, match=r"unsafe image URL|can't be understood") as caught:
            await transfer.attempt()
        assert (len(cdn.asked), caught.value.cause, caught.value.refused) == (1, "download", True)
        await transfer.attempt()
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2:{port}/", "http://169.254.169.254:{port}/", "//localhost:{port}/"]
)
async def test_a_redirect_inside_is_refused_before_it_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    # The first hop must be reachable, so this one address counts as public.
    monkeypatch.setattr(sessions, "is_public", lambda address: address == "127.0.0.1")
    localhost = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 80, 0, 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [localhost])
    async with serving() as cdn, downloading(tmp_path, allow_private=False) as downloads:
        monkeypatch.setattr(sessions, "PORTS", {cdn.port})
        cdn.replies.append(to(target.format(port=cdn.port)))
        with (
            downloads.transfer(GeneratedImage(url=cdn.url()), "fox", lambda *_: True) as transfer,
            pytest.raises(GiveUp, match="leads to a private or reserved address") as caught,
        ):
            await transfer.attempt()
        assert (cdn.connections, caught.value.cause) == (1, "download")


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f000001", "127。0。0。1", "[::ffff:127.0.0.1]", "localhost"])
async def test_no_spelling_of_loopback_is_ever_connected_to(tmp_path: Path, host: str) -> None:
    async with serving(http()) as cdn, downloading(tmp_path, allow_private=False) as downloads:
        image = GeneratedImage(url=f"http://{host}:{cdn.port}/")
        with downloads.transfer(image, "fox", lambda *_: True) as transfer, pytest.raises(GiveUp, match="unsafe"):
            await transfer.attempt()
    assert cdn.connections == 0
    assert pictures(tmp_path) == []


async def test_plain_http_is_refused_where_the_api_speaks_https(tmp_path: Path) -> None:
    async with transferring(tmp_path, http(), https_only=True) as (cdn, transfer):
        with pytest.raises(GiveUp, match="it must begin with https:// and a host; found http:"):
            await transfer.attempt()
    assert cdn.connections == 0


async def test_a_server_that_is_not_there_is_another_try(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        image = GeneratedImage(url=f"http://127.0.0.1:{unused.getsockname()[1]}/fox.png?signature=SECRET")
        async with downloading(tmp_path) as downloads:
            transfer = downloads.transfer(image, "fox", lambda *_: True)
            with transfer, pytest.raises(DownloadBroken, match="can't connect: ") as caught:
                await transfer.attempt()
    assert "SECRET" not in str(caught.value)
