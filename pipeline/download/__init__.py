"""One picture's way from its URL, which is paid for, to a whole and checked file.

`Downloads` is what all of them share, `Transfer` is one of them; `answer` decides what a server's answer means and
`address` which URLs may be fetched.
"""

from pipeline.download.transfer import Downloads, Transfer

__all__ = ["Downloads", "Transfer"]
