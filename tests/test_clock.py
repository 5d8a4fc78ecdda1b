"""How far the server's clock is ahead, and when that is not known."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from pipeline.clock import ServerClock

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()


class Clocks:
    """A wall clock and a monotonic one, moved by hand."""

    def __init__(self) -> None:
        self.wall, self.steady = NOON, 1000.0
        self.server = ServerClock(lambda: self.wall, lambda: self.steady)

    def hear(self, seconds: float) -> None:
        self.server.hear(format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True))

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def test_before_any_answer_the_skew_is_not_known_and_our_clock_is_taken() -> None:
    clocks = Clocks()
    assert clocks.server.skew is None
    assert clocks.server.now() == NOON


@pytest.mark.parametrize("ahead", [86_400, -86_400, 2_400, -61])
def test_the_servers_clock_is_followed(ahead: float) -> None:
    clocks = Clocks()
    clocks.hear(NOON + ahead)
    clocks.pass_(7_200)
    assert clocks.server.skew == ahead
    assert clocks.server.now() == NOON + 7_200 + ahead


@pytest.mark.parametrize("ahead", [0, 1, -4])
def test_a_few_seconds_are_no_skew(ahead: float) -> None:
    clocks = Clocks()
    clocks.hear(NOON + ahead)
    assert clocks.server.skew == 0


@pytest.mark.parametrize("step", [3_600, -3_600])
def test_after_our_clock_was_set_the_skew_is_unknown_until_the_next_answer(step: float) -> None:
    clocks = Clocks()
    clocks.hear(NOON)
    clocks.wall += step
    assert clocks.server.skew is None
    clocks.hear(NOON)
    assert clocks.server.skew == -step


def test_after_a_suspension_of_the_machine_the_skew_is_unknown_until_the_next_answer() -> None:
    clocks = Clocks()
    clocks.hear(NOON + 600)
    clocks.wall += 8 * 3_600  # the monotonic clock stood still
    assert clocks.server.skew is None
    clocks.hear(NOON + 8 * 3_600 + 600)
    assert clocks.server.skew == 600


@pytest.mark.parametrize("date", [None, "", "soon", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_date_that_no_clock_shows_says_nothing(date: str | None) -> None:
    clocks = Clocks()
    clocks.server.hear(date)
    assert clocks.server.skew is None
    clocks.hear(NOON + 60)
    clocks.server.hear(date)
    assert clocks.server.skew == 60
