"""What happens during a run, as values: each event says how much it matters and, in one line, what it means.

The rooms of a run tell of events and know nobody who listens. A listener is any function that takes an event: the
display, the manifest, the counters, the log, and whatever a caller brings along. It is called at once, in the run's own
thread, so it must be quick; what it raises ends the run.
"""

from pipeline.events.event import Event, Listener, Severity, to_all
from pipeline.events.of_billing import (
    AskingAgain,
    BillingLogAwaited,
    BillingLogMissing,
    BillingLogUnreadable,
    ChargesUnreadable,
    ChargesUnrecorded,
    EarlierRunsUnresolved,
    OutcomeUnknown,
)
from pipeline.events.of_images import ImageFailed, ImageRecorded
from pipeline.events.of_requests import (
    AnswerPaid,
    ConnectionsCutOff,
    EndpointNoted,
    KeyUnencrypted,
    PauseAsked,
    ProviderOut,
    RequestRefused,
    RequestSent,
)
from pipeline.events.of_runs import JobNoted, PlanChanged, RunEnded, RunRefused, RunStarted, Stopping

__all__ = [
    "AnswerPaid",
    "AskingAgain",
    "BillingLogAwaited",
    "BillingLogMissing",
    "BillingLogUnreadable",
    "ChargesUnreadable",
    "ChargesUnrecorded",
    "ConnectionsCutOff",
    "EarlierRunsUnresolved",
    "EndpointNoted",
    "Event",
    "ImageFailed",
    "ImageRecorded",
    "JobNoted",
    "KeyUnencrypted",
    "Listener",
    "OutcomeUnknown",
    "PauseAsked",
    "PlanChanged",
    "ProviderOut",
    "RequestRefused",
    "RequestSent",
    "RunEnded",
    "RunRefused",
    "RunStarted",
    "Severity",
    "Stopping",
    "to_all",
]
