"""What one model accepts, and a job's words put into the model's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pipeline.providers import model_rules, ratios

SEEDS = (0, 2**53 - 1)
"""The seeds of a model that documents no bounds: up to the largest number that every reader of JSON keeps exact."""

TRANSPORT = frozenset({"convert_base64_to_url", "provider", "response_format", "sync_mode"})
"""Parameters that say how a picture travels, not what it looks like."""

COUNTS = ("num_images", "n")
"""The names under which models take the number of images."""

_KEYS = frozenset({"model", "prompt", "aspect_ratio", "seed", *COUNTS})
"""Parameters of a request that a job has keys of its own for."""


@dataclass(frozen=True)  # without slots, which `cached_property` can't do with
class Model:
    """One model of the API.

    Attributes:
        id: The id to send.
        parameters: What is documented of each parameter, by its name; empty for a model that is not known.
        required: The parameters a request must have, `model` apart.
        price: Credits per image by the public list, or None where the list does not say.
        sizes: The pixels that the vendor documents for a ratio, where it does.
        options: For each ratio the parameter and the value that ask for it.
        known: Whether the model is in the catalogue; nothing is checked of one that is not.
    """

    id: str
    parameters: Mapping[str, model_rules.Spec] = field(default_factory=dict)
    required: tuple[str, ...] = ("prompt",)
    price: int | None = None
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    options: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    known: bool = True

    @property
    def ratios(self) -> tuple[str, ...] | None:
        """The ratios a job may ask for, or None where the model can't be told a ratio."""
        return tuple(self.options) or None

    @cached_property
    def default_ratio(self) -> str | None:
        """The ratio of a picture nobody asked a ratio for, where the model documents one."""
        asked_by_default = (
            ratio for ratio, (name, value) in self.options.items() if value == self.parameters[name].get("default")
        )
        return next(asked_by_default, None)

    @cached_property
    def max_prompt(self) -> int | None:
        """The most characters a prompt may have, or None where no limit is documented."""
        longest: int | None = self.parameters.get("prompt", {}).get("maxLength")
        return longest

    @cached_property
    def further(self) -> tuple[str, ...]:
        """The parameters that a job may set by their own names."""
        return tuple(name for name in self.parameters if name not in _KEYS)

    @cached_property
    def count_parameter(self) -> str | None:
        """The parameter that asks for several images at once, or None."""
        return next((name for name in COUNTS if name in self.parameters), None)

    @cached_property
    def max_images(self) -> int:
        """The most images one request may ask for."""
        if self.count_parameter is None:
            return 1
        spec = self.parameters[self.count_parameter]
        return int(spec.get("maximum", max(spec.get("enum", (1,)))))

    @cached_property
    def seed_range(self) -> tuple[int, int] | None:
        """The least and the greatest seed, or None where the model takes none."""
        if not self.known:
            return SEEDS
        if "seed" not in self.parameters:
            return None
        spec = self.parameters["seed"]
        return spec.get("minimum", SEEDS[0]), spec.get("maximum", SEEDS[1])

    def sized(self, parameters: Mapping[str, Any]) -> str | None:
        """The name of the parameter by which the user says the size directly, so that no ratio can be asked."""
        return next((name for name in ("image_size", "size") if parameters.get(name) is not None), None)

    def problems(self, parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """What the API would refuse in the parameters of a request, `model` apart.

        Returns:
            For each mistake the parameter (`image_size.width` for a part of one), what was found, and the cure.
        """
        if not self.known:
            return []
        found: list[tuple[str, str, str]] = []
        for name, value in parameters.items():
            if name in self.parameters:
                found.extend(model_rules.violations(name, value, self.parameters[name]))
            else:
                found.append((name, f"{self.id} has no parameter {model_rules.shown(name)}", self._known_names(name)))
        missing = [name for name in self.required if parameters.get(name) is None]
        return found + [(name, f"{self.id} needs {name}", f"add {name} to the parameters") for name in missing]

    def body(
        self, prompt: str, aspect_ratio: str | None, seed: int | None, parameters: Mapping[str, Any], n: int
    ) -> dict[str, Any]:
        """The JSON body of a request for `n` images; what was not set is left out, never sent as null."""
        body: dict[str, Any] = {"model": self.id}
        if not self.known or "prompt" in self.parameters:
            body["prompt"] = prompt
        body |= {name: value for name, value in parameters.items() if value is not None}
        if aspect_ratio is not None:
            name, value = self.options.get(aspect_ratio, ("aspect_ratio", aspect_ratio))
            body[name] = value
        if seed is not None:
            body["seed"] = seed
        if n > 1 and self.count_parameter:
            body[self.count_parameter] = n
        return body

    def dimensions(self, body: Mapping[str, Any]) -> tuple[int, int]:
        """Width and height, in pixels, of the picture that a request asks for."""
        ratio = body.get("aspect_ratio", self.parameters.get("aspect_ratio", {}).get("default"))
        return self.sizes.get(ratio) or ratios.pixels(self.parameters, body)

    def accepts_shape(self, aspect_ratio: str | None, width: int, height: int) -> bool:
        """Whether a picture of this size is what was asked for.

        It is within 5 % of the ratio, or has exactly the size that the vendor documents for it: `4:3` of Imagen is
        1280x896, which is 7 % off. No ratio asks for nothing, so any picture will do.
        """
        if aspect_ratio is None:
            return True
        return self.sizes.get(aspect_ratio) == (width, height) or ratios.fits(aspect_ratio, width, height)

    def shaping(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that shape the picture, in one canonical form.

        What equals the documented default, or only says how the picture travels, is left out, so that writing it or
        not makes no difference.
        """
        return {
            name: _canonical(value)
            for name, value in sorted(parameters.items())
            if value is not None
            and name not in TRANSPORT
            and _canonical(value) != _canonical(self.parameters.get(name, {}).get("default"))
        }

    def _known_names(self, name: str) -> str:
        likely = model_rules.nearest(name, self.further)
        if likely:
            return f"did you mean {likely}?"
        return f"it has {', '.join(self.further)}" if self.further else "remove it: it has no further parameters"


def _canonical(value: Any) -> Any:
    """The same value the same way: `4.0` is `4`, and the keys of mappings are in order."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value
