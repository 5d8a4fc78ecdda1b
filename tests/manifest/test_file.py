import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StorageFailed
from pipeline.manifest import file as manifest
from pipeline.manifest.file import NAME, ManifestLog, as_dict, from_line, read, read_last, to_line, write
from pipeline.model import Record
from tests.planted import PLANTS

RECORD = Record(
    id="hero",
    key="0123456789abcdef",
    status="saved",
    prompt="Racoon eating ice-cream",
    revised_prompt=None,
    model="google/imagen-4.0-ultra-generate-001",
    aspect_ratio="16:9",
    seed=7,
    index=0,
    url="https://cdn.example.com/a.png",
    path="hero.png",
    mime_type="image/png",
    bytes=1_500_000,
    sha256="ab" * 32,
    width=1408,
    height=768,
    tokens_used=126_000,
    usd=0.063,
    attempts=1,
    client_request_id="run.key.000001",
    inference_id="inf-1",
    created_at="2026-11-23T08:00:00.000Z",
    error=None,
    cause=None,
)


def records(count: int) -> list[Record]:
    return [replace(RECORD, id=f"item-{number}", index=number) for number in range(count)]


def lines_of(path: Path) -> list[Record | None]:
    return [record for _, record in read(path)]


def test_a_line_names_every_field_in_the_order_of_the_record() -> None:
    line = json.loads(to_line(RECORD))
    assert list(line) == [field.name for field in fields(Record)]
    assert line == as_dict(RECORD)


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back_as_it_was_from_one_line(prompt: str, error: str) -> None:
    record = replace(RECORD, prompt=prompt, error=error)
    line = to_line(record)
    assert line.endswith(b"\n")
    assert len(line.splitlines()) == 1
    assert len(line.decode().splitlines()) == 1
    assert from_line(line) == record


def test_text_stays_readable_in_the_file() -> None:
    assert "Möwe im Schnee ❄".encode() in to_line(replace(RECORD, prompt="Möwe im Schnee ❄"))


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r", "\n"])
def test_nothing_inside_a_line_ends_it_for_anyone(mark: str) -> None:
    line = to_line(replace(RECORD, prompt=f"one{mark}two"))
    assert len(line.decode().splitlines()) == 1
    assert from_line(line).prompt == f"one{mark}two"


def test_fields_of_a_later_version_are_passed_over() -> None:
    later = json.dumps({"v": 2, **as_dict(RECORD), "colour": "red"}).encode()
    assert from_line(later) == RECORD


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"null", b"{}", b'{"id": "hero"}', b"{", b"\xff", b"[" * 100_000, b"1" * 5_000]
)
def test_what_is_no_record_is_reported_with_its_line_number(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(to_line(RECORD) + line + b"\n" + to_line(RECORD))
    assert list(read(path)) == [(1, RECORD), (2, None), (3, RECORD)]


def test_a_line_that_is_still_being_written_is_passed_over(tmp_path: Path) -> None:
    whole = to_line(RECORD)
    path = tmp_path / NAME
    for cut in range(1, len(whole)):
        path.write_bytes(whole + whole[:cut])
        assert lines_of(path) == [RECORD]


def test_of_the_last_lines_no_other_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / NAME
    understood: list[bytes] = []

    def counting(line: bytes) -> Record:
        understood.append(line)
        return from_line(line)

    path.write_bytes(b"".join(to_line(replace(RECORD, id=f"hero-{n}")) for n in range(9)) + b"none\n" + b"half a line")
    monkeypatch.setattr(manifest, "from_line", counting)
    assert [record and record.id for record in read_last(path, 3)] == ["hero-7", "hero-8", None]
    assert len(understood) == 3


def test_a_manifest_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=NAME):
        list(read(tmp_path / NAME))


# The log of a run.


def test_a_run_without_a_line_leaves_no_file(tmp_path: Path) -> None:
    with ManifestLog(tmp_path / NAME):
        pass
    assert not (tmp_path / NAME).exists()


def test_each_line_is_whole_for_readers_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    wanted = records(5)
    with ManifestLog(tmp_path / NAME) as log:
        for number, record in enumerate(wanted, 1):
            log.append(record)
            assert lines_of(tmp_path / NAME) == wanted[:number]


def test_lines_are_appended_behind_those_of_earlier_runs(tmp_path: Path) -> None:
    wanted = records(4)
    for record in wanted:
        with ManifestLog(tmp_path / NAME) as log:
            log.append(record)
    assert lines_of(tmp_path / NAME) == wanted


def test_a_torn_line_is_cut_away_before_the_first_append(tmp_path: Path) -> None:
    path = tmp_path / NAME
    one, two, three = records(3)
    whole, torn = to_line(one), to_line(two)
    for cut in range(len(torn)):
        path.write_bytes(whole + torn[:cut])
        with ManifestLog(path) as log:
            log.append(three)
        assert path.read_bytes() == whole + to_line(three)


