"""Which URLs a picture may be fetched from, and how they are shown to people."""

from yarl import URL

from pipeline.errors import GiveUp


def plain(url: URL) -> str:
    """The URL as messages may hold it: without query, fragment and user, which may be signatures and secrets."""
    return str(url.with_user(None).with_query(None).with_fragment(None))


def checked(text: str, *, https_only: bool, base: URL | None = None) -> URL:
    """The URL to fetch.

    An ASCII URL is kept to the letter: writing it in another way would break a signature.

    Args:
        text: The URL as an answer or a redirect gave it.
        https_only: Whether plain http is refused.
        base: What a relative `text` is relative to.

    Raises:
        GiveUp: It is no URL, not http or https, carries credentials, or has the other scheme's port.
    """
    try:
        url = URL(text, encoded=text.isascii() and text.isprintable() and " " not in text)
        if base is not None:
            url = base.join(url)
        host, scheme, port = url.host, url.scheme, url.port
    except ValueError:
        raise GiveUp("the picture's URL can't be understood", cause="lost") from None
    allowed = ("https",) if https_only else ("https", "http")
    if scheme not in allowed or not host:
        wanted = " or ".join(f"{name}://" for name in allowed)
        found = f"{scheme}:" if scheme else "no scheme"
        raise GiveUp(f"unsafe image URL: it must begin with {wanted} and a host; found {found}", cause="lost")
    if url.raw_user is not None or url.raw_password is not None:
        raise GiveUp(f"unsafe image URL: {plain(url)} carries a user name or a password", cause="lost")
    if scheme == "https" and port == 80:
        raise GiveUp(f"unsafe image URL: {plain(url)} speaks https on the port of http", cause="lost")
    return url
