"""The manifest, line by line while a run goes on: one for each image as soon as it is saved or has failed."""

from pipeline.events import Event, ImageRecorded, Listener
from pipeline.manifest.file import ManifestLog


def appending_to(log: ManifestLog) -> Listener:
    """A listener that appends each record to the manifest.

    Raises:
        StorageFailed: From the listener: the line can't be written.
    """

    def append(event: Event) -> None:
        if isinstance(event, ImageRecorded):
            log.append(event.record)

    return append
