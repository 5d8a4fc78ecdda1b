from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import GiveUp
from pipeline.generated import GeneratedImage
from pipeline.ledger import Attempt, ImageRow, Ledger
from pipeline.model import Item
from pipeline.plan.decision import Decision, Reason, Selection, requests
from pipeline.plan.planner import FileState, Planner
from tests.ledger.rows import AT, RUN, attempt, failed_row, item, saved_row

BASE = "https://api.example.com"


class Books:
    """A real ledger, files that are in the state a test says, and answers that hold what a test says."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.files: dict[str, FileState] = {}
        self.looked_at: list[str] = []

    def state(self, row: ImageRow) -> FileState:
        assert row.path is not None
        self.looked_at.append(row.path)
        return self.files.get(row.path, "sound")

    def pictures(self, paid: Attempt) -> Sequence[GeneratedImage]:
        """The answers of these tests are as many `#` as they hold pictures."""
        held = (paid.answer or b"").count(b"#")
        return [GeneratedImage(url=f"https://cdn.example.com/{paid.id}/{number}") for number in range(held)]

    def planner(self, **selection: Any) -> Planner:
        return Planner(self.ledger, self.state, self.pictures, BASE, Selection(**selection))

    def decide(self, wanted: Item, **selection: Any) -> Decision:
        return self.planner(**selection).decide(wanted)

    async def tried(self, name: str, indexes: tuple[int, ...] = (0,), key: str = "key-1") -> None:
        await self.ledger.intend(name, RUN, item(key), indexes, 126_000, AT)

    async def paid(
        self, name: str, indexes: tuple[int, ...] = (0,), *, held: int | None = None, made_by: str | None = None
    ) -> None:
        await self.tried(name, indexes)
        answer = b"#" * (len(indexes) if held is None else held)
        await self.ledger.paid(name, AT, status=200, answer=answer, inference_id=None, made_by=made_by)

    async def saved(self, *rows: ImageRow) -> None:
        for row in rows:
            await self.ledger.saved(item(row.key, row.item), row)


@contextmanager
def opened(tmp_path: Path) -> Iterator[Books]:
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.start_run(RUN, AT, "aimlapi")
        yield Books(ledger)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with opened(tmp_path) as found:
        yield found


def claimed(decision: Decision) -> list[tuple[int, str | None]]:
    return [(claim.index, claim.image.url) for claim in decision.fetch]


# Reasons.


def test_what_the_ledger_does_not_know_is_new(books: Books) -> None:
    decision = books.decide(item(count=3))
    assert decision.reasons == dict.fromkeys(range(3), Reason.NEW)
    assert (decision.ask, decision.fetch, decision.rename) == ((0, 1, 2), (), ())
    assert decision.images_to_make == 3


async def test_a_saved_image_with_a_sound_file_is_unchanged(books: Books) -> None:
    await books.saved(saved_row())
    decision = books.decide(item())
    assert decision == Decision(item(), {0: Reason.UNCHANGED})
    assert decision.images_to_make == 0


async def test_a_grown_count_asks_for_what_is_missing_only(books: Books) -> None:
    await books.saved(saved_row(0), saved_row(1))
    decision = books.decide(item(count=4))
    assert decision.ask == (2, 3)
    assert list(decision.reasons.values()) == [Reason.UNCHANGED, Reason.UNCHANGED, Reason.NEW, Reason.NEW]


async def test_a_shrunk_count_leaves_the_rest_alone(books: Books) -> None:
    await books.saved(saved_row(0), saved_row(1))
    assert books.decide(item(count=1)).reasons == {0: Reason.UNCHANGED}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt": "a fox"}, Reason.PROMPT),
        ({"parameters": {"enhance_prompt": False}}, Reason.PARAMETERS),
        ({"model": "flux-2"}, Reason.PARAMETERS),
        ({"id": "other"}, Reason.PARAMETERS),
        ({"id": "other", "prompt": "a fox"}, Reason.NEW),
        ({"id": "other", "seed": 7}, Reason.NEW),
    ],
)
async def test_what_changed_is_told_by_id_or_else_by_prompt(
    books: Books, changes: dict[str, Any], reason: Reason
) -> None:
    await books.saved(saved_row())
    decision = books.decide(item("key-2", **changes))
    assert (decision.reasons, decision.ask) == ({0: reason}, (0,))


@pytest.mark.parametrize(("state", "reason"), [("missing", Reason.MISSING), ("damaged", Reason.DAMAGED)])
async def test_a_spoilt_file_is_fetched_again_from_the_url_that_was_paid_for(
    books: Books, state: FileState, reason: Reason
) -> None:
    await books.paid("a-1")
    await books.saved(saved_row())
    books.files["hero.png"] = state
    decision = books.decide(item())
    assert decision.reasons == {0: reason}
    assert decision.ask == ()
    assert claimed(decision) == [(0, "https://cdn.example.com/a-1/0")]
    assert decision.fetch[0].replaces


async def test_a_missing_file_whose_answer_was_dropped_is_asked_for_again(books: Books) -> None:
    await books.saved(saved_row())
    books.files["hero.png"] = "missing"
    assert books.decide(item()).ask == (0,)


@pytest.mark.parametrize("cause", sorted(set(GiveUp.CAUSES) - GiveUp.AGAIN - {"accepted"}))
async def test_what_failed_for_good_waits_for_retry_failed(books: Books, cause: str) -> None:
    await books.paid("a-1")
    await books.ledger.failed(failed_row(cause=cause))
    decision = books.decide(item())
    assert decision == Decision(item(), {0: Reason.GIVEN_UP})
    again = books.decide(item(), retry_failed=True)
    # What was paid for is tried once more before it is paid for again.
    assert (again.reasons, again.ask, claimed(again)) == (
        {0: Reason.PAID},
        (),
        [(0, "https://cdn.example.com/a-1/0")],
    )
    assert again.fetch[0].insisted


@pytest.mark.parametrize("told", [True, False], ids=["row", "killed before the row"])
async def test_what_an_asynchronous_api_has_accepted_is_never_posted_again_by_itself(books: Books, told: bool) -> None:
    await books.tried("a-1")
    await books.ledger.accepted("a-1", AT, status=202, answer=b"{}", ticket="{}", inference_id=None, error="queued")
    if told:
        await books.ledger.failed(failed_row(cause="accepted"))
    decision = books.decide(item())
    assert (decision.reasons, decision.ask) == ({0: Reason.ACCEPTED}, ())
    for selection in ({"retry_failed": True}, {"force": True}):
        assert books.decide(item(), **selection).ask == (0,)


@pytest.mark.parametrize(("cause", "elsewhere"), [("rejected", Reason.MOVED), ("lost", Reason.GIVEN_UP)])
async def test_what_one_endpoint_refused_is_asked_for_at_another(books: Books, cause: str, elsewhere: Reason) -> None:
    await books.tried("a-1")
    await books.ledger.outcome("a-1", "rejected", AT, error="404")
    await books.ledger.failed(failed_row(cause=cause))
    for base, reason in (("aimlapi", Reason.GIVEN_UP), ("https://other.example.com", elsewhere)):
        planner = replace(books.planner(), asked_at=base)
        assert planner.decide(item()).reasons == {0: reason}


async def test_a_remake_that_was_cut_off_before_its_download_is_fetched_by_a_plain_run(books: Books) -> None:
    await books.paid("a-1")
    await books.saved(saved_row(attempts=1))
    await books.paid("a-2")
    decision = books.decide(item())
    assert claimed(decision) == [(0, "https://cdn.example.com/a-2/0")]
    assert (decision.reasons, decision.fetch[0].is_remake) == ({0: Reason.PAID}, True)
    await books.ledger.not_remade(saved_row(attempts=2, attempt="a-2"))
    assert books.decide(item()).reasons == {0: Reason.UNCHANGED}


async def test_every_paid_answer_is_tried_before_an_image_is_paid_for_again(books: Books) -> None:
    await books.paid("a-1")
    await books.paid("a-2")
    await books.saved(saved_row(attempts=2, attempt="a-2"))
    books.files["hero.png"] = "missing"
    (claim,) = books.decide(item()).fetch
    assert [claim.attempt, *(other.attempt for other in claim.others)] == ["a-2", "a-1"]


@pytest.mark.parametrize("cause", sorted(GiveUp.AGAIN))
async def test_what_may_succeed_next_time_is_tried_by_itself(books: Books, cause: str) -> None:
    await books.tried("a-1")
    await books.ledger.outcome("a-1", "rejected", AT, error="503")
    await books.ledger.failed(failed_row(cause=cause))
    decision = books.decide(item())
    assert (decision.reasons, decision.ask) == ({0: Reason.FAILED}, (0,))


@pytest.mark.parametrize("state", ["intent", "maybe"])
async def test_what_may_have_been_billed_is_asked_for_only_once_that_is_settled(books: Books, state: str) -> None:
    await books.tried("a-1")
    if state == "maybe":
        await books.ledger.outcome("a-1", "maybe", AT, error="no answer came")
    for selection in ({}, {"force": True}, {"retry_failed": True}):
        decision = books.decide(item(), **selection)
        assert (decision.reasons, decision.ask) == ({0: Reason.DOUBT}, ())
        (doubt,) = decision.unresolved
        assert (doubt.attempt, doubt.verdict, doubt.price) == ("a-1", "open", 126_000)
    await books.ledger.settled("a-1", "unbilled", AT, error="not billed")
    assert books.decide(item()).ask == (0,)


@pytest.mark.parametrize(("state", "verdict"), [("lost", "lost"), ("maybe", "unproven")])
async def test_what_was_settled_when_its_run_was_killed_is_still_to_be_acted_on(
    books: Books, state: str, verdict: str
) -> None:
    await books.tried("a-1")
    await books.ledger.outcome("a-1", "maybe", AT, error="no answer came")
    await books.ledger.settled("a-1", state, AT, tokens=84_000 if state == "lost" else None, error="by the log")
    (doubt,) = books.decide(item()).unresolved
    assert (doubt.verdict, doubt.price, doubt.forgone) == (verdict, 84_000 if state == "lost" else 126_000, False)
    assert "no answer came; by the log" in doubt.error
    await books.ledger.failed(failed_row(cause="lost", attempts=1))
    assert books.decide(item()).reasons == {0: Reason.GIVEN_UP}
    assert books.decide(item(), retry_failed=True).ask == (0,)


async def test_an_answer_that_cannot_be_read_is_never_asked_for_again_by_itself(books: Books) -> None:
    await books.paid("a-1")
    await books.ledger.unreadable("a-1", AT, "no JSON")
    (doubt,) = books.decide(item()).unresolved
    assert (doubt.verdict, doubt.forgone) == ("lost", True)


async def test_a_failed_download_is_tried_from_its_url_and_not_paid_for_again(books: Books) -> None:
    await books.paid("a-1")
    await books.ledger.failed(failed_row(cause="download", attempt="a-1"))
    for retry_failed in (False, True):
        decision = books.decide(item(), retry_failed=retry_failed)
        assert (decision.reasons, decision.ask) == ({0: Reason.PAID}, ())
        assert claimed(decision) == [(0, "https://cdn.example.com/a-1/0")]
        assert not decision.fetch[0].replaces


async def test_force_gives_up_on_a_download_that_never_comes(books: Books) -> None:
    await books.paid("a-1")
    await books.ledger.failed(failed_row(cause="download", attempt="a-1"))
    assert books.decide(item(), force=True).ask == (0,)


# Claims.


async def test_what_was_paid_for_is_fetched_and_not_asked_for(books: Books) -> None:
    await books.paid("a-1", (0, 1))
    decision = books.decide(item(count=3))
    assert claimed(decision) == [(0, "https://cdn.example.com/a-1/0"), (1, "https://cdn.example.com/a-1/1")]
    assert [claim.attempt for claim in decision.fetch] == ["a-1", "a-1"]
    assert decision.ask == (2,)
    assert decision.reasons == {0: Reason.PAID, 1: Reason.PAID, 2: Reason.NEW}


async def test_a_picture_belongs_to_the_index_at_its_place_in_the_request(books: Books) -> None:
    await books.paid("a-1", (3, 1))
    decision = books.decide(item(count=4))
    assert claimed(decision) == [(1, "https://cdn.example.com/a-1/1"), (3, "https://cdn.example.com/a-1/0")]
    assert decision.ask == (0, 2)


async def test_a_short_answer_leaves_its_last_images_to_ask(books: Books) -> None:
    await books.paid("a-1", (0, 1, 2, 3), held=3)
    assert books.decide(item(count=4)).ask == (3,)


async def test_the_newest_paid_answer_counts(books: Books) -> None:
    await books.paid("a-1")
    await books.paid("a-2")
    await books.tried("a-3")
    assert claimed(books.decide(item())) == [(0, "https://cdn.example.com/a-2/0")]


async def test_an_empty_answer_does_not_hide_an_older_one(books: Books) -> None:
    await books.paid("a-1")
    await books.paid("a-2", held=0)
    assert claimed(books.decide(item())) == [(0, "https://cdn.example.com/a-1/0")]


@pytest.mark.parametrize("state", ["rejected", "maybe"])
async def test_only_a_paid_answer_is_claimed(books: Books, state: str) -> None:
    await books.paid("a-1")
    await books.ledger.outcome("a-1", state, AT, error="can't be read")
    assert books.decide(item()).fetch == ()


@pytest.mark.parametrize("selection", [{}, {"retry_failed": True}, {"force": True}], ids=str)
@pytest.mark.parametrize(
    "before",
    [
        failed_row(cause="filtered", attempts=1),
        failed_row(cause="unavailable", attempts=1),
        saved_row(attempts=1),
    ],
    ids=lambda row: row.cause or row.state,
)
async def test_a_picture_that_was_paid_for_right_before_a_kill_is_never_paid_for_again(
    books: Books, before: ImageRow, selection: dict[str, bool]
) -> None:
    await books.tried("a-1")
    if before.state == "saved":
        await books.saved(before)
    else:
        await books.ledger.failed(before)
    await books.paid("a-2")
    decision = books.decide(item(), **selection)
    assert claimed(decision) == [(0, "https://cdn.example.com/a-2/0")]
    assert (decision.reasons, decision.ask) == ({0: Reason.PAID}, ())


async def test_a_forced_first_run_that_was_killed_fetches_what_it_had_paid_for(books: Books) -> None:
    await books.paid("a-1")
    assert claimed(books.decide(item(), force=True)) == [(0, "https://cdn.example.com/a-1/0")]


# Sandboxes elsewhere.


async def test_a_picture_that_a_sandbox_made_in_the_real_apis_place_is_a_placeholder(books: Books) -> None:
    await books.paid("a-1", made_by="http://127.0.0.1:8000")
    await books.saved(saved_row())
    decision = books.decide(item())
    assert (decision.reasons, decision.ask, decision.fetch) == ({0: Reason.PLACEHOLDER}, (0,), ())


async def test_the_sandbox_itself_takes_its_pictures_for_what_they_are(books: Books) -> None:
    await books.paid("a-1", made_by=BASE)
    await books.saved(saved_row())
    assert books.decide(item()).reasons == {0: Reason.UNCHANGED}


async def test_a_picture_of_the_real_api_is_good_for_any_base_url(books: Books) -> None:
    await books.paid("a-1", made_by=None)
    await books.saved(saved_row())
    assert books.decide(item()).reasons == {0: Reason.UNCHANGED}


async def test_the_answer_of_a_sandbox_is_no_claim_on_the_real_api(books: Books) -> None:
    await books.paid("a-1", made_by="http://127.0.0.1:8000")
    assert books.decide(item()).ask == (0,)


async def test_the_real_picture_of_a_placeholder_is_paid_for_once(books: Books) -> None:
    await books.paid("a-1", made_by="http://127.0.0.1:8000")
    await books.saved(saved_row())
    await books.paid("a-2")
    assert claimed(books.decide(item())) == [(0, "https://cdn.example.com/a-2/0")]


# Names.


async def test_a_sound_file_under_another_name_is_renamed_and_not_made_again(books: Books) -> None:
    row = saved_row(path="old-name.png")
    await books.saved(row)
    decision = books.decide(item())
    assert decision.rename == (row,)
    assert (decision.reasons, decision.images_to_make) == ({0: Reason.UNCHANGED}, 0)


async def test_a_picture_that_was_kept_aside_comes_back_at_no_cost(books: Books) -> None:
    row = saved_row(path=".pipeline/replaced/0123-hero.png")
    await books.saved(row)
    assert books.decide(item()).rename == (row,)


async def test_the_name_of_each_image_of_an_item_is_told_apart(books: Books) -> None:
    await books.saved(saved_row(0), saved_row(1), saved_row(2, path="hero-2.webp"))
    assert [row.idx for row in books.decide(item(count=3)).rename] == [2]


# Selections.


async def test_force_makes_anew_what_is_there_without_looking_at_it(books: Books) -> None:
    await books.paid("a-1")
    await books.saved(saved_row())
    decision = books.decide(item(), force=True)
    assert (decision.reasons, decision.ask, decision.fetch) == ({0: Reason.FORCED}, (0,), ())
    assert books.looked_at == []


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        ((), ["hero", "hero-wide", "Fox"]),
        (("hero",), ["hero"]),
        (("hero*",), ["hero", "hero-wide"]),
        (("*-wide", "Fox"), ["hero-wide", "Fox"]),
        (("fox",), []),
        (("h?ro",), ["hero"]),
        (("[!h]*",), ["Fox"]),
    ],
)
def test_only_chooses_by_glob_and_case(books: Books, only: tuple[str, ...], chosen: list[str]) -> None:
    items = [item(f"key-{name}", name, count=2) for name in ("hero", "hero-wide", "Fox")]
    decisions = list(books.planner(only=only).decisions(items))
    assert [decision.item.id for decision in decisions if decision.ask] == chosen
    left_out = [decision for decision in decisions if decision.item.id not in chosen]
    assert all(decision == Decision(decision.item, dict.fromkeys((0, 1), Reason.LEFT_OUT)) for decision in left_out)


def test_a_limit_is_counted_in_images_over_the_items(books: Books) -> None:
    items = [item(f"key-{number}", f"item-{number}", count=2) for number in range(4)]
    decisions = list(books.planner(limit=3).decisions(iter(items)))
    assert [decision.ask for decision in decisions] == [(0, 1), (0,), (), ()]
    assert decisions[1].reasons == {0: Reason.NEW, 1: Reason.LEFT_OUT}
    assert decisions[3].reasons == dict.fromkeys((0, 1), Reason.LEFT_OUT)


async def test_a_limit_takes_what_is_paid_for_first(books: Books) -> None:
    await books.paid("a-1", (2, 3))
    for limit, fetched, asked in ((0, [], ()), (1, [2], ()), (2, [2, 3], ()), (3, [2, 3], (0,))):
        (decision,) = books.planner(limit=limit).decisions([item(count=4)])
        assert [claim.index for claim in decision.fetch] == fetched
        assert decision.ask == asked
        left_out = [index for index, reason in decision.reasons.items() if reason is Reason.LEFT_OUT]
        assert len(left_out) == 4 - limit


async def test_what_is_unchanged_uses_up_no_limit_and_is_still_renamed(books: Books) -> None:
    await books.saved(saved_row(path="old.png"))
    decisions = list(books.planner(limit=1).decisions([item(), item("key-2", "new"), item("key-3", "newer")]))
    assert [decision.ask for decision in decisions] == [(), (0,), ()]
    assert len(decisions[0].rename) == 1


async def test_what_is_left_out_is_not_even_looked_at(books: Books) -> None:
    await books.saved(saved_row())
    list(books.planner(only=("other",)).decisions([item()]))
    assert books.looked_at == []


def test_decisions_are_made_as_they_are_asked_for_and_items_are_drawn_some_at_a_time(books: Books) -> None:
    drawn = 0

    def items() -> Iterator[Item]:
        nonlocal drawn
        while True:
            drawn += 1
            yield item(f"key-{drawn}")

    assert next(books.planner().decisions(items())).ask == (0,)
    assert drawn <= 500


# Requests.


@pytest.mark.parametrize(
    ("ask", "most", "packed"),
    [
        ((), 4, []),
        ((0,), 4, [(0,)]),
        ((0, 1, 2, 3), 4, [(0, 1, 2, 3)]),
        ((0, 1, 2, 3, 4, 5), 4, [(0, 1, 2, 3), (4, 5)]),
        ((1, 3, 7), 2, [(1, 3), (7,)]),
        ((0, 1, 2), 1, [(0,), (1,), (2,)]),
    ],
)
def test_requests_are_packed_up_to_what_the_model_takes(
    ask: tuple[int, ...], most: int, packed: list[tuple[int, ...]]
) -> None:
    assert [request.indexes for request in requests(item(count=9), ask, False, most)] == packed


def test_an_attempt_without_its_answer_is_no_claim(books: Books) -> None:
    planner = books.planner()
    assert planner._paid_image(item(), 0, None, [attempt(answer=None)], Reason.NEW) is None
