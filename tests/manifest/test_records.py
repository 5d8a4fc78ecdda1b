import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clock import utc_now
from pipeline.errors import GiveUp
from pipeline.ledger import Attempt, Ledger
from pipeline.manifest.records import cost_of, manifest, record_of, share
from tests.ledger.rows import AT, RUN, attempt, failed_row, item, saved_row

NOW = "2026-11-23T09:00:00.000Z"


@given(st.integers(0, 10**12), st.integers(1, 50))
def test_shares_add_up_and_differ_by_one_at_most(total: int, parts: int) -> None:
    shares = [share(total, parts, position) for position in range(parts)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)


def costs(attempts: list[Attempt], made_in: dict[int, str | None]) -> dict[int, tuple[int | None, float | None]]:
    return {index: cost_of(index, attempts, made_in[index]) for index in made_in}


def test_the_lines_of_one_request_add_up_to_what_it_cost() -> None:
    paid = attempt("a-1", (0, 1, 2, 3), tokens=504_001, usd=0.252)
    lines = costs([paid], dict.fromkeys(range(4), "a-1"))
    assert [tokens for tokens, _ in lines.values()] == [126_001, 126_000, 126_000, 126_000]
    assert sum(usd or 0 for _, usd in lines.values()) == pytest.approx(0.252)


def test_a_short_answer_is_paid_by_the_pictures_that_it_held() -> None:
    short = attempt("a-1", (0, 1, 2, 3), delivered=3, tokens=300)
    rest = attempt("a-2", (3,), tokens=100)
    lines = costs([short, rest], {0: "a-1", 1: "a-1", 2: "a-1", 3: "a-2"})
    assert [tokens for tokens, _ in lines.values()] == [100, 100, 100, 100]


def test_an_answer_without_a_picture_is_paid_by_the_images_that_it_was_asked_for() -> None:
    empty = attempt("a-1", (0, 1), delivered=0, tokens=10, usd=1.0)
    full = attempt("a-2", (0, 1), tokens=100, usd=2.0)
    assert costs([empty, full], {0: "a-2", 1: "a-2"}) == {0: (55, 1.5), 1: (55, 1.5)}
    assert costs([empty], {0: None, 1: None}) == {0: (5, 0.5), 1: (5, 0.5)}


def test_an_answer_with_more_pictures_than_asked_for_is_paid_by_those_asked_for() -> None:
    paid = attempt("a-1", (0, 1), delivered=4, tokens=100)
    assert costs([paid], {0: "a-1", 1: "a-1"}) == {0: (50, 0.063), 1: (50, 0.063)}


def test_an_image_that_was_not_in_an_answer_pays_nothing_of_it() -> None:
    assert cost_of(1, [attempt("a-1", (0, 1), delivered=1, tokens=100)], "a-1") == (None, None)


def test_what_no_answer_says_is_unknown_and_not_zero() -> None:
    assert cost_of(0, [], None) == (None, None)
    assert cost_of(0, [attempt("a-1", tokens=None, usd=None)], "a-1") == (None, None)
    assert cost_of(0, [attempt("a-1", tokens=0, usd=0.0)], "a-1") == (0, 0.0)


@pytest.mark.parametrize("state", ["intent", "rejected", "maybe"])
def test_only_paid_answers_cost(state: str) -> None:
    assert cost_of(0, [attempt("a-1", state=state)], "a-1") == (None, None)


def test_a_picture_of_an_earlier_answer_is_not_charged_to_its_successor() -> None:
    attempts = [attempt("a-1", tokens=100), attempt("a-2", tokens=70)]
    assert cost_of(0, attempts, "a-2")[0] == 70


@given(
    st.lists(
        st.tuples(st.integers(0, 1_000_000), st.integers(0, 4)),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_the_answers_held_the_lines_add_up_to_their_cost(answers: list[tuple[int, int]]) -> None:
    """Asked as a run does: each answer's pictures go to the first of the missing images, the rest is asked again."""
    missing = tuple(range(4))
    attempts: list[Attempt] = []
    made_in: dict[int, str | None] = dict.fromkeys(range(4))
    for number, (tokens, pictures) in enumerate(answers):
        if not missing:
            break
        delivered = min(pictures, len(missing))
        attempts.append(attempt(f"a-{number}", missing, delivered=delivered, tokens=tokens))
        made_in.update(dict.fromkeys(missing[:delivered], f"a-{number}"))
        missing = missing[delivered:]
    total = sum(tokens or 0 for tokens, _ in costs(attempts, made_in).values())
    assert total == sum(known.tokens or 0 for known in attempts)


# Lines.


def test_the_line_of_a_saved_image_says_all_that_is_known() -> None:
    row = saved_row(attempts=2, revised_prompt="a very hungry racoon")
    line = record_of(item(seed=7), 0, row, [attempt()], NOW)
    assert (line.id, line.key, line.status, line.index, line.seed) == ("hero", "key-1", "saved", 0, 7)
    assert (line.prompt, line.revised_prompt, line.model) == ("a racoon", "a very hungry racoon", item().model)
    assert (line.path, line.bytes, line.sha256, line.width, line.height) == ("hero.png", 1_000, "ab" * 32, 1024, 1024)
    assert (line.client_request_id, line.inference_id) == ("a-1", "inf-a-1")
    assert (line.tokens_used, line.usd, line.attempts, line.created_at) == (126_000, 0.063, 2, AT)
    assert (line.error, line.cause, line.mime_type, line.aspect_ratio) == (None, None, "image/png", "1:1")
    assert line.url == "https://cdn.example.com/a.png"


def test_the_line_bears_the_id_and_prompt_that_the_job_has_now() -> None:
    assert record_of(item(id="sunrise"), 0, saved_row(item="hero"), [], NOW).id == "sunrise"


def test_the_line_of_a_failed_image_names_its_cause_and_no_file() -> None:
    # A failure may take the place of a picture that was there before.
    line = record_of(item(), 0, failed_row(path="hero.png"), [attempt()], NOW)
    assert (line.status, line.cause, line.error, line.path) == ("failed", "rejected", "because rejected", None)
    assert (line.client_request_id, line.inference_id) == (None, None)


def test_the_line_of_an_image_that_nobody_asked_for_yet_is_pending() -> None:
    line = record_of(item(), 0, None, [], NOW)
    assert (line.status, line.cause, line.error, line.created_at) == (
        "failed",
        "pending",
        GiveUp.CAUSES["pending"],
        NOW,
    )
    assert (line.attempts, line.tokens_used, line.path) == (0, None, None)


async def test_the_manifest_has_one_line_for_each_image_in_the_order_of_the_job(tmp_path: Path) -> None:
    items = [item("key-2", "second", count=2), item("key-1", "first", count=3)]
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.start_run(RUN, AT, "aimlapi")
        await ledger.saved(items[1], saved_row(1))
        await ledger.failed(failed_row(0, key="key-2"))
        found = [(line.id, line.index, line.cause or line.status) for line in manifest(items, ledger, ())]
    assert found == [
        ("second", 0, "rejected"),
        ("second", 1, "pending"),
        ("first", 0, "pending"),
        ("first", 1, "saved"),
        ("first", 2, "pending"),
    ]


def test_the_time_is_told_in_utc_to_the_millisecond() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", utc_now())
