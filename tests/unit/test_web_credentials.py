"""Credentials of web services: which header they are, whom they may go to, what is wrong."""

from pathlib import Path
from typing import Any

import pytest

from ringback.config import Settings
from ringback.errors import UsageError
from ringback.gateway.web_credentials import WebCredentials
from ringback.plugins.loader import PluginSet
from ringback.project import Project

TABLES: dict[str, dict[str, Any]] = {
    "shop": {"host": "Shop.example.org", "token": {"$env": "SHOP"}},
    "crm": {
        "host": ["crm.example.org", "crm.example.org:8443"], "user": "a", "password": "canary-pw",
    },
    "home": {"host": "home.example.org", "header": "X-Key", "value": "canary-key"},
}  # fmt: skip
FOUND = WebCredentials(TABLES, {"SHOP": "canary-token"})


@pytest.mark.parametrize(
    ("name", "url", "header"),
    [
        ("shop", "https://shop.example.org/a", ("Authorization", "Bearer canary-token")),
        ("crm", "https://crm.example.org:8443/", ("Authorization", "Basic YTpjYW5hcnktcHc=")),
        ("home", "https://HOME.example.org:443", ("X-Key", "canary-key")),
    ],
)
def test_each_way_is_a_header(name: str, url: str, header: tuple[str, str]) -> None:
    assert FOUND.problems == []
    assert FOUND.header(name, url) == header


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example.org.evil.org/", "https://evil.org/shop.example.org",
        "https://shop.example.org:8443/", "https://sub.shop.example.org/",
        "http://shop.example.org:443/x", "http://shop.example.org/x", "https://shop.example.org:80/",
        "https://\uff53hop.example.org.evil.org/",
    ],
)  # fmt: skip
def test_a_secret_goes_to_its_own_host_alone(url: str) -> None:
    with pytest.raises(UsageError, match=r"are for shop\.example\.org, and not for"):
        FOUND.header("shop", url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://shop.example.org:99999/", "it is not a URL"),
        ("https://shop.example.org:x/", "it is not a URL"),
        ("https://[::1/", "it is not a URL"),
        ("https:///x", "it is not an http or https URL"),
        ("ftp://shop.example.org/", "it is not an http or https URL"),
        ("https://shop.example.org:canary-pw@evil.org/", "credentials in a URL"),
        ("https://shop.example.org/\r\nX: y", "a space or a control character"),
    ],
)
def test_an_address_that_is_none_gets_no_secret(url: str, why: str) -> None:
    """It is said as any other mistake is, and what may be a password in it is not repeated."""
    with pytest.raises(UsageError, match=why) as caught:
        FOUND.header("shop", url)
    assert "canary" not in str(caught.value)


def test_an_address_in_numbers_has_brackets() -> None:
    tables = {"x": {"host": ["[2001:db8::1]:8443", "[2001:db8::1]"], "token": "canary"}}
    for url in ("https://[2001:db8::1]/", "https://[2001:DB8::1]:8443/"):
        assert WebCredentials(tables).header("x", url) == ("Authorization", "Bearer canary")


def test_no_text_shows_a_secret() -> None:
    echo = "canary-token canary-pw YTpjYW5hcnktcHc= canary-key fine"
    assert FOUND.masked(echo) == "*** *** *** *** fine"
    odd = WebCredentials({"x": {"host": "e.org", "token": 'canary/a+b"c\\d'}})
    for form in (
        r'canary/a+b"c\d', r'canary\/a+b\"c\\d', r"canary\/a\u002Bb\u0022c\u005cd",
        "canary%2Fa%2bb%22c%5Cd", r"\u0063anary/a+b%22c\\d",
    ):  # fmt: skip
        assert odd.masked(f"<{form}>") == "<***>", form
    assert WebCredentials({}).masked("fine") == "fine"
    with pytest.raises(UsageError, match=r"'shp'; did you mean 'shop'\?"):
        FOUND.header("shp", "https://shop.example.org")


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ({"token": "t"}, "[credentials.x] host: is missing"),
        ({"host": "e.org"}, "[credentials.x] needs one of token, user and password, or header"),
        ({"host": "e.org", "token": "t", "user": "u"}, "[credentials.x] needs one of token"),
        ({"host": "e.org", "header": "X-Key"}, "[credentials.x] header and value belong together"),
        ({"host": "https://e.org", "token": "t"}, "[credentials.x] host is a name like"),
        ({"host": "e.org", "token": "a\nb"}, "[credentials.x] a secret has a line break"),
        ({"host": "e.org", "token": {"$env": "NO"}}, "[credentials.x] token: the environment has"),
        ({"host": "e.org", "tokn": "t"}, "[credentials.x] tokn: is no setting here"),
    ],
)
def test_what_is_wrong_with_a_table(table: dict[str, object], wrong: str) -> None:
    problems = WebCredentials({"x": table}, {}).problems
    assert any(each.startswith(wrong) for each in problems), problems


def test_check_names_what_a_step_cannot_have(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(
        "rules:\n"
        "  - name: a\n"
        "    on: message.received\n"
        "    do:\n"
        "      - http: {url: https://shop.example.org/x, auth: shop}\n"
        "      - http: {url: 'https://evil.org/${{ event.body }}', auth: shop}\n"
        "      - http: {url: https://shop.example.org/x, auth: shp}\n"
        "      - http: {url: '${{ event.body }}', auth: shop}\n"
        "      - http: {url: 'https://shop.example.org:99999/', auth: shop}\n"
    )
    settings = Settings(tmp_path, credentials=TABLES, environ={"SHOP": "canary-token"})
    problems = Project._of(settings, PluginSet()).problems
    assert [f"{each.file}:{each.line} {each.message}" for each in problems] == [
        "rules/a.yaml:6 the credentials 'shop' are for shop.example.org, and not for evil.org",
        "rules/a.yaml:7 no credentials are called 'shp'",
        "rules/a.yaml:9 the address is not called: it is not a URL",
    ]
    assert "canary" not in repr(settings)
