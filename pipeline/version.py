"""The version of this program, where it costs nothing to ask for it."""

__version__ = "0.1.0"
