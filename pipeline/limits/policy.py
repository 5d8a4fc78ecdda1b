"""Every time and count that a run goes by and no job sets, in one place, handed to whoever needs it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """How a run behaves towards failures, the vendor's log and the disk. Times are in seconds.

    Attributes:
        backoff_base: The first backoff is at most so long; each further one may take twice as long.
        backoff_cap: No backoff is longer.
        fetches: Downloads of one picture in a row, at most.
        fetches_when_refused: The same while its server refuses it (403, 404 …).
        fresh_patience: How long a run waits for a picture that it has paid for and that its server does not have yet:
            servers behind a cache have been seen to need 150 s.
        url_lifetime: Age from which a refusal of a URL is believed that does not say when it ends: the longest that the
            known services keep one.
        retry_tokens: Retries that a run may make at once, whatever its successes.
        retry_tokens_a_success: Retries that each success pays for: by and by they are a tenth of the requests.
        retry_token_every: Time in which one more retry comes by itself, so that a run whose last requests all fail
            still ends.
        outage_failures: Failures in a row, of at least two items, after which it is no longer an item's own bad luck.
        probe_every: Time from one probe of an unavailable provider to the next: anything between, so that many clients
            do not come at once.
        outage_told_every: Time after which an outage that goes on is told of again.
        pause_told_every: Time for which a person is not told again of a pause that the API asks for.
        cut_after: Requests cut off after less may well be chance.
        wait_shown: A wait that is shorter is not worth a word.
        billing_lag: Time after which a request is in the log if it was billed: the longest wait for an answer, and a
            minute.
        billing_lag_in_sandbox: The same in a run's own sandbox.
        log_again: Time after which a log is asked again that could not be read.
        log_calls_a_minute: Calls of the vendor's log; the vendor answers 200 in a minute.
        log_rows: Rows of one window of the log that are read, where the caller sets no lower bound: a quarter of an
            hour, at that rate.
        log_rows_before_buying: Rows that are read before a run buys anything: half as many calls as the vendor answers
            in a minute.
        log_page_bytes: Bytes of one page of the log that are read.
        free_bytes: Bytes of the disk that must be free before a request is sent: what is paid for must find a place.
    """

    backoff_base: float = 1.0
    backoff_cap: float = 60.0
    fetches: int = 6
    fetches_when_refused: int = 3
    fresh_patience: float = 600.0
    url_lifetime: float = 7 * 86_400.0
    retry_tokens: float = 10.0
    retry_tokens_a_success: float = 0.1
    retry_token_every: float = 5.0
    outage_failures: int = 5
    probe_every: tuple[float, float] = (30.0, 60.0)
    outage_told_every: float = 300.0
    pause_told_every: float = 60.0
    cut_after: float = 10.0
    wait_shown: float = 1.5
    billing_lag: float = 660.0
    billing_lag_in_sandbox: float = 1.0
    log_again: float = 30.0
    log_calls_a_minute: int = 150
    log_rows: int = 250_000
    log_rows_before_buying: int = 7_500
    log_page_bytes: int = 4 * 1024 * 1024
    free_bytes: int = 64 * 1024 * 1024


STANDARD = Policy()
"""What holds for everybody."""
