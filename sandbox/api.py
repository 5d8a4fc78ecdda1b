"""`POST /v1/images/generations`: refuse, or accept and bill, then answer."""

import json
from typing import Any

from aiohttp import web

from sandbox.answers import INFERENCE_ID, client_request_id, require_key
from sandbox.api_faults import Exchange, fulfil, is_billed
from sandbox.orders import Order, Refusal, label_of, read_order
from sandbox.request_log import Status
from sandbox.state import SandboxState
from sandbox.wire import Vanished


class Generations:
    """The handler of generation requests."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Answer one request. What is accepted is billed at once, whether or not the client waits for the answer."""
        body: Any = None
        try:
            body = read_json(await request.read())
            require_key(request, self._state)
            with self._state.admit():
                order = read_order(body, self._state.chance, label_of(client_request_id(request)))
                return await self._accept(request, order)
        except Refusal as refusal:
            self._state.request_log.answered(self._enter(request, "refused", body), refusal.status)
            raise

    async def _accept(self, request: web.Request, order: Order) -> web.StreamResponse:
        state = self._state
        injected = state.fault_plan.next_fault(order.prompt, cdn=False)
        billed = is_billed(injected)
        if billed and order.credits > state.credits_left:
            raise Refusal(403, "You have run out of credits. Please top up your balance")
        body = {"model": order.model.id, "prompt": order.prompt}
        number = self._enter(request, "succeeded" if billed else "failed", body, order if billed else None)
        await state.work()
        response = await fulfil(Exchange(request, order, state, injected))
        status = response.said if isinstance(response, Vanished) else response.status
        if status is not None:
            state.request_log.answered(number, status)
        return response

    def _enter(self, request: web.Request, status: Status, body: Any, order: Order | None = None) -> int:
        named = body if isinstance(body, dict) else {}
        return self._state.request_log.enter(
            created=self._state.clock(),
            status=status,
            model=_text(named.get("model")),
            prompt=_text(named.get("prompt")),
            credits_=order.credits if order else 0,
            images=len(order.pictures) if order else 0,
            inference_id=request[INFERENCE_ID],
            client_request_id=client_request_id(request),
        )


def read_json(data: bytes) -> Any:
    """The body of a request.

    Raises:
        Refusal: 400: it is no JSON.
    """
    try:
        return json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is no JSON: {error}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
