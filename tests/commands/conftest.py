from tests.runs.conftest import _short_backoffs, site

__all__ = ["_short_backoffs", "site"]
