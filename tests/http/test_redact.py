from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest

from pipeline.http.redact import without_key
from pipeline.http.wire import Answer
from pipeline.settings import Key

KEY = "sk-live/4f9a+1c77e0b2"

SPELLINGS: list[Callable[[str], str]] = [
    str,
    str.upper,
    str.lower,
    lambda text: text[::-1],
    lambda text: text.replace("/", "\\/"),
    lambda text: quote(text, safe=""),
    lambda text: text.encode().hex(),
    *(
        lambda text, before=before, after=after, encode=encode: encode(f"{before}{text}{after}".encode()).decode()
        for before in ("", "Bearer ", "x", "xy", "Authorization: Bearer ")
        for after in ("", "!", "\r\nHost: x")
        for encode in (b64encode, urlsafe_b64encode)
    ),
]


@pytest.mark.parametrize("spell", SPELLINGS)
def test_no_spelling_of_the_key_survives_in_an_answer(spell: Callable[[str], str]) -> None:
    text = spell(KEY)
    answer = without_key(Answer(200, {"x-echo": text}, f'{{"message": "{text}"}}'.encode()), Key(KEY))
    # Less than a third of it is left, whatever surrounds it.
    left = answer.body.decode().partition('": "')[2].removesuffix('"}')
    assert "***" in left
    assert len(left.replace("***", "")) <= max(0, len(text) - len(KEY))
    assert text not in answer.headers["x-echo"]


def test_an_answer_without_the_key_stays_the_same_object() -> None:
    body = bytearray(b'{"data": []}')
    assert without_key(Answer(200, {}, body), Key(KEY)).body is body
    assert without_key(Answer(200, {}, body), None).body is body
