"""What was billed is delivered, undelivered, filtered, lost or unresolved, and nothing is left over."""

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.ledger import CostBreakdown, LedgerReader

BILLED = ("intent", "maybe", "lost", "accepted", "paid")
RUNS = {"r-1": "https://api.aimlapi.com", "r-2": "sandbox", "r-3": "https://other.example"}

attempts = st.lists(
    st.fixed_dictionaries(
        {
            "run": st.sampled_from(sorted(RUNS)),
            "state": st.sampled_from((*BILLED, "rejected", "unbilled")),
            "price": st.none() | st.integers(0, 10**7),
            "tokens": st.none() | st.integers(0, 10**7),
            "delivered": st.none() | st.integers(0, 4),
            "takes": st.lists(st.sampled_from(["saved", "lost", None]), min_size=4, max_size=4),
        }
    ),
    max_size=12,
)


def filled(path: Path, rows: list[dict[str, Any]]) -> LedgerReader:
    """A ledger in memory with these attempts."""
    reader = LedgerReader(path / "none.db")
    db = reader._reader
    for run, base in RUNS.items():
        db.execute("INSERT INTO runs (id, started_at, endpoint, base) VALUES (?, '', ?, ?)", (run, base, base))
    for number, row in enumerate(rows):
        takes = row["takes"][: row["delivered"] or 0] if row["state"] == "paid" else []
        db.execute(
            "INSERT INTO attempts (id, run, key, item, model, indexes, price, state, created_at, delivered, tokens, "
            "lost) VALUES (?, ?, 'k', 'i', 'm', '[0, 1, 2, 3]', ?, ?, '2026-11-23T08:00:00.000Z', ?, ?, ?)",
            (
                *(f"a-{number}", row["run"], row["price"], row["state"], row["delivered"], row["tokens"]),
                takes.count("lost"),
            ),
        )
        for index, state in enumerate(takes):
            if state is not None:
                db.execute(
                    "INSERT INTO takes VALUES (?, ?, 'k', ?, '', NULL, NULL, NULL)", (f"a-{number}", index, state)
                )
    return reader


def cost(row: dict[str, Any]) -> int:
    if row["state"] not in BILLED:
        return 0
    found: int | None = row["tokens"] if row["tokens"] is not None else row["price"]
    return found or 0


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=attempts)
def test_the_five_parts_add_up_to_all_that_was_or_may_be_billed(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    with filled(tmp_path, rows) as reader:
        every, real, play = reader.books(), reader.books(sandbox=False), reader.books(sandbox=True)
        by_run = [reader.books(run=run) for run in RUNS]
        by_base = [reader.books(base=base) for base in RUNS.values()]
    assert every.billed == sum(map(cost, rows))
    assert min(every.delivered, every.undelivered, every.filtered, every.lost, every.unresolved) >= 0
    assert sum(every.requests) == sum(row["state"] in BILLED for row in rows)
    assert play.billed == sum(cost(row) for row in rows if RUNS[row["run"]] == "sandbox")
    for name in ("delivered", "undelivered", "filtered", "lost", "unresolved"):
        assert getattr(real, name) + getattr(play, name) == getattr(every, name)
        assert sum(getattr(books, name) for books in by_run) == getattr(every, name)
        assert sum(getattr(books, name) for books in by_base) == getattr(every, name)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=attempts)
def test_of_answers_without_a_file_nothing_counts_as_delivered(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    bare = [row | {"takes": [None if take == "saved" else take for take in row["takes"]]} for row in rows]
    with filled(tmp_path, bare) as reader:
        assert reader.books().delivered == 0


def test_a_picture_that_is_still_to_be_fetched_is_not_delivered(tmp_path: Path) -> None:
    paid = {"run": "r-1", "state": "paid", "price": 9, "tokens": 10, "delivered": 3, "takes": ["saved", None, "lost"]}
    with filled(tmp_path, [paid]) as reader:
        assert reader.books() == CostBreakdown(3, 4, 0, 3, 0, (1, 0, 0, 0, 0), answers=1)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=attempts)
def test_a_window_of_spending_counts_no_sandbox_but_the_one_that_is_asked(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    others = "UPDATE attempts SET made_by = 'https://other.example' WHERE run = 'r-3' AND state = 'paid'"
    with filled(tmp_path, rows) as reader:
        reader._reader.execute(others)
        spent = {base: reader.spent_since("2026", base=base) for base in RUNS.values()}
        later = reader.spent_since("2027", base="sandbox")
    by_run = {run: sum(cost(row) for row in rows if row["run"] == run) for run in RUNS}
    other_is_play = any(row["run"] == "r-3" and row["state"] == "paid" for row in rows)
    assert spent["sandbox"] == by_run["r-2"]
    assert spent["https://api.aimlapi.com"] == by_run["r-1"] + (0 if other_is_play else by_run["r-3"])
    assert spent["https://other.example"] == by_run["r-1"] + by_run["r-3"]
    assert later == 0
