"""Read the body of a generation request: what is wrong with it, or what has to be painted.

A model's own parameters are checked as strictly as the vendor does. The names that OpenAI's clients use (`n`, `size`,
`response_format`, `user`, `quality`, `style`) are understood for every model, also where its own names differ.
"""

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.providers import catalogue
from pipeline.providers.image_model import Model
from pipeline.providers.ratios import proportion
from sandbox.painter import Painting

_IGNORED = ("user", "quality", "style", "background", "moderation", "output_compression")
"""What OpenAI's clients may send and a model without such a parameter does nothing with."""

_LABELLED = re.compile(r"[^.]+\.([0-9a-f]{8})[0-9a-f]{4}\.\d+")
"""How this program labels its requests: run, beginning of the item's key, number."""

_REWRITING = ("enhance_prompt", "enable_prompt_expansion", "prompt_expansion")


class Refusal(Exception):
    """The request is refused with this HTTP status, message and `Retry-After` header."""

    def __init__(self, status: int, message: str, *, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Order:
    """A request that was understood.

    Attributes:
        model: The model asked for.
        prompt: The prompt as sent.
        revised_prompt: The prompt as the model's rewriting left it.
        pictures: What to paint, one for each image.
        inline: Whether the answer carries the bytes themselves, not URLs.
        credits: What it costs.
    """

    model: Model
    prompt: str
    revised_prompt: str
    pictures: tuple[Painting, ...]
    inline: bool
    credits: int


def label_of(client_request_id: str | None) -> str:
    """What tells a picture of this program from others: the beginning of its item's key, as the manifest has it."""
    found = _LABELLED.fullmatch(client_request_id or "")
    return found[1] if found else ""


def read_order(body: Any, chance: random.Random, label: str = "") -> Order:
    """Understand a body; `chance` gives the seeds where the body names none, `label` stands on the pictures.

    Raises:
        Refusal: 400 or 404, with the message for the client.
    """
    if not isinstance(body, dict):
        raise Refusal(400, f"Invalid payload: expected object, received {_kind(body)}")
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise Refusal(400, f"Invalid payload: model: expected string, received {_kind(name)}")
    model = catalogue.find(name)
    if model is None:
        raise Refusal(404, f"Model {name[:200]} not found")
    parameters, inline = translate({key: value for key, value in body.items() if key != "model"}, model)
    problems = model.problems(parameters)
    if problems:
        raise Refusal(400, "Invalid payload: " + "; ".join(f"{key}: {message}" for key, message, _ in problems))
    return _order(model, parameters, inline, chance, label)


def translate(body: Mapping[str, Any], model: Model) -> tuple[dict[str, Any], bool]:
    """The body in the model's own names, and whether an OpenAI client asked for the bytes themselves."""
    own = model.parameters
    parameters = {key: value for key, value in body.items() if key in own or key not in _IGNORED}
    inline = False
    if "response_format" in parameters and "response_format" not in own:
        inline = parameters.pop("response_format") == "b64_json"
    if "n" in parameters and "n" not in own and model.count_parameter:
        parameters.setdefault(model.count_parameter, parameters.pop("n"))
    if "size" in parameters and "size" not in own:
        parameters |= _shape(str(parameters.pop("size")), model)
    return parameters, inline


def _shape(size: str, model: Model) -> dict[str, Any]:
    """OpenAI's `1536x1024` as this model's own parameter; nothing for `auto` and for models of one shape."""
    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        return {}
    asked = math.log(int(width) / int(height))
    distances = {ratio: abs(math.log(quotient) - asked) for ratio in model.options if (quotient := proportion(ratio))}
    if not distances:
        return {}
    name, value = model.options[min(distances, key=lambda ratio: distances[ratio])]
    return {name: value}


def _order(model: Model, parameters: Mapping[str, Any], inline: bool, chance: random.Random, label: str) -> Order:
    prompt = str(parameters.get("prompt", ""))
    count = int(parameters.get(model.count_parameter, 1)) if model.count_parameter else 1
    width, height = model.dimensions(parameters)
    seed = parameters.get("seed")
    seeds = [(int(seed) + i) % 2**32 if seed is not None else chance.getrandbits(32) for i in range(count)]
    ratio = str(parameters.get("aspect_ratio") or model.default_ratio or "")
    mime_type = f"image/{_format(parameters)}"
    return Order(
        model=model,
        prompt=prompt,
        revised_prompt=_rewrite(prompt, parameters, model),
        pictures=tuple(Painting(prompt, seed, width, height, mime_type, model.id, ratio, label) for seed in seeds),
        inline=inline
        or parameters.get("convert_base64_to_url") is False
        or parameters.get("response_format") == "b64_json",
        credits=(model.price or 0) * count,
    )


def _rewrite(prompt: str, parameters: Mapping[str, Any], model: Model) -> str:
    """What the vendor's rewriting makes of a prompt; the prompt itself where it is switched off or there is none."""
    wanted = any(parameters.get(name, name in model.parameters) is True for name in _REWRITING)
    return f"{prompt.rstrip(' .')}, highly detailed, soft natural light, balanced composition." if wanted else prompt


def _format(parameters: Mapping[str, Any]) -> str:
    name = str(parameters.get("output_format", "png")).lower()
    return {"jpg": "jpeg"}.get(name, name if name in ("png", "jpeg", "webp") else "png")


def _kind(value: Any) -> str:
    """The type of a JSON value, in the words that the vendor's validation uses."""
    if value is None:
        return "undefined"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "object")
