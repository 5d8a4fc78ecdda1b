"""What a hostile job, server, picture or neighbour may try, and what it does not get.

No test here trusts the program's own word: connections are counted where they would arrive, secrets are looked for in
every byte that was written, and memory is what the kernel says.
"""

import asyncio
import base64
import html
import json
import logging
import os
import random
import re
import socket
import sys
import tomllib
import traceback
import unicodedata
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web as server
from yarl import URL

from pipeline import Record
from pipeline import job as jobfile
from pipeline.cli.grammar import parser
from pipeline.download.address import checked
from pipeline.errors import DownloadBroken, GiveUp, StorageFailed, UsageError
from pipeline.generated import GeneratedImage
from pipeline.http import sessions
from pipeline.http.signed_urls import without_signature
from pipeline.http.transport import Transport
from pipeline.job import naming
from pipeline.limits.rate import RateLimiter
from pipeline.output.local import OutputFolder
from pipeline.run import assemble
from pipeline.settings import Endpoint, Key
from sandbox import KINDS, Behaviour, Fault, Sandbox
from tests.download.cdn import Cdn, downloading, http, pictures, serving
from tests.faults import quick
from tests.faults.scale import count
from tests.policies import PROBING
from tests.run.site import PRICE, Site, VirtualTime, faults
from tests.run.upstream import picture, png
from tests.run.upstream import serving as upstream

KEY = "sk-live/4f9a+1c77=e0b2%7Eq"
"""A key that looks different in each of the ways in which text is escaped."""

MOST_MEMORY = 150 * 1024
"""kB that the program may hold, whatever it is sent."""


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Sandbox() as sandbox:
        yield Site(tmp_path, sandbox, policy=PROBING)


@dataclass(frozen=True)
class Done:
    """The program as a process of its own, at its end."""

    code: int | None
    out: bytes
    err: bytes

    @property
    def said(self) -> bytes:
        return self.out + self.err


async def program(*arguments: str | Path, environ: Mapping[str, str] | None = None) -> Done:
    """Run one command in a process of its own, while the servers of this one answer."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, quick.__file__, *map(str, arguments)),
        env={**os.environ, "AIML_API_KEY": KEY, "PYTHONWARNINGS": "error", **(environ or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    return Done(process.returncode, out, err)


def job(folder: Path, endpoint: str, *prompts: Any, ensure_ascii: bool = True, **more: Any) -> Path:
    """A job with these prompts, whose output is `out` beside it."""
    limits = {"billing_lag": 0, "attempts": 2, "patience": 0, "unusable_answers": 10_000} | more.pop("limits", {})
    text = {"endpoint": endpoint, "output": str(folder / "out"), "aspect_ratios": ["16:9"], "limits": limits}
    path = folder / "night.yaml"
    path.write_text(json.dumps(text | more | {"prompts": list(prompts)}, ensure_ascii=ensure_ascii))
    return path


# Where a picture's URL may lead.

RESERVED = [
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.0.0.1", "192.0.2.1"),
    *("192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1"),
    *("2002:7f00:1::", "fc00::1", "fe80::1", "fec0::1", "ff02::1"),
]
"""Reserved addresses, and addresses that hold one."""

PUBLIC = ["8.8.8.8", "104.16.0.1", "2606:4700::1111", "2a00:1450:4001::8"]

SPELLINGS = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127。0。0。1", "①②⑦.⓪.⓪.①", "0.0.0.0"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "localhost", "LOCALHOST", "127.0.0.1."),
]
"""Ways to write this machine."""


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a session makes sockets for."""
    made: list[str] = []
    real = sessions._kept_alive

    def noting(address: sessions.Address) -> socket.socket:
        made.append(address[4][0])
        return real(address)

    monkeypatch.setattr(sessions, "_kept_alive", noting)
    return made


def address_info(host: str, port: int = 443) -> sessions.Address:
    if ":" in host:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


async def refusal(tmp_path: Path, url: str, **options: Any) -> GiveUp | DownloadBroken:
    """What a picture at this URL fails with, where the API is on the internet."""
    options = {"allow_private": False} | options
    async with downloading(tmp_path / "out", **options) as downloads:
        transfer = downloads.transfer(GeneratedImage(url=url), "fox", lambda *_: True)
        with transfer, pytest.raises((GiveUp, DownloadBroken)) as caught:
            await transfer.attempt()
    assert pictures(tmp_path / "out") == []
    found = caught.value
    assert isinstance(found, GiveUp | DownloadBroken)
    return found


@pytest.mark.parametrize("address", RESERVED)
async def test_no_reserved_address_gets_a_socket(tmp_path: Path, sockets: list[str], address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    error = await refusal(tmp_path, f"http://{host}/latest/meta-data/?token=SECRET")
    assert "unsafe image URL" in str(error)
    assert "SECRET" not in str(error)
    assert sockets == []


def test_there_are_no_fewer_addresses_and_spellings_than_are_known_to_have_been_tried() -> None:
    assert len(set(RESERVED)) >= 27
    assert len(set(SPELLINGS)) >= 12


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_get_one(address: str) -> None:
    with sessions._public_only(address_info(address)) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_this_machine_reaches_a_server_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sockets: list[str], host: str
) -> None:
    async with serving(http()) as cdn:
        monkeypatch.setattr(sessions, "PORTS", {cdn.port})
        error = await refusal(tmp_path, f"http://{host}:{cdn.port}/fox.png")
    assert cdn.connections == 0
    assert sockets == []
    assert isinstance(error, GiveUp) or "can't be looked up" in str(error)


