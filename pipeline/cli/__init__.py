"""Arguments and environment to a command, errors to one message and an exit code."""
