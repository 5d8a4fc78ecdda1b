from tests.run.conftest import _short_backoffs, site

__all__ = ["_short_backoffs", "site"]
