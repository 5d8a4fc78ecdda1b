"""A ledger that is cut, flipped, replaced or gone: what it still says is paid for is not asked for again.

What is damaged so that SQLite can see it is refused, with one clear error, before anything is sent. A `-wal` that was
cut ends where the cut is, as after a kill: what survives of it counts.
"""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline import Record, load_job, verify
from pipeline import run as run_job
from pipeline.cli.main import main
from pipeline.ledger.rows import VERSION
from pipeline.run import session
from tests.faults.program import KEY, billed, sandbox, write_job
from tests.faults.scale import count
from tests.policies import QUICK

ITEMS = 3
WAL = "ledger.db-wal"
HEADER = 100
"""Bytes of SQLite's own at the beginning of its file."""

SIGN = 8 * 60 + 7
"""The bit in it that makes the version negative."""

Capture = pytest.CaptureFixture[str]
Damage = Callable[[Path], Any]


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """What a run came to.

    Attributes:
        code: Its exit code.
        errors: The lines on stderr that are errors.
        said: Everything that was said.
        asked: The beginning of the key of each item that was asked for, as often as it was.
    """

    code: int
    errors: list[str]
    said: str
    asked: list[str]


@dataclass(frozen=True, slots=True)
class Folders:
    """Output folders as runs have left them.

    Attributes:
        finished: After a run of three items with two images each, and a second one that had nothing to do.
        killed: The same with a fourth item, whose run was killed when it had just been saved: all about it is still in
            the `-wal`.
        upstream: The sandbox's own folder, where its books are.
        base: Its URL.
    """

    finished: Path
    killed: Path
    upstream: Path
    base: str


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIML_API_KEY", KEY)
    monkeypatch.setattr(session, "run", partial(session.run, policy=QUICK))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folders]:
    folder = tmp_path_factory.mktemp("damage")
    finished, killed = folder / "finished", folder / "killed"
    environ = {"AIML_API_KEY": KEY}
    with sandbox(folder / "upstream", "--latency", "0") as base:
        for _ in range(2):
            assert run_job(load_job(write_job(folder, base, ITEMS)), environ=environ).exit_code == 0
        shutil.copytree(folder / "out", finished)
        told: list[Record] = []

        def kill(record: Record) -> None:
            told.append(record)
            if len(told) == 2:
                shutil.copytree(folder / "out", killed)

        assert run_job(load_job(write_job(folder, base, ITEMS + 1)), environ=environ, on_record=kill).exit_code == 0
        assert (killed / ".pipeline" / WAL).stat().st_size > 4096
        yield Folders(finished, killed, folder / "upstream", base)


class Night:
    """A copy of an output folder, whose ledger is damaged, and a run in it."""

    def __init__(self, folders: Folders, folder: Path, *, killed: bool = False) -> None:
        self.folders = folders
        self._from = folders.killed if killed else folders.finished
        self.output = folder / "out"
        self.state = self.output / ".pipeline"
        self.ledger = self.state / "ledger.db"
        self.job = write_job(folder, folders.base, ITEMS + killed, billing_lag=0)
        self.again()

    def again(self, *, without_a_picture: bool = False) -> None:
        """Back to what it was, or without one of its pictures: then there is something to be done."""
        shutil.rmtree(self.output, ignore_errors=True)
        shutil.copytree(self._from, self.output)
        if without_a_picture:
            min(self.output.glob("*.png")).unlink()

    def run(self, capture: Capture) -> RecordCounts:
        before = billed(self.folders.upstream)
        code = main(["run", str(self.job)])
        told = capture.readouterr()
        after = billed(self.folders.upstream)
        assert all(after[name] == number for name, number in before.items()), "an attempt was sent a second time"
        asked = [name.split(".")[1] for name in after.keys() - before.keys()]
        errors = [line for line in told.err.splitlines() if line.startswith("error:")]
        return RecordCounts(code, errors, told.out + told.err, asked)

    def survivors(self) -> set[str]:
        """The beginnings of the keys of all items that are paid for by what can still be read of the ledger."""
        copy = self.output.parent / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.state, copy)
        with closing(sqlite3.connect(copy / "ledger.db")) as database:
            return {key[:12] for (key,) in database.execute("SELECT key FROM attempts WHERE state = 'paid'")}


@pytest.fixture
def night(folders: Folders, tmp_path: Path) -> Night:
    return Night(folders, tmp_path)


@pytest.fixture
def killed_night(folders: Folders, tmp_path: Path) -> Night:
    return Night(folders, tmp_path, killed=True)


def assert_harmless(outcome: RecordCounts, where: str, *, at_most: int = 0) -> None:
    """A run that went on rightly, or was refused in one clear error; in no case was more than `at_most` asked for."""
    assert len(outcome.asked) <= at_most, f"{where}: asked again for what was paid for\n{outcome.said}"
    assert "mistake in the program" not in outcome.said, f"{where}: {outcome.said}"
    assert "Traceback" not in outcome.said, f"{where}: {outcome.said}"
    assert outcome.code in (0, 1, 6), f"{where}: exit code {outcome.code}"
    if outcome.code == 6:
        assert len(outcome.errors) <= 1, outcome.said
        assert "ledger" in outcome.said, f"{where}: {outcome.said}"


