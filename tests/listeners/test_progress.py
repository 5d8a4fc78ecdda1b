import fcntl
import io
import os
import re
import struct
import termios

import anyio
import pytest

from pipeline.events import EndpointNoted, ImageRecorded, KeyUnencrypted, PlanChanged, RunStarted
from pipeline.listeners.progress import Mode, Progress, Waiting, mode_for
from tests.listeners.records import record

RUN = "run"


def saved(progress: Progress, tokens: int | None, *, run: str = RUN) -> None:
    """Tell of an image that a run has paid for and saved."""
    progress(RunStarted(RUN, "job", "sandbox", 1))
    progress(ImageRecorded(record("saved", tokens_used=tokens, client_request_id=f"{run}.key.000001")))


def failed(progress: Progress) -> None:
    progress(ImageRecorded(record("failed", cause="filtered")))


def note(progress: Progress, text: str) -> None:
    progress(EndpointNoted(text))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal, as wide as a real one."""

    encoding = "UTF-8"

    def __init__(self, columns: int | None = None) -> None:
        super().__init__()
        self._tty: int | None = None
        if columns:
            self._others, self._tty = os.openpty()
            termios.tcsetwinsize(self._tty, (24, columns))

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return super().fileno() if self._tty is None else self._tty

    def close(self) -> None:
        if self._tty is not None:
            os.close(self._tty)
            os.close(self._others)
            self._tty = None
        super().close()


class Gone(Terminal):
    """A terminal that was closed."""

    gone = False

    def write(self, text: str, /) -> int:
        if self.gone:
            raise BrokenPipeError
        return super().write(text)


def shown(stream: io.StringIO) -> list[str]:
    """What the bar has drawn, one state after the other."""
    return [state.strip() for state in re.split(r"[\r\n]+", stream.getvalue()) if state.strip()]


@pytest.mark.parametrize(
    ("stream", "quiet", "mode"),
    [(Terminal(), False, "bar"), (io.StringIO(), False, "lines"), (Terminal(), True, "quiet")],
)
def test_a_bar_is_for_terminals_and_lines_are_for_the_rest(stream: io.StringIO, quiet: bool, mode: Mode) -> None:
    assert mode_for(stream, quiet=quiet) == mode


@pytest.mark.parametrize(("rows", "columns", "mode"), [(0, 100, "lines"), (40, 0, "lines"), (40, 100, "bar")])
def test_a_terminal_that_does_not_say_how_large_it_is_gets_lines(rows: int, columns: int, mode: Mode) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0), os.fdopen(theirs, "w") as stream:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        assert mode_for(stream, quiet=False) == mode


def test_a_line_now_and_then_says_how_far_the_run_is() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(1_200, mode="lines", stream=stream, clock=clock) as progress:
        for second in range(1, 91):
            clock.now = 100.0 + second
            saved(progress, 16_380)
    assert stream.getvalue().splitlines() == [
        "30/1,200 images, 60/min, 491.4k tokens, ETA 19 min 30 s",
        "60/1,200 images, 60/min, 982.8k tokens, ETA 19 min 0 s",
        "90/1,200 images, 60/min, 1.5M tokens, ETA 18 min 30 s",
    ]


def test_lines_tell_failures_and_no_time_left_once_all_is_done() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(2, mode="lines", stream=stream, clock=clock, every=0.0) as progress:
        failed(progress)
        clock.now += 30
        saved(progress, None)
    assert stream.getvalue().splitlines() == [
        "1/2 images, 1 failed, ETA 0.0 s",
        "2/2 images, 4.0/min, 1 failed",
    ]


def test_notes_are_single_lines_and_no_line_ever_moves_the_cursor() -> None:
    stream = io.StringIO()
    with Progress(1, mode="lines", stream=stream) as progress:
        note(progress, "one\ntwo \x1b[31mred\r")
        saved(progress, 1)
    assert stream.getvalue() == "one\\ntwo \\x1b[31mred\\x0d\n"


def test_quiet_is_quiet() -> None:
    stream = Terminal()
    with Progress(2, mode="quiet", stream=stream, every=0.0) as progress:
        note(progress, "a note")
        saved(progress, 5)
        failed(progress)
    assert stream.getvalue() == ""


def test_without_a_stream_it_speaks_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    note(Progress(1, mode="lines"), "hello")
    assert capsys.readouterr() == ("", "hello\n")


def drawn(columns: int | None) -> list[str]:
    """What a bar shows in a terminal so wide, from its beginning to its end."""
    clock = Clock()
    with Terminal(columns) as stream:
        with Progress(10_000, mode="bar", stream=stream, clock=clock) as progress:
            for _ in range(2_499):
                saved(progress, 16_380)
            clock.now += 120
            failed(progress)
            assert progress._bar is not None
            progress._bar.refresh()
        return shown(stream)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (120, "2,500/10,000 images, 1,250/min, 40.9M tokens, 1 failed, ETA 6 min 0 s"),
        (80, "2,500/10,000 images, 1,250/min, 40.9M tokens, 1 failed, ETA 6 min 0 s"),
        (70, "2,500/10,000 images, 1,250/min, 1 failed, ETA 6 min 0 s"),
        (60, "2,500/10,000 images, 1 failed, ETA 6 min 0 s"),
        (50, "2,500/10,000 images, ETA 6 min 0 s"),
        (32, "2,500/10,000 images"),
    ],
)
def test_the_bar_keeps_to_its_line_and_leaves_out_what_matters_least(columns: int, told: str) -> None:
    states = drawn(columns)
    assert states[-1].startswith("25% ")
    assert states[-1].endswith(f" {told}")
    assert all(len(state) <= columns for state in states)
    assert re.search(r"^25% █+", states[-1])


def test_the_bar_begins_at_nothing_and_leaves_nothing_behind() -> None:
    with Terminal(80) as stream:
        with Progress(2, mode="bar", stream=stream) as progress:
            saved(progress, 1)
        assert re.fullmatch(r"0% +0/2 images", shown(stream)[0])
        assert re.search(r"\r {79}\r$", stream.getvalue())


def test_a_note_stands_in_a_line_of_its_own_above_the_bar() -> None:
    with Terminal(80) as stream:
        with Progress(2, mode="bar", stream=stream) as progress:
            note(progress, "the API asks for a pause\nof 17 s")
        assert "\rthe API asks for a pause\\nof 17 s\n" in stream.getvalue()


def test_the_bar_says_what_it_waits_for_and_promises_no_time() -> None:
    with Terminal(90) as stream, Progress(4, mode="bar", stream=stream) as progress:
        saved(progress, 1)
        progress.waiting = lambda: Waiting("waiting for the vendor's log, 10:41")
        progress.refresh()
        assert shown(stream)[-1].endswith("waiting for the vendor's log, 10:41")
        assert "ETA" not in shown(stream)[-1]
        progress.waiting = lambda: Waiting("next request in 0:24 (rate)", regular=True)
        progress.refresh()
        assert re.search(r", next request in 0:24 \(rate\), ETA \S+ s$", shown(stream)[-1])
        progress.waiting = lambda: None
        progress.refresh()
        assert re.search(r"ETA \S+ s$", shown(stream)[-1])


def test_what_a_run_waits_for_is_the_last_thing_that_a_narrow_bar_leaves_out() -> None:
    with Terminal(60) as stream, Progress(400, mode="bar", stream=stream) as progress:
        progress.waiting = lambda: Waiting("the API asked for a pause, 0:17")
        failed(progress)
        saved(progress, 126_000)
        progress.refresh()
        assert shown(stream)[-1].endswith("2/400 images, the API asked for a pause, 0:17")


def test_nothing_is_waited_for_once_all_is_done() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(1, mode="lines", stream=stream, clock=clock, every=0.0) as progress:
        progress.waiting = lambda: Waiting("anything")
        saved(progress, None)
    assert stream.getvalue() == "1/1 images\n"


async def test_the_bar_is_kept_fresh_while_no_image_comes() -> None:
    left = iter(range(100, 0, -1))
    with Terminal(80) as stream:
        with Progress(4, mode="bar", stream=stream) as progress:
            progress.waiting = lambda: Waiting(f"waiting for the vendor's log, {next(left)}")
            async with anyio.create_task_group() as group:
                group.start_soon(progress.keep_fresh, 0.001)
                while next(left) > 80:
                    await anyio.sleep(0.001)
                group.cancel_scope.cancel()
        assert len({state for state in shown(stream) if "vendor's log" in state}) > 1


async def test_without_a_bar_nothing_is_kept_fresh() -> None:
    stream = io.StringIO()
    with Progress(4, mode="lines", stream=stream) as progress:
        await progress.keep_fresh(0.0)
    assert stream.getvalue() == ""


def test_a_terminal_of_unknown_width_is_told_everything() -> None:
    assert drawn(None)[-1].endswith(" 2,500/10,000 images, 1,250/min, 40.9M tokens, 1 failed, ETA 6 min 0 s")


def test_a_run_with_nothing_to_do_draws_no_bar_but_may_say_something() -> None:
    stream = Terminal()
    with Progress(0, mode="bar", stream=stream) as progress:
        note(progress, "all there")
    assert stream.getvalue() == "all there\n"


@pytest.mark.parametrize("mode", ["bar", "lines"])
@pytest.mark.parametrize("gone", ["before", "at a note", "at a picture", "at the end"])
def test_a_run_goes_on_when_nobody_listens_any_more(mode: Mode, gone: str) -> None:
    stream = Gone()
    stream.gone = gone == "before"
    with Progress(3, mode=mode, stream=stream, every=0.0) as progress:
        if progress._bar is not None:
            progress._bar.mininterval = 0
        stream.gone |= gone == "at a note"
        note(progress, "a note")
        stream.gone |= gone == "at a picture"
        saved(progress, 1)
        stream.gone = True
    stream.gone = False
    told = stream.getvalue()
    if gone != "at the end":
        note(progress, "another")
    assert stream.getvalue() == told


def test_what_an_earlier_run_has_paid_for_adds_nothing_to_the_tokens() -> None:
    stream = io.StringIO()
    with Progress(2, mode="lines", stream=stream, every=0.0) as progress:
        saved(progress, 5, run="earlier")
        saved(progress, 7)
    assert "7 tokens" in stream.getvalue()


def test_a_warning_is_called_so_and_what_matters_little_is_not_shown() -> None:
    stream = io.StringIO()
    with Progress(1, mode="lines", stream=stream) as progress:
        progress(KeyUnencrypted("http://api.example.com"))
        progress(PlanChanged(3))
    assert stream.getvalue() == "warning: the key goes to http://api.example.com unencrypted; use https\n"


def test_the_number_of_images_follows_the_plan() -> None:
    stream = io.StringIO()
    with Progress(1, mode="lines", stream=stream, every=0.0) as progress:
        progress(PlanChanged(3))
        failed(progress)
    assert stream.getvalue().startswith("1/3 images")
