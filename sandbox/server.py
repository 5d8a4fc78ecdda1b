"""The sandbox: the project's own upstream on loopback, an API and a CDN, each on its own port."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from pipeline.errors import UsageError
from sandbox import catalogue
from sandbox.account import AccountApi
from sandbox.answers import vendor_form
from sandbox.api import Generations
from sandbox.behaviour import Behaviour
from sandbox.cdn import Cdn
from sandbox.request_log import RequestLog
from sandbox.state import SandboxState

BALANCE = 1_000_000.0
"""Dollars on an account that nobody set a balance for."""

MAX_BODY = 10 * 1024 * 1024
"""Bytes a request may have."""


class Sandbox:
    """Serve the API and its pictures from entering this context until leaving it.

    Attributes:
        base: Where the API listens, `http://127.0.0.1:PORT`.
        cdn_base: Where the pictures are served.
        request_log: What was asked and billed.
    """

    base: str
    cdn_base: str
    request_log: RequestLog

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        cdn_port: int = 0,
        state: Path | None = None,
        behaviour: Behaviour | None = None,
        key: str | None = None,
        balance: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take note of how to serve.

        Args:
            host: Address to listen on.
            port: Port of the API; 0 for any that is free.
            cdn_port: Port of the CDN; 0 for any that is free.
            state: Folder in which the request log is kept, for a later sandbox; None to forget them.
            behaviour: How to behave; well, by default.
            key: The only key that is accepted; None for any.
            balance: Dollars to begin with, of which all that this log ever billed is taken; None for plenty.
            clock: Seconds since the epoch.
        """
        self._host = host
        self._ports = (port, cdn_port)
        self._folder = state
        self._behaviour = behaviour or Behaviour()
        self._key = key
        self._balance = BALANCE if balance is None else balance
        self._clock = clock
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin to serve.

        Raises:
            UsageError: Pillow is not installed, or a port is taken.
            StorageFailed: The request log can't be kept in the folder.
        """
        if find_spec("PIL") is None:
            raise UsageError("the sandbox paints with Pillow: pip install 'image-pipeline[sandbox]'")
        async with AsyncExitStack() as stack:
            self.request_log = RequestLog(self._folder / "books.db" if self._folder else None)
            stack.callback(self.request_log.close)
            self._state = SandboxState(
                self.request_log, behaviour=self._behaviour, key=self._key, balance=self._balance, clock=self._clock
            )
            self.cdn_base = self._state.cdn_base = await self._listen(stack, _cdn(self._state), self._ports[1])
            self.base = await self._listen(stack, _api(self._state), self._ports[0])
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    @property
    def behaviour(self) -> Behaviour:
        """How it behaves. Setting it takes effect with the next request; scripts and counts begin anew."""
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._state.behave(behaviour)

    def current_url(self, url: str) -> str:
        """A picture's URL from an earlier sandbox with the same `state`, moved to this one's CDN; others unchanged."""
        return self._state.current_url(url)

    async def _listen(self, stack: AsyncExitStack, app: web.Application, port: int) -> str:
        # Handlers end with their clients, and with the sandbox: nobody waits for one that hangs.
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, self._host, port, backlog=1024).start()
        except OSError as error:
            raise UsageError(f"the sandbox can't listen on {self._host}:{port}: {error.strerror}") from None
        bound = runner.addresses[0][1]
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{bound}"


def _api(state: SandboxState) -> web.Application:
    app = web.Application(middlewares=[vendor_form(state)], client_max_size=MAX_BODY)
    account = AccountApi(state)
    app.router.add_post("/v1/images/generations", Generations(state).post)
    app.router.add_get("/v1/models", catalogue.get)
    app.router.add_get("/v2/billing", account.billing)
    app.router.add_get("/v2/logs", account.logs)
    app.router.add_get("/v2/billing/transactions", account.transactions)
    return app


def _cdn(state: SandboxState) -> web.Application:
    app = web.Application()
    app.router.add_get("/{path:.*}", Cdn(state).get)
    return app
