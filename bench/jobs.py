"""Job files for this program, of any length, in the three forms that a long job may have."""

import json
from collections.abc import Sequence
from pathlib import Path

from bench.assignment import MODEL, RATIO, Assignment

FORMS = ("yaml", "jsonl", "csv")


def write(folder: Path, assignment: Assignment, form: str = "jsonl") -> Path:
    """Write the job of an assignment into a folder beside the one for its pictures.

    Args:
        folder: For the job file, and for the list of prompts beside it.
        assignment: What the job asks for.
        form: One of `FORMS`: `yaml` has the prompts in the job file itself, one mapping each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prompts = map(assignment.prompt, range(assignment.items))
    entries = ["  - file: prompts." + form]
    if form == "yaml":
        entries = [f"  - {{prompt: {prompt}}}" for prompt in prompts]
    elif form == "csv":
        (folder / "prompts.csv").write_text("prompt\n" + "".join(f"{prompt}\n" for prompt in prompts))
    else:
        rows = (json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
        (folder / "prompts.jsonl").write_text("".join(rows))
    path = folder / "job.yaml"
    path.write_text("\n".join([*_top(assignment), "prompts:", *entries, ""]))
    return path


def _top(assignment: Assignment) -> Sequence[str]:
    rate = f", requests_per_minute: {assignment.per_minute}" if assignment.per_minute else ""
    return [
        "name: bench",
        f"model: {MODEL}",
        f"endpoint: {assignment.base}",
        f"output: {assignment.folder}",
        f"aspect_ratios: ['{RATIO}']",
        f"limits: {{concurrency: {assignment.in_flight}, downloads: {assignment.in_flight}{rate}}}",
    ]
