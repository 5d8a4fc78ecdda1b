"""`verify --decode`: what the manifest calls saved, looked at by a decoder too."""

import zlib
from pathlib import Path

import pytest

from pipeline import Selection
from pipeline.cli.main import main
from pipeline.errors import UsageError
from pipeline.inspection.verification import verify
from pipeline.picture import decoding, worker
from tests.picture.samples import EOI, IEND, SOI, SOS, chunk, frame, header, png
from tests.picture.test_decoding import script
from tests.run.site import Site
from tests.run.upstream import picture, saying, serving
from tests.run.upstream import png as drawn

EMPTY = png(header(64, 36, 8, 2), chunk(b"IDAT", zlib.compress(b"")), IEND)
SCANLESS = SOI + frame(64, 36) + SOS + bytes(range(99)) + EOI


async def made(site: Site, *pictures: bytes) -> list[Path]:
    """The files of a run whose server sends these pictures."""
    for number, data in enumerate(pictures):

        async def send(request: object, data: bytes = data) -> object:
            from aiohttp import web

            return web.Response(body=data)

        async with serving(saying({"data": [{"url": "/it"}]}), it=send) as base:  # type: ignore[arg-type]
            summary = await site.run(*(f"Fox {n}" for n in range(number + 1)), endpoint=base)
            assert summary.saved == number + 1
    return [site.output / str(record.path) for record in site.records()]


@pytest.mark.parametrize("data", [EMPTY, SCANLESS])
async def test_a_file_that_is_as_it_was_saved_and_cannot_be_decoded_is_found_by_decoding_alone(
    site: Site, data: bytes
) -> None:
    good, bad = await made(site, drawn(), data)
    assert verify(site.output).sound
    found = verify(site.output, decode=True)
    assert (found.sound, dict(found.states), found.bad) == (False, {"sound": 1, "undecodable": 1}, [])
    ((record, reason),) = found.undecodable
    assert record.path == bad.name
    assert "decode" in reason
    assert (bad.read_bytes(), good.read_bytes()) == (data, drawn())
    told = "\n".join(found.lines())
    assert f"undecodable: {bad.name}" in told
    assert "--force" in told
    assert "brings them back" not in told
    assert [entry["state"] for entry in found.as_dict()["bad"]] == ["undecodable"]


async def test_a_damaged_file_is_called_damaged_and_not_decoded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = await made(site, drawn())
    path.write_bytes(drawn()[:-1])
    monkeypatch.setattr(worker, "__file__", script(site.folder, "os.abort()"))
    assert dict(verify(site.output, decode=True).states) == {"damaged": 1}


async def test_a_decoder_that_crashes_over_each_picture_ends_no_command(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(site, drawn(), drawn(80, 45))
    monkeypatch.setattr(worker, "__file__", script(site.folder, "os.abort()"))
    found = verify(site.output, decode=True)
    assert [reason for _, reason in found.undecodable] == ["decoding it makes the decoder crash"] * 2


async def test_decoding_without_pillow_is_refused_with_the_cure(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await made(site, drawn())
    monkeypatch.setattr(decoding, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match="pip install"):
        verify(site.output, decode=True)
    assert verify(site.output).sound


async def test_the_option_decides_the_exit_code(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    await made(site, EMPTY)
    assert main(["verify", str(site.output)]) == 0
    assert main(["verify", str(site.output), "--decode"]) == 1
    assert "undecodable" in capsys.readouterr().out


async def test_a_new_picture_in_the_place_of_an_undecodable_one_is_sound(site: Site) -> None:
    await made(site, EMPTY)
    async with serving(saying({"data": [{"url": "/it"}]}), it=picture) as base:
        await site.run(endpoint=base, selection=Selection(force=True))
    found = verify(site.output, decode=True)
    assert (found.sound, dict(found.states)) == (True, {"sound": 1})
