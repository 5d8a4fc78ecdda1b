import pytest

from pipeline.errors import UsageError
from sandbox import KINDS, Behaviour, Fault
from sandbox.api_faults import DELIVERIES, REFUSALS, SHAPES
from sandbox.behaviour import Bucket, FaultPlan, bucket
from sandbox.cdn_faults import FAULTS


def kinds(plan: FaultPlan, prompt: str, n: int, *, cdn: bool = False) -> list[str]:
    faults = [plan.next_fault(prompt, cdn=cdn) for _ in range(n)]
    return [fault.kind if fault else "ok" for fault in faults]


def test_every_kind_that_is_named_is_done_and_every_kind_that_is_done_is_named() -> None:
    assert set(KINDS) == {"ok", "cdn-ok"} | REFUSALS.keys() | SHAPES.keys() | DELIVERIES.keys() | FAULTS.keys()


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="'cdn-trunkated': did you mean 'cdn-truncated'"):
        Fault("cdn-trunkated")
    with pytest.raises(UsageError, match="--kinds"):
        Fault(("ok", "zzzzzz"))


@pytest.mark.parametrize("probability", [-0.1, 1.5, float("nan")])
def test_a_probability_is_between_0_and_1(probability: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        Fault("500", probability=probability)


def test_a_fault_strikes_as_often_as_it_is_told() -> None:
    assert kinds(FaultPlan([Fault("500", times=2)], 0), "x", 4) == ["500", "500", "ok", "ok"]


def test_a_fault_strikes_only_what_it_matches() -> None:
    plan = FaultPlan([Fault("500", match="fox")], 0)
    assert kinds(plan, "a hare", 1) == ["ok"]
    assert kinds(plan, "a fox", 1) == ["500"]


def test_a_script_is_followed_step_by_step() -> None:
    plan = FaultPlan([Fault(("500", "cut", "ok", "cdn-404", "504"), match="fox")], 0)
    assert kinds(plan, "hare", 1) == ["ok"]
    assert kinds(plan, "fox", 6) == ["500", "cut", "ok", "504", "ok", "ok"]
    assert kinds(plan, "fox", 2, cdn=True) == ["cdn-404", "ok"]


def test_the_first_fault_that_strikes_decides() -> None:
    plan = FaultPlan([Fault("500", times=1), Fault("503", times=2), Fault("cdn-404")], 0)
    assert kinds(plan, "x", 4) == ["500", "503", "503", "ok"]


def test_probability_is_drawn_from_the_seed() -> None:
    first, again, other = (kinds(FaultPlan([Fault("500", 0.2)], seed), "x", 1000) for seed in (1, 1, 2))
    assert first == again != other
    assert 150 < first.count("500") < 250


def test_a_bucket_lets_its_burst_through_and_then_its_rate() -> None:
    pail = Bucket(rate=2.0, burst=3.0, now=0.0)
    assert [pail.take(0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert pail.take(0.5) == 0.0
    assert pail.take(0.75) == pytest.approx(0.25)
    assert [pail.take(100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_the_burst_is_one_second_of_the_rate_and_at_least_one() -> None:
    assert bucket(Behaviour(), 0.0) is None
    for rate, burst in ((600.0, 10.0), (6.0, 1.0)):
        pail = bucket(Behaviour(requests_per_minute=rate), 0.0)
        assert pail is not None
        assert pail.burst == burst
