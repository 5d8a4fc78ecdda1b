"""The caller's own function that is called with each record of a run."""

import inspect
from collections.abc import Callable
from typing import Any

from pipeline.model import Record

Listener = Callable[[Record], None]

_CURE = "on_record is called while the run goes on and is not awaited: pass a plain function"


def checked(on_record: Listener | None) -> Listener | None:
    """The function, if it can be called as a run calls it.

    Raises:
        TypeError: It is a coroutine function, or can't be called at all.
    """
    if on_record is None:
        return None
    if not callable(on_record):
        raise TypeError(f"on_record must be a function, found {type(on_record).__name__}")
    if any(map(inspect.iscoroutinefunction, (on_record, type(on_record).__call__))):
        raise TypeError(f"on_record is a coroutine function; {_CURE}, for example one that puts the record on a queue")

    def call(record: Record) -> None:
        returned: Any = on_record(record)
        if inspect.isawaitable(returned):
            if inspect.iscoroutine(returned):
                returned.close()
            raise TypeError(f"on_record returned an awaitable ({type(returned).__name__}); {_CURE}")

    return call
