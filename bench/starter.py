"""Start one command and tell what it took. Run as a script of its own, by `bench.process`.

The system counts the memory of whoever starts a program as that program's peak: on Linux the peak of a process outlives
`exec`. So the benchmark, which grows, does not start a contestant itself, but has this script do it, which is smaller
than any of them. It imports next to nothing for that reason.
"""

import os
import sys
import time


def main(report: int, core: int, command: list[str]) -> int:
    """Start a command and wait for its end.

    Args:
        report: Descriptor of a pipe. The start is written to it as a monotonic time in seconds; then, in a line of its
            own, the end, the CPU in seconds, the peak as the system tells it, and the exit code.
        core: The core to run on, or -1 for any.
        command: Program and arguments.
    """
    os.set_inheritable(report, False)
    if core >= 0:
        os.sched_setaffinity(0, {core})
    os.write(report, f"{time.monotonic()}\n".encode())
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    took = f"{time.monotonic()} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss} {code}\n"
    os.write(report, took.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
