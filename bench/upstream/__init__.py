"""The server of the benchmark: an API that answers from prebuilt bytes, and a CDN that sends files from the kernel.

pictures    PNGs whose bytes say which item they are of
limit       a token bucket
api         the API, one asyncio protocol
cdn         the pictures, a thread a connection, `sendfile`
__main__    the process: both of them on loopback
control     the process as its user sees it
"""
