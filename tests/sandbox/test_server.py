import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import anyio
import pytest

from pipeline.errors import UsageError
from sandbox import Behaviour, Fault, Sandbox, server
from tests.sandbox.client import PRICE, ask, fetch, look, picture_url


async def test_a_later_sandbox_serves_the_pictures_of_an_earlier_one(tmp_path: Path) -> None:
    async with Sandbox(state=tmp_path) as sandbox:
        url = await picture_url(sandbox)
        before = (await fetch(url)).body
    async with Sandbox(state=tmp_path) as later:
        moved = later.current_url(url + "?signed=1")
        assert moved.startswith(later.cdn_base)
        assert moved.endswith(".png?signed=1")
        assert (await fetch(later.current_url(url))).body == before
        await ask(later)
        assert (await look(later, "/v2/logs")).json["pagination"]["total"] == 2
        assert later.request_log.billed_credits() == 2 * PRICE


async def test_urls_of_others_are_left_alone(tmp_path: Path) -> None:
    async with Sandbox(state=tmp_path) as sandbox:
        for url in ("https://cdn.example.com/a.png?b=c", "data:image/png;base64,AAAA", "/relative.png", ""):
            assert sandbox.current_url(url) == url


async def test_leaving_does_not_wait_for_what_hangs() -> None:
    # aiohttp by itself would wait a minute for this client.
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group, Sandbox(behaviour=Behaviour(faults=(Fault("hang"),))) as sandbox:

            async def hang() -> None:
                with pytest.raises(aiohttp.ServerDisconnectedError):
                    await ask(sandbox)

            group.start_soon(hang)
            while not sandbox.request_log.count():
                await anyio.sleep(0.005)


async def test_a_port_that_is_taken_is_a_usage_error() -> None:
    async with Sandbox() as sandbox:
        port = int(sandbox.base.rpartition(":")[2])
        with pytest.raises(UsageError, match=f"can't listen on 127.0.0.1:{port}"):
            async with Sandbox(port=port):
                pass


async def test_without_the_painter_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'image-pipeline\[sandbox\]'"):
        async with Sandbox():
            pass


def test_importing_the_sandbox_does_not_import_the_painter() -> None:
    code = "import sys, sandbox; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_hundreds_of_requests_a_second_are_answered() -> None:
    async with Sandbox() as sandbox:
        began = time.process_time()
        async with anyio.create_task_group() as group:

            async def many() -> None:
                for _ in range(10):
                    await ask(sandbox)

            for _ in range(20):
                group.start_soon(many)
        assert sandbox.request_log.count(status="succeeded") == 200
        assert time.process_time() - began < 2  # client and server, 200 requests


async def test_a_sandbox_listens_on_ipv6() -> None:
    async with Sandbox(host="::1") as sandbox:
        assert sandbox.base.startswith("http://[::1]:")
        assert (await fetch(await picture_url(sandbox))).status == 200


async def test_a_picture_is_painted_once_for_all_the_parts_it_is_asked_in() -> None:
    async with Sandbox() as sandbox:
        urls = [await picture_url(sandbox, f"Fox {n}", seed=n) for n in range(server_pictures() + 2)]
        bodies = [(await fetch(url)).body for url in urls]
        assert [(await fetch(url)).body for url in urls] == bodies


def server_pictures() -> int:
    from sandbox.state import PICTURES_KEPT

    return PICTURES_KEPT
