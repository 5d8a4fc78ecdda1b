from pipeline.events import ImageRecorded, PlanChanged
from pipeline.listeners.counters import Counters
from tests.listeners.records import record


def test_saved_images_are_counted_and_nothing_else() -> None:
    counters = Counters()
    for event in (ImageRecorded(record()), ImageRecorded(record("failed")), PlanChanged(3)):
        counters(event)
    assert (counters.saved, counters.tried) == (1, set())


def test_under_a_limit_what_was_tried_in_vain_is_known_until_it_is_saved() -> None:
    counters = Counters(limited=True)
    counters(ImageRecorded(record("failed")))
    counters(ImageRecorded(record("failed", index=1)))
    assert counters.tried == {("hero", 0), ("hero", 1)}
    counters(ImageRecorded(record()))
    assert counters.tried == {("hero", 1)}