def assert_refused(outcome: RecordCounts) -> None:
    assert (outcome.code, len(outcome.errors), outcome.asked) == (6, 1, []), outcome.said
    assert "ledger.db" in outcome.errors[0]


def chance_of(group: int) -> random.Random:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, group {group}")
    return random.Random(seed)


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


# The database itself.


@pytest.mark.timeout(count(120, 7200))
@pytest.mark.parametrize("group", range(4))
def test_a_ledger_that_is_cut_anywhere_is_refused_or_still_says_all(night: Night, capsys: Capture, group: int) -> None:
    size = night.ledger.stat().st_size
    places = range(1, size)[group::4]
    for number, place in enumerate(chance_of(group).sample(places, min(count(40, size), len(places)))):
        night.again(without_a_picture=number % 2 == 0)
        os.truncate(night.ledger, place)
        assert_harmless(night.run(capsys), f"cut at {place}")


def test_a_ledger_that_was_cut_is_refused_by_each_run_until_it_is_back(night: Night, capsys: Capture) -> None:
    whole = night.ledger.read_bytes()
    os.truncate(night.ledger, len(whole) // 2)
    for _ in range(3):
        assert_refused(night.run(capsys))
    night.ledger.write_bytes(whole)
    outcome = night.run(capsys)
    assert (outcome.code, outcome.asked) == (0, [])


@pytest.mark.timeout(count(120, 7200))
@pytest.mark.parametrize("group", range(4))
def test_a_bit_that_flips_anywhere_is_told_or_costs_one_item_at_most(night: Night, capsys: Capture, group: int) -> None:
    bits = 8 * night.ledger.stat().st_size
    chance = chance_of(group)
    for _ in range(count(60, 8_000)):
        night.again()
        bit = chance.randrange(bits)
        flip(night.ledger, bit)
        # A bit within a text that nothing repeats is seen by nobody: the ledger has no checksums of its own.
        assert_harmless(night.run(capsys), f"bit {bit}", at_most=1)


@pytest.mark.parametrize("text", [b"attempts_by_key", b"picture number 0", b"image/png"], ids=bytes.decode)
def test_a_text_that_is_none_any_more_is_told_as_damage(night: Night, capsys: Capture, text: bytes) -> None:
    data = night.ledger.read_bytes()
    places = [place for place in range(len(data)) if data.startswith(text, place)]
    assert places
    for place in places:
        night.again()
        flip(night.ledger, 8 * place + 7)
        assert_harmless(night.run(capsys), f"{text!r} at {place}")


@pytest.mark.timeout(count(120, 1800))
@pytest.mark.parametrize("bit", range(8 * 60, 8 * 64))
def test_a_version_with_one_bit_flipped_is_refused(night: Night, capsys: Capture, bit: int) -> None:
    flip(night.ledger, bit)
    assert_refused(night.run(capsys))


@pytest.mark.timeout(count(120, 1800))
def test_a_bit_that_flips_in_the_header_is_harmless(night: Night, capsys: Capture) -> None:
    for bit in chance_of(0).sample(range(8 * HEADER), count(60, 8 * HEADER)):
        if not 8 * 60 <= bit < 8 * 64:
            night.again()
            flip(night.ledger, bit)
            assert_harmless(night.run(capsys), f"bit {bit}")


@pytest.mark.parametrize("what", ["a key", "a state"])
def test_a_word_that_is_wrong_in_one_place_is_no_reason_to_pay_again(night: Night, capsys: Capture, what: str) -> None:
    """Tables and indexes hold the same word: one of them is damaged, and the file of that item is gone as well."""
    key = key_of_the_first_picture(night)
    word, wrong = (key, b"0" + key[1:] if key[:1] != b"0" else b"1" + key[1:]) if what == "a key" else PAID
    data = night.ledger.read_bytes()
    places = [place for place in range(len(data)) if data.startswith(word, place)]
    assert places
    for place in places:
        night.again(without_a_picture=True)
        night.ledger.write_bytes(data[:place] + wrong + data[place + len(wrong) :])
        assert_harmless(night.run(capsys), f"{what} at {place}")


PAID = (b"paid2", b"qaid2")
"""A state, and the beginning of the time that follows it."""


def key_of_the_first_picture(night: Night) -> bytes:
    name = min(night.output.glob("*.png")).name
    with closing(sqlite3.connect(night.ledger)) as database:
        (key,) = database.execute("SELECT key FROM images WHERE path = ?", (name,)).fetchone()
    return str(key).encode()


# Something else in its place.


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT)")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")


def older_than_any(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = -1")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        foreign,
        newer,
        older_than_any,
        folder,
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(bytes(8192)),
        lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(4096)),
        lambda path: path.write_bytes(random.Random(0).randbytes(65536)),
        lambda path: path.write_text("{}\n"),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
    ],
    ids=[
        *("another program's database", "newer", "older than any", "a folder", "gone", "empty", "zeros", "a picture"),
        *("noise", "text", "nothing but zeros of its size"),
    ],
)
def test_what_is_no_ledger_of_this_program_is_refused_and_left_alone(
    night: Night, capsys: Capture, damage: Damage
) -> None:
    damage(night.ledger)
    before = content(night.ledger)
    for _ in range(2):
        assert_refused(night.run(capsys))
        assert content(night.ledger) == before


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


