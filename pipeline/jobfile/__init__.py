"""The job file: reading it, checking everything in it, and expanding it into items."""

from pipeline.jobfile.loading import expand, load
from pipeline.jobfile.schema import schema

__all__ = ["expand", "load", "schema"]
