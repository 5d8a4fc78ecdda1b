"""`python -m pipeline`."""

import sys

if __name__ == "__main__":
    try:
        from pipeline.cli.main import main

        sys.exit(main())
    except KeyboardInterrupt:
        # Before the command had begun.
        sys.exit(130)
