"""The page's files, as they are served. What the page does is tested in Chromium, by `make test-web`."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from tests.support.gateways import Gateway

STATIC = files("turnstile.producers.gateway.page").joinpath("static")
NAMES = sorted(file.name for file in STATIC.iterdir())


@pytest.fixture
def http(redis_url: str, tmp_path: Path) -> Iterator[httpx.Client]:
    with Gateway(redis_url, tmp_path) as gateway, gateway.http() as client:
        yield client


def test_every_file_is_served_and_may_reach_nothing_but_the_gateway(http: httpx.Client) -> None:
    for path in ("/", "/docs", "/admin", "/openapi.json", *(f"/static/{name}" for name in NAMES)):
        answer = http.get(path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.findall(r"https?:", policy)
        assert answer.headers["x-content-type-options"] == "nosniff"
        again = http.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert http.head(path).headers["etag"] == answer.headers["etag"]


def test_nothing_else_is_served(http: httpx.Client) -> None:
    for path in ("/static/", "/static/nothing.js", "/static/..%2Fpage.py", "/static/%2e%2e/page.py"):
        answer = http.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["error"]["message"]


def test_the_page_is_made_of_its_own_files() -> None:
    names = set()
    for name in NAMES:
        text = STATIC.joinpath(name).read_text(encoding="utf-8")
        names |= set(re.findall(r'"(?:/static|\.)/([\w.-]+)"', text))
        outside = set(re.findall(r"(?:src|href|from|url\()[=\s]*[\"'(]?(https?://[^\"')\s]+)", text))
        assert outside == set(), name
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", text), name
        assert not re.search(r"\s(style|on\w+)=\"", text), name
    assert names | {"index.html", "docs.html", "admin.html"} == set(NAMES)
