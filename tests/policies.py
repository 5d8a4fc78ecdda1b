"""Policies for tests: everything as it is, but nobody waits for long."""

from dataclasses import replace

from pipeline.limits.policy import STANDARD

QUICK = replace(STANDARD, backoff_base=0.001, retry_token_every=0.001, fresh_patience=0.02, log_calls_a_minute=60_000)
"""Nobody waits for long between two attempts, or two calls of the log."""

PROBING = replace(QUICK, probe_every=(0.001, 0.002))
"""The same, and a provider that is out is probed at once."""