async def test_a_public_name_that_leads_to_this_machine_does_not_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sockets: list[str]
) -> None:
    async with serving(http()) as cdn:
        monkeypatch.setattr(sessions, "PORTS", {cdn.port})
        inside = [address_info("127.0.0.1", cdn.port), address_info("::1", cdn.port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: inside)
        error = await refusal(tmp_path, f"http://pictures.example:{cdn.port}/fox.png")
    assert "unsafe image URL" in str(error)
    assert (cdn.connections, sockets) == (0, [])


async def test_a_name_that_is_public_when_looked_at_and_private_when_connected_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sockets: list[str]
) -> None:
    answers = iter([["203.0.113.1"], ["127.0.0.1"]])  # the name server changes its mind between two attempts
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [address_info(host, 80) for host in next(answers)])
    for _ in range(2):
        assert "unsafe image URL" in str(await refusal(tmp_path, "http://rebinding.example/"))
    assert sockets == []


@pytest.mark.parametrize("port", [21, 22, 25, 110, 2375, 5432, 6379, 8080, 9200, 11211, 65535])
async def test_ports_where_no_web_server_is_get_no_socket(tmp_path: Path, sockets: list[str], port: int) -> None:
    error = await refusal(tmp_path, f"http://8.8.8.8:{port}/x?token=SECRET")
    assert f"leads to port {port}" in str(error)
    assert isinstance(error, GiveUp)
    assert error.cause == "download"
    assert sockets == []


async def test_https_on_the_port_of_http_gets_no_socket(tmp_path: Path, sockets: list[str]) -> None:
    error = await refusal(tmp_path, "https://8.8.8.8:80/fox.png", https_only=True)
    assert "unsafe image URL" in str(error)
    assert sockets == []


@pytest.mark.parametrize("port", [80, 443])
def test_the_ports_of_web_servers_get_one(port: int) -> None:
    sessions._public_only(address_info("8.8.8.8", port)).close()


async def test_where_the_api_is_on_this_machine_any_port_of_it_will_do(tmp_path: Path) -> None:
    async with serving(http()) as cdn, downloading(tmp_path) as downloads:
        with downloads.transfer(GeneratedImage(url=cdn.url()), "fox", lambda *_: True) as transfer:
            assert (await transfer.attempt()).path == "fox.png"


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"),
        *("::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "fe80::a9fe:a9fe%lo", "no address"),
    ],
)
def test_a_clouds_credentials_are_out_of_reach_even_for_an_api_on_this_machine(address: str) -> None:
    with pytest.raises(sessions.AddressRefused):
        sessions._no_metadata(address_info(address))


async def test_a_server_on_this_machine_cannot_send_us_to_the_clouds_metadata(site: Site, sockets: list[str]) -> None:
    site.sandbox.behaviour = faults("cdn-redirect-host")
    summary = await site.run("A fox")
    assert dict(summary.failed) == {"download": 1}
    assert "unsafe image URL: http://169.254.169.254" in (site.record().error or "")
    assert set(sockets) == {"127.0.0.1"}


@pytest.mark.parametrize("target", ["http://cdn.example/x", "//cdn.example:80/x", "file:///x", "ftp://cdn.example/x"])
def test_a_redirect_from_https_leads_to_https_or_nowhere(target: str) -> None:
    with pytest.raises(GiveUp, match="unsafe image URL"):
        checked(target, https_only=True, base=URL("https://cdn.example/fox.png"))


UNSAFE = [
    *("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:6379/_FLUSHALL", "http://me:pw@127.0.0.1/x"),
    *("javascript:alert(1)", "//me@127.0.0.1/x", "http://[::1", "http:///x", "data:text/html,<script>", "\\\\host\\x"),
]


async def test_an_answer_whose_url_is_none_of_a_picture_costs_its_price_and_connects_to_nothing(tmp_path: Path) -> None:
    async def answer(request: server.Request) -> server.Response:
        prompt = (await request.json())["prompt"]
        return server.json_response({"data": [{"url": UNSAFE[int(prompt)]}], "meta": {"usage": {"tokens_used": 7}}})

    paths: set[str] = set()

    async def get(request: server.Request) -> server.Response:
        paths.add(request.path)
        return server.Response(status=404)

    async with upstream(answer, **{"{path:.*}": get}) as base, Sandbox() as sandbox:
        here = Site(tmp_path, sandbox)
        summary = await here.run(*map(str, range(len(UNSAFE))), endpoint=base)
    assert summary.saved == 0
    assert sum(summary.failed.values()) == len(UNSAFE)
    assert here.pictures() == {}
    # What names no host is asked for where the API is, as paths are.
    assert {path for path in paths if not path.startswith("/v2/")} <= {"/x", "/v1/images/\\\\host\\x"}
    for record in here.records():
        assert "pw@" not in (record.error or "")


# What goes along with a request.


@asynccontextmanager
async def counting() -> AsyncIterator[Cdn]:
    """A listener that counts whoever connects, and hangs up."""

    async def hang_up(*_: Any) -> None:
        """Say nothing."""

    async with serving(hang_up) as listener:
        yield listener


async def test_proxies_and_passwords_in_the_environment_are_not_used(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password netrc-secret\ndefault login me password netrc-secret\n")
    netrc.chmod(0o600)
    async with counting() as proxy, Sandbox(key=KEY) as sandbox:
        at = f"http://me:proxy-secret@127.0.0.1:{proxy.port}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY")
        environ = {spelled: at for name in names for spelled in (name, name.lower())}
        environ |= {"NETRC": str(netrc), "HOME": str(tmp_path), "NO_PROXY": "", "no_proxy": ""}
        night = job(tmp_path, sandbox.base, "A fox")
        done = await program("run", night, environ=environ)
        (get,) = sandbox.request_log.last_gets()
        assert (done.code, sandbox.request_log.count(), proxy.connections) == (0, 1, 0), done.err
    assert not {"authorization", "proxy-authorization", "cookie"} & {name.lower() for name in get.headers}
    assert b"secret" not in done.said


