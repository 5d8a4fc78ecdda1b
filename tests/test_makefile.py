"""What `make` does beside the tests."""

import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parent.parent / "Makefile"


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_clean_removes_what_make_made_and_no_picture(tmp_path: Path) -> None:
    shutil.copy(MAKEFILE, tmp_path)
    kept = ["build/catalog/fox.png", "build/catalog/.pipeline/ledger.db", "dist/images/fox.png", "jobs/catalog.yaml"]
    removed = [".venv/bin/python", "dist/image_pipeline-0.1.0.tar.gz", ".coverage", ".mypy_cache/x", "bench/.cache/x"]
    for name in kept + removed:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert [name for name in kept + removed if (tmp_path / name).exists()] == kept
