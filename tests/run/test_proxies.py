"""Runs behind a proxy, with certificates of one's own."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from pipeline.errors import UsageError
from pipeline.ledger import LedgerReader
from tests.run.proxy import proxying, tls
from tests.run.site import KEY, Site
from tests.run.upstream import PATH, picture

PUBLIC = "http://api.example.com"


@asynccontextmanager
async def upstream(url: str = "/p.png", context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """An API and its picture server; gives the port."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert "Proxy-Authorization" not in request.headers or context is None
        return web.json_response({"data": [{"url": url}]})

    app = web.Application()
    app.router.add_post(PATH, answer)
    app.router.add_get("/p.png", picture)
    runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def behind(port: int, **more: str) -> dict[str, str]:
    proxy = f"http://127.0.0.1:{port}"
    return {"AIML_API_KEY": KEY, "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, **more}


async def test_api_and_pictures_are_asked_through_the_proxy_and_it_is_said_once(site: Site) -> None:
    said: list[str] = []
    async with (
        upstream("http://cdn.example.com/p.png") as port,
        proxying(api_example_com=port, cdn_example_com=port) as proxy,
    ):
        summary = await site.run("A fox", "A crow", endpoint=PUBLIC, environ=behind(proxy.port), note=said.append)
    assert (summary.exit_code, summary.saved) == (0, 2)
    assert {f"POST {PUBLIC}{PATH}", "GET http://cdn.example.com/p.png"} <= set(proxy.asked)
    assert len([line for line in said if f"the proxy http://127.0.0.1:{proxy.port} (HTTP" in line]) == 1


async def test_https_goes_through_a_tunnel_and_a_certificate_of_ones_own_is_trusted(site: Site) -> None:
    context, trusted = tls(site.folder)
    async with upstream(context=context) as port, proxying(api_example_com=port) as proxy:
        environ = behind(proxy.port, SSL_CERT_FILE=str(trusted))
        summary = await site.run("A fox", endpoint="https://api.example.com", environ=environ)
    assert summary.exit_code == 0
    assert set(proxy.asked) == {"CONNECT api.example.com:443"}
    assert all(KEY not in head for head in proxy.heads)
    assert all("image-pipeline/" in head for head in proxy.heads)


async def test_a_certificate_that_is_not_trusted_ends_the_run_and_nothing_was_sent(site: Site) -> None:
    context, _ = tls(site.folder)
    async with upstream(context=context) as port, proxying(api_example_com=port) as proxy:
        summary = await site.run("A fox", "A crow", endpoint="https://api.example.com", environ=behind(proxy.port))
    assert summary.exit_code == 2
    assert "certificate" in (summary.reason or "")
    with LedgerReader(site.output / ".pipeline" / "ledger.db") as ledger:
        assert ledger.books(sandbox=False).unresolved == 0
    assert summary.maybe_billed == ()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_credentials_of_a_proxy_reach_the_proxy_and_no_log(
    site: Site, scheme: str, capfd: pytest.CaptureFixture[str]
) -> None:
    context, trusted = tls(site.folder)
    said: list[str] = []
    async with (
        upstream(context=context if scheme == "https" else None) as port,
        proxying(password="Basic bWU6czNjcmV0LXBhc3M=", api_example_com=port) as proxy,
    ):
        whole = f"http://me:s3cret-pass@127.0.0.1:{proxy.port}"
        environ = behind(proxy.port, HTTP_PROXY=whole, HTTPS_PROXY=whole, SSL_CERT_FILE=str(trusted))
        endpoint = f"{scheme}://api.example.com"
        summary = await site.run("A fox", endpoint=endpoint, environ=environ, note=said.append)
    assert summary.exit_code == 0
    written = [path.read_bytes() for path in site.output.rglob("*") if path.is_file()]
    for text in (*said, *capfd.readouterr(), *map(repr, written), json.dumps(summary.as_dict(), default=str)):
        assert "s3cret-pass" not in text
        assert "bWU6czNjcmV0" not in text


async def test_a_proxy_that_wants_a_password_is_named_with_the_cure_and_nothing_counts_as_sent(site: Site) -> None:
    async with proxying(password="Basic x") as proxy:
        environ = behind(proxy.port)
        summary = await site.run("A fox", endpoint="https://api.example.com", environ=environ)
    assert summary.exit_code == 2
    assert "407" in (summary.reason or "")
    assert "HTTPS_PROXY" in (summary.reason or "")
    assert summary.maybe_billed == ()


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://127.0.0.1/p.png",
            "http://10.0.0.7/p.png",
            "http://169.254.169.254/latest",
            "http://2130706433/p.png",
        ),
        *("http://localhost/p.png", "http://printer/p.png", "http://db.internal/p.png", "http://0x7f000001/p.png"),
        *("http://cdn.example.com:8080/p.png", "http://metadata.google.internal/p.png", "http://[::1]/p.png"),
    ],
)
async def test_a_proxy_is_not_asked_for_what_is_not_on_the_public_internet(site: Site, url: str) -> None:
    async with upstream(url) as port, proxying(api_example_com=port) as proxy:
        limits = {"requests_per_minute": 6000, "patience": 0}
        summary = await site.run("A fox", endpoint=PUBLIC, environ=behind(proxy.port), limits=limits)
    assert summary.saved == 0
    assert f"POST {PUBLIC}{PATH}" in proxy.asked
    assert {asked.split("/")[2] for asked in proxy.asked} == {"api.example.com"}


