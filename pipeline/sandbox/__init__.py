"""The project's own upstream: the vendor's API and CDN over real HTTP, with real pictures, at no cost.

It can be told to misbehave (`Behaviour`, `Fault`), and keeps books of what was asked and billed (`Books`).
"""

from pipeline.sandbox.behaviour import Behaviour, Fault
from pipeline.sandbox.books import Books, Get, Row
from pipeline.sandbox.kinds import KINDS
from pipeline.sandbox.options import parse_fault, read_script
from pipeline.sandbox.server import Sandbox

__all__ = ["KINDS", "Behaviour", "Books", "Fault", "Get", "Row", "Sandbox", "parse_fault", "read_script"]
