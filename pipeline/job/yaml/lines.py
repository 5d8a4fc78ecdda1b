"""The lines of a text file as people have them: in several encodings, ended by CR, LF or CRLF.

Whatever a file is written in is turned into UTF-8 piece by piece; then it is split and read in one way. A file without
a mark and without a named encoding is UTF-8. Where its bytes are not, it is read as Windows-1252, which is what older
programs on Windows write, and that is said. It is refused where the bytes look like something else again, for then the
prompts would be nonsense.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.job.files import BOM, SAVE_AS_UTF8, Unreadable
from pipeline.model import Place

LONGEST_LINE = 1_000_000
"""Bytes a line may have."""

Note = Callable[[str], None]
"""Takes what a user should know though it is not a mistake."""

CHUNK = 16_384
"""Bytes that are read at once."""

_WIDE = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_WESTERN = "windows-1252"

_FOREIGN = re.compile(
    rb"[\xc0-\xff]{4}"  # as many letters with marks in a row as Cyrillic or Greek text has, and no Western word
    rb"|[a-z][\x83\x8a\x8c\x8e\x9f]"  # a capital after a small letter: the accents of Mac Roman
    rb"|[A-Za-z][\x80\x82\x84\x88\x89\x8b\x94\xb3\xb9\xbf][a-z]"  # a sign in a word: the accents of DOS, Polish
)


def read(file: BinaryIO, shown: str, encoding: str | None, note: Note) -> Iterator[tuple[int, str]]:
    """The lines with their numbers and their ends; a CR alone at the end is given as LF.

    Raises:
        Unreadable: They are no text, or not in this encoding.
    """
    head = file.read(CHUNK)
    marked = head.startswith(BOM)
    named = encoding or next((name for mark, name in _WIDE.items() if head.startswith(mark)), None)
    if named is not None and codecs.lookup(named).name in ("utf-8", "utf-8-sig"):
        named, marked = None, True
    _check(head, named, shown, marked=head.startswith(BOM))
    chunks = _chunks(head, file)
    text = _Text(shown, note, strict=marked or named is not None)
    for number, line in _split(chunks if named is None else _as_utf8(chunks, named, shown), shown):
        yield number, text.of(number, line)


def _check(head: bytes, named: str | None, shown: str, *, marked: bool) -> None:
    """Refuse what the first bytes contradict."""
    if marked and named is not None:
        raise Unreadable(Place(shown), f"it begins with the mark of UTF-8, not of {named}", "remove encoding:")
    if named is None and len(head) >= 4:
        for order, zeros in (("le", head[1:200:2]), ("be", head[0:200:2])):
            if zeros.count(0) * 2 > len(zeros):
                message = "it is UTF-16 without a mark that says so"
                raise Unreadable(Place(shown), message, f"write encoding: utf-16-{order} in the entry")


def _chunks(head: bytes, file: BinaryIO) -> Iterator[bytes]:
    while head:
        yield head
        head = file.read(CHUNK)


def _as_utf8(chunks: Iterator[bytes], encoding: str, shown: str) -> Iterator[bytes]:
    """The same text in UTF-8."""
    decoder, line, last = codecs.getincrementaldecoder(encoding)(), 1, ""
    while True:
        chunk = next(chunks, b"")
        state = decoder.getstate()
        try:
            text = decoder.decode(chunk, not chunk)
        except UnicodeError:
            decoder.setstate(state)
            good, found = _until_bad(decoder, chunk)
            place = Place(shown, line + _ends(last + good) - _ends(last))
            cure = f"write the encoding that the file has, or {SAVE_AS_UTF8} and remove encoding:"
            raise Unreadable(place, f"{found} is not {encoding}", cure) from None
        line += _ends(last + text) - _ends(last)
        last = text[-1:] or last
        yield text.encode("utf-8", "surrogatepass")
        if not chunk:
            return


def _until_bad(decoder: codecs.IncrementalDecoder, chunk: bytes) -> tuple[str, str]:
    """The text before the first byte that can't be decoded, and that byte; or the end of the file."""
    good = ""
    for byte in chunk:
        try:
            good += decoder.decode(bytes([byte]))
        except UnicodeError:
            return good, f"byte 0x{byte:02x}"
    return good, "the end of the file"


def _ends(text: str) -> int:
    """How many lines end in a text."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _split(chunks: Iterator[bytes], shown: str) -> Iterator[tuple[int, bytes]]:
    """The lines, with their numbers and their ends."""
    number, rest = 0, b""
    for chunk in chunks:
        data = rest + chunk
        if (at := chunk.find(b"\0")) >= 0:
            line = number + len(data[: len(rest) + at + 1].splitlines())
            raise Unreadable(Place(shown, line), "it is a binary file, not text", "name a text file")
        lines = data.splitlines(keepends=True)
        # The last one may go on, and a CR at its end may be half of a CRLF.
        rest = lines.pop() if lines else b""
        for whole in lines:
            number += 1
            yield number, whole
        if len(rest) > LONGEST_LINE:
            raise Unreadable(Place(shown, number + 1), "the line is longer than 1 MB", "write one row a line")
    if rest:
        yield number + 1, rest


@dataclass(slots=True)
class _Text:
    """Lines in UTF-8, or as long as no line has shown that they are, in Windows-1252.

    Attributes:
        strict: Whether the file is known to be UTF-8.
    """

    shown: str
    note: Note
    strict: bool
    _utf8: int = 0  # the first line of each kind
    _western: int = 0

    def of(self, number: int, line: bytes) -> str:
        """The text of a line.

        Raises:
            Unreadable: It is in neither encoding, or the file is in both.
        """
        if line[-1:] == b"\r":
            line = line[:-1] + b"\n"
        if line.isascii():
            return line.decode("ascii")
        try:
            # A mark in the middle is where files were put together.
            text = line.removeprefix(BOM).decode("utf-8", "surrogatepass" if self.strict else "strict")
        except UnicodeDecodeError as error:
            return self._in_western(number, line, error)
        if self._western:
            raise self._mixed(number, self._western, number)
        self._utf8 = self._utf8 or number
        return text

    def _in_western(self, number: int, line: bytes, error: UnicodeDecodeError) -> str:
        found = f"byte 0x{error.object[error.start]:02x}"
        place = Place(self.shown, number, len(line[: error.start].decode("utf-8", "replace")) + 1)
        if self.strict:
            raise Unreadable(place, f"not UTF-8 ({found}), as the file's beginning says", SAVE_AS_UTF8)
        if self._utf8:
            raise self._mixed(self._utf8, number, number)
        try:
            text = line.decode(_WESTERN)
        except UnicodeDecodeError:
            text = ""
        if not text or _FOREIGN.search(line):
            cure = f"{SAVE_AS_UTF8}, or name its encoding in the entry, for example encoding: windows-1251"
            raise Unreadable(place, f"not UTF-8 ({found}), and it does not look like {_WESTERN}", cure)
        if not self._western:
            self._western = number
            sample = text.strip() if len(text) <= 60 else f"{text.strip()[:57]}…"
            self.note(
                f"{self.shown} is not UTF-8: it is read as {_WESTERN} (line {number}: {sample}). "
                f"If that is right, write encoding: {_WESTERN} in the entry; if not, {SAVE_AS_UTF8}"
            )
        return text

    def _mixed(self, utf8: int, western: int, number: int) -> Unreadable:
        message = f"two encodings in one file: line {utf8} is UTF-8, and line {western} is not"
        return Unreadable(Place(self.shown, number), message, SAVE_AS_UTF8)
