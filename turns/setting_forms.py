"""Types of settings: each has a check, and a message that says how to write its values."""

import base64
import json
import re
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from turnstile.turns.celery_message import QUEUES, WEBHOOK_QUEUE
from turnstile.turns.named_chains import CODE_FORM, MODELS_FORM, each_once, read_chains
from turnstile.turns.prices import read_prices
from turnstile.turns.redis.address import parse

Seconds = Annotated[float, Field(gt=0, le=30 * 86_400, allow_inf_nan=False)]
Retention = Annotated[float, Field(gt=0, le=3_650 * 86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]


def _form(pattern: str, words: str) -> AfterValidator:
    """Return a check that a whole text fits the pattern; the words say how to write it."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(words)
        return text

    return AfterValidator(check)


def _list_of(pattern: str, words: str) -> AfterValidator:
    """Return a check that each part of a comma-separated list fits the pattern; the words say how to write it."""

    def check(text: str) -> str:
        if not all(re.fullmatch(pattern, part) for part in text.replace(" ", "").split(",") if part):
            raise ValueError(words)
        return text

    return AfterValidator(check)


def _server(url: str) -> str:
    if url:
        parse(url)
    return url


def _networks(text: str) -> str:
    for part in filter(None, text.replace(" ", "").split(",")):
        ip_network(part)
    return text


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if text and (
        parts.port == 0 or parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment
    ):
        raise ValueError("write http://host or https://host, with a port and a path where there are any")
    return text


def _web_address_or_path(text: str) -> str:
    return text if re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", text) else _web_address(text)


def _signing_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if text and not (text.startswith("whsec_") and len(base64.b64decode(text[6:] + "==", validate=False)) >= 16):
        raise ValueError("it is whsec_ and the base64 of 16 bytes or more")
    return secret


def _not_ours(name: str) -> str:
    if name in (*QUEUES, WEBHOOK_QUEUE):
        raise ValueError("that queue holds Turnstile's own messages: name another")
    return name


def _prices(text: str) -> str:
    read_prices(text)
    return text


def _chains(text: str) -> str:
    read_chains(text)
    return text


_LIMITS = ("requests", "tokens", "concurrent")


def _budgets(text: str) -> str:
    budgets = json.loads(text) if text else {}
    if not isinstance(budgets, dict) or not all(map(_is_budget, budgets.items())):
        raise ValueError('write JSON: {"model": {"requests": 500, "tokens": 200000, "concurrent": 50}}, each from 1 on')
    return text


def _is_budget(item: tuple[str, object]) -> bool:
    model, limits = item
    if not re.fullmatch(r"\S{1,200}", model) or not isinstance(limits, dict) or not limits:
        return False
    return all(name in _LIMITS and type(limit) is int and 1 <= limit <= 1_000_000_000 for name, limit in limits.items())


_MOST_SERVERS = 100


def _model_servers(secret: SecretStr) -> SecretStr:
    servers = json.loads(secret.get_secret_value() or "{}")
    if not isinstance(servers, dict) or len(servers) > _MOST_SERVERS or not all(map(_is_server, servers.items())):
        raise ValueError(
            'write JSON: {"model": {"url": "https://models.example.com/v1", "key": "sk-..."}}; the key may be left out'
        )
    return secret


def _is_server(item: tuple[str, object]) -> bool:
    model, place = item
    if (
        not re.fullmatch(r"[^\s,]{1,200}", model)
        or not isinstance(place, dict)
        or not {"url"} <= place.keys() <= {"url", "key"}
    ):
        return False
    return all(isinstance(value, str) for value in place.values()) and bool(_web_address(place["url"]))


def _tools(text: str) -> str:
    for part in filter(None, text.replace(" ", "").split(",")):
        if "://" in part:
            _web_address(part.partition("?")[0])
        elif not re.fullmatch(CODE_FORM, part):
            raise ValueError("write package.module:name or the URL of an MCP server, comma-separated")
    return text


Prefix = Annotated[str, _form(r"[A-Za-z0-9._:-]{1,64}", "write 1 to 64 of the characters A-Z a-z 0-9 . _ : -")]
IntakeQueue = Annotated[
    str, _form(r"[A-Za-z0-9._-]{1,64}", "write 1 to 64 of the characters A-Z a-z 0-9 . _ -"), AfterValidator(_not_ours)
]
Chain = Annotated[str, _form(rf"|{CODE_FORM}", "write package.module:name, for instance myproject.chat:chain")]
ChainName = Annotated[str, _form(r"[A-Za-z0-9._-]{0,64}", "write default, or the name of a chain in TURNSTILE_CHAINS")]
Models = Annotated[
    str,
    _form(
        MODELS_FORM,
        "write the name of a model, without spaces, of at most 200 characters; or up to ten names, comma-separated",
    ),
    AfterValidator(each_once),
]
File = Annotated[str, _form(r"|/.+", "write the absolute path of a file, for instance /etc/turnstile/keys.json")]
LogLevel = Annotated[str, _form(r"DEBUG|INFO|WARNING|ERROR", "write DEBUG, INFO, WARNING or ERROR")]
Hosts = Annotated[
    str,
    _list_of(
        r"(\*\.)?[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?",
        "write hosts, comma-separated: hooks.example.com, *.example.com, localhost:8080",
    ),
]
Origins = Annotated[
    str,
    _list_of(
        r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?",
        "write origins, comma-separated, in lower case: https://app.example.com, http://localhost:3000",
    ),
]
Folder = Annotated[str, _form(r"|[/~].*", "write the absolute path of a folder, for instance /var/lib/turnstile")]
ServerUrl = Annotated[str, AfterValidator(_server)]
Networks = Annotated[str, AfterValidator(_networks)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
WebAddressOrPath = Annotated[str, AfterValidator(_web_address_or_path)]
Chains = Annotated[str, AfterValidator(_chains)]
Prices = Annotated[str, AfterValidator(_prices)]
Budgets = Annotated[str, AfterValidator(_budgets)]
ModelServers = Annotated[SecretStr, AfterValidator(_model_servers)]
Tools = Annotated[str, AfterValidator(_tools)]
SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]