async def test_cookies_are_neither_kept_nor_sent(tmp_path: Path) -> None:
    seen: list[Mapping[str, str]] = []
    cookie = {"Set-Cookie": "session=1; Path=/; Max-Age=9999"}

    async def answer(request: server.Request) -> server.Response:
        seen.append(dict(request.headers))
        return server.json_response({"data": [{"url": "/moved"}]}, headers=cookie)

    async def moved(request: server.Request) -> server.Response:
        seen.append(dict(request.headers))
        return server.Response(status=302, headers={"Location": "/fox", **cookie})

    async def fox(request: server.Request) -> server.Response:
        seen.append(dict(request.headers))
        return server.Response(body=png(), headers=cookie)

    async with upstream(answer, moved=moved, fox=fox) as base, Sandbox() as sandbox:
        summary = await Site(tmp_path, sandbox).run("A fox", "A crow", endpoint=base, limits={"concurrency": 1})
    assert summary.saved == 2
    assert len(seen) == 6
    assert not any("Cookie" in headers for headers in seen)


async def test_the_key_goes_to_the_api_and_to_no_host_that_pictures_come_from(tmp_path: Path) -> None:
    """Away to another server and back again: nothing on the way learns the key, not even the API's own host."""
    carried: list[tuple[str, Mapping[str, str]]] = []

    def noting(place: str, respond: Callable[[], server.Response]) -> Callable[[server.Request], Any]:
        async def handle(request: server.Request) -> server.Response:
            carried.append((place, dict(request.headers)))
            return respond()

        return handle

    def to(url: str) -> server.Response:
        return server.Response(status=307, headers={"Location": url})

    there: dict[str, str] = {}
    answer = noting("api", lambda: server.json_response({"data": [{"url": f"{there['api']}/first"}]}))
    away = noting("cdn", lambda: to(f"{there['api']}/fox"))
    first = noting("cdn", lambda: to(f"{there['other']}/away"))
    fox = noting("cdn", lambda: server.Response(body=png()))
    async with (
        upstream(answer, first=first, fox=fox) as api,
        upstream(answer, away=away) as other,
        Sandbox() as sandbox,
    ):
        there.update(api=api, other=other)
        summary = await Site(tmp_path, sandbox).run("A fox", endpoint=api, environ={"AIML_API_KEY": KEY})
    assert summary.saved == 1
    assert [place for place, _ in carried] == ["api", "cdn", "cdn", "cdn"]
    assert [headers.get("Authorization") for _, headers in carried] == [f"Bearer {KEY}", None, None, None]
    assert not any(KEY in str(headers) for place, headers in carried if place == "cdn")


# The key.


