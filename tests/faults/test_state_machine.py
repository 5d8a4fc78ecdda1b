"""The state machine of nights, with steps at random, and with `kill -9` in the place of a cancellation."""

import pytest
from hypothesis import HealthCheck, Phase, settings

from pipeline import Selection
from tests.faults.scale import SOAK, count
from tests.state_machine.killed import run_killed
from tests.state_machine.machine import Nights, play
from tests.state_machine.night import Moment, Night, Result


class KilledNights(Nights):
    """The same, but whoever is to be killed runs as a process of its own."""

    def run_once(self, night: Night) -> Result:
        if night.kill is None:
            return super().run_once(night)
        return self._runner.run(run_killed(self.shop, night))


def _settings(examples: int, steps: int) -> settings:
    """The same steps each time; `make soak` looks further, and for the shortest way to what it finds."""
    return settings(
        derandomize=not SOAK,
        database=None,
        max_examples=examples,
        stateful_step_count=steps,
        phases=(Phase.generate, Phase.shrink) if SOAK else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


Nights.TestCase.settings = _settings(count(80, 3_000), count(10, 30))
KilledNights.TestCase.settings = _settings(count(10, 1_000), count(12, 30))

TestNights = pytest.mark.timeout(count(300, 7200))(Nights.TestCase)
TestKilledNights = pytest.mark.timeout(count(300, 7200))(KilledNights.TestCase)


@pytest.mark.parametrize("selection", [Selection(force=True), Selection()], ids=["forced", "plain"])
@pytest.mark.parametrize("commit", range(3, 8))
def test_what_a_run_that_was_killed_had_paid_for_is_fetched_by_the_next_one(selection: Selection, commit: int) -> None:
    killed: list[Result] = []

    class Noted(KilledNights):
        def run_once(self, night: Night) -> Result:
            killed.append(super().run_once(night))
            return killed[-1]

    play(
        lambda shop: shop.run(Night()) if selection.force else None,
        lambda shop: shop.run(Night(selection=selection, kill=Moment("commit", commit))),
        lambda shop: shop.run(Night()),
        kind=Noted,
    )
    assert killed[-2].summary is None, "the process ended before it could be killed"
