"""The way of one item, on a real folder, a real ledger and a real socket; whole runs are tried in `tests/run`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.errors import BudgetReached, Interrupted, StorageFailed
from pipeline.events import Event, ImageRecorded, Severity
from pipeline.generated import GeneratedImage
from pipeline.ledger import Ledger
from pipeline.limits import retry
from pipeline.limits.policy import Policy
from pipeline.limits.stop import StopSignal
from pipeline.model import DEFAULT_MODEL, Item, Limits, PaidImage, Record, Request
from pipeline.output.local import OutputFolder
from pipeline.run.assemble import wire
from pipeline.run.item import Producer
from pipeline.settings import Endpoint, Key
from sandbox import Behaviour, Fault, Sandbox
from tests.policies import QUICK
from tests.run.site import PRICE, faults
from tests.run.upstream import picture, saying, serving

RUN = "run-1"
FOX = Item(key="key-fox", id="fox", prompt="A fox", model=DEFAULT_MODEL, aspect_ratio="16:9", count=2)
CROW = Item(key="key-crow", id="crow", prompt="A crow", model=DEFAULT_MODEL, aspect_ratio="16:9")
STOP = Interrupted("stopped by the test")


@dataclass
class Bench:
    """A producer and everything around it that a test looks at."""

    store: OutputFolder
    ledger: Ledger
    sandbox: Sandbox
    stack: AsyncExitStack
    stop: StopSignal = field(default_factory=StopSignal)
    records: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    policy: Policy = QUICK

    def hear(self, event: Event) -> None:
        if isinstance(event, ImageRecorded):
            self.records.append(event.record)
        elif event.severity >= Severity.INFO:
            self.notes.append(event.line)

    async def producer(self, base: str | None = None, **limits: Any) -> Producer:
        endpoint = Endpoint(base or self.sandbox.base, Key("sk-test"))
        return await wire(
            RUN,
            Limits(**{"billing_lag": 0.0, **limits}),
            0,
            endpoint,
            self.store,
            self.ledger,
            self.stop,
            self.hear,
            self.stack,
            policy=self.policy,
        )

    def states(self, item: Item) -> list[str]:
        return [attempt.state for attempt in self.ledger.attempts(item.key)]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    with OutputFolder(tmp_path / "out") as store, Ledger(store.state / "ledger.db") as ledger:
        ledger.start_run(RUN, "2026-11-23T02:30:00.000Z", "aimlapi")
        async with Sandbox() as sandbox, AsyncExitStack() as stack:
            yield Bench(store, ledger, sandbox, stack)


async def test_a_request_ends_as_files_and_records(bench: Bench) -> None:
    producer = await bench.producer()
    await producer.request(Request(FOX, (0, 1)))
    assert [record.status for record in bench.records] == ["saved", "saved"]
    assert bench.store.exists("fox.png")
    assert bench.store.exists("fox-2.png")
    assert bench.states(FOX) == ["paid"]
    assert (producer.asker.stats.requests, producer.asker.stats.tokens) == (1, 2 * PRICE)


async def test_behind_a_closed_gate_nothing_is_sent_and_nothing_recorded(bench: Bench) -> None:
    producer = await bench.producer()
    bench.stop.request(STOP)
    await producer.request(Request(FOX, (0, 1)))
    assert (bench.sandbox.request_log.count(), bench.records, bench.states(FOX)) == (0, [], [])


async def test_a_gate_that_closes_while_the_intent_is_written_lets_nothing_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = await bench.producer()
    intend = Ledger.intend

    async def intend_and_close(*args: Any, **more: Any) -> None:
        await intend(*args, **more)
        bench.stop.request(STOP)

    monkeypatch.setattr(Ledger, "intend", intend_and_close)
    await producer.request(Request(FOX, (0, 1)))
    assert bench.sandbox.request_log.count() == 0
    assert bench.states(FOX) == ["rejected"]
    assert producer.asker.admission.budget.reserved == 0


async def test_a_gate_that_closes_during_a_backoff_ends_the_waiting_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "full_jitter", lambda *_: 1000.0)
    bench.sandbox.behaviour = faults("500")
    producer = await bench.producer()
    async with anyio.create_task_group() as group:
        group.start_soon(producer.request, Request(FOX, (0, 1)))
        while not bench.states(FOX) or bench.states(FOX)[0] != "rejected":
            await anyio.sleep(0.001)
        bench.stop.request(STOP)
    assert bench.sandbox.request_log.count() == 1
    assert bench.records == []


async def test_what_is_cut_off_while_it_waits_for_its_answer_may_have_been_billed(bench: Bench) -> None:
    bench.sandbox.behaviour = faults("hang")
    producer = await bench.producer()
    async with anyio.create_task_group() as group:
        group.start_soon(producer.request, Request(FOX, (0, 1)))
        while not bench.sandbox.request_log.count():
            await anyio.sleep(0.001)
        group.cancel_scope.cancel()
    (attempt,) = bench.ledger.maybe_billed()
    assert attempt.price == 2 * PRICE
    assert (producer.asker.admission.budget.reserved, producer.asker.admission.budget.spent) == (0, 2 * PRICE)
    assert producer.asker.admission.concurrency.in_flight == 0


async def test_nothing_is_asked_for_when_the_disk_has_no_room_for_it(bench: Bench) -> None:
    bench.policy = replace(QUICK, free_bytes=1 << 60)
    producer = await bench.producer()
    await producer.request(Request(FOX, (0, 1)))
    assert isinstance(bench.stop.reason, StorageFailed)
    assert "MB left" in str(bench.stop.reason)
    assert (bench.sandbox.request_log.count(), bench.states(FOX), producer.asker.admission.budget.reserved) == (
        0,
        [],
        0,
    )


async def test_a_failure_that_cant_be_written_down_stops_the_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any) -> None:
        raise StorageFailed("the ledger can't be used: disk I/O error")

    monkeypatch.setattr(Ledger, "failed", refuse)
    bench.sandbox.behaviour = faults("400")
    await (await bench.producer()).request(Request(CROW, (0,)))
    assert isinstance(bench.stop.reason, StorageFailed)
    assert bench.records == []


async def test_a_failure_is_told_to_whoever_watches(bench: Bench) -> None:
    bench.sandbox.behaviour = faults(Fault("400", message="no crows today"))
    await (await bench.producer()).request(Request(CROW, (0,)))
    assert bench.notes == ["failed (rejected): crow: 400: no crows today"]


async def test_a_price_that_no_list_names_is_learned_from_the_first_answer(bench: Bench) -> None:
    body = {"data": [{"url": "/p.png"}], "meta": {"usage": {"tokens_used": 700}}}
    items = [Item(key=f"key-{n}", id=f"item-{n}", prompt="x", model="some/other-model") for n in range(3)]
    async with serving(saying(body), **{"p.png": picture}) as base:
        producer = await bench.producer(base, budget_tokens=1500)
        for item in items:
            await producer.request(Request(item, (0,)))
    assert len(bench.records) == 2
    assert isinstance(bench.stop.reason, BudgetReached)
    assert producer.asker.admission.budget.spent == 1400


async def test_a_lost_picture_that_had_been_delivered_is_asked_for_once(bench: Bench) -> None:
    gone = GeneratedImage(url=f"{bench.sandbox.cdn_base}/never/was.png?Expires=1700000000")
    await (await bench.producer()).deliver(PaidImage(CROW, 0, gone, "attempt-0", replaces=True))
    assert bench.sandbox.request_log.count() == 1
    assert [record.status for record in bench.records] == ["saved"]


async def test_a_lost_picture_that_was_never_delivered_is_given_up(bench: Bench) -> None:
    gone = GeneratedImage(url=f"{bench.sandbox.cdn_base}/never/was.png?Expires=1700000000")
    await (await bench.producer()).deliver(PaidImage(CROW, 0, gone, "attempt-0"))
    assert bench.sandbox.request_log.count() == 0
    assert [record.cause for record in bench.records] == ["lost"]
    assert "its URL was good until 2023-11-14" in (bench.records[0].error or "")


async def test_a_download_does_not_hold_up_the_next_request(bench: Bench) -> None:
    bench.sandbox.behaviour = faults(Fault("cdn-hang", match="fox"))
    producer = await bench.producer(concurrency=1)
    async with anyio.create_task_group() as group:
        group.start_soon(producer.request, Request(FOX, (0, 1)))
        while not bench.sandbox.request_log.gets():
            await anyio.sleep(0.001)
        await producer.request(Request(CROW, (0,)))
        group.cancel_scope.cancel()
    assert [record.id for record in bench.records] == ["crow"]


async def test_no_more_downloads_are_in_flight_than_the_limit_says(bench: Bench) -> None:
    bench.sandbox.behaviour = faults("cdn-hang")
    producer = await bench.producer(downloads=1)
    async with anyio.create_task_group() as group:
        group.start_soon(producer.request, Request(FOX, (0, 1)))
        while not bench.sandbox.request_log.gets():
            await anyio.sleep(0.001)
        await anyio.sleep(0.02)
        assert bench.sandbox.request_log.gets() == 1
        group.cancel_scope.cancel()


async def test_no_more_requests_are_in_flight_than_the_limit_says(bench: Bench) -> None:
    bench.sandbox.behaviour = Behaviour(latency=0.005, concurrency=2)
    producer = await bench.producer(concurrency=2)
    async with anyio.create_task_group() as group:
        for n in range(6):
            item = Item(key=f"key-{n}", id=f"item-{n}", prompt=f"Fox {n}", model=DEFAULT_MODEL, aspect_ratio="16:9")
            group.start_soon(producer.request, Request(item, (0,)))
    assert bench.sandbox.request_log.count() == bench.sandbox.request_log.count(http_status=200) == 6


async def test_a_long_pause_is_told_to_whoever_watches(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.sandbox.behaviour = faults(Fault("429", retry_after="120"))
    producer = await bench.producer()
    async with anyio.create_task_group() as group:
        group.start_soon(producer.request, Request(CROW, (0,)))
        while not bench.notes:
            await anyio.sleep(0.001)
        bench.stop.request(STOP)
    assert "pause" in bench.notes[0]
    assert bench.sandbox.request_log.count() == 1


async def test_a_key_that_would_travel_in_the_clear_is_warned_about(bench: Bench) -> None:
    await bench.producer("http://api.example.com")
    assert bench.notes == ["warning: the key goes to http://api.example.com unencrypted; use https"]


async def test_a_key_that_stays_on_this_machine_is_no_reason_to_warn(bench: Bench) -> None:
    await bench.producer()
    assert bench.notes == []


async def test_a_picture_that_could_not_be_made_again_is_kept(bench: Bench) -> None:
    producer = await bench.producer()
    await producer.request(Request(CROW, (0,)))
    before = bench.store.root.joinpath("crow.png").read_bytes()
    bench.sandbox.behaviour = faults("400")
    await producer.request(Request(CROW, (0,), is_remake=True))
    assert [record.status for record in bench.records] == ["saved"]
    assert producer.not_remade == 1
    assert bench.store.root.joinpath("crow.png").read_bytes() == before
    assert bench.ledger.images(CROW.key)[0].state == "saved"


async def test_what_is_cut_off_before_it_leaves_is_known_unbilled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = await bench.producer()

    async def never_leaves(*_: Any) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(producer.asker.client, "post", never_leaves)
    with anyio.move_on_after(0.05):
        await producer.request(Request(CROW, (0,)))
    assert bench.states(CROW) == ["rejected"]
    assert producer.asker.admission.budget.reserved == 0


async def test_a_refusal_shows_that_the_provider_is_there(bench: Bench) -> None:
    producer = await bench.producer(attempts=1)
    bench.sandbox.behaviour = faults("503")
    for item in (FOX, CROW, FOX, CROW):
        await producer.request(Request(item, (0,)))
    bench.sandbox.behaviour = faults("400")
    await producer.request(Request(CROW, (0,)))
    bench.sandbox.behaviour = faults("503")
    await producer.request(Request(FOX, (0,)))
    assert not producer.asker.admission.breaker.is_open
