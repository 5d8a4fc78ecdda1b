"""Spans of time in limits: everywhere the same ways to write them."""

import pytest

from pipeline import job as jobfile
from tests.job.conftest import Write, at, problems

KEYS = ["budget_window", "billing_lag", "request_timeout", "grace", "patience"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 90),
        ("'90'", 90),
        ("1.5", 1.5),
        ("90s", 90),
        ("90 sec", 90),
        ("5m", 300),
        ("5 minutes", 300),
        ("1 minute", 60),
        ("0.5h", 1800),
        ("1 HOUR", 3600),
        ("10m30s", 630),
        ("10 min, 30 s", 630),
        ("'  2 mins '", 120),
    ],
)
def test_every_span_is_written_the_same_ways(write: Write, key: str, written: str, seconds: float) -> None:
    job = jobfile.load(
        write(
            f"limits: {{{key}: {written!r}}}\nprompts: [a]"
            if "," in written
            else f"limits: {{{key}: {written}}}\nprompts: [a]"
        )
    )
    assert getattr(job.limits, key) == seconds


def test_days_and_weeks_are_spans(write: Write) -> None:
    assert (
        jobfile.load(write("limits: {budget_window: 2 weeks, patience: 1d}\nprompts: [a]")).limits.budget_window
        == 1_209_600
    )


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("written", ["5 fortnights", "m", "-3d", "1:30", "5mm", "five minutes", "5 m s", "[1]", "true"])
def test_what_is_no_span_is_a_mistake(write: Write, key: str, written: str) -> None:
    (problem,) = problems(write(f"limits: {{{key}: {written}}}\nprompts: [a]"))
    assert at(problem) == f"job.yaml:1:{len(key) + 12}"
    assert "90s, 5 minutes, 2h or 30d" in problem.cure


def test_a_span_beyond_its_bounds_is_told_in_seconds(write: Write) -> None:
    (problem,) = problems(write("limits: {grace: 2h}\nprompts: [a]"))
    assert (problem.message, problem.cure) == ("limits.grace is 7200", "write at most 3600")
