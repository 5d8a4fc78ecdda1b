"""The job file's schema: every key it may have, and what is read as its value.

What a job says is checked here as far as one value alone can tell; `checks` does what needs the model, the variables
or another entry.
"""

import math
import re
from inspect import cleandoc
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from pipeline import proxies, settings
from pipeline.errors import UsageError
from pipeline.jobfile import naming, template
from pipeline.jobfile.scalars import Scalar, shown, value_of
from pipeline.model import DEFAULT_MODEL, Limits
from pipeline.models.rules import nearest

MOST_IMAGES = 1000
"""Images one prompt entry may want of one prompt, ratio and set of values."""

_RATIO = re.compile(r"(\d{1,5}(?:\.\d{1,3})?)\s*[:x×/]\s*(\d{1,5}(?:\.\d{1,3})?)", re.IGNORECASE)
_SPAN_TEXT = re.compile(r"\s*(\d{1,9}(?:\.\d{1,3})?)\s*([smhd])\s*", re.IGNORECASE)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN = WithJsonSchema({"type": ["string", "number"]})
_SCALAR_SCHEMA = {"type": ["string", "number", "boolean"]}


def wrong(found: str, cure: str) -> PydanticCustomError:
    """The error that a value is not what its key takes."""
    return PydanticCustomError("mistake", "{found}", {"found": found, "cure": cure})


def _is(value: Any, cure: str) -> PydanticCustomError:
    return wrong("is empty" if value is None or value == "" else f"is {shown(value)}", cure)


def _text(value: Any) -> str:
    if isinstance(value, Scalar):
        return value.text
    if not isinstance(value, str) or not value.strip():
        raise _is(value, "write text")
    return value.strip()


