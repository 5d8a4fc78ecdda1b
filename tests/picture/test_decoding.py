"""The decoder in its process: real Pillow, a real process, whatever a picture does to it."""

import os
import signal
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.picture import BrokenPicture, Picture, decoding, worker
from pipeline.picture.decoding import Decoder
from tests.picture.samples import EOI, IDAT, IEND, JPEG, SOI, SOS, chunk, drawn, frame, header, png, riff, vp8
from tests.picture.test_check import check

FORMS = ["PNG", "JPEG", "WEBP"]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as running:
        yield running


def kept(folder: Path, data: bytes) -> tuple[Path, Picture]:
    path = folder / "fox.part"
    path.write_bytes(data)
    return path, check(data)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tail", [b"", b"\n", bytes(99), JPEG])
def test_what_a_decoder_shows_passes(decoder: Decoder, tmp_path: Path, form: str, tail: bytes) -> None:
    decoder.check(*kept(tmp_path, drawn(form) + tail))


@pytest.mark.parametrize(
    "data",
    [
        png(header(64, 64), chunk(b"IDAT", zlib.compress(b"")), IEND),
        png(header(64, 64), IDAT, IEND),
        png(header(), chunk(b"IDAT", b"\x78\x9c" + b"\xff" * 40), IEND),
        SOI + frame() + SOS + b"data" + EOI,
        JPEG,
        riff(vp8()),
    ],
)
def test_what_passes_as_a_container_and_no_decoder_opens_is_broken(
    decoder: Decoder, tmp_path: Path, data: bytes
) -> None:
    path, picture = kept(tmp_path, data)
    with pytest.raises(BrokenPicture):
        decoder.check(path, picture)


def test_a_picture_is_the_one_that_its_container_says(decoder: Decoder, tmp_path: Path) -> None:
    path, _ = kept(tmp_path, drawn("PNG"))
    with pytest.raises(BrokenPicture, match="a decoder finds a PNG of 40x30 in it"):
        decoder.check(path, Picture("image/png", ".png", 41, 30))
    with pytest.raises(BrokenPicture, match="a decoder finds a PNG"):
        decoder.check(path, Picture("image/jpeg", ".jpg", 40, 30))


@pytest.mark.parametrize(
    "data", [b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;", b"%!PS", b""]
)
def test_no_other_format_is_opened(decoder: Decoder, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(BrokenPicture, match="no decoder knows it"):
        decoder.check(path, Picture("image/gif", ".gif", 1, 1))


def test_more_pixels_than_allowed_are_not_decoded(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(png(header(30_000, 30_000, 1), chunk(b"IDAT", zlib.compress(bytes(999))), IEND))
    with pytest.raises(BrokenPicture, match="exceeds limit"):
        decoder.check(path, Picture("image/png", ".png", 30_000, 30_000))


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_in_the_files_place_is_not_followed(decoder: Decoder, tmp_path: Path) -> None:
    path, picture = kept(tmp_path, drawn("PNG"))
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(BrokenPicture):
        decoder.check(tmp_path / "link", picture)


def process(decoder: Decoder) -> int:
    assert decoder._process is not None
    return decoder._process.pid


def test_a_decoder_that_was_killed_is_started_again(tmp_path: Path) -> None:
    path, picture = kept(tmp_path, drawn("PNG"))
    with Decoder() as decoder:
        first = process(decoder)
        os.kill(first, signal.SIGKILL)
        decoder.check(path, picture)
        assert process(decoder) != first


def script(folder: Path, body: str) -> str:
    """A worker that is there at once, and then does `body` with each picture."""
    path = folder / "worker.py"
    path.write_text(f"import os, sys, time\nprint('null', flush=True)\nfor line in sys.stdin:\n    {body}\n")
    return str(path)


def test_a_picture_that_makes_the_decoder_crash_is_broken_and_the_next_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, picture = kept(tmp_path, drawn("PNG"))
    with Decoder() as decoder:
        with monkeypatch.context() as patch:
            patch.setattr(worker, "__file__", script(tmp_path, "os.abort()"))
            os.kill(process(decoder), signal.SIGKILL)
            with pytest.raises(BrokenPicture, match="decoding it makes the decoder crash"):
                decoder.check(path, picture)
        decoder.check(path, picture)


def test_a_picture_that_takes_too_long_is_broken_and_its_process_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, picture = kept(tmp_path, drawn("PNG"))
    monkeypatch.setattr(worker, "__file__", script(tmp_path, "time.sleep(60)"))
    with Decoder() as decoder:
        pid = process(decoder)
        decoder._timeout = 0.05
        with pytest.raises(BrokenPicture, match="decoding it took too long"):
            decoder.check(path, picture)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_closing_ends_a_call_that_waits_and_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, picture = kept(tmp_path, drawn("PNG"))
    monkeypatch.setattr(worker, "__file__", script(tmp_path, f"open({str(tmp_path / 'on')!r}, 'w'); time.sleep(60)"))
    said: list[str] = []

    decoder = Decoder()

    def wait() -> None:
        with pytest.raises(BrokenPicture) as caught:
            decoder.check(path, picture)
        said.append(str(caught.value))

    with decoder:
        pid = process(decoder)
        waiting = [threading.Thread(target=wait) for _ in range(2)]
        for thread in waiting:
            thread.start()
        while not (tmp_path / "on").exists():
            time.sleep(0.005)
    for thread in waiting:
        thread.join()
    assert said == ["the run has ended before it was decoded"] * 2
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_where_pillow_is_missing_the_cure_is_told_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"needs Pillow: .*; pip install 'image-pipeline\[sandbox\]'"):
        Decoder().__enter__()


def test_a_pillow_that_cannot_be_loaded_is_as_good_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "PIL").mkdir()
    (tmp_path / "PIL" / "__init__.py").write_text("raise ImportError('broken')")
    there = worker.__file__
    shim = tmp_path / "shim.py"
    shim.write_text(
        f"import runpy, sys\nsys.path.insert(0, {str(tmp_path)!r})\nrunpy.run_path({there!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(worker, "__file__", str(shim))
    with pytest.raises(UsageError, match="Pillow is not installed"):
        Decoder().__enter__()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_gets_no_secret_and_may_write_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIML_API_KEY", "SECRET")
    with Decoder() as decoder:
        place = Path(f"/proc/{process(decoder)}")
        assert b"SECRET" not in (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
        lines = (place / "limits").read_text().splitlines()[1:]
        limits = {line[:26].strip(): line[26:47].strip() for line in lines}
        assert limits["Max file size"] == limits["Max core file size"] == "0"
        assert limits["Max address space"] == str(decoding.MEMORY)
