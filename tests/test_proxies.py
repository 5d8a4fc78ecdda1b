import pytest

from pipeline.errors import UsageError
from pipeline.proxies import Proxies, by_environment, bypasses, parsed

HOST = "api.example.com"


def proxy_for(url: str, **environ: str) -> str | None:
    scheme, _, host = url.partition("://")
    found = by_environment(environ).of(scheme, host, None)
    return None if found is None else found.url


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, f"https://{HOST}", None),
        ({"HTTPS_PROXY": "http://p:3128"}, f"https://{HOST}", "http://p:3128"),
        ({"https_proxy": "http://p:3128"}, f"https://{HOST}", "http://p:3128"),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, f"https://{HOST}", "http://low:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://up:1"}, f"https://{HOST}", None),
        ({"HTTPS_PROXY": "http://p:3128"}, f"http://{HOST}", None),
        ({"HTTP_PROXY": "http://p:3128"}, f"http://{HOST}", "http://p:3128"),
        ({"HTTP_PROXY": "http://p:3128", "REQUEST_METHOD": "GET"}, f"http://{HOST}", None),
        ({"http_proxy": "http://p:3128", "REQUEST_METHOD": "GET"}, f"http://{HOST}", "http://p:3128"),
        ({"HTTP_PROXY": "http://p:3128"}, f"https://{HOST}", None),
        ({"ALL_PROXY": "http://p:3128"}, f"https://{HOST}", "http://p:3128"),
        ({"all_proxy": "p:3128"}, f"http://{HOST}", "http://p:3128"),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://p:1"}, f"https://{HOST}", "http://p:1"),
        ({"HTTPS_PROXY": "proxy.example.com"}, f"https://{HOST}", "http://proxy.example.com:80"),
        ({"HTTPS_PROXY": "https://p"}, f"https://{HOST}", "https://p:443"),
        ({"HTTPS_PROXY": "http://[::1]:3128"}, f"https://{HOST}", "http://[::1]:3128"),
    ],
)
def test_the_environment_names_the_proxy_as_curl_reads_it(environ: dict[str, str], url: str, proxy: str | None) -> None:
    assert proxy_for(url, **environ) == proxy


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.8.9.1", "[::1]"])
def test_this_machine_is_never_asked_through_a_proxy(host: str) -> None:
    assert proxy_for(f"http://{host}", HTTP_PROXY="http://p:3128", ALL_PROXY="http://p:3128") is None


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "bypassed"),
    [
        ("*", HOST, 443, True),
        ("example.com", HOST, 443, True),
        (".example.com", HOST, 443, True),
        ("*.example.com", HOST, 443, True),
        ("API.Example.COM", HOST, 443, True),
        ("example.com", "api.example.com.", 443, True),
        ("ample.com", HOST, 443, False),
        ("example.com.evil", HOST, 443, False),
        ("a.org, example.com", HOST, 443, True),
        ("a.org example.com", HOST, 443, True),
        ("example.com:443", HOST, 443, True),
        ("example.com:8443", HOST, 443, False),
        ("10.0.0.0/8", "10.9.8.7", 443, True),
        ("10.0.0.0/8", "11.9.8.7", 443, False),
        ("10.0.0.5", "10.0.0.5", 443, True),
        ("10.0.0.5:80", "10.0.0.5", 443, False),
        ("fd00::/8", "[fd12::1]", 443, True),
        ("10.0.0.0/8", HOST, 443, False),
        ("", HOST, 443, False),
        (" , ", HOST, 443, False),
    ],
)
def test_no_proxy_names_hosts_ends_of_hosts_and_networks(no_proxy: str, host: str, port: int, bypassed: bool) -> None:
    entries = by_environment({"NO_PROXY": no_proxy}).bypass
    assert bypasses(entries, host, port) is bypassed


def test_the_jobs_own_proxy_takes_the_environments_place() -> None:
    environ = {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "inside.example.com"}
    found = by_environment(environ, "http://own:3128")
    assert str(found.of("https", HOST, None)) == "http://own:3128 (proxy:)"
    assert found.of("https", "inside.example.com", None) is None
    assert by_environment(environ, "none") == Proxies()


def test_the_credentials_of_a_proxy_can_not_be_shown() -> None:
    proxy = parsed("http://me:s%40cret@p:3128", "HTTPS_PROXY")
    assert proxy.authorization == "Basic bWU6c0BjcmV0"
    for text in (str(proxy), repr(proxy), proxy.url):
        assert "s%40cret" not in text
        assert "bWU6" not in text
        assert "me:" not in text


@pytest.mark.parametrize(
    "text",
    [
        "socks5://me:secret@p:1080",
        "ftp://me:secret@p",
        "http://",
        "http://me:secret@p:x",
        "http://p secret",
        "p?secret",
    ],
)
def test_a_proxy_that_can_not_be_used_is_an_error_that_does_not_repeat_it(text: str) -> None:
    with pytest.raises(UsageError, match="HTTPS_PROXY") as refused:
        by_environment({"HTTPS_PROXY": text})
    assert "secret" not in str(refused.value)
