"""Take the key out of an answer, should the server have echoed it: from there it could get anywhere."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote

from pipeline.http.wire import Answer
from pipeline.settings import Key

SHORTEST = 12
"""Characters from which on a key is looked for; a local server's `none` or `x` occurs in any answer."""


def without_key(answer: Answer, key: Key | None) -> Answer:
    """The answer without the key, in whatever form a server may have written it."""
    headers, body = answer.headers, answer.body
    # Not kept at hand: whoever prints an object of this program must find no key.
    for secret in _forms(key.reveal()) if key else ():
        if secret.encode() in body:
            body = body.replace(secret.encode(), b"***")
        headers = {name: value.replace(secret, "***") for name, value in headers.items()}
    return replace(answer, headers=headers, body=body)


@lru_cache(maxsize=4)
def _forms(key: str) -> tuple[str, ...]:
    """A key as it is and as servers may write it: escaped, percent-encoded, in base64, in hex, in another case."""
    if len(key) < SHORTEST:
        return ()
    quoted = quote(key, safe="")
    return tuple(
        dict.fromkeys(
            (
                *(key, key.upper(), key.lower(), key[::-1], key.replace("/", "\\/")),
                *(quoted, quoted.lower(), key.encode().hex(), key.encode().hex().upper()),
                *_in_base64(key),
            )
        )
    )


def _in_base64(key: str) -> Iterator[str]:
    """What any base64 text holds that encodes the key, alone or within more: `Bearer KEY`, a header, a URL.

    Base64 writes three bytes in four characters, so there are three ways in which the key can lie in them; those of
    its bytes that share a character with a neighbour are left out.
    """
    for before in range(3):
        text = b64encode(bytes(before) + key.encode()).decode().rstrip("=")
        # The first characters belong to what stands before as well, the last one to what follows.
        inner = text[(0, 2, 3)[before] : len(text) if (before + len(key)) % 3 == 0 else -1]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")
