"""One picture's way from its URL, which is paid for, to a whole and checked file.

`Downloads` is what all of them share, `Transfer` is one of them, in every way that the paid answer offers; `getting`
asks one URL, `arrival` is where the bytes go, and `coding` undoes what a server has compressed. `answer` decides what a
server's answer means and `address` which URLs may be fetched.
"""

from pipeline.download.transfer import Decode, Downloads, Transfer

__all__ = ["Decode", "Downloads", "Transfer"]
