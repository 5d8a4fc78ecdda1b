from pipeline.errors import GiveUp, UnusableAnswers
from pipeline.limits.unusable import SAID, UnusableStreak


def test_unusable_answers_of_different_items_stop_the_run_and_one_usable_one_begins_the_count_anew() -> None:
    streak = UnusableStreak(3)
    assert [streak.unusable(item, "download") for item in "aab"] == [None] * 3
    streak.usable()
    assert [streak.unusable(item, "download") for item in "ab"] == [None] * 2
    assert isinstance(streak.unusable("c", "download"), UnusableAnswers)


def test_the_reason_names_the_common_cause_and_says_for_how_many_it_is_one() -> None:
    streak = UnusableStreak(3)
    streak.unusable("a", "bad-picture")
    streak.unusable("b", "filtered")
    said = str(streak.unusable("c", "bad-picture"))
    assert "3 paid answers in a row" in said
    assert "for 2 of them" in said
    assert ".pipeline/quarantine" in said
    assert "limits.unusable_answers" in said


def test_what_is_said_of_a_cause_is_said_of_one_that_exists() -> None:
    assert set(SAID) <= set(GiveUp.CAUSES)
