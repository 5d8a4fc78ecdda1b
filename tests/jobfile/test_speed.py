"""Long jobs are read in time that grows with their length."""

import time

from pipeline import jobfile
from tests.jobfile.conftest import Write


def test_a_job_of_five_thousand_prompts_is_checked_in_a_second(write: Write) -> None:
    path = write("prompts:\n" + "".join(f"  - {{id: p{n}, prompt: A picture of number {n}}}\n" for n in range(5_000)))
    began = time.process_time()
    job = jobfile.load(path)
    assert sum(1 for _ in jobfile.expand(job)) == 5_000
    assert time.process_time() - began < 5, "about 0.4 s on an idle machine"
