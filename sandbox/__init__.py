"""The project's own upstream: the vendor's API and CDN over real HTTP, with real pictures, at no cost.

It can be told to misbehave (`Behaviour`, `Fault`), and keeps a log of what was asked and billed (`RequestLog`).
"""

from sandbox.behaviour import Behaviour, Fault
from sandbox.kinds import KINDS
from sandbox.options import parse_fault, read_script
from sandbox.request_log import Get, LoggedRequest, RequestLog
from sandbox.server import Sandbox

__all__ = ["KINDS", "Behaviour", "Fault", "Get", "LoggedRequest", "RequestLog", "Sandbox", "parse_fault", "read_script"]
