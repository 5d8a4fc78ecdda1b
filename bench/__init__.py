"""How fast is this program, against a floor that promises nothing and against what people use today?

    python -m bench                       # everything; `make bench` is the same
    python -m bench --only api --quick    # one workload, small

A round gives every contestant the same work once, in another order each time; what is reported is the median of the
rounds. The contestant's whole process tree runs on one core, and a server that is faster than any of them (`upstream`)
on another. What was delivered is held against what the server knows it has sent: a contestant that lost work is marked.

    assignment  what one contestant is told to do, and how it hands in what it got
    peers/      the contestants, each a script that runs in an environment of its own
    upstream/   the server: answers, pictures and a rate limit
    contest     rounds, in the order that is fair; process: one child, its time, CPU and memory
    delivery    is what was delivered all of it, and right?
    workloads/  what is measured, one file each
    report      medians, spread, tables, `RESULTS.md`

Nothing here is needed to run the program; what the peers need is installed by `install` into `bench/.cache`.
"""