async def test_a_redirect_is_looked_at_before_the_proxy_is_asked_for_it(site: Site) -> None:
    async def away(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("http://10.0.0.7/p.png")

    async with upstream("http://cdn.example.com/p.png") as port, proxying(api_example_com=port) as proxy:
        app = web.Application()
        app.router.add_get("/p.png", away)
        runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.ports["cdn.example.com:80"] = runner.addresses[0][1]
        try:
            summary = await site.run("A fox", endpoint=PUBLIC, environ=behind(proxy.port))
        finally:
            await runner.cleanup()
    assert summary.saved == 0
    assert all("10.0.0.7" not in asked for asked in proxy.asked)


async def test_a_loopback_endpoint_and_the_sandbox_never_go_through_a_proxy(site: Site) -> None:
    async with proxying() as proxy:
        environ = behind(proxy.port, ALL_PROXY=f"http://127.0.0.1:{proxy.port}")
        assert (await site.run("A fox", environ=environ)).exit_code == 0
        assert (await site.run("A crow", endpoint="sandbox", environ=environ, output=str(site.folder / "s"))).made == 1
    assert proxy.asked == []


async def test_the_jobs_own_proxy_takes_the_environments_place(site: Site) -> None:
    async with upstream() as port, proxying(api_example_com=port) as proxy, proxying() as other:
        own = f"http://127.0.0.1:{proxy.port}"
        summary = await site.run("A fox", endpoint=PUBLIC, environ=behind(other.port), proxy=own)
    assert summary.exit_code == 0
    assert other.asked == []


async def test_a_proxy_that_is_not_there_was_asked_nothing(site: Site) -> None:
    async with proxying() as proxy:
        port = proxy.port
    limits = {"attempts": 1, "patience": 0}
    summary = await site.run("A fox", endpoint="https://api.example.com", environ=behind(port), limits=limits)
    assert summary.saved == 0
    assert summary.maybe_billed == ()
    assert "the proxy can't be reached" in repr(summary)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_certificates_that_are_not_there_are_named_before_anything_is_sent(site: Site, name: str) -> None:
    environ = {"AIML_API_KEY": KEY, name: str(site.folder / "nowhere")}
    with pytest.raises(UsageError, match=name):
        await site.run("A fox", environ=environ)
    assert site.posts == 0


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("proxy", "http://me:secret@p:1", "holds a user name"),
        ("proxy", "socks5://p:1080", "http://HOST:PORT"),
        ("user_agent", "a\u00e9", "printable ASCII"),
        ("user_agent", "a" * 501, "printable ASCII"),
    ],
)
def test_a_jobs_proxy_and_name_are_checked_and_hold_no_secret(site: Site, key: str, value: Any, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        site.load("A fox", **{key: value})
    (problem,) = map(str, refused.value.problems)
    assert said in problem
    assert "secret@" not in problem
