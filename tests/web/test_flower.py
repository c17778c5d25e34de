"""Flower as shipped, behind the shipped nginx and with a path of its own, in a real Chromium."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.site.conftest import Proxy
from tests.support.flower import Flower
from tests.web.conftest import Stack, browser
from turnstile.deploy.local.server import EmbeddedServer

LOGIN = ("me", "secret")


@pytest.mark.timeout(900)
def test_flower_behind_a_proxy(node: Callable[..., None], stack: Stack, server: EmbeddedServer, tmp_path: Path) -> None:
    flower = Flower(server.url, tmp_path, FLOWER_URL_PREFIX="flower", FLOWER_BASIC_AUTH=":".join(LOGIN))
    with flower, Proxy("nginx", tmp_path, stack.guarded.port, flower.port) as proxy:
        user, password = LOGIN
        node("flower.test.js", CHROMIUM=browser(), PROXY_URL=proxy.url, FLOWER_USER=user, FLOWER_PASSWORD=password)
