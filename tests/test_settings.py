import traceback

import pytest

from pipeline.errors import KeyRefused, UsageError
from pipeline.settings import AIMLAPI, KEY_VARIABLES, Endpoint, Key, base_url, find_key, resolve

SECRET = "sk-live-0123456789abcdef"


def test_a_key_is_shown_by_nothing_but_reveal() -> None:
    key = Key(SECRET)
    endpoint = Endpoint("https://example.com", key)
    shown = [repr(key), str(key), f"{key}", f"{key!r:>40}", repr([key]), repr(endpoint), str(endpoint)]
    assert not [text for text in shown if SECRET in text]
    assert key.reveal() == SECRET


def test_a_key_is_read_without_the_white_space_around_it() -> None:
    assert Key(f"  {SECRET}\n").reveal() == SECRET


@pytest.mark.parametrize(
    "bad", ["", "  \n", "s3 cret", "s3\ncret", "s3\0cret", "s3\tcret", "s3cретcret", "s3\u200bcret", "\x7fs3cret"]
)
def test_a_key_that_no_header_may_hold_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(KeyRefused, match="AIML_API_KEY") as refused:
        Key(bad, "AIML_API_KEY")
    assert refused.value.exit_code == 3
    shown = "".join(traceback.format_exception(refused.value))
    assert "s3" not in shown
    assert "cret" not in shown


def test_the_first_variable_that_holds_a_key_wins() -> None:
    assert KEY_VARIABLES == ("AIML_API_KEY", "AIMLAPI_KEY", "AIMLAPI_API_KEY")
    environ = {"AIML_API_KEY": "  ", "AIMLAPI_KEY": "second", "AIMLAPI_API_KEY": "third"}
    key = find_key(environ)
    assert key is not None
    assert key.reveal() == "second"


def test_no_variable_means_no_key() -> None:
    assert find_key({}) is None
    assert find_key({"AIML_API_KEY": ""}) is None


@pytest.mark.parametrize(
    ("written", "base"),
    [
        ("https://api.aimlapi.com", "https://api.aimlapi.com"),
        ("https://api.aimlapi.com/", "https://api.aimlapi.com"),
        ("https://api.aimlapi.com/v1", "https://api.aimlapi.com"),
        ("https://api.aimlapi.com/v1/", "https://api.aimlapi.com"),
        ("https://api.aimlapi.com//v1//", "https://api.aimlapi.com"),
        (" http://localhost:8080/proxy/v1 ", "http://localhost:8080/proxy"),
        ("http://[::1]:9/v1", "http://[::1]:9"),
        ("HTTPS://API.Example.com/Path", "https://api.example.com/Path"),
        ("http://example.com:", "http://example.com"),
        ("https://example.com/v1beta", "https://example.com/v1beta"),
    ],
)
def test_a_base_url_is_read_with_and_without_v1(written: str, base: str) -> None:
    assert base_url(written, "endpoint") == base
    assert base_url(base, "endpoint") == base


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "api.aimlapi.com",
        "ftp://example.com",
        "https://",
        "https:///v1",
        "https://[::1",
        "https://example.com:port",
        "https://example.com:99999",
        "https://exa mple.com",
        "https://example.com/a\tb",
        "https://user@example.com",
        "https://user:pass@example.com",
        "https://example.com?key=1",
        "https://example.com#fragment",
    ],
)
def test_what_is_no_base_url_is_refused_by_name(bad: str) -> None:
    with pytest.raises(UsageError, match="AIML_API_BASE") as refused:
        base_url(bad, "AIML_API_BASE")
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "leaky",
    [
        f"https://user:{SECRET}@example.com",
        f"https://example.com?key={SECRET}",
        f"ftp://user:{SECRET}@example.com",
        f"https://example.com:{SECRET}",
        f"https://user:{SECRET}@exam\u2100ple.com",
        SECRET,
    ],
)
def test_a_secret_in_a_bad_base_url_is_not_repeated(leaky: str) -> None:
    with pytest.raises(UsageError) as refused:
        base_url(leaky, "AIML_API_BASE")
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_the_default_endpoint_is_the_vendors_and_needs_a_key() -> None:
    endpoint = resolve("aimlapi", {})
    assert endpoint == Endpoint(AIMLAPI, None, needs_key=True)
    with pytest.raises(KeyRefused) as refused:
        endpoint.require_key()
    assert refused.value.exit_code == 3
    assert "AIML_API_KEY" in str(refused.value)
    assert "--endpoint sandbox" in str(refused.value)


def test_a_key_is_all_that_the_default_endpoint_needs() -> None:
    endpoint = resolve("aimlapi", {"AIMLAPI_KEY": SECRET})
    endpoint.require_key()
    assert endpoint.key is not None
    assert endpoint.key.reveal() == SECRET


def test_the_base_variable_moves_the_default_endpoint() -> None:
    assert resolve("aimlapi", {"AIML_API_BASE": "http://127.0.0.1:8080/v1"}).base == "http://127.0.0.1:8080"


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_base_variable_means_the_vendor(blank: str) -> None:
    assert resolve("aimlapi", {"AIML_API_BASE": blank}).base == AIMLAPI


def test_the_base_variable_moves_nothing_but_the_default_endpoint() -> None:
    environ = {"AIML_API_BASE": "http://127.0.0.1:8080", "AIML_API_KEY": SECRET}
    assert resolve("https://example.com/v1/", environ).base == "https://example.com"
    assert resolve("sandbox", environ).base == ""


def test_the_sandbox_never_sees_the_users_key() -> None:
    endpoint = resolve("sandbox", {"AIML_API_KEY": SECRET})
    assert endpoint.sandbox
    assert endpoint.key is not None
    assert endpoint.key.reveal() != SECRET
    endpoint.require_key()


def test_another_server_may_be_asked_without_a_key() -> None:
    endpoint = resolve("http://127.0.0.1:1234", {})
    assert endpoint.key is None
    endpoint.require_key()


@pytest.mark.parametrize(
    ("base", "private"),
    [
        ("http://127.0.0.1:80", True),
        ("http://localhost:80", True),
        ("http://LOCALHOST", True),
        ("http://images.localhost:8080", True),
        ("http://[::1]:80", True),
        ("http://10.1.2.3", True),
        ("http://192.168.0.1", True),
        ("http://[fd00::1]", True),
        ("http://8.8.8.8", False),
        ("https://api.aimlapi.com", False),
        ("https://localhost.example.com", False),
        ("http://gpu-box:8080", True),
        ("https://images.lan/api", True),
        ("https://lan.example.com", False),
        ("https://notlocal", True),
        ("https://my.notlocal", False),
        ("", False),
    ],
)
def test_only_a_host_that_the_internet_cannot_reach_is_private(base: str, private: bool) -> None:
    assert Endpoint(base).private is private
