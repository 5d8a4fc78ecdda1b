import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.http.document import LONG, SMALL, Span, parse

PAD = "x" * SMALL


def whole(span: Span) -> bytes:
    return span.slice(0, len(span))


@pytest.mark.parametrize(
    "text", ["A" * LONG, 'with \\" quotes' * LONG, "\\\\" * LONG, "a\\/b" * LONG, "\\u00e9" * LONG], ids=range(5)
)
def test_a_long_string_is_cut_out_and_found_by_what_stands_in_its_place(text: str) -> None:
    document = parse(f'{{"pad": "{PAD}", "data": [{{"b64_json": "{text}", "n": 1}}]}}'.encode())
    (entry,) = document.value["data"]
    assert entry["n"] == 1
    assert whole(document.long[entry["b64_json"]]) == text.encode()
    assert len(document.long) == 2


def test_a_mark_is_one_that_the_text_itself_does_not_hold() -> None:
    document = parse(json.dumps({"prompt": "~long0~0", "pad": PAD}).encode())
    assert document.value["prompt"] == "~long0~0"
    assert document.value["prompt"] not in document.long
    assert document.value["pad"] in document.long


@given(
    st.dictionaries(st.text(max_size=5), st.recursive(st.text() | st.integers() | st.none(), st.lists, max_leaves=5))
)
def test_what_is_not_long_is_what_json_makes_of_it(value: dict[str, object]) -> None:
    body = json.dumps({**value, "pad": PAD}).encode()
    found = parse(body).value
    assert {name: one for name, one in found.items() if name != "pad"} == {
        name: one for name, one in value.items() if name != "pad"
    }


def test_a_small_answer_is_parsed_as_it_is() -> None:
    assert parse(b'{"a": "b"}').long == {}


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"prompt": "caf\xe9", "n": 1}', {"prompt": "caf\ufffd", "n": 1}),
        (b'{"n": 1}trailing', {"n": 1}),
        (b'\xef\xbb\xbf{"n": 1}', {"n": 1}),
        ('{"n": "é"}'.encode("utf-16"), {"n": "é"}),
    ],
)
def test_what_was_paid_for_is_read_generously(body: bytes, value: object) -> None:
    assert parse(body).value == value


def test_a_number_of_any_length_does_not_make_an_answer_unreadable() -> None:
    value = parse(b'{"url": "x", "seed": ' + b"7" * 6_000 + b"}").value
    assert value["url"] == "x"


@pytest.mark.parametrize(
    "body",
    [
        b"404 page not found",
        b"",
        b"<html>",
        b"[" * 201 + b"]" * 201,
        b'{"a":[' * 101 + b"]}" * 101,
        b'{"data": [' + b'{"b64_json": "QQ=="},' * 100_000 + b"{}]}",
        b'{"data": [' + b'"A",' * 300_000 + b'"A"]}',
        b'{"a": "' + b"x" * (LONG - 1) + b'", "b": ' + b"1" * 5_000_000 + b"}",
    ],
    ids=range(8),
)
def test_what_is_not_json_or_holds_far_more_than_an_answer_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse(body)


PEAK = """
import sys
from tests.peak import peak
from pipeline.providers.aimlapi.shapes import understand
from pipeline.http.wire import Answer
body = eval(sys.argv[1])
before = peak()
try:
    for picture in understand(Answer(200, {}, body)).images:
        for piece in picture.data.pieces():
            pass
except ValueError:
    pass
print(peak() - before)
"""


@pytest.mark.parametrize(
    "body",
    [
        """bytearray(b'{"data": [' + b'{"b64_json": "QQ=="},' * 1_000_000 + b'{}]}')""",
        """bytearray(b'{"data": [' + b' ' * 40_000_000 + b']}')""",
        """bytearray(b'{"data": [{"b64_json": "' + b'QUFB' * 10_000_000 + b'"}]}')""",
        """bytearray(b'{"data": [{"b64_json": "' + b'QUF\\\\\\\\/' * 6_000_000 + b'"}]}')""",
        """bytearray(b'[' * 30_000_000)""",
    ],
    ids=["tiny entries", "spaces", "one picture", "one escaped picture", "nesting"],
)
def test_reading_an_answer_takes_little_memory_beside_its_text(body: str) -> None:
    done = subprocess.run([sys.executable, "-c", PEAK, body], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20_000_000


@pytest.mark.parametrize(
    "text", ['[{"a":' * 100 + "1" + "}]" * 100, '["' + "[" * 1_000 + '"]', "[[],{}," * 90 + "0" + "]" * 90]
)
def test_what_is_nested_as_deep_as_sensible_is_read(text: str) -> None:
    assert parse(text.encode()).value == json.loads(text)
