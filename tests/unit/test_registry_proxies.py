"""Which proxy is used for which host."""

import httpx2
import pytest

from ghcr_push.registry.proxies import Proxies

PROXY = "http://user:s3cret@proxy.test:3128"


@pytest.mark.parametrize(
    ("environ", "url", "variable"),
    [
        ({"HTTPS_PROXY": PROXY}, "https://ghcr.io/", "HTTPS_PROXY"),
        ({"https_proxy": PROXY}, "https://ghcr.io/", "https_proxy"),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "other"}, "https://ghcr.io/", "https_proxy"),
        ({"ALL_PROXY": PROXY}, "https://ghcr.io/", "ALL_PROXY"),
        ({"ALL_PROXY": "other", "HTTPS_PROXY": PROXY}, "https://ghcr.io/", "HTTPS_PROXY"),
        ({"HTTP_PROXY": PROXY}, "http://plain.test/", "HTTP_PROXY"),
        ({"HTTP_PROXY": PROXY}, "https://ghcr.io/", None),
        ({"HTTPS_PROXY": PROXY, "https_proxy": ""}, "https://ghcr.io/", None),
        ({}, "https://ghcr.io/", None),
    ],
)
def test_the_variable_of_the_scheme_names_the_proxy(
    environ: dict[str, str], url: str, variable: str | None
) -> None:
    proxy = Proxies(environ).before(httpx2.URL(url))
    assert (proxy.variable if proxy else None) == variable


@pytest.mark.parametrize(
    ("excepted", "url", "direct"),
    [
        ("ghcr.io", "https://ghcr.io/", True),
        ("GHCR.io", "https://ghcr.io/", True),
        ("other.test, ghcr.io", "https://ghcr.io/", True),
        ("other.test ghcr.io", "https://ghcr.io/", True),
        ("example.com", "https://registry.example.com/", True),
        (".example.com", "https://registry.example.com/", True),
        ("*.example.com", "https://registry.example.com/", True),
        ("example.com", "https://badexample.com/", False),
        ("example.com", "https://example.com.evil.test/", False),
        ("ghcr.io:443", "https://ghcr.io/", True),
        ("ghcr.io:8443", "https://ghcr.io/", False),
        ("ghcr.io:8443", "https://ghcr.io:8443/", True),
        ("https://ghcr.io", "https://ghcr.io/", True),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.1.2.3", "https://10.1.2.3:5000/", True),
        ("10.1.2.3:5000", "https://10.1.2.3:5000/", True),
        ("fd00::/8", "https://[fd00::7]/", True),
        ("[fd00::7]:5000", "https://[fd00::7]:5000/", True),
        ("*", "https://ghcr.io/", True),
        (",, ", "https://ghcr.io/", False),
        ("", "https://ghcr.io/", False),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_takes_hosts_out(name: str, excepted: str, url: str, direct: bool) -> None:
    proxies = Proxies({"HTTPS_PROXY": PROXY, name: excepted})
    assert (proxies.before(httpx2.URL(url)) is None) is direct


def test_no_message_shows_a_proxy_s_password() -> None:
    for given in (PROXY, PROXY.removeprefix("http://")):
        proxy = Proxies({"HTTPS_PROXY": given}).before(httpx2.URL("https://ghcr.io/"))
        assert str(proxy) == "the proxy proxy.test:3128"
        assert "s3cret" not in repr(proxy)