def _literal(value: Any) -> str:
    """A variable's value: as it was written, and it may be empty."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Scalar):
        raise _is(value, "write text, a number, or a list of them")
    return value.text


def _whole(value: Any) -> int:
    found = value_of(value)
    if isinstance(found, str) and re.fullmatch(r"\s*[-+]?\d{1,20}\s*", found):
        return int(found)
    if not isinstance(found, int) or isinstance(found, bool):
        raise _is(value, "write a whole number")
    return found


def _number(value: Any) -> float:
    found = value_of(value)
    if not isinstance(found, int | float) or isinstance(found, bool) or not math.isfinite(found):
        raise _is(value, "write a number")
    return found


def _span(value: Any) -> float:
    """A span of time in seconds: a number of them, or one with its unit such as `30d`, `12h`, `90m`, `10 s`."""
    match = _SPAN_TEXT.fullmatch(value) if isinstance(value, str) else None
    if match:
        return float(match[1]) * _UNITS[match[2].lower()]
    try:
        return _number(value)
    except PydanticCustomError:
        raise _is(value, "write a span of time such as 30d, 12h, 90m, or a number of seconds") from None


def _id(value: Any) -> str:
    text = _text(value)
    if problem := naming.id_problem(text):
        message, cure = problem
        raise wrong(f"is {shown(text)}, which {message}", cure)
    return text


def _ratio(value: Any) -> str:
    """`W:H`, however it was written: `16:9`, `16x9`, `16/9`, `16 : 9`; or a word such as `auto`."""
    text = _text(value)
    if re.fullmatch(r"[A-Za-z]+", text):
        return text.lower()
    match = _RATIO.fullmatch(text)
    if not match or not float(match[1]) or not float(match[2]):
        raise _is(value, "write width:height, for example 16:9")
    return f"{float(match[1]):g}:{float(match[2]):g}"


def _listed(value: Any) -> Any:
    """A list; a single value is a list of one, and text may hold several with commas or spaces between them."""
    if isinstance(value, str):
        return re.split(r"\s*,\s*|(?<![:x×/\s])\s+(?![:x×/\s])", value.strip())
    return [value] if isinstance(value, Scalar) else value


def _values(value: Any) -> list[str]:
    if isinstance(value, str | Scalar):
        return [_literal(value)]
    if value == []:
        raise wrong("is empty", "write at least one value")
    if not isinstance(value, list):
        raise _is(value, "write text, a number, or a list of them")
    values: dict[str, None] = {}
    for text in map(_literal, value):
        if text in values:
            raise wrong(f"has {shown(text)} twice", "keep one of the two")
        values[text] = None
    return list(values)


def _variables(value: Any) -> Any:
    for name in value if isinstance(value, dict) else ():
        if not template.NAME.fullmatch(name):
            raise wrong(
                f"has {shown(name)}, which can't stand in braces", "begin it with a letter; use letters, digits, _"
            )
    return value


def _endpoint(value: Any) -> str:
    text = _text(value)
    if text in ("aimlapi", "sandbox"):
        return text
    if "/" not in text and ":" not in text:
        likely = nearest(text, ("aimlapi", "sandbox"))
        hint = f"did you mean {likely}? " if likely else ""
        raise wrong(f"is {shown(text[:20])}", f"{hint}it is aimlapi, sandbox, or the base URL of a server")
    try:
        return settings.base_url(text, "it")
    except UsageError:
        # Not the text itself: a URL may hold what nobody should see.
        cure = "write http:// or https:// and a host; user names, queries and keys have no place in it"
        raise wrong("is no base URL", cure) from None


def _output(value: Any) -> str:
    text = _text(str(value) if isinstance(value, PurePath) else value)
    if "\0" in text or len(text) > 1000:
        raise wrong("can't name a folder", "write the path of a folder")
    return text


def _proxy(value: Any) -> str:
    text = _text(value)
    if text == proxies.DIRECT:
        return text
    cure = f"write http://HOST:PORT, or {proxies.DIRECT} to ask without a proxy"
    if "@" in text:
        # Not the text itself: what stands before the @ is a password.
        raise wrong("holds a user name", "set HTTPS_PROXY to the whole URL instead: a job file is no place for secrets")
    try:
        proxies.parsed(text, "it")
    except UsageError:
        raise _is(value, cure) from None
    return text


def _user_agent(value: Any) -> str:
    text = _text(value).strip()
    if not text or not text.isascii() or not text.isprintable() or len(text) > 500:
        raise wrong("is not a name that a header can hold", "write up to 500 printable ASCII characters")
    return text


def _plain(value: Any) -> Any:
    return value_of(value)


def _entry(value: Any) -> Any:
    """A prompt alone is an entry of its own."""
    if isinstance(value, str | Scalar):
        return {"prompt": value}
    if value is None:
        raise wrong("is empty", "write a prompt, or remove the line")
    return value


Text = Annotated[str, BeforeValidator(_text), WithJsonSchema(_SCALAR_SCHEMA)]
Id = Annotated[str, BeforeValidator(_id), WithJsonSchema(_SCALAR_SCHEMA)]
Whole = Annotated[int, BeforeValidator(_whole)]
Ratio = Annotated[str, BeforeValidator(_ratio)]
Ratios = Annotated[
    list[Ratio],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Seeds = Annotated[
    list[Whole],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}),
]
Values = Annotated[
    list[str],
    BeforeValidator(_values),
    WithJsonSchema({"anyOf": [_SCALAR_SCHEMA, {"type": "array", "items": _SCALAR_SCHEMA}]}),
]
Variables = Annotated[dict[str, Values], BeforeValidator(_variables)]
Parameters = Annotated[dict[str, Any], BeforeValidator(_plain)]


def _or_text(schema: dict[str, Any]) -> None:
    """Say in the schema, too, that an entry may be a prompt alone."""
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string"}, mapping]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class LimitsSpec(_Strict):
    """How fast, how much and how long a run may go; `model.Limits` says what each means."""

    concurrency: Annotated[int, Field(ge=1, le=256), BeforeValidator(_whole)] | None = None
    downloads: Annotated[int, Field(ge=1, le=256), BeforeValidator(_whole)] | None = None
    requests_per_minute: Annotated[float, Field(gt=0, le=100_000), BeforeValidator(_number)] | None = None
    budget_tokens: Annotated[int, Field(ge=1, le=10**15), BeforeValidator(_whole)] | None = None
    budget_usd: Annotated[float, Field(gt=0, le=10**9), BeforeValidator(_number)] | None = None
    budget_window: Annotated[float, Field(gt=0, le=3660 * 86_400), BeforeValidator(_span), _SPAN] | None = None
    budget_lost: Annotated[float, Field(ge=0, le=10**6), BeforeValidator(_number)] | None = None
    settle: Annotated[float, Field(ge=0, le=86_400), BeforeValidator(_span), _SPAN] | None = None
    on_maybe: Annotated[Literal["retry", "hold"], BeforeValidator(_text)] | None = None
    attempts: Annotated[int, Field(ge=1, le=20), BeforeValidator(_whole)] | None = None
    unusable_answers: Annotated[int, Field(ge=1, le=10_000), BeforeValidator(_whole)] | None = None
    request_timeout: Annotated[float, Field(gt=0, le=3600), BeforeValidator(_number)] | None = None
    grace: Annotated[float, Field(ge=0, le=3600), BeforeValidator(_number)] | None = None
    patience: Annotated[float, Field(ge=0, le=86_400), BeforeValidator(_number)] | None = None
    max_image_bytes: Annotated[int, Field(ge=1024, le=2**30), BeforeValidator(_whole)] | None = None


class RowSpec(_Strict):
    """What a row of an included file may say besides its variables.

    Attributes:
        id: Names the files; made from the prompt where it is missing.
        prompt: The text; `{name}` is a variable, `{{` and `}}` are braces.
        model: Instead of the job's.
        parameters: On top of the job's; null takes one away.
        aspect_ratios: Instead of the job's.
        count: Images wanted of each picture; 1 by default.
        seeds: One image a seed; a count above their number adds images without one.
    """

    id: Id | None = None
    prompt: Text | None = None
    model: Text | None = None
    parameters: Parameters = Field(default_factory=dict)
    aspect_ratios: Ratios | None = None
    count: Annotated[int, Field(ge=1, le=MOST_IMAGES), BeforeValidator(_whole)] | None = None
    seeds: Seeds | None = None


class PromptSpec(RowSpec):
    """A prompt entry: a prompt alone, or a mapping.

    Attributes:
        file: A `.csv`, `.jsonl` or `.txt` in the job's folder: each row is an entry, its columns are variables.
        variables: On top of the job's.
    """

    model_config = ConfigDict(json_schema_extra=_or_text)

    file: Text | None = None
    variables: Variables = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return _entry(value)


class JobSpec(_Strict):
    """The whole job file.

    Attributes:
        name: The job's name; the file's name by default.
        model: The model's id; what it accepts is known and checked.
        endpoint: `aimlapi`, `sandbox`, or the base URL of a server that speaks `/v1/images/generations`.
        output: The output folder, relative to the working directory; `build/NAME` by default.
        state_dir: Where the ledger and its lock are kept, where the output's file system can't keep them.
        proxy: The HTTP proxy for all requests, instead of the environment's; `none` asks without one.
        user_agent: The name that servers see, instead of `image-pipeline/VERSION`.
        aspect_ratios: Ratios for every prompt that names none.
        parameters: Further parameters of the model, by its own names.
        variables: What `{name}` in a prompt stands for; a list makes one picture of each value.
        prompts: The prompts: a text, or a mapping.
        limits: How fast, how much and how long a run may go.
    """

    name: Id | None = None
    model: Text = DEFAULT_MODEL
    endpoint: Annotated[str, BeforeValidator(_endpoint)] = "aimlapi"
    output: Annotated[str, BeforeValidator(_output)] | None = None
    state_dir: Annotated[str, BeforeValidator(_output)] | None = None
    proxy: Annotated[str, BeforeValidator(_proxy)] | None = None
    user_agent: Annotated[str, BeforeValidator(_user_agent)] | None = None
    aspect_ratios: Ratios | None = None
    parameters: Parameters = Field(default_factory=dict)
    variables: Variables = Field(default_factory=dict)
    prompts: Annotated[list[PromptSpec], Field(min_length=1)]
    limits: LimitsSpec = LimitsSpec()


def schema() -> dict[str, Any]:
    """The JSON Schema of a job file, for editors: what each key means stands beside it."""
    found = JobSpec.model_json_schema()
    _, entry = found["$defs"]["PromptSpec"]["anyOf"]
    for described, documented in (
        (found, (JobSpec,)),
        (entry, (RowSpec, PromptSpec)),
        (found["$defs"]["LimitsSpec"], (Limits,)),
    ):
        for spec in documented:
            told = cleandoc(spec.__doc__ or "")
            described["description"], _, attributes = told.partition("\n\nAttributes:\n")
            for name, text in _ATTRIBUTE.findall(attributes):
                described["properties"][name]["description"] = " ".join(text.split())
    return found


_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
"""An attribute in a class's docstring, with the lines that it goes on in."""
