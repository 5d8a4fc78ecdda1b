import signal
import sys
import time
from pathlib import Path

from bench.contest import Lap, Score
from bench.process import Child, Usage, measure


def lap(seconds: float, cpu: float = 1.0, lost: int = 0) -> Lap:
    """A lap of 101 items, of which the first took a second of time and half a second of CPU."""
    return Lap(Usage(seconds, cpu, 1000, 0), Usage(1.0, 0.5, 1000, 0), items=101, lost=lost)


def test_what_one_item_takes_is_no_part_of_a_lap() -> None:
    assert lap(11.0).rate == 10.0
    assert lap(11.0, cpu=2.5).cpu == 0.02


def test_a_score_is_the_median_of_its_laps_and_shows_how_far_they_lie_apart() -> None:
    score = Score("somebody", laps=[lap(11.0), lap(21.0), lap(6.0)])

    assert score.rate == 10.0
    assert score.spread == (20.0 - 5.0) / 10.0


def test_a_score_owns_up_to_the_worst_loss() -> None:
    assert Score("somebody", laps=[lap(2.0), lap(2.0, lost=3), lap(2.0, lost=1)]).lost == 3


def test_a_child_is_measured_with_its_children(tmp_path: Path) -> None:
    busy = "import time; end = time.process_time() + 0.05\nwhile time.process_time() < end: pass"
    child = Child(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"],
        tmp_path / "log",
    )
    while child.runs():
        time.sleep(0.01)

    assert child.wait() == child.wait()
    assert child.wait().cpu > 0.05
    assert child.wait().exit_code == 0


def test_a_child_that_hangs_is_ended(tmp_path: Path) -> None:
    usage = Child(
        [sys.executable, "-c", "print('on my way', flush=True); import time; time.sleep(60)"], tmp_path / "log"
    ).wait(1.0)

    assert usage.exit_code == -signal.SIGKILL


def test_a_child_is_not_charged_for_the_memory_of_who_measures_it(tmp_path: Path) -> None:
    held = b"x" * 200_000_000

    assert measure([sys.executable, "-c", "pass"], tmp_path / "log").peak < len(held) // 4


def test_a_program_that_is_not_there_is_told_by_its_exit_code(tmp_path: Path) -> None:
    usage = measure(["no-such-program-anywhere"], tmp_path / "log")

    assert usage.exit_code != 0
    assert "no-such-program-anywhere" in usage.said
