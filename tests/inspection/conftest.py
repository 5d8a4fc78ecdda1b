from tests.run.conftest import site

__all__ = ["site"]
