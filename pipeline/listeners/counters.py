"""What a run counts of the images that it saves or fails to make."""

from dataclasses import dataclass, field

from pipeline.events import Event, ImageRecorded


@dataclass(slots=True)
class Counters:
    """Counts records.

    Attributes:
        limited: Whether the run may make a part only, so that what it tried must be told from what it never came to.
        saved: Images that this run saved.
        tried: Under a limit: id and index of the images that it tried in vain.
    """

    limited: bool = False
    saved: int = 0
    tried: set[tuple[str, int]] = field(default_factory=set)

    def __call__(self, event: Event) -> None:
        """Count it, if it is about an image."""
        if not isinstance(event, ImageRecorded):
            return
        which = (event.record.id, event.record.index)
        if event.record.status == "saved":
            self.saved += 1
            self.tried.discard(which)
        elif self.limited:
            self.tried.add(which)
