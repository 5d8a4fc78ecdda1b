import io
import json

from pipeline.events import ImageRecorded, KeyUnencrypted
from pipeline.listeners.json_lines import JsonLines
from tests.listeners.records import record


def test_each_event_is_one_line_of_json_with_its_time_level_and_message() -> None:
    stream = io.StringIO()
    write = JsonLines(stream, lambda: "2026-11-23T08:00:00.000Z")
    write(KeyUnencrypted("http://api.example.com"))
    write(ImageRecorded(record(prompt="two\nlines \u2028 and a fox")))
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {
        "time": "2026-11-23T08:00:00.000Z",
        "event": "key_unencrypted",
        "level": "warning",
        "message": "the key goes to http://api.example.com unencrypted; use https",
        "base": "http://api.example.com",
    }
    assert (second["event"], second["level"]) == ("image_recorded", "debug")
    assert second["record"]["prompt"] == "two\nlines \u2028 and a fox"


class Closed(io.StringIO):
    def write(self, text: str, /) -> int:
        raise BrokenPipeError


def test_a_log_that_nobody_reads_any_more_stops_no_run() -> None:
    write = JsonLines(Closed(), lambda: "now")
    for _ in range(2):
        write(KeyUnencrypted("http://api.example.com"))
