from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from sandbox import Behaviour, Fault, Sandbox
from tests.sandbox.client import MODEL, PRICE, ask, look

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


async def fill(sandbox: Sandbox, clock: Clock) -> None:
    """Five minutes: at each a request, of which the third fails; and one that is refused."""
    sandbox.behaviour = Behaviour(faults=(Fault(("ok", "ok", "500")),))
    for minute in range(5):
        clock.now = NOON + 60 * minute
        await ask(sandbox, label=f"label-{minute}")
    await ask(sandbox, aspect_ratio="wrong")


async def test_the_log_has_a_row_for_every_request_newest_first() -> None:
    clock = Clock()
    async with Sandbox(clock=clock) as sandbox:
        await fill(sandbox, clock)
        log = (await look(sandbox, "/v2/logs")).json
        inference_ids = [row.inference_id for row in sandbox.request_log.requests(status=["succeeded", "failed"])]
    assert log["pagination"] == {"limit": 100, "offset": 0, "total": 5, "has_more": False}
    assert [row["client_request_id"] for row in log["data"]] == [f"label-{n}" for n in (4, 3, 2, 1, 0)]
    assert [row["inference_id"] for row in log["data"]] == inference_ids[::-1]
    assert log["data"][2] == {
        "created": "2026-11-23T12:02:00.000Z",
        "status": "failed",
        "model": MODEL,
        "cost": {"usd": 0.0, "credits": 0},
        "request_id": "req-3",
        "inference_id": inference_ids[2],
        "client_request_id": "label-2",
    }
    assert log["data"][0]["cost"] == {"usd": 0.063, "credits": PRICE}


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("limit=2", [4, 3]),
        ("limit=2&offset=4", [0]),
        ("status=failed", [2]),
        ("status=succeeded&status=failed&limit=1", [4]),
        ("model=other", []),
        (f"model={MODEL}&model=other", [4, 3, 2, 1, 0]),
        ("period=2m", [4, 3, 2]),
        ("start=2026-11-23T12:01:00Z&end=2026-11-23T12:03:00Z", [2, 1]),
        (f"start={quote('2026-11-23T13:01:00+01:00')}&end=2026-11-23T12:02", [1]),
        ("start=2026-11-23", [4, 3, 2, 1, 0]),
        ("end=2026-11-23", []),
    ],
)
async def test_the_log_is_filtered_and_paged(query: str, labels: list[int]) -> None:
    clock = Clock()
    async with Sandbox(clock=clock) as sandbox:
        await fill(sandbox, clock)
        log = (await look(sandbox, f"/v2/logs?{query}")).json
    assert [row["client_request_id"] for row in log["data"]] == [f"label-{n}" for n in labels]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=0", "limit: expected a number from 1 to 100"),
        ("limit=101", "limit"),
        ("offset=-1", "offset"),
        ("offset=x", "offset"),
        ("status=lost", "status: expected succeeded or failed"),
        ("start=yesterday", "start: expected an ISO 8601 date"),
        ("period=1y", "period"),
        ("start=2026-01-01&end=2026-11-01", "exceed 92 days"),
        ("start=2026-02-01&end=2026-01-01", "must not be before start"),
    ],
)
async def test_a_wrong_query_says_what_is_wrong(query: str, says: str) -> None:
    async with Sandbox() as sandbox:
        reply = await look(sandbox, f"/v2/logs?{query}")
    assert reply.status == 400
    assert says in reply.json["message"]


async def test_the_log_answers_200_calls_a_minute() -> None:
    clock = Clock()
    async with Sandbox(clock=clock) as sandbox:
        statuses = [(await look(sandbox, "/v2/logs")).status for _ in range(201)]
        assert statuses == [200] * 200 + [429]
        clock.now += 60
        assert (await look(sandbox, "/v2/logs")).status == 200


async def test_a_charge_is_booked_some_time_after_its_answer() -> None:
    clock = Clock()
    async with Sandbox(clock=clock, behaviour=Behaviour(booking_delay=30)) as sandbox:
        await ask(sandbox)
        assert (await look(sandbox, "/v2/logs")).json["data"] == []
        assert (await look(sandbox, "/v2/billing/transactions")).json["data"] == []
        clock.now += 30
        assert len((await look(sandbox, "/v2/logs")).json["data"]) == 1
        assert len((await look(sandbox, "/v2/billing/transactions")).json["data"]) == 1


async def test_charges_are_paged_by_cursor_without_loss() -> None:
    clock = Clock()
    seen: list[str] = []
    async with Sandbox(clock=clock) as sandbox:
        await fill(sandbox, clock)
        cursor: str | None = ""
        while cursor is not None:
            query = "?limit=1" + (f"&cursor={cursor}" if cursor else "")
            page = (await look(sandbox, "/v2/billing/transactions" + query)).json
            seen += [charge["reference_id"] for charge in page["data"]]
            cursor = page["pagination"]["next_cursor"]
            assert page["pagination"]["has_more"] == (cursor is not None)
            await ask(sandbox)  # a page that is read does not move
        paid = sandbox.request_log.requests(status="succeeded")
    assert seen == [row.inference_id for row in paid[:4]][::-1]


async def test_a_charge_has_the_documented_form() -> None:
    async with Sandbox(clock=Clock()) as sandbox:
        reply = await ask(sandbox)
        page = (await look(sandbox, "/v2/billing/transactions?direction=CHARGE&type=MODEL_USAGE")).json
        assert (await look(sandbox, "/v2/billing/transactions?direction=TOP_UP")).json["data"] == []
        assert (await look(sandbox, "/v2/billing/transactions?to=2026-01-01")).json["data"] == []
        assert (await look(sandbox, "/v2/billing/transactions?cursor=!")).status == 400
    assert page["data"] == [
        {
            "created_at": "2026-11-23T12:00:00.000Z",
            "direction": "CHARGE",
            "type": "MODEL_USAGE",
            "amount": {"usd": 0.063, "credits": PRICE},
            "model": MODEL,
            "reference_id": reply.headers["x-inference-id"],
        }
    ]


async def test_the_catalogue_is_for_everybody_and_knows_its_own_age() -> None:
    async with Sandbox(key="right") as sandbox:
        everything = await look(sandbox, "/v1/models", key=None)
        assert everything.status == 200
        assert len(everything.json["data"]) > 50
        assert "pricing" not in everything.json["data"][0]
        query = f"/v1/models?include=pricing&id={MODEL}&id=dall-e-2"
        two = await look(sandbox, query, key=None)
        again = await look(sandbox, query, key=None, headers={"If-None-Match": f'"x", W/{two.headers["ETag"]}'})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"] == two.headers["ETag"] != everything.headers["ETag"]
    pricing = {model["id"]: model["pricing"] for model in two.json["data"]}
    assert pricing["dall-e-2"] == {"kind": "variable"}
    assert pricing[MODEL]["units"] == [{"name": "image", "measure": "image", "price": 0.063, "per": 1}]
