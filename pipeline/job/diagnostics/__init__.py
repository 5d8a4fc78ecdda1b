"""Every mistake of a job at once, each with its place and its cure."""
