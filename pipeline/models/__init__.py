"""What each model accepts: data and its check."""

from pipeline.models.catalogue import find, ids, nearest, unknown
from pipeline.models.model import Model

__all__ = ["Model", "find", "ids", "nearest", "unknown"]
