"""What a paid answer holds, once it is understood."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class EncodedImage(Protocol):
    """A picture inside an answer, still encoded, so that a large one is not held twice."""

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, piece by piece.

        Raises:
            ValueError: The text can't be decoded; the message says why.
        """
        ...

    def raw(self) -> Iterator[bytes]:
        """The text itself, piece by piece: what is kept of one that can't be decoded."""
        ...


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    """One picture of a paid answer: the bytes themselves, its URL, or both; at least one of them is set.

    Attributes:
        url: Where it is to be had.
        data: The picture itself, decoded or still as the answer has it. Tried before the URL.
        revised_prompt: The prompt as the API rewrote it.
        mime_type: What the answer says it is.
        more_urls: Further URLs of the same picture, tried after `url`.
        flagged: The answer's own word that this picture is no good, such as `has_nsfw_concepts`; None where it says
            nothing.
    """

    url: str | None = None
    data: "bytes | EncodedImage | None" = None
    revised_prompt: str | None = None
    mime_type: str | None = None
    more_urls: tuple[str, ...] = ()
    flagged: str | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """A paid answer, understood.

    Attributes:
        images: The pictures, in the answer's order; fewer than asked, or none, when some were filtered.
        tokens_used: Tokens (credits) the whole answer cost, or None where it does not say.
        usd: Dollars the whole answer cost, or None where it does not say.
    """

    images: tuple[GeneratedImage, ...]
    tokens_used: int | None = None
    usd: float | None = None
