"""The money a run may spend: the price of a request is reserved before it leaves, and corrected by its answer."""

from collections.abc import Callable

import anyio

from pipeline.errors import BudgetReached
from pipeline.model import CREDITS_PER_USD, Limits
from pipeline.text import usd

LOST_FLOOR = 1.0
"""Dollars that may at least be spent on what was lost, where the job does not say."""

LOST_SHARE = 0.02
"""The same as a share of what the run would cost."""


def cap_of(limits: Limits) -> int | None:
    """The tokens a run may spend by its limits, the lower one of tokens and dollars; None for no cap."""
    dollars = None if limits.budget_usd is None else int(limits.budget_usd * CREDITS_PER_USD + 1e-6)
    caps = [cap for cap in (limits.budget_tokens, dollars) if cap is not None]
    return min(caps, default=None)


class Budget:
    """A cap on tokens that holds: paid + open + maybe + the next one never exceed it.

    Attributes:
        cap: Tokens, or None for no cap.
        spent: Tokens paid, and tokens that may have been paid.
        reserved: Tokens that requests in flight may still cost.
    """

    def __init__(self, tokens: int | None) -> None:
        """`tokens` is the cap, None for none."""
        self.cap = tokens
        self.spent = self._before = 0
        self.reserved = 0
        self._settled = anyio.Event()

    def begin(self, spent: int) -> None:
        """Count what earlier runs have spent."""
        self._before = spent
        self.spent += spent

    async def reserve(self, each: int | None, images: int = 1) -> tuple[int, int]:
        """Set tokens aside for one request.

        Where the rest does not suffice but requests in flight may yet give some back (a refused one costs nothing),
        this waits for them. Then as many of its images are let through as fit. A request whose price nobody knows yet
        goes alone, with all that is left: its answer tells the price of the next ones.

        Args:
            each: Tokens that one image costs, None where unknown.
            images: Images that the request asks for.

        Returns:
            The tokens set aside, and the images that they are for.

        Raises:
            BudgetReached: Nothing is in flight any more, and not even one image fits.
        """
        if self.cap is None:
            return self._set_aside((each or 0) * images), images
        while not self._fits(each, images):
            if not self.reserved:
                images = min(images, (self.cap - self.spent) // each) if each else 0
                if images < 1:
                    raise BudgetReached(self._reached(each))
                break
            await self._settled.wait()
        return self._set_aside(self.cap - self.spent if each is None else each * images), images

    def _set_aside(self, tokens: int) -> int:
        self.reserved += tokens
        return tokens

    def settle(self, reserved: int, cost: int) -> None:
        """One request is over: give back what was reserved for it, and book what it really cost."""
        self.reserved -= reserved
        self.spent += cost
        self._settled.set()
        self._settled = anyio.Event()

    def correct(self, difference: int) -> None:
        """A request that may have cost its price did cost so much more, or less where this is negative."""
        self.settle(0, difference)

    def _fits(self, each: int | None, images: int) -> bool:
        assert self.cap is not None
        if each is None:
            return not self.reserved and self.spent < self.cap
        return self.spent + self.reserved + each * images <= self.cap

    def _reached(self, each: int | None) -> str:
        assert self.cap is not None
        earlier = f", {self._before:,} of them by earlier runs within limits.budget_window" if self._before else ""
        one = "the next image has no known price" if each is None else f"the next image costs {each:,}"
        return (
            f"the budget of {self.cap:,} tokens ({usd(self.cap / CREDITS_PER_USD)}) is reached: "
            f"{self.spent:,} are spent{earlier}, and {one}; to go on, raise limits.budget_tokens or limits.budget_usd "
            "(--budget-tokens, --budget-usd)"
        )


class RetryPaidBudget:
    """What a run may spend on asking again for what was, or may have been, billed without an answer.

    Attributes:
        cap: Tokens.
        spent: Tokens spent so far.
    """

    def __init__(self, dollars: float | None, planned: int, *, dear: Callable[[], int]) -> None:
        """Take note of the cap.

        Args:
            dollars: The cap; None for the larger of `LOST_FLOOR` and `LOST_SHARE` of the plan.
            planned: Tokens that the whole run would cost.
            dear: Tokens to take an unknown price for.
        """
        self.cap = int((dollars if dollars is not None else LOST_FLOOR) * CREDITS_PER_USD + 1e-6)
        if dollars is None:
            self.cap = max(self.cap, int(planned * LOST_SHARE))
        self.spent = 0
        self._dear = dear

    def allows(self, price: int | None) -> bool:
        """Whether one more request of this price may be made, and if so, book it."""
        price = self._dear() if price is None else price
        if self.spent + price > self.cap:
            return False
        self.spent += price
        return True