def test_a_file_that_is_one_torn_line_becomes_empty_first(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b'{"id": "he')
    with ManifestLog(path) as log:
        log.append(RECORD)
    assert path.read_bytes() == to_line(RECORD)


@pytest.mark.parametrize("name", [NAME, f".{NAME}.new"])
@pytest.mark.parametrize("kind", PLANTS)
def test_what_is_not_a_file_in_the_place_of_the_manifest_is_said_before_a_run_begins(
    tmp_path: Path, name: str, kind: str
) -> None:
    PLANTS[kind](tmp_path / name)
    what = kind.partition(" to ")[0]
    with (
        pytest.raises(StorageFailed, match=f"{name} is {what}, not a file: move it away") as failed,
        ManifestLog(tmp_path / NAME),
    ):
        pytest.fail("a run would have begun")
    assert failed.value.exit_code == 6


@pytest.mark.parametrize("kind", PLANTS)
def test_what_is_not_a_file_in_the_place_of_the_manifest_is_neither_read_nor_replaced(
    tmp_path: Path, kind: str
) -> None:
    PLANTS[kind](tmp_path / NAME)
    before = (tmp_path / NAME).lstat()
    with pytest.raises(StorageFailed, match="not a file: move it away"):
        list(read(tmp_path / NAME))
    with pytest.raises(StorageFailed, match="not a file: move it away"):
        write(tmp_path / NAME, [])
    assert os.path.samestat((tmp_path / NAME).lstat(), before)


FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
from pipeline.errors import StorageFailed
from pipeline.manifest.file import ManifestLog, from_line

path, line = Path(sys.argv[1]), sys.argv[2].encode()
record = from_line(line)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with ManifestLog(path) as log:
    log.append(record)
    size = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + size // 2, hard))
    for _ in range(2):
        try:
            log.append(record)
        except StorageFailed:
            print("refused")
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.append(record)
"""


def test_a_line_that_fits_only_in_part_is_an_error_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / NAME
    line = to_line(RECORD)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), line.decode()], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["refused", "refused"]
    assert path.read_bytes() == line + line


# The manifest after a run.


def test_the_new_manifest_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"torn and old")
    before = path.stat().st_ino
    write(path, records(3))
    assert lines_of(path) == records(3)
    assert path.stat().st_ino != before
    assert [entry.name for entry in tmp_path.iterdir()] == [NAME]


def test_a_manifest_that_says_the_same_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write(path, records(3))
    os.utime(path, ns=(1, 1))
    before = path.stat()
    write(path, records(3))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (1, before.st_ino)
    assert [entry.name for entry in tmp_path.iterdir()] == [NAME]


def test_a_manifest_of_the_same_size_that_says_something_else_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write(path, records(3))
    write(path, records(3)[::-1])
    assert lines_of(path) == records(3)[::-1]


def test_a_large_manifest_is_compared_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / NAME
    many = [replace(RECORD, prompt="x" * 100_000, index=number) for number in range(15)]
    write(path, many)
    write(path, [*many[:-1], replace(many[-1], index=15)])
    assert [record.index for record in lines_of(path) if record] == [*range(14), 15]


def test_records_that_can_not_be_read_leave_the_old_manifest_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write(path, records(2))

    def broken() -> Iterator[Record]:
        yield RECORD
        raise StorageFailed("the ledger can't be used")

    with pytest.raises(StorageFailed, match="ledger"):
        write(path, broken())
    assert lines_of(path) == records(2)
    assert [entry.name for entry in tmp_path.iterdir()] == [NAME]


def test_a_manifest_that_can_not_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(StorageFailed, match="is a folder, not a file: move it away"):
        write(tmp_path / NAME, records(1))
    with pytest.raises(StorageFailed, match="can't be written"):
        write(tmp_path / "nowhere" / NAME, records(1))
    (tmp_path / NAME).rmdir()
    write(tmp_path / NAME, records(1))
    with pytest.raises(StorageFailed, match="can't be written"):
        write(tmp_path / NAME / NAME, records(1))
    assert [entry.name for entry in tmp_path.iterdir()] == [NAME]


def test_a_full_disk_leaves_the_old_manifest(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write(path, records(2))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, hard))
    try:
        with pytest.raises(StorageFailed):
            write(path, records(300))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert lines_of(path) == records(2)
    assert [entry.name for entry in tmp_path.iterdir()] == [NAME]


def test_an_empty_job_has_an_empty_manifest(tmp_path: Path) -> None:
    write(tmp_path / NAME, [])
    assert (tmp_path / NAME).read_bytes() == b""
    assert manifest.NAME == "manifest.jsonl"
