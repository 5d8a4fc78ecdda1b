"""What the next build step reads: whole lines at any moment, and one for each image in the end."""

import hashlib
import json
import re
from dataclasses import fields
from itertools import pairwise

from PIL import Image

from pipeline import Record
from sandbox import Fault
from tests.run.site import PRICE, Site, faults

JOB = ({"id": "owl", "prompt": "An owl", "count": 2}, {"id": "fox", "prompt": "A fox", "seeds": [7]}, "A crow")


async def test_there_is_one_line_for_each_image_in_the_jobs_order(site: Site) -> None:
    site.sandbox.behaviour = faults(Fault("400", match="fox"))
    await site.run(*JOB)
    lines = (site.output / "manifest.jsonl").read_text().splitlines()
    assert [(json.loads(line)["prompt"], json.loads(line)["index"]) for line in lines] == [
        ("An owl", 0),
        ("An owl", 1),
        ("A fox", 0),
        ("A crow", 0),
    ]


async def test_a_line_has_every_documented_field_and_they_are_true(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox", "seeds": [7]})
    line = json.loads((site.output / "manifest.jsonl").read_text())
    assert list(line) == [field.name for field in fields(Record)]
    (asked,) = site.sandbox.request_log.requests()
    (got,) = site.sandbox.request_log.last_gets()
    ((name, data),) = site.pictures().items()
    with Image.open(site.output / name) as found:
        assert (line["width"], line["height"]) == found.size == (1408, 768)
    assert (line["id"], line["status"], line["prompt"], line["path"]) == ("fox-s7", "saved", "A fox", name)
    assert (line["model"], line["aspect_ratio"]) == ("google/imagen-4.0-ultra-generate-001", "16:9")
    assert (line["seed"], line["index"], line["attempts"]) == (7, 0, 1)
    assert line["url"] == site.sandbox.cdn_base + got.path
    assert (line["bytes"], line["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert (line["mime_type"], line["tokens_used"]) == ("image/png", PRICE)
    assert (line["client_request_id"], line["inference_id"]) == (asked.client_request_id, asked.inference_id)
    assert (line["error"], line["cause"]) == (None, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["created_at"])
    assert re.fullmatch(r"[0-9a-f]{64}", line["key"])


async def test_during_a_run_lines_are_only_appended_and_each_is_whole(site: Site) -> None:
    await site.run("An old one")
    states: list[bytes] = []

    def look(record: Record) -> None:
        states.append((site.output / "manifest.jsonl").read_bytes())
        assert json.loads(states[-1].splitlines()[-1])["prompt"] == record.prompt

    site.sandbox.behaviour = faults(Fault("400", match="Fox 3"))
    await site.run("An old one", *(f"Fox {n}" for n in range(6)), on_record=look)
    assert len(states) == 6
    for before, after in pairwise(states):
        assert after.startswith(before)
        assert after.endswith(b"\n")
    assert b"An old one" in states[0]


async def test_on_record_hears_of_each_image_once(site: Site) -> None:
    heard: list[Record] = []
    site.sandbox.behaviour = faults(Fault("400", match="fox"))
    await site.run(*JOB, on_record=heard.append)
    assert sorted(heard, key=lambda record: (record.id, record.index)) == sorted(
        site.records(), key=lambda record: (record.id, record.index)
    )


async def test_a_manifest_that_was_deleted_is_written_again_without_asking(site: Site) -> None:
    await site.run(*JOB)
    path = site.output / "manifest.jsonl"
    before = path.read_bytes()
    path.unlink()
    assert await site.asks() == 0
    assert path.read_bytes() == before


async def test_a_run_with_nothing_to_do_leaves_the_manifest_untouched(site: Site) -> None:
    await site.run(*JOB)
    before = (site.output / "manifest.jsonl").stat()
    await site.run()
    after = (site.output / "manifest.jsonl").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


async def test_an_entry_that_left_the_job_leaves_the_manifest_and_not_the_disk(site: Site) -> None:
    await site.run(*JOB)
    await site.run("A crow")
    assert [record.prompt for record in site.records()] == ["A crow"]
    assert len(site.pictures()) == 4


async def test_the_summary_counts_what_the_manifest_says(site: Site) -> None:
    site.sandbox.behaviour = faults(Fault("400", match="fox"))
    summary = await site.run(*JOB)
    assert (summary.images, summary.saved, summary.made, dict(summary.failed)) == (4, 3, 3, {"rejected": 1})
    assert (summary.requests, summary.tokens_used) == (3, 3 * PRICE)
    assert json.loads(json.dumps(summary.as_dict()))["failed"] == {"rejected": 1}
    assert "3 of 4 images" in summary.lines()[0]
