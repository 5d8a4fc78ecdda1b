"""The project's own upstream: the vendor's API and CDN over real HTTP, with real pictures, at no cost.

It can be told to misbehave (`Behaviour`, `Fault`), and keeps books of what was asked and billed (`Books`).
"""

from sandbox.behaviour import Behaviour, Fault
from sandbox.books import Books, Get, Row
from sandbox.kinds import KINDS
from sandbox.options import parse_fault, read_script
from sandbox.server import Sandbox

__all__ = ["KINDS", "Behaviour", "Books", "Fault", "Get", "Row", "Sandbox", "parse_fault", "read_script"]