# The `-wal` of a run that was killed.


def assert_goes_on(night: Night, capture: Capture, where: str) -> None:
    """The run finishes; what is paid for by what survived is not asked for again, and nothing is asked for twice."""
    survivors = night.survivors()
    outcome = night.run(capture)
    if outcome.code == 6:
        # The manifest speaks of more than the ledger knows: a person must say that it may be paid for anew.
        assert (outcome.asked, "does not know" in outcome.said) == ([], True), f"{where}: {outcome.said}"
        (night.output / "manifest.jsonl").unlink()
        outcome = night.run(capture)
    assert outcome.code == 0, f"{where}: {outcome.said}"
    assert survivors.isdisjoint(outcome.asked), f"{where}: asked again for what was paid for"
    assert len(outcome.asked) == ITEMS + 1 - len(survivors), f"{where}: {outcome.said}"
    assert verify(night.output).sound
    outcome = night.run(capture)
    assert (outcome.code, outcome.asked) == (0, []), f"{where}: {outcome.said}"


@pytest.mark.timeout(count(120, 7200))
@pytest.mark.parametrize("group", range(2))
def test_of_a_wal_that_is_cut_anywhere_counts_what_survives(killed_night: Night, capsys: Capture, group: int) -> None:
    size = (killed_night.state / WAL).stat().st_size
    places = range(size + 1)[group::2]
    for place in chance_of(group).sample(places, min(count(25, 5_000), len(places))):
        killed_night.again()
        os.truncate(killed_night.state / WAL, place)
        assert_goes_on(killed_night, capsys, f"cut at {place}")


@pytest.mark.timeout(count(120, 7200))
@pytest.mark.parametrize("group", range(2))
def test_of_a_wal_with_a_flipped_bit_counts_what_comes_before_it(
    killed_night: Night, capsys: Capture, group: int
) -> None:
    bits = 8 * (killed_night.state / WAL).stat().st_size
    chance = chance_of(group)
    for _ in range(count(25, 5_000)):
        killed_night.again()
        bit = chance.randrange(bits)
        flip(killed_night.state / WAL, bit)
        assert_goes_on(killed_night, capsys, f"bit {bit}")


@pytest.mark.parametrize("names", [(WAL,), ("ledger.db-shm",), (WAL, "ledger.db-shm")])
def test_without_the_files_beside_it_a_ledger_says_what_its_last_checkpoint_says(
    killed_night: Night, capsys: Capture, names: tuple[str, ...]
) -> None:
    for name in names:
        (killed_night.state / name).unlink()
    assert_goes_on(killed_night, capsys, f"without {names}")


# The manifest, which is only a view.


def torn(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    "damage",
    [
        torn,
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(bytes(4096)),
        lambda path: path.write_bytes(path.read_bytes()[::-1]),
        lambda path: path.write_bytes(path.read_bytes() + b'{"id": "for'),
        lambda path: path.write_bytes(b"[" * 100_000 + b"\n"),
        lambda path: flip(path, 8 * 20),
    ],
    ids=["torn", "gone", "empty", "zeros", "backwards", "a line too many", "deep", "one bit"],
)
@pytest.mark.parametrize("without_a_picture", [False, True], ids=["nothing to do", "a picture to fetch"])
def test_a_manifest_that_is_damaged_is_written_anew_to_the_byte(
    night: Night, capsys: Capture, damage: Damage, without_a_picture: bool
) -> None:
    manifest = night.output / "manifest.jsonl"
    before = manifest.read_bytes()
    night.again(without_a_picture=without_a_picture)
    damage(manifest)
    outcome = night.run(capsys)
    assert (outcome.code, outcome.asked) == (0, [])
    if without_a_picture:
        assert verify(night.output).sound
        assert manifest.read_bytes().count(b"\n") == before.count(b"\n")
    else:
        assert manifest.read_bytes() == before


@pytest.mark.parametrize("killed", [False, True], ids=["nothing to ask", "something to ask"])
def test_a_folder_in_the_place_of_the_manifest_is_refused_before_anything_is_asked(
    folders: Folders, tmp_path: Path, capsys: Capture, killed: bool
) -> None:
    night = Night(folders, tmp_path, killed=killed)
    if killed:
        (night.state / WAL).unlink()
    folder(night.output / "manifest.jsonl")
    outcome = night.run(capsys)
    assert (outcome.code, outcome.asked) == (6, []), outcome.said
    assert "manifest.jsonl" in outcome.said
    assert list(night.output.glob("manifest.jsonl/*")) == []
    (night.output / "manifest.jsonl").rmdir()
    outcome = night.run(capsys)
    assert (outcome.code, len(outcome.asked)) == (0, killed), outcome.said
    assert (night.output / "manifest.jsonl").read_bytes().count(b"\n") == 2 * (ITEMS + killed)
