"""What every answer of the API has in common: the vendor's headers, and its form of an error."""

import json
import re
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from pipeline.model import CREDITS_PER_USD
from sandbox.orders import Refusal
from sandbox.state import SandboxState

SANDBOX_HEADER = "x-pipeline-sandbox"
INFERENCE_ID = web.RequestKey("inference_id", str)

_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

MESSAGES = {
    400: "Invalid payload: prompt: the request could not be understood",
    401: "Unauthorized: the API key is not valid",
    402: "Payment required",
    403: "You have run out of credits. Please top up your balance",
    404: "Model not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "request entity too large",
    414: "URI too long",
    415: "Unsupported media type",
    422: "Unprocessable entity",
    425: "Too early",
    429: "Rate limit exceeded, try again later",
    451: "Unavailable for legal reasons",
    500: "Internal server error",
    502: "Bad gateway: the partner failed",
    503: "Service unavailable",
    504: "Generation timeout",
}
"""What the API says under each status that is a refusal."""


def client_request_id(request: web.Request) -> str | None:
    """The client's own label; one that is not valid is dropped in silence, as the vendor does."""
    label = request.headers.get("X-Client-Request-Id", "")
    return label if _CLIENT_REQUEST_ID.fullmatch(label) else None


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def usd(credits_: int) -> float:
    """Dollars, exact to one credit."""
    return round(credits_ / CREDITS_PER_USD, 7)


def vendor_headers(request: web.Request) -> dict[str, str]:
    """The headers that every answer carries."""
    headers = {SANDBOX_HEADER: "1", "x-inference-id": request[INFERENCE_ID]}
    label = client_request_id(request)
    return headers if label is None else headers | {"x-client-request-id": label}


def cost(credits_: int) -> dict[str, str]:
    """The headers that say what an answer cost."""
    return {"x-aimlapi-credits-used": str(credits_), "x-aimlapi-usd-spent": format(usd(credits_), "f")}


def answer(request: web.Request, body: Any, *, status: int = 200, credits_: int = 0) -> web.Response:
    """A JSON answer with the vendor's headers."""
    return web.Response(
        text=json.dumps(body),
        status=status,
        headers=vendor_headers(request) | cost(credits_),
        content_type="application/json",
    )


def error(request: web.Request, refusal: Refusal, now: float, *, status_as_text: bool = False) -> web.Response:
    """An error in the vendor's form."""
    body = {
        "message": refusal.message,
        "path": request.path,
        "requestId": request[INFERENCE_ID],
        "statusCode": str(refusal.status) if status_as_text else refusal.status,
        "timestamp": timestamp(now),
    }
    response = answer(request, body, status=refusal.status)
    if refusal.retry_after is not None:
        response.headers[hdrs.RETRY_AFTER] = refusal.retry_after
    return response


def vendor_form(state: SandboxState) -> Middleware:
    """A middleware that numbers requests and gives every refusal the vendor's form."""

    @web.middleware
    async def form(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        request[INFERENCE_ID] = str(uuid.uuid4())
        try:
            return await handler(request)
        except Refusal as refusal:
            return error(request, refusal, state.clock())
        except web.HTTPRequestEntityTooLarge:
            return error(request, Refusal(413, "request entity too large"), state.clock())
        except sqlite3.Error as failure:
            return error(request, Refusal(500, f"the sandbox can't keep its books: {failure}"), state.clock())
        except (web.HTTPMethodNotAllowed, web.HTTPNotFound):
            return error(request, Refusal(404, f"Cannot {request.method} {request.path}"), state.clock())

    return form


def require_key(request: web.Request, state: SandboxState) -> None:
    """Let only requests with the key pass.

    Raises:
        Refusal: 401.
    """
    scheme, _, key = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise Refusal(401, "Unauthorized: no API key was sent")
    if state.key is not None and key != state.key:
        raise Refusal(401, "Unauthorized: the API key is not valid")
