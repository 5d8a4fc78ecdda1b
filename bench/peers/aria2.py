"""`aria2c` with a list of URLs, one connection each: the pictures are small for it."""

import subprocess
from pathlib import Path

from bench.assignment import Assignment, received


def main(assignment: Assignment) -> None:
    """Do the assignment; the first option is the program."""
    urls = Path(assignment.folder) / "urls.txt"
    urls.write_text("".join(f"{assignment.url(number)}\n" for number in range(assignment.items)))
    (program,) = assignment.options
    command = [program, "--quiet", "--dir", assignment.folder, "--input-file", str(urls), "--split=1"]
    in_flight = f"--max-concurrent-downloads={assignment.in_flight}"
    subprocess.run([*command, in_flight, "--file-allocation=none", "--no-conf"], check=True)


if __name__ == "__main__":
    main(received())
