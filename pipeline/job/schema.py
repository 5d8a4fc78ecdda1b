"""The job file's schema: every key it may have, and what is read as its value.

What a job says is checked here as far as one value alone can tell; `checks` does what needs the model, the variables
or another entry.
"""

import re
from collections.abc import Callable
from inspect import cleandoc
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from pipeline.job import values
from pipeline.job.yaml.scalars import Scalar, value_of
from pipeline.model import DEFAULT_MODEL, Limits

MOST_IMAGES = 1000
"""Images one prompt entry may want of one prompt, ratio and set of values."""

_SPAN = WithJsonSchema({"type": ["string", "number"]})
_SCALAR_SCHEMA = {"type": ["string", "number", "boolean"]}


def _plain(value: Any) -> Any:
    return value_of(value)


def _entry(value: Any) -> Any:
    """A prompt alone is an entry of its own."""
    if isinstance(value, str | Scalar):
        return {"prompt": value}
    if value is None:
        raise values.wrong("is empty", "write a prompt, or remove the line")
    return value


Text = Annotated[str, BeforeValidator(values.text), WithJsonSchema(_SCALAR_SCHEMA)]
Id = Annotated[str, BeforeValidator(values.name), WithJsonSchema(_SCALAR_SCHEMA)]
ItemId = Annotated[str, BeforeValidator(values.item_id), WithJsonSchema(_SCALAR_SCHEMA)]
Encoding = Annotated[str, BeforeValidator(values.encoding), WithJsonSchema({"type": "string"})]
Whole = Annotated[int, BeforeValidator(values.whole)]
Ratio = Annotated[str, BeforeValidator(values.ratio)]
Ratios = Annotated[
    list[Ratio],
    BeforeValidator(values.listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Seeds = Annotated[
    list[Whole],
    BeforeValidator(values.listed),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}),
]
Values = Annotated[
    list[str],
    BeforeValidator(values.one_or_more),
    WithJsonSchema({"anyOf": [_SCALAR_SCHEMA, {"type": "array", "items": _SCALAR_SCHEMA}]}),
]
Variables = Annotated[dict[str, Values], BeforeValidator(values.variables)]
Parameters = Annotated[dict[str, Any], BeforeValidator(_plain)]


def _or_text(schema: dict[str, Any]) -> None:
    """Say in the schema, too, that an entry may be a prompt alone."""
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string"}, mapping]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


RetryBudgetUsd = Annotated[float, Field(ge=0, le=10**6), BeforeValidator(values.number)]
Span = Annotated[float, Field(ge=0, le=86_400), BeforeValidator(values.span), _SPAN]
OnUnknownOutcome = Annotated[Literal["retry", "hold"], BeforeValidator(values.text)]

FORMER_LIMITS = {"budget_lost": "retry_paid_budget_usd", "settle": "billing_lag", "on_maybe": "on_unknown_outcome"}
"""Names that limits had until 0.1: they are read for one version more, with a note."""


def _former(name: str) -> Any:
    """A field that only remembers a former name, kept out of what editors offer."""
    return Field(default=None, description=f"The former name of `{name}`.", json_schema_extra={"deprecated": True})


