"""The jobs that come with the project are right."""

from pathlib import Path

import pytest

from pipeline import job as jobfile

JOBS = Path(__file__).parents[2] / "jobs"


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.yaml")), ids=lambda path: path.name)
def test_a_shipped_job_loads(path: Path) -> None:
    assert list(jobfile.expand(jobfile.load(path)))


def test_the_catalogue_makes_a_handful_of_free_pictures() -> None:
    job = jobfile.load(JOBS / "catalog.yaml")
    items = list(jobfile.expand(job))
    assert (job.endpoint, job.output) == ("sandbox", Path("build/catalog"))
    assert items[0].prompt == "Racoon eating ice-cream"
    assert 15 <= sum(item.count for item in items) <= 25
