"""How much of a test is run: a little with every change, much with `make soak`."""

import os

HOURS = float(os.environ.get("HOURS") or 0)
"""For how long the tests of endurance go on."""

SOAK = bool(os.environ.get("SOAK"))
"""Whether this is the long form."""


def count(short: int, long: int) -> int:
    """`short`, or `long` where the environment says `SOAK`."""
    return long if SOAK else short
