"""The job file: reading it, checking everything in it, and expanding it into items."""

from pipeline.job.loading import expand, load
from pipeline.job.schema import schema

__all__ = ["expand", "load", "schema"]
