"""The server as the benchmark sees it: started on a core of its own, told how to behave, asked what it has seen."""

import json
import subprocess
import sys
from dataclasses import asdict
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from bench import machine
from bench.upstream.api import Behaviour


class Upstream:
    """A server of its own process. A context manager.

    Attributes:
        base: Base URL of the API, without `/v1`.
        pictures: Base URL of the pictures.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-m", "bench.upstream"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=machine.ROOT)
        machine.pin(self._process.pid, machine.UPSTREAM_CORE)
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline())
        self.base: str = said["base"]
        self.pictures: str = said["pictures"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def behave(self, behaviour: Behaviour) -> None:
        """Begin anew, so."""
        self._ask("PUT", json.dumps(asdict(behaviour)))

    def books(self) -> dict[str, Any]:
        """What has happened since then; see `upstream.api.Books`."""
        return self._ask("GET", "")

    def _ask(self, method: str, body: str) -> dict[str, Any]:
        connection = HTTPConnection(urlsplit(self.base).netloc, timeout=30)
        try:
            connection.request(method, "/control", body, {"Connection": "close"})
            found: dict[str, Any] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()
