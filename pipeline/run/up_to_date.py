"""A run that has nothing to do, found out without reading the job again.

A run that ends with every image in its place leaves a stamp in its ledger: the digest of the job, of the files it
includes and of everything else that decides what it wants. As long as that is the same, no run has begun since, and
the manifest and every file have the size and the time that they were saved with, there is nothing to do. Whatever is
not exactly so is left to the long way.
"""

import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import settings
from pipeline.ledger import LedgerReader
from pipeline.output.local.lock import Lock
from pipeline.plan.fingerprint import digest_of, fingerprint
from pipeline.report.summary import Summary

if TYPE_CHECKING:
    from pipeline.ledger import Ledger
    from pipeline.model import Job

STATE, LEDGER, MANIFEST = ".pipeline", "ledger.db", "manifest.jsonl"

MOST_BYTES = 10_000_000
"""Bytes that a job file may have; what is longer is refused the long way."""

_OUTPUT = re.compile(rb"^output:[ \t]+([^\s#'\"&*!|>{\[][^\r\n#]*?)[ \t]*(?:[ \t]#[^\r\n]*)?\r?$", re.MULTILINE)
"""An output folder as nearly everybody writes it; any other way is read the long way."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the command line says of a whole run."""

    job: Path
    endpoint: str | None
    output: Path | None


def remember(job: "Job", ledger: "Ledger", summary: Summary, environ: Mapping[str, str]) -> None:
    """Leave a stamp, if everything is in its place.

    Raises:
        StorageFailed: The ledger can't be written.
    """
    if summary.exit_code or summary.saved != summary.images or summary.maybe_billed:
        return
    try:
        listed = os.lstat(job.output / MANIFEST)
    except OSError:
        return
    _, *included = job.digests
    facts = {
        "digest": fingerprint(job.digests, job.given, environ),
        "included": [str(path) for path in included],
        "manifest": [listed.st_size, listed.st_mtime_ns],
        "summary": {name: getattr(summary, name) for name in ("job", "endpoint", "output", "manifest", "images")},
    }
    ledger.stamp(json.dumps(facts))


def unchanged(asked: RunRequest, environ: Mapping[str, str]) -> Summary | None:
    """What a run would come to that has nothing to do; None where that is not certain.

    Raises:
        FolderLocked: A run holds the folder.
        KeyRefused: There is no key where one is needed.
    """
    began = time.monotonic()
    try:
        there = asked.job.stat()
        if not stat.S_ISREG(there.st_mode) or there.st_size > MOST_BYTES:
            return None
        text = asked.job.read_bytes()
        output = asked.output or _output(text)
        if output is None or not (output / STATE / LEDGER).is_file() or (output / STATE / "state_dir").exists():
            return None
    except OSError:
        return None
    lock = Lock(output / STATE / "lock", output)
    try:
        with LedgerReader(output / STATE / LEDGER) as ledger:
            facts = _facts(ledger)
            if not facts or not _same(facts, asked, text, environ) or not _in_place(output, facts, ledger):
                return None
    finally:
        lock.release()
    known = facts["summary"]
    settings.resolve(known["endpoint"], environ).require_key()
    return Summary(**known, saved=known["images"], seconds=round(time.monotonic() - began, 3))


def _output(text: bytes) -> Path | None:
    found = _OUTPUT.findall(text)
    return Path(os.fsdecode(found[0])) if len(found) == 1 else None


def _given(asked: RunRequest) -> dict[str, str]:
    both = {"endpoint": asked.endpoint, "output": asked.output}
    return {name: str(value) for name, value in both.items() if value is not None}


def _facts(ledger: LedgerReader) -> dict[str, Any] | None:
    text = ledger.stamped()
    found = json.loads(text) if text else None
    return found if isinstance(found, dict) else None


def _same(facts: Mapping[str, Any], asked: RunRequest, text: bytes, environ: Mapping[str, str]) -> bool:
    """Whether the job and its lists hold the very bytes that the last run was about."""
    included = {path: digest_of(path) for path in map(Path, facts["included"])}
    digests = {asked.job: hashlib.sha256(text).hexdigest(), **included}
    return bool(facts["digest"] == fingerprint(digests, _given(asked), environ))


def _in_place(output: Path, facts: Mapping[str, Any], ledger: LedgerReader) -> bool:
    """Whether the manifest and every saved file are as they were left."""
    try:
        listed = os.lstat(output / MANIFEST)
        if [listed.st_size, listed.st_mtime_ns] != facts["manifest"]:
            return False
        root = f"{output}{os.sep}"
        for path, size, mtime_ns in ledger.saved_files():
            there = os.lstat(root + path)
            if (there.st_size, there.st_mtime_ns) != (size, mtime_ns) or not stat.S_ISREG(there.st_mode):
                return False
    except OSError:
        return False
    return True
