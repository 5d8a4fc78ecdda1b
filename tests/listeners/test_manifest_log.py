from pathlib import Path

from pipeline.events import ImageRecorded, PlanChanged
from pipeline.listeners.manifest_log import appending_to
from pipeline.manifest.file import ManifestLog, read
from tests.listeners.records import record


def test_each_record_is_a_line_as_soon_as_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    with ManifestLog(path) as log:
        hear = appending_to(log)
        hear(PlanChanged(1))
        hear(ImageRecorded(record()))
        assert [found for _, found in read(path)] == [record()]
