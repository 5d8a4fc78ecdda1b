"""Opening what may not be a file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import StorageFailed
from pipeline.regular_files import obstacle_at, open_regular, opener, other_at, refuse_other
from tests.planted import PLANTS, link_to_nothing

FLAGS = {
    "reading": os.O_RDONLY,
    "writing": os.O_WRONLY,
    "both": os.O_RDWR | os.O_CREAT,
    "appending": os.O_RDWR | os.O_CREAT | os.O_APPEND,
}


def open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
@pytest.mark.parametrize("kind", PLANTS)
def test_what_is_not_a_file_is_refused_by_what_it_is_and_never_waited_for(
    tmp_path: Path, kind: str, flags: int
) -> None:
    path = tmp_path / "thing"
    PLANTS[kind](path)
    before = open_files()
    what = kind.partition(" to ")[0]
    with pytest.raises(StorageFailed, match=f"thing is {what}, not a file: move it away, then run again"):
        open_regular(path, flags)
    with pytest.raises(StorageFailed, match=f"is {kind.partition(' to ')[2] or kind}, not a file"):
        open_regular(path, flags, follow=True)
    with pytest.raises(StorageFailed, match=f"is {what}, not a file"):
        refuse_other(path)
    assert obstacle_at(path) == kind
    assert open_files() == before


def test_a_file_is_opened_and_a_link_to_one_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("file")
    with open(tmp_path / "file", "rb", opener=opener) as file:
        assert file.read() == b"mine"
    with os.fdopen(open_regular(tmp_path / "link", follow=True), "rb") as file:
        assert file.read() == b"mine"
    with pytest.raises(StorageFailed, match="link is a symbolic link, not a file"):
        open_regular(tmp_path / "link")
    assert (other_at(tmp_path / "file"), other_at(tmp_path / "link")) == (None, "a symbolic link")
    assert obstacle_at(tmp_path / "link") is None


def test_a_file_is_made_where_there_is_none_but_not_where_a_link_leads(tmp_path: Path) -> None:
    os.close(open_regular(tmp_path / "file", os.O_RDWR | os.O_CREAT, 0o600))
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    link_to_nothing(tmp_path / "link")
    with pytest.raises(StorageFailed, match="is a symbolic link"):
        open_regular(tmp_path / "link", os.O_RDWR | os.O_CREAT)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("path", ["nothing", "file/below"])
def test_what_is_not_there_is_the_systems_to_say(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    assert other_at(tmp_path / path) is None
    with pytest.raises(OSError, match=r"No such file|Not a directory"):
        open_regular(tmp_path / path)


def test_a_thing_put_in_the_place_of_a_file_at_the_last_moment_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.touch()
    opened: Callable[..., int] = os.open

    def swapping(*arguments: object, **options: object) -> int:
        path.unlink()
        os.mkfifo(path)
        return opened(*arguments, **options)

    before = open_files()
    monkeypatch.setattr(os, "open", swapping)
    with pytest.raises(StorageFailed, match="is a named pipe"):
        open_regular(path)
    monkeypatch.undo()
    assert open_files() == before
