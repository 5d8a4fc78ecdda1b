"""`python -m pipeline`."""

import sys

if __name__ == "__main__":
    try:
        from pipeline.cli import main

        sys.exit(main())
    except ModuleNotFoundError as error:
        missing = error.name or "pipeline"
        if missing.partition(".")[0] == "pipeline":
            raise
        sys.stderr.write(
            f"error: the Python at {sys.executable} has no {missing}: use the one that `make run` sets up "
            "(.venv/bin/python), or install this program for it (-m pip install .)\n"
        )
        sys.exit(2)
    except KeyboardInterrupt:
        # Before the command had begun.
        sys.exit(130)
