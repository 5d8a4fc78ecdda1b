"""Whatever is done to a job, and in whatever order, what is promised of each run holds."""

import pytest

from pipeline import Selection
from tests.state_machine.machine import play
from tests.state_machine.night import Moment, Night
from tests.state_machine.shop import Entry


@pytest.mark.parametrize(
    "fault",
    ["pictures are not there", "pictures are damaged", "pictures have another shape", "the CDN is down"],
)
def test_a_forced_run_whose_downloads_fail_takes_no_sound_picture_away(fault: str) -> None:
    forced = Night(selection=Selection(force=True), fault=fault)
    play(lambda shop: shop.run(Night()), lambda shop: shop.run(forced))


def test_a_limit_counts_what_was_paid_for_before_and_is_fetched_now() -> None:
    play(
        lambda shop: shop.edit_the_job("ant", Entry(count=4)),
        lambda shop: shop.run(Night(fault="the CDN is down and URLs expire")),
        lambda shop: shop.edit_the_job("bee", Entry(count=4)),
        lambda shop: shop.run(Night(concurrency=1, downloads=1, selection=Selection(limit=5))),
    )


@pytest.mark.parametrize("moment", [Moment("counted"), Moment("post"), Moment("record")], ids=lambda found: found.kind)
def test_what_was_edited_during_a_run_is_made_by_the_next_one(moment: Moment) -> None:
    play(lambda shop: shop.run(Night(edit=moment)), lambda shop: shop.run(Night()))


def test_a_list_that_was_edited_after_it_was_counted_leaves_nothing_out_in_silence() -> None:
    play(
        lambda shop: shop.run(Night()),
        lambda shop: shop.edit_the_list([f"row{number}" for number in range(4)], 0),
        lambda shop: shop.run(Night(edit=Moment("counted"))),
    )


@pytest.mark.parametrize("downloads", [1, 16])
def test_a_dead_provider_is_sent_nothing_but_probes_once_the_breaker_is_open(downloads: int) -> None:
    play(
        lambda shop: shop.edit_the_list([f"row{number}" for number in range(12)], 0),
        lambda shop: shop.run(Night(fault="the provider is down", downloads=downloads)),
    )


@pytest.mark.parametrize("selection", [Selection(force=True), Selection()], ids=["forced", "plain"])
@pytest.mark.parametrize("commit", [4, 5, 6, 7, 8])
def test_what_a_killed_run_had_paid_for_is_fetched_by_the_next_one(selection: Selection, commit: int) -> None:
    killed = Night(selection=selection, kill=Moment("commit", commit))
    play(
        lambda shop: shop.run(Night()) if selection.force else None,
        lambda shop: shop.run(killed),
        lambda shop: shop.run(Night()),
    )
