from pathlib import Path

import pytest

from bench import ground


def test_the_files_of_a_lap_are_emptied_and_stay_until_the_last_lap_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "_GROUND", tmp_path / "work")
    with ground.empty_folder() as folder:
        (folder / "inner").mkdir()
        picture = folder / "inner" / "a.png"
        picture.write_bytes(b"a picture")
        inode = picture.stat().st_ino

    assert (picture.stat().st_ino, picture.stat().st_size) == (inode, 0)
    with ground.empty_folder() as other:
        assert other != folder
        assert not any(other.iterdir())

    ground.clear()

    assert not (tmp_path / "work").exists()
