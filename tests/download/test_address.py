import pytest
from yarl import URL

from pipeline.download.address import checked, plain
from pipeline.errors import GiveUp


def test_messages_show_a_url_without_what_may_be_secret() -> None:
    url = URL("https://me:pw@cdn.example:8443/a%2Fb.png?X-Amz-Signature=SECRET#part", encoded=True)
    assert plain(url) == "https://cdn.example:8443/a%2Fb.png"


@pytest.mark.parametrize(
    "text", ["https://cdn.example/a.png", "HTTPS://CDN.example:8443/%7e~?a=%2B+b", "https://c/é.png"]
)
def test_https_urls_are_fetched(text: str) -> None:
    assert checked(text, https_only=True).scheme == "https"


def test_an_ascii_url_is_kept_to_the_letter() -> None:
    text = "https://cdn.example/a%2fb/%7e~(1).png?sig=a%2Bb+c/d%3D"
    assert str(checked(text, https_only=True)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "fox.png", "/fox.png", "//cdn.example/x", "https://", "https:///x", "file:///etc/passwd"),
        *("ftp://cdn.example/x", "data:image/png;base64,AAAA", "javascript:alert(1)", "gopher://127.0.0.1:6379/x"),
        *("https://me@cdn.example/", "https://me:pw@cdn.example/", "https://cdn.example:99999/", "https://[::1"),
        *("https://cdn.example:80/x", "https://:80/", "http://[fe80::1%25eth0]extra/"),
    ],
)
def test_anything_else_is_unsafe_and_its_secrets_are_not_repeated(text: str) -> None:
    with pytest.raises(GiveUp) as caught:
        checked(text + "?SECRET", https_only=False)
    assert caught.value.cause == "lost"
    assert "pw" not in str(caught.value)
    assert "SECRET" not in str(caught.value)
