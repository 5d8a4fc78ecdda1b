"""The contestants: `python -m bench.peers.NAME ASSIGNMENT`, each in the environment that its imports are installed in.

Of this project they import `bench.assignment` alone, but for `program_*`, which are about this program.
"""
