"""`GET /v1/models`: which models there are and what they cost. No key is needed."""

import hashlib
import json
from typing import Any

from aiohttp import hdrs, web

from pipeline.providers import catalogue
from pipeline.providers.image_model import Model
from sandbox.answers import answer, usd, vendor_headers


async def get(request: web.Request) -> web.Response:
    """The models, those with the ids asked for or all; 304 to a client that has the very same list."""
    asked = request.query.getall("id", [])
    known = [model for name in catalogue.ids() if (model := catalogue.find(name)) and (not asked or name in asked)]
    priced = "pricing" in request.query.get("include", "").split(",")
    body = {"object": "list", "data": [_entry(model, priced=priced) for model in known]}
    tag = f'"{hashlib.sha256(json.dumps(body).encode()).hexdigest()[:32]}"'
    seen = [name.strip().removeprefix("W/") for name in request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")]
    if tag in seen or "*" in seen:
        return web.Response(status=304, headers=vendor_headers(request) | {hdrs.ETAG: tag})
    response = answer(request, body)
    response.headers[hdrs.ETAG] = tag
    return response


def _entry(model: Model, *, priced: bool) -> dict[str, Any]:
    vendor, _, name = model.id.rpartition("/")
    entry: dict[str, Any] = {
        "id": model.id,
        "aliases": [],
        "type": "image",
        "info": {"name": name, "developer": vendor},
    }
    return entry | {"pricing": _pricing(model)} if priced else entry


def _pricing(model: Model) -> dict[str, Any]:
    """The price in dollars; `variable` where the public list has none."""
    if model.price is None:
        return {"kind": "variable"}
    unit = {"name": "image", "measure": "image", "price": usd(model.price), "per": 1}
    return {"kind": "fixed", "currency": "USD", "units": [unit]}
