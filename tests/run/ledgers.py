"""The ledger of a site, to look into and to change behind the program's back."""

import sqlite3
from contextlib import closing

from pipeline.ledger import LedgerReader
from tests.run.site import Site


def ledger_of(site: Site) -> LedgerReader:
    """The ledger, to read."""
    return LedgerReader(site.output / ".pipeline" / "ledger.db")


def change(site: Site, *statements: str) -> None:
    """Carry out some statements in SQL."""
    with closing(sqlite3.connect(site.output / ".pipeline/ledger.db")) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()
