"""Stop a run whose paid answers are of no use: the next ones would cost as much and bring as little."""

from collections import Counter

from pipeline.errors import GiveUp, UnusableAnswers
from pipeline.text import plural

SAID = {
    "accepted": "the API answers with a ticket instead of a picture: it is asynchronous, and this version can't wait "
    "for what it has accepted; ask an endpoint that answers with the picture",
    "download": "the pictures' URLs do not give the pictures: look at one in a browser; the picture server may be down "
    "or block this machine. The next run fetches them, at no cost",
    "lost": "the answers can't be read: something on the way may change them, or the API has changed its answers",
    "bad-picture": "what comes is not a usable picture: look at the files in .pipeline/quarantine",
    "filtered": "the answers hold no picture: look at the parameters and at what the API says",
    "moderated": "the API calls its own pictures unusable (moderation): look at the prompts",
}
"""What each cause means when it is the same for everything, and what to do."""


class UnusableStreak:
    """Counts the different items, since the last usable picture, whose paid answers brought none.

    Args:
        most: How many there may be before the run stops.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._causes: dict[str, str] = {}

    def usable(self) -> None:
        """A paid answer of this run has brought a usable picture: all is well again."""
        self._causes.clear()

    def unusable(self, item: str, cause: str) -> UnusableAnswers | None:
        """A paid answer of this run has brought no usable picture.

        Args:
            item: Id of the item it was for.
            cause: Why, one of `GiveUp.CAUSES`.

        Returns:
            Why the run must stop; None as long as it may be the items' own bad luck.
        """
        self._causes[item] = cause
        if len(self._causes) < self._most:
            return None
        ((common, number),) = Counter(self._causes.values()).most_common(1)
        why = SAID.get(common, GiveUp.CAUSES.get(common, common))
        share = "" if number == len(self._causes) else f" (for {number} of them)"
        return UnusableAnswers(
            f"{plural(len(self._causes), 'paid answer')} in a row brought no usable picture; nothing more is asked "
            f"for{share}: {why}. limits.unusable_answers says how many there may be; everything so far is recorded"
        )