class LimitsSpec(_Strict):
    """How fast, how much and how long a run may go; `model.Limits` says what each means."""

    concurrency: Annotated[int, Field(ge=1, le=256), BeforeValidator(values.whole)] | None = None
    downloads: Annotated[int, Field(ge=1, le=256), BeforeValidator(values.whole)] | None = None
    requests_per_minute: Annotated[float, Field(gt=0, le=100_000), BeforeValidator(values.number)] | None = None
    budget_tokens: Annotated[int, Field(ge=1, le=10**15), BeforeValidator(values.whole)] | None = None
    budget_usd: Annotated[float, Field(gt=0, le=10**9), BeforeValidator(values.number)] | None = None
    budget_window: Annotated[float, Field(gt=0, le=3660 * 86_400), BeforeValidator(values.span), _SPAN] | None = None
    retry_paid_budget_usd: RetryBudgetUsd | None = None
    billing_lag: Span | None = None
    on_unknown_outcome: OnUnknownOutcome | None = None
    attempts: Annotated[int, Field(ge=1, le=20), BeforeValidator(values.whole)] | None = None
    unusable_answers: Annotated[int, Field(ge=1, le=10_000), BeforeValidator(values.whole)] | None = None
    request_timeout: Annotated[float, Field(gt=0, le=3600), BeforeValidator(values.span), _SPAN] | None = None
    grace: Annotated[float, Field(ge=0, le=3600), BeforeValidator(values.span), _SPAN] | None = None
    patience: Annotated[float, Field(ge=0, le=86_400), BeforeValidator(values.span), _SPAN] | None = None
    max_image_bytes: Annotated[int, Field(ge=1024, le=2**30), BeforeValidator(values.whole)] | None = None

    budget_lost: RetryBudgetUsd | None = _former("retry_paid_budget_usd")
    settle: Span | None = _former("billing_lag")
    on_maybe: OnUnknownOutcome | None = _former("on_unknown_outcome")

    def given(self, note: Callable[[str], None]) -> dict[str, Any]:
        """The limits that the job sets, by the names of `Limits`; `note` is told of each that has its former name."""
        limits = {name: value for name, value in self.model_dump().items() if value is not None}
        for old, new in FORMER_LIMITS.items():
            if old in limits:
                value = limits.pop(old)
                read = f"is not read, since {new} is given too" if new in limits else "is read for one version more"
                note(f"limits.{old} is called {new} now: the old name {read}")
                limits.setdefault(new, value)
        return limits


class RowSpec(_Strict):
    """What a row of an included file may say besides its variables.

    Attributes:
        id: Names the files; `{name}` is a variable in it. Made from the prompt where it is missing.
        prompt: The text; `{name}` is a variable, `{{` and `}}` are braces.
        model: Instead of the job's.
        parameters: On top of the job's; null takes one away.
        aspect_ratios: Instead of the job's.
        count: Images wanted of each picture; 1 by default.
        seeds: One image a seed; a count above their number adds images without one.
    """

    id: ItemId | None = None
    prompt: Text | None = None
    model: Text | None = None
    parameters: Parameters = Field(default_factory=dict)
    aspect_ratios: Ratios | None = None
    count: Annotated[int, Field(ge=1, le=MOST_IMAGES), BeforeValidator(values.whole)] | None = None
    seeds: Seeds | None = None


class PromptSpec(RowSpec):
    """A prompt entry: a prompt alone, or a mapping.

    Attributes:
        file: A `.csv`, `.tsv`, `.jsonl` or `.txt` in the job's folder: each row is an entry, its columns are variables.
        encoding: How the file is written, such as `windows-1251`; without it UTF-8, or UTF-16 with its mark.
        variables: On top of the job's.
    """

    model_config = ConfigDict(json_schema_extra=_or_text)

    file: Text | None = None
    encoding: Encoding | None = None
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
        check: `structure` checks each picture as a container, at no cost; `decode` decodes it too, with Pillow, in a
            process of its own.
    """

    name: Id | None = None
    model: Text = DEFAULT_MODEL
    endpoint: Annotated[str, BeforeValidator(values.endpoint)] = "aimlapi"
    output: Annotated[str, BeforeValidator(values.folder)] | None = None
    state_dir: Annotated[str, BeforeValidator(values.folder)] | None = None
    proxy: Annotated[str, BeforeValidator(values.proxy)] | None = None
    user_agent: Annotated[str, BeforeValidator(values.user_agent)] | None = None
    aspect_ratios: Ratios | None = None
    parameters: Parameters = Field(default_factory=dict)
    variables: Variables = Field(default_factory=dict)
    prompts: Annotated[list[PromptSpec], Field(min_length=1)]
    limits: LimitsSpec = LimitsSpec()
    check: Annotated[Literal["structure", "decode"], BeforeValidator(values.text)] = "structure"


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
