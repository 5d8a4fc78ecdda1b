"""What each model accepts: data and its check."""

from pipeline.models.catalogue import dearest, find, ids, nearest, of, unknown
from pipeline.models.model import Model

__all__ = ["Model", "dearest", "find", "ids", "nearest", "of", "unknown"]