def guises(secret: str) -> set[bytes]:
    """The ways in which a secret may stand in some text."""
    raw = secret.encode()
    found = {raw, raw.hex().encode(), raw[::-1], json.dumps(secret)[1:-1].encode(), html.escape(secret).encode()}
    found |= {quote(secret, safe="").encode(), quote(secret).encode(), quote(secret, safe="").lower().encode()}
    for lead in range(3):
        # In base64 a text looks different at each of three offsets; what depends on its neighbours is left out.
        encoded = base64.b64encode(b"\0" * lead + raw)
        found.add(encoded[-(-lead * 4 // 3) : -4])
        found.add(encoded[-(-lead * 4 // 3) : -4].replace(b"+", b"-").replace(b"/", b"_"))
    return found


def test_a_secret_is_known_again_in_all_its_guises() -> None:
    for text in (f"Bearer {KEY}", f"xx{KEY}yy", f"{KEY}"):
        assert any(form in base64.b64encode(text.encode()) for form in guises(KEY))
    assert not any(form in b"a quite ordinary text" for form in guises(KEY))
    assert all(len(form) > 20 for form in guises(KEY))


def holders(folder: Path, secret: str) -> list[Path]:
    """The files under a folder that hold a secret, in whatever guise."""
    any_guise = re.compile(b"|".join(map(re.escape, guises(secret))))
    return [path for path in folder.rglob("*") if path.is_file() and any_guise.search(path.read_bytes())]


def assert_hidden(secret: str, folder: Path, *runs: Done) -> None:
    forms = guises(secret)
    for done in runs:
        assert not any(form in done.said for form in forms), done.said
    assert holders(folder, secret) == []


DEVELOPER = {"PIPELINE_DEBUG": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONFAULTHANDLER": "1", "PYTHONDEVMODE": "1"}
"""What people set when they look for a mistake."""

FATAL = ["401", "402", "403", "404", "405", "301", "307", "308", "425", "429"]
"""Kinds that end a run."""

SILENT = ["cdn-hang", "cdn-drip"]
"""Kinds that only a limit of half a minute ends."""

LARGE = ["gzip-bomb", "large-json"]
"""Kinds whose answers say nothing but are large; tests/run/test_secrets.py meets them too."""


async def test_the_key_is_in_no_output_and_no_file_of_a_run_that_meets_every_fault(tmp_path: Path) -> None:
    kinds = [kind for kind in KINDS if kind not in {*FATAL, *SILENT, *LARGE, "ok", "cdn-ok"}]
    behaviour = Behaviour(faults=tuple(Fault(kind, match=f"<{kind}>") for kind in kinds))
    async with Sandbox(behaviour=behaviour, key=KEY) as sandbox:
        prompts = [f"A fox <{kind}>" for kind in kinds]
        limits = {"request_timeout": 2, "concurrency": 8, "max_image_bytes": 5_000_000, "patience": 60}
        night = job(tmp_path, sandbox.base, *prompts, limits=limits)
        done = [await program("run", night, environ=DEVELOPER)]
        assert sandbox.request_log.count() >= len(kinds), done[0].said
        for command in ("plan", "status", "verify", "audit", "manifest"):
            done.append(await program(command, night, "--json", environ={"PIPELINE_DEBUG": "1"}))
    assert done[0].code == 1
    assert b"Traceback" not in b"".join(run.said for run in done)
    assert_hidden(KEY, tmp_path, *done)


@pytest.mark.parametrize("kind", FATAL)
async def test_the_key_is_in_nothing_that_a_refused_run_leaves(tmp_path: Path, kind: str) -> None:
    async with Sandbox(behaviour=faults(Fault(kind, retry_after="86400"))) as sandbox:
        done = await program("run", job(tmp_path, sandbox.base, "A fox", "A crow"), environ={"PIPELINE_DEBUG": "1"})
    assert done.code in (2, 3, 5), done.said
    assert_hidden(KEY, tmp_path, done)


async def test_a_key_that_comes_back_with_its_slashes_escaped_is_not_told(tmp_path: Path) -> None:
    async def answer(request: server.Request) -> server.Response:
        said = request.headers["Authorization"].replace("/", "\\/")
        body = f'{{"message": "{said} is not welcome", "requestId": "1", "statusCode": 400}}'
        return server.Response(text=body, status=400, content_type="application/json")

    async with upstream(answer) as base:
        done = await program("run", job(tmp_path, base, "A fox"))
    assert done.code == 1
    assert_hidden(KEY, tmp_path, done)


@pytest.mark.parametrize("kind", SILENT)
async def test_the_key_is_in_nothing_that_a_run_leaves_which_is_torn_down(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(kind)
    await site.run("A fox", environ={"AIML_API_KEY": KEY}, stop_when=lambda: site.posts, stop_after=0.1)
    assert site.posts == 1
    assert holders(site.folder, KEY) == []


async def test_a_mistake_in_the_program_shows_no_key_even_to_those_who_look_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A traceback with the values of all variables, as error reporters and test runners make it."""
    caplog.set_level(logging.DEBUG)
    shown = ""
    for kind in ("garbage", "many-headers", "reset-after-billing", "cut"):
        async with (
            Sandbox(behaviour=faults(kind)) as sandbox,
            sessions.api_session(concurrency=1, timeout=5) as session,
        ):
            client = Transport(session, Endpoint(sandbox.base, Key(KEY)))
            try:
                shown += repr(await client.post("run.key.000001", {"model": "x", "prompt": "y"}))
            except Exception as error:
                found = traceback.TracebackException.from_exception(error, capture_locals=True)
                shown += "".join(found.format()) + repr(error) + str(error.args)
            shown += repr((client, vars(client), sandbox.request_log.requests()))
    assert "Key(***)" in shown
    assert not any(form in shown.encode() for form in guises(KEY))
    assert KEY not in caplog.text


def commands() -> Iterator[tuple[str, ArgumentParser]]:
    (choices,) = (action.choices for action in parser()._actions if isinstance(action.choices, dict))
    yield from choices.items()


def test_no_command_takes_the_key_as_an_argument_that_other_users_could_see() -> None:
    for name, command in commands():
        options = {option for action in command._actions for option in action.option_strings}
        # The sandbox's own key opens nothing but the sandbox.
        assert name == "sandbox" or not [option for option in options if re.search("key|token$|secret|auth", option)]


# Signatures.

SIGNED = {
    "s3": "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261123T080000Z&X-Amz-Expires=604800&X-Amz-Signature={}",
    "s3-session": "X-Amz-Security-Token={}",
    "s3-old": "AWSAccessKeyId=AKIA&Expires=4102444800&Signature={}",
    "google": "X-Goog-Date=20261123T080000Z&X-Goog-Expires=86400&X-Goog-Signature={}",
    "tos": "X-Tos-Date=20261123T080000Z&X-Tos-Expires=86400&X-Tos-Signature={}",
    "oss": "Expires=4102444800&OSSAccessKeyId=LTAI&Signature={}",
    "azure": "sv=2024-05-04&se=2100-01-01T00%3A00%3A00Z&sr=b&sp=r&sig={}",
    "token": "w=1024&token={}",
}
SIGNATURE = "5a6d626f78+/c2VjcmV0LXNpZ25hdHVyZQ=="


def signed_url(base: str, kind: str, path: str) -> str:
    return f"{base}/{path}?{SIGNED[kind].format(quote(SIGNATURE, safe=''))}"


ENDS = ("fox", "gone", "page", "cut", "moved", "far")


async def test_a_signature_is_in_no_output_and_in_no_file_but_the_private_ledger(tmp_path: Path) -> None:
    """Pictures that come, that are refused, that are none, that are cut off, and that are elsewhere or inside."""

    async def answer(request: server.Request) -> server.Response:
        kind, path = (await request.json())["prompt"].split()
        return server.json_response({"data": [{"url": signed_url(f"http://{request.host}", kind, path)}]})

    async def gone(_request: server.Request) -> server.Response:
        return server.Response(status=403)

    async def page(_request: server.Request) -> server.Response:
        return server.Response(text="<html>", content_type="text/html")

    async def cut(request: server.Request) -> server.Response:
        assert request.transport is not None
        request.transport.abort()
        return server.Response()

    def elsewhere(place: str) -> Callable[[server.Request], Any]:
        async def move(request: server.Request) -> server.Response:
            return server.Response(status=302, headers={"Location": f"{place}?{request.query_string}"})

        return move

    routes = {"gone": gone, "page": page, "cut": cut, "moved": elsewhere("/gone")}
    async with upstream(answer, fox=picture, far=elsewhere("http://169.254.169.254/x"), **routes) as base:
        night = job(tmp_path, base, *(f"{kind} {path}" for kind in SIGNED for path in ENDS))
        done = [await program("run", night, "--json", environ=DEVELOPER), await program("status", night, "--json")]
        done += [await program("manifest", night)]
    assert json.loads(done[0].out)["saved"] == len(SIGNED)
    assert b"Traceback" not in b"".join(run.said for run in done)
    forms = guises(SIGNATURE)
    for run in done:
        assert not any(form in run.said for form in forms), run.said
    state = tmp_path / "out" / ".pipeline"
    assert [path.parent for path in holders(tmp_path, SIGNATURE)] in ([state], [state, state])
    manifest = (tmp_path / "out" / "manifest.jsonl").read_text()
    assert f'"url":"{base}/fox"' in manifest


@pytest.mark.parametrize(
    "query",
    [
        "q-sign-algorithm=sha1&q-ak=AKID&q-signature={}",  # Tencent
        "hdnts=exp=4102444800~hmac={}",  # Akamai
        "verify=4102444800-{}",  # Cloudflare
        "jwt={}",
        "X%2DAmz%2DSignature={}",
    ],
)
def test_a_signature_of_a_lesser_kind_is_not_in_the_manifest(query: str) -> None:
    signed = f"https://cdn.example/fox.png?{query.format(quote(SIGNATURE, safe=''))}"
    assert without_signature(signed) == "https://cdn.example/fox.png"


# Files, and who may read them.


def modes(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.lstat().st_mode & 0o777 for path in folder.rglob("*")}


@contextmanager
def masked(umask: int) -> Iterator[None]:
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


UMASKS = [0o022, 0o077, 0o000]


@pytest.mark.parametrize("umask", UMASKS)
async def test_pictures_and_manifest_are_for_whom_the_umask_says_and_the_state_is_for_its_owner(
    site: Site, umask: int
) -> None:
    during: dict[str, int] = {}
    site.sandbox.behaviour = faults(Fault("cdn-bit-flip", match="crow"))
    with masked(umask):
        await site.run(
            {"id": "fox", "prompt": "A fox"},
            {"id": "crow", "prompt": "A crow"},
            on_record=lambda _: during.update(modes(site.output)),
        )
        await site.run({"id": "fox", "prompt": "A red fox"}, {"id": "crow", "prompt": "A crow"})
    found = during | modes(site.output)
    assert {"fox.png", "manifest.jsonl", ".pipeline/replaced", ".pipeline/quarantine"} <= set(found)
    for path, mode in found.items():
        if not path.startswith(".pipeline"):
            assert mode == 0o666 & ~umask, path
        elif (site.output / path).is_dir():
            assert mode == 0o700, path
    assert found[".pipeline/lock"] == 0o600


@pytest.mark.parametrize("umask", [0o022, 0o000])
async def test_the_ledger_and_its_log_can_be_read_by_nobody_else(site: Site, umask: int) -> None:
    state = site.folder / "state"
    state.mkdir(mode=0o755)
    during: dict[str, int] = {}
    with masked(umask):
        await site.run("A fox", state_dir=str(state), on_record=lambda _: during.update(modes(state)))
    assert {"ledger.db", "ledger.db-wal", "lock"} <= set(during)
    assert set(during.values()) <= {0o600, 0o700}, during


# Links that a neighbour has planted.

WORDS = b"not yours\n# and no line feed at the end"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_bytes(WORDS)
    path.chmod(0o644)
    return path


def assert_untouched(victim: Path) -> None:
    assert victim.read_bytes() == WORDS
    assert victim.stat().st_mode & 0o777 == 0o644


async def test_a_link_in_a_pictures_place_is_replaced_and_its_target_left_alone(site: Site, victim: Path) -> None:
    site.output.mkdir()
    for name in ("fox.png", "fox.jpg", "fox.webp"):
        (site.output / name).symlink_to(victim)
    summary = await site.run({"id": "fox", "prompt": "A fox"})
    assert (summary.exit_code, summary.saved) == (0, 1)
    assert not (site.output / "fox.png").is_symlink()
    assert (site.output / "fox.png").read_bytes().startswith(b"\x89PNG")
    assert_untouched(victim)


async def test_a_link_in_a_finished_pictures_place_is_not_taken_for_it(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox"})
    there = site.output / "fox.png"
    moved = there.rename(site.folder / "elsewhere.png")
    there.symlink_to(moved)
    summary = await site.run()
    assert (summary.fetched, there.is_symlink(), site.posts) == (1, False, 1)
    assert moved.read_bytes() == there.read_bytes()


def test_a_partial_file_is_never_opened_through_a_link(tmp_path: Path, victim: Path) -> None:
    with OutputFolder(tmp_path / "out") as store:
        for seed in range(50):
            # Even a neighbour who could guess the name gets nothing by having been there first.
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("secrets.token_hex", lambda size, seed=seed: f"{seed:0{2 * size}x}")
                (store.root / f".fox.{seed:016x}.part").symlink_to(victim)
                with pytest.raises(StorageFailed):
                    store.part("fox")
    assert_untouched(victim)


@pytest.mark.parametrize("instead", ["nothing", "a folder", "a link"])
async def test_a_folder_swapped_during_a_run_gets_nothing_and_the_one_that_was_there_all(
    site: Site, instead: str
) -> None:
    """What was being made lands where the ledger is, and no more is asked for; moved back, all goes on."""
    moved, victim = site.folder / "moved", site.folder / "victim"
    victim.mkdir()

    def swap(record: Record) -> None:
        if not moved.exists():
            site.output.rename(moved)
            if instead == "a folder":
                site.output.mkdir()
            elif instead == "a link":
                site.output.symlink_to(victim)

    site.sandbox.behaviour = Behaviour(latency=0.01)
    prompts = [f"Fox {number}" for number in range(40)]
    summary = await site.run(*prompts, on_record=swap, limits={"concurrency": 2})
    assert (summary.exit_code, "was moved or replaced" in (summary.reason or "")) == (6, True)
    assert summary.saved == summary.made > 0, "what is in the folder that was moved is not called missing"
    assert site.posts < 20, "it went on buying"
    assert list(victim.iterdir()) == []
    if instead == "a folder":
        site.output.rmdir()
    elif instead == "a link":
        site.output.unlink()
    moved.rename(site.output)
    summary = await site.run()
    assert (summary.exit_code, summary.saved, site.posts) == (0, 40, 40)


@pytest.mark.parametrize(
    "name",
    [".pipeline", ".pipeline/replaced", ".pipeline/quarantine", ".pipeline/sandbox", ".pipeline/lock", ".pipeline/x"],
)
async def test_no_link_in_the_state_folder_is_followed(site: Site, name: str) -> None:
    outside = site.folder / "outside"
    outside.mkdir(mode=0o755)
    planted = site.output / name
    planted.parent.mkdir(parents=True)
    planted.symlink_to(outside)
    (site.output / "fox.png").write_bytes(b"the user's own")
    site.sandbox.behaviour = faults(Fault("cdn-bit-flip", match="crow"))
    with pytest.raises(StorageFailed, match=f"{planted} is a symbolic link"):
        await site.run({"id": "fox", "prompt": "A fox"}, {"id": "crow", "prompt": "A crow"})
    assert list(outside.iterdir()) == []
    assert site.posts == 0
    assert outside.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "name",
    [
        "manifest.jsonl",
        ".manifest.jsonl.new",
        ".pipeline/ledger.db",
        ".pipeline/ledger.db-wal",
        ".pipeline/ledger.db-shm",
        ".pipeline/ledger.db-journal",
        ".pipeline/lock",
        ".pipeline/state_dir",
        ".pipeline/state_dir.new",
        ".pipeline/sandbox/books.db",
    ],
)
async def test_a_file_that_a_link_leads_to_keeps_its_bytes_and_nothing_is_sent(
    site: Site, victim: Path, tmp_path: Path, name: str
) -> None:
    planted = site.output / name
    planted.parent.mkdir(parents=True)
    planted.symlink_to(victim)
    with pytest.raises(StorageFailed):
        await site.run("A fox", "A crow", state_dir=str(tmp_path / "elsewhere") if "state_dir" in name else None)
    assert_untouched(victim)
    assert site.posts == 0


async def test_a_ledger_is_not_made_where_a_link_leads(site: Site, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    (site.output / ".pipeline").mkdir(parents=True)
    (site.output / ".pipeline" / "ledger.db").symlink_to(empty)
    with pytest.raises(StorageFailed):
        await site.run("A fox")
    assert empty.read_bytes() == b""


# Names.

NASTY = [
    *(
        "..",
        ".",
        "",
        " ",
        "a/../b",
        "/etc/passwd",
        "C:\\x",
        "\\\\host\\share",
        "con",
        "con.png",
        "COM1",
        "COM¹",
        "LPT³",
    ),
    *(
        "aux .png",
        "CONIN$",
        "nul",
        "prn.txt",
        "x.",
        "x ",
        "a:b",
        "-rf",
        "--output",
        "~",
        "~root",
        "$HOME",
        "`id`",
        "%00",
    ),
    *("\u202egnp.exe", "a\u200bb", "a\u0301" * 40, "é" * 200, "K", "ß", "SS", "ﬁ", "İ", "Café", "CAFE´", "cafe"),
    *("😀" * 60, "東京", "a" * 390, "💩/💩", "<script>", "'; DROP TABLE images; --", "a?b*c|d", 'a"b', "\ufeff"),
]
UNSENDABLE = ["\0", "a\0b", "a\nb", "\x1b[2K", "\ud800", "\udfffx", "\x85", "\u2028"]


def fuzzed(chance: random.Random) -> str:
    """Some text: pieces that are known to hurt, and characters from all over Unicode."""
    pieces = []
    for _ in range(chance.randint(1, 4)):
        kind = chance.random()
        if kind < 0.5:
            pieces.append(chance.choice(NASTY))
        else:
            top = 0x10FFFF if kind < 0.6 else 0x2FFF
            pieces.append("".join(chr(chance.randint(32, top)) for _ in range(chance.randint(1, 20))))
    return chance.choice(("", " ", "-", "/", ".")).join(pieces)


NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,111}")
RESERVED_NAMES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)


def assert_safe(name: str) -> None:
    assert NAME.fullmatch(name), ascii(name)
    assert len(f"{name}-1000.webp".encode()) <= 125
    assert not RESERVED_NAMES.fullmatch(name)
    assert not name.endswith(("-", ".", " "))


def test_whatever_a_prompt_says_its_file_has_a_safe_name_of_its_own() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    number = count(5_000, 100_000)
    seen: dict[str, str] = {}
    for ordinal in range(number):
        prompt = chance.choice(UNSENDABLE) if chance.random() < 0.01 else fuzzed(chance)
        key = f"{chance.getrandbits(256):064x}" if ordinal % 3 else f"{ordinal:064x}"[::-1]
        name = naming.automatic(prompt, chance.choice((None, "1:1", "16:9")), key)
        assert_safe(name)
        folded = unicodedata.normalize("NFKC", name).casefold()
        assert folded not in seen, (ascii(prompt), seen[folded])
        seen[folded] = ascii(prompt)
    assert len(seen) == number


def test_a_job_of_hostile_prompts_makes_files_of_its_own_in_its_own_folder(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    sendable = {text.strip(): None for text in NASTY if text.strip()}
    while len(sendable) < count(1_000, 20_000):
        text = fuzzed(chance).strip()
        if text and len(text) <= 400 and text.isprintable() and not any("\ud800" <= c <= "\udfff" for c in text):
            sendable[text] = None
    escaped = [text.replace("{", "{{").replace("}", "}}") for text in sendable]
    night = job(tmp_path, "sandbox", *escaped, ensure_ascii=False)
    items = list(jobfile.expand(jobfile.load(night)))
    assert len(items) == len(escaped)
    for item in items:
        assert_safe(item.id)
    assert len({unicodedata.normalize("NFKC", item.stem(0)).casefold() for item in items}) == len(items)


HURTFUL = [*NASTY[: NASTY.index("x ")], *NASTY[NASTY.index("x ") + 1 : NASTY.index("K")], *UNSENDABLE]


@pytest.mark.parametrize("text", [*HURTFUL, "ß", "ﬁ", "İ", "Café", "<script>", "a?b*c|d", 'a"b', "\ufeff"])
def test_an_id_that_could_hurt_as_a_file_name_is_refused(tmp_path: Path, text: str) -> None:
    path = job(tmp_path, "sandbox", {"id": text, "prompt": "A fox"})
    with pytest.raises(UsageError) as caught:
        jobfile.load(path)
    assert caught.value.problems
    for problem in caught.value.problems:
        assert_printable(str(problem).encode())


@pytest.mark.parametrize("text", ["..", "a/../../b", "/etc/cron.d/x", "~/x", "a\\b", "con", "{id}/x", "\0"])
def test_no_template_of_names_leads_out_of_the_output_folder(tmp_path: Path, text: str) -> None:
    """An id with several ratios, seeds and values is a template; its parts can't climb."""
    prompt = {
        "id": "hero",
        "prompt": "A {animal}",
        "variables": {"animal": [text.replace("\0", "x"), "fox"]},
        "seeds": [1, 2],
    }
    for item in jobfile.expand(jobfile.load(job(tmp_path, "sandbox", prompt, aspect_ratios=["1:1", "16:9"]))):
        assert_safe(item.id)
    with pytest.raises(UsageError):
        jobfile.load(job(tmp_path, "sandbox", {"id": text, "prompt": "A fox"}))


# What a terminal shows.

ESCAPES = [
    *(
        "\x1b[2K\x1b[1A",
        "\x1b]0;owned\x07",
        "\x1b]52;c;cm0gLXJmIH4=\x07",
        "\x1b]8;;http://evil.example\x1b\\",
        "\x9b31m",
    ),
    *("\x07", "\x08\x08", "\r", "\x7f", "\x85", "\u202e", "\u2066", "\u200b", "\u2028", "\ufeff", "\U000e0041"),
]
HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def assert_printable(said: bytes) -> None:
    text = said.decode()
    found = {character for character in text if unicodedata.category(character) in HARMFUL} - set("\n\t\u200c\u200d")
    assert not found, ascii(sorted(found))


@pytest.mark.parametrize("status", [400, 401, 503, 200])
async def test_a_servers_words_reach_no_terminal_as_commands_and_forge_no_line(tmp_path: Path, status: int) -> None:
    said = f"no{''.join(ESCAPES)}\nerror: forged\r\nforged: all is well"

    async def answer(_request: server.Request) -> server.Response:
        body = {"message": said, "requestId": said, "statusCode": status, "data": said, "path": said}
        return server.json_response(body, status=status, headers={"x-inference-id": "x\x9b31m"})

    async with upstream(answer) as base:
        night = job(tmp_path, base, "A fox", limits={"on_unknown_outcome": "hold"})
        done = [await program("run", night), await program("status", night), await program("run", night, "--json")]
    assert done[0].code in (1, 3, 5), done[0].said
    for run in done:
        assert_printable(run.said)
        assert not [line for line in run.said.splitlines() if line.startswith((b"forged", b"error: forged"))]
    assert_printable((tmp_path / "out" / "manifest.jsonl").read_bytes())


@pytest.mark.parametrize("kind", ["nul-header", "cr-header", "long-header", "many-headers", "html-502", "garbage"])
async def test_odd_headers_are_not_repeated_and_may_have_been_billed(tmp_path: Path, kind: str) -> None:
    async with Sandbox(behaviour=faults(kind)) as sandbox:
        night = job(tmp_path, sandbox.base, "A fox", limits={"retry_paid_budget_usd": 0})
        done = await program("run", night, "--json")
        assert sandbox.request_log.count() == (2 if kind == "html-502" else 1), "it was asked for again blindly"
        billed = sandbox.request_log.billed_credits()
    assert done.code == 1
    assert_printable(done.said)
    assert b"X-Forged" not in done.said
    assert json.loads(done.out)["books"]["billed"] == billed


@pytest.mark.parametrize(
    "line",
    [
        "X-Nul: a\0b",
        "X-Return: a\rX-Forged: b",
        f"X-Long: {'x' * 2 * sessions.MAX_HEADER}",
        "\r\n".join(["X-Many: x"] * 10_000),
        "\x1b: \x1b",
    ],
)
async def test_odd_headers_of_a_picture_are_another_try_and_not_repeated(tmp_path: Path, line: str) -> None:
    raw = http().replace(b"Connection", line.encode() + b"\r\nConnection")
    async with serving(raw) as cdn:
        error = await refusal(tmp_path, cdn.url(), allow_private=True)
    assert isinstance(error, DownloadBroken)
    assert_printable(str(error).encode())
    assert "X-" not in str(error)


async def test_a_job_file_cannot_speak_to_the_terminal_through_its_mistakes(tmp_path: Path) -> None:
    hostile = "".join(ESCAPES).replace("\r", "")
    mistakes: dict[str, Any] = {hostile: hostile, "name": hostile, "variables": {hostile: hostile}}
    night = job(tmp_path, "sandbox", {"id": f"a{hostile}", "prompt": hostile, hostile: hostile}, **mistakes)
    for options in ((), ("--json",)):
        done = await program("run", night, *options)
        assert done.code == 2
        assert_printable(done.said)


@pytest.mark.parametrize("there", [False, True])
async def test_a_files_name_cannot_speak_to_the_terminal(tmp_path: Path, there: bool) -> None:
    hostile = tmp_path / "".join(ESCAPES).replace("/", "")
    if there:
        hostile.write_text("nmae: x\nprompts: [a]\n")
    done = await program("plan", hostile)
    assert done.code == 2
    assert_printable(done.said)


# Bombs.


def bomb(width: int = 9, depth: int = 9) -> str:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, depth)]
    return "\n".join(levels) + "\nprompts: [a]\n"


def merge_bomb() -> str:
    levels = ["a0: &a0 {" + ", ".join(f"k{n}: x" for n in range(9)) + "}"]
    levels += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    return "\n".join(levels) + "\nprompts: [a]\n"


JOB_BOMBS: dict[str, Callable[[], str]] = {
    "aliases": bomb,
    "merges": merge_bomb,
    "lists": lambda: "[" * 1_000_000,
    "mappings": lambda: "a: " + "{b: " * 500_000,
    "digits": lambda: f"prompts: [a]\nlimits: {{attempts: {'9' * 1_000_000}}}\n",
    "python": lambda: "prompts: !!python/object/apply:os.system [touch owned]\n",
    "date": lambda: "prompts: [a]\nlimits: {attempts: 2024-13-45}\n",
    "tabs": lambda: "prompts:\n" + "\t" * 1_000_000 + "- a\n",
    "large": lambda: "prompts: [a]\nname: " + "x" * 10_000_001,
    "braces": lambda: "prompts: ['" + "{" * 4_000_000 + "']\n",
    "product": lambda: (
        "variables: {"
        + ", ".join(f"{name}: [{', '.join(map(str, range(200)))}]" for name in "abc")
        + "}\nprompts: ['{a}{b}{c}']\n"
    ),
}


def held(done: Done) -> int:
    """kB of memory that a process held at most."""
    return int(done.err.split()[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", JOB_BOMBS)
async def test_a_job_that_is_a_bomb_is_refused_in_little_memory(tmp_path: Path, kind: str) -> None:
    night = tmp_path / "night.yaml"
    night.write_text(JOB_BOMBS[kind]())
    done = await program("run", night, environ={"PEAK": "1"})
    assert done.code == 2, done.said
    assert b"Traceback" not in done.err
    assert len(done.err) < 100_000
    assert held(done) < MOST_MEMORY
    assert {path.name for path in tmp_path.iterdir()} == {"night.yaml"}
    assert not Path("owned").exists()


BOMBS = ["cdn-gzip-bomb", "cdn-pixel-bomb", "cdn-endless", "cdn-huge-length", "deep-json"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", BOMBS)
async def test_no_bomb_takes_more_than_little_memory_at_32_at_once(tmp_path: Path, kind: str) -> None:
    async with Sandbox(behaviour=faults(kind)) as sandbox:
        limits = {"concurrency": 32, "downloads": 32, "max_image_bytes": 5_000_000}
        night = job(tmp_path, sandbox.base, *(f"Fox {number}" for number in range(32)), limits=limits)
        done = await program("run", night, "--quiet", environ={"PEAK": "1"})
        assert (done.code, sandbox.request_log.count()) == (1, 32), done.err
    assert held(done) < MOST_MEMORY


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", LARGE)
async def test_no_answer_takes_more_than_little_memory(tmp_path: Path, kind: str) -> None:
    async with Sandbox(behaviour=faults(kind)) as sandbox:
        night = job(tmp_path, sandbox.base, *(f"Fox {number}" for number in range(8)), limits={"concurrency": 8})
        done = await program("run", night, "--quiet", environ={"PEAK": "1"})
        assert (done.code, sandbox.request_log.billed_credits()) == (1, 8 * PRICE), done.err
    assert held(done) < MOST_MEMORY


# Times that a server names.

ABSURD_TIMES = [
    *(
        "nan",
        "inf",
        "-inf",
        "1e999",
        "-5",
        "+5",
        "1_0",
        "0x10",
        "1.5",
        "",
        "soon",
        "²",
        "Fri, 32 Foo 99999 25:61:61 GMT",
    ),
    *("Thu, 01 Jan 1970 00:00:00 GMT", "9" * 400),
]


@pytest.mark.parametrize("value", ABSURD_TIMES)
async def test_an_absurd_retry_after_stops_nothing_for_ever(
    site: Site, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    virtual = VirtualTime()
    monkeypatch.setattr(assemble, "RateLimiter", partial(RateLimiter, clock=virtual.clock, sleep=virtual.sleep))
    told = "86400" if value.isdigit() else value
    site.sandbox.behaviour = faults(
        Fault("429", times=1, retry_after=told), Fault("cdn-503", times=1, retry_after=value[:9])
    )
    if value.isascii() and value.isdigit():
        site.policy = replace(PROBING, backoff_cap=0.001)
    summary = await site.run("A fox", limits={"patience": 86_400})
    assert (summary.exit_code, site.posts) == (0, 2)
    assert all(0 <= seconds <= 100_000 for seconds in virtual.slept)


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "nan", "٣"])
@pytest.mark.parametrize("after", ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"])
async def test_an_absurd_date_makes_no_pause_longer_than_a_day(tmp_path: Path, date: str, after: str) -> None:
    async def answer(_request: server.Request) -> server.Response:
        body = {"message": "later", "requestId": "1", "statusCode": 503}
        return server.json_response(body, status=503, headers={"Retry-After": after, "Date": date})

    async with upstream(answer) as base, Sandbox() as sandbox:
        summary = await Site(tmp_path, sandbox).run("A fox", endpoint=base, limits={"attempts": 2, "patience": 5})
    assert summary.exit_code in (1, 5)
    assert "24 h 0 min" in (summary.reason or "24 h 0 min")


# What we build on.


def test_the_library_below_is_no_older_than_its_last_known_hole() -> None:
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())
    (floor,) = (line for line in project["project"]["dependencies"] if line.startswith("aiohttp"))
    least = tuple(map(int, floor.removeprefix("aiohttp>=").split(".")))
    assert least >= (3, 14, 4)
    assert tuple(map(int, aiohttp.__version__.split(".")[:3])) >= least


def test_answers_are_read_by_the_strict_parser() -> None:
    from aiohttp import http_parser

    assert http_parser.HttpResponseParser is not http_parser.HttpResponseParserPy
