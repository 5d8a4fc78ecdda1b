"""The money a run may spend: the price of a request is reserved before it leaves, and corrected by its answer."""

import anyio

from pipeline.errors import BudgetReached


class Budget:
    """A cap on tokens that holds: paid + open + the next one never exceed it, as far as prices are known.

    Attributes:
        spent: Tokens paid so far.
        reserved: Tokens that requests in flight may still cost.
    """

    def __init__(self, tokens: int | None) -> None:
        """`tokens` is the cap, None for none."""
        self.cap = tokens
        self.spent = 0
        self.reserved = 0
        self._settled = anyio.Event()

    async def reserve(self, price: int) -> None:
        """Set `price` tokens aside for one request.

        Where the rest does not suffice but requests in flight may yet give some back (a refused one costs nothing),
        this waits for them.

        Raises:
            BudgetReached: The request might go over the cap.
        """
        if self.cap is None:
            self.reserved += price
            return
        while self.spent + self.reserved + price > self.cap:
            if not self.reserved or self.spent + price > self.cap:
                raise BudgetReached(
                    f"the budget of {self.cap:,} tokens is reached: {self.spent + self.reserved:,} are spent or "
                    f"promised and the next request costs {price:,}; to go on, raise limits.budget_tokens "
                    "or --budget-tokens"
                )
            await self._settled.wait()
        self.reserved += price

    def settle(self, price: int, cost: int) -> None:
        """One request is over: give back what was reserved for it, and book what it really cost."""
        self.reserved -= price
        self.spent += cost
        self._settled.set()
        self._settled = anyio.Event()
