"""The one place that reads the environment.

Each field of `Settings` is one environment variable; `Settings.variable(field)` tells its name. Every value is validated
when the settings are loaded, and a bad one is named.
"""

import base64
import json
import logging
import os
import re
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_network
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator

from turnstile.turns.celery_message import QUEUES, WEBHOOK_QUEUE
from turnstile.turns.errors import SettingError
from turnstile.turns.redis.address import parse
from turnstile.turns.setting_forms import form, list_of, misspelt

log = logging.getLogger(__name__)

_PLAIN = {
    "xdg_data_home": "XDG_DATA_HOME",
    "redis_url": "REDIS_URL",
    "openai_api_key": "OPENAI_API_KEY",
    "openai_base_url": "OPENAI_BASE_URL",
}


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


def _signing_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if text and not (text.startswith("whsec_") and len(base64.b64decode(text[6:] + "==", validate=False)) >= 16):
        raise ValueError("it is whsec_ and the base64 of 16 bytes or more")
    return secret


def _not_ours(name: str) -> str:
    if name in (*QUEUES, WEBHOOK_QUEUE):
        raise ValueError("that queue holds Turnstile's own messages: name another")
    return name


_CHAIN_FORM = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"


def _chains(text: str) -> str:
    chains = json.loads(text) if text else {}
    if not isinstance(chains, dict) or not all(
        re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name) and isinstance(chain, str) and re.fullmatch(_CHAIN_FORM, chain)
        for name, chain in chains.items()
    ):
        raise ValueError('write JSON: {"name": "package.module:name"}')
    return text


def _tools(text: str) -> str:
    for part in filter(None, text.replace(" ", "").split(",")):
        if "://" in part:
            _web_address(part.partition("?")[0])
        elif not re.fullmatch(_CHAIN_FORM, part):
            raise ValueError("write package.module:name or the URL of an MCP server, comma-separated")
    return text


Seconds = Annotated[float, Field(gt=0, le=30 * 86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
MOST_WAITING = 10_000
"""Turns that may wait in one session, whatever the settings say: to find one of them, a script reads the others."""

_PREFIX = form(r"[A-Za-z0-9._:-]{1,64}", "write 1 to 64 of the characters A-Z a-z 0-9 . _ : -")
_QUEUE = form(r"[A-Za-z0-9._-]{1,64}", "write 1 to 64 of the characters A-Z a-z 0-9 . _ -")
_CHAIN = form(rf"|{_CHAIN_FORM}", "write package.module:name, for instance myproject.chat:chain")
_MODEL = form(r"\S{1,200}", "write the name of a model, without spaces, of at most 200 characters")
_FILE = form(r"|/.+", "write the absolute path of a file, for instance /etc/turnstile/keys.json")
_LEVEL = form(r"DEBUG|INFO|WARNING|ERROR", "write DEBUG, INFO, WARNING or ERROR")
_HOSTS = list_of(
    r"(\*\.)?[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?",
    "write hosts, comma-separated: hooks.example.com, *.example.com, localhost:8080",
)
_ORIGINS = list_of(
    r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?",
    "write origins, comma-separated, in lower case: https://app.example.com, http://localhost:3000",
)
_FOLDER = form(r"|[/~].*", "write the absolute path of a folder, for instance /var/lib/turnstile")


class Settings(BaseModel):
    """Everything that can be set, with its default. Durations are seconds, sizes are bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    redis_url: Annotated[str, AfterValidator(_server)] = Field(
        "",
        description="Queue and history: `redis://`, `rediss://`, `unix://`, or `sentinel://host:port,…/db?master=name`; "
        "TLS takes `ssl_ca_certs` and its like in the query. "
        "Unset: the server that `turnstile up` runs, else `redis://localhost:6379/0`.",
    )
    openai_api_key: SecretStr = Field(
        SecretStr(""),
        description="Key for the model's API. If this and the base URL are unset, the offline stand-in answers.",
    )
    openai_base_url: Annotated[str, AfterValidator(_web_address)] = Field(
        "", description="Any server that speaks OpenAI's API, for instance `http://localhost:8000/v1`."
    )

    key_prefix: Annotated[str, _PREFIX] = Field(
        "turnstile:",
        description="Prefix of every queue key. If changed, Celery's queues get it too.",
    )
    history_prefix: Annotated[str, _PREFIX] = Field(
        "message_store:",
        validate_default=True,
        description="Prefix of a history's key; the session id follows.",
    )
    history_ttl: Seconds | None = Field(
        None, description="How long a history is kept after its last turn. Unset: forever, except for branches."
    )
    result_ttl: Seconds = Field(86_400, description="How long a finished turn can be looked up.")
    failed_ttl: Seconds = Field(604_800, description="How long a failed turn can be looked up and retried.")
    events_ttl: Seconds = Field(3_600, description="How long a finished turn's stream can be read again.")
    steps_ttl: Seconds = Field(
        604_800, description="How long the steps of a graph are kept after the latest one; they go when their turn is answered."
    )

    window_messages: Annotated[int, Field(ge=0, le=10_000)] = Field(
        40, description="Number of newest history messages that go into the prompt."
    )
    window_tokens: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        0, description="Maximum tokens of history in the prompt, counted approximately. 0: no limit."
    )

    window_bytes: Annotated[int, Field(ge=1_024, le=268_435_456)] = Field(
        16_777_216, description="Maximum size of the history that a worker reads for a turn, as stored, in bytes."
    )

    max_question_bytes: Count = Field(
        262_144,
        description="Maximum size of the text of a question, of instructions, or of a message that is added, in UTF-8 bytes; "
        "with pictures and files, 16 MiB.",
    )
    file_hosts: Annotated[str, _HOSTS] = Field(
        "",
        description="Hosts from which the model's server may fetch pictures and files by `http:` too, or at private addresses, "
        "comma-separated. Unset: `https:` of public hosts, and `data:`.",
    )
    max_body_bytes: Count = Field(8_388_608, description="Maximum size of a request to the gateway, in bytes.")
    max_waiting_per_session: Annotated[int, Field(ge=1, le=MOST_WAITING)] = Field(
        1_000, description="Maximum waiting turns per session."
    )
    max_waiting: Count = Field(200_000, description="Maximum unfinished turns in all sessions together.")

    lease_seconds: Annotated[float, Field(ge=0.5, le=3_600)] = Field(
        8, description="A worker silent this long loses its turns."
    )
    dispatch_grace_seconds: Annotated[float, Field(ge=0.2, le=3_600)] = Field(
        5, description="A dispatch that no worker claimed is checked after this long."
    )
    sweep_seconds: Annotated[float, Field(ge=0.05, le=60)] = Field(
        0.5, description="How often each worker looks for overdue sessions."
    )
    max_attempts: Annotated[int, Field(ge=1, le=100)] = Field(
        5, description="Maximum attempts before a turn fails permanently."
    )
    hold_seconds: Seconds = Field(
        600, description="How long a session waits for the answers to its open calls before the next turn goes."
    )
    when_held: Annotated[str, Field(pattern=r"^(queue|reject|close)$")] = Field(
        "queue",
        description="A question in a session whose calls are open: `queue` it behind their answers, `reject` it, or "
        "`close` the calls without answers and go on. A request may choose otherwise.",
    )
    turn_seconds: Seconds = Field(600, description="Deadline of a turn, counted from its first start over all attempts.")
    retry_base_seconds: Annotated[float, Field(gt=0, le=3_600)] = Field(
        1, description="Delay before the first retry of a failed model call or webhook; it doubles each time, with jitter."
    )
    retry_max_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        60, description="Maximum delay between retries, even if the model's server asks for more."
    )

    concurrency: Annotated[int, Field(ge=1, le=10_000)] = Field(100, description="Turns that one worker process runs at once.")
    shutdown_seconds: Annotated[float, Field(ge=0, le=3_600)] = Field(
        8, description="Time that running turns get to finish after SIGTERM before they are returned to the queue."
    )
    intake_queue: Annotated[str, _QUEUE, AfterValidator(_not_ours)] = Field(
        "celery",
        description="Queue to which plain Celery apps send `workers.answer`. Their own workers must not read it.",
    )

    chain: Annotated[str, _CHAIN] = Field(
        "",
        description="Your own Runnable or LangGraph graph, as `package.module:name`. Unset: the default chain.",
    )
    chains: Annotated[str, AfterValidator(_chains)] = Field(
        "", description='More chains, as JSON: `{"name": "package.module:name"}`. A turn chooses one by `chain=`.'
    )
    max_steps: Annotated[int, Field(ge=1, le=100_000)] = Field(100, description="Maximum steps of a graph in one attempt.")
    max_model_calls: Count = Field(50, description="Maximum calls of models that a graph makes in one turn.")
    max_turn_tokens: Annotated[int, Field(ge=0, le=1_000_000_000)] = Field(
        0, description="Tokens after which a graph makes no more calls of models in one turn. 0: no limit."
    )
    tools: Annotated[str, AfterValidator(_tools)] = Field(
        "",
        description="Tools that workers run for the default chain, comma-separated: LangChain's as `package.module:name`, MCP "
        "servers by URL (`https://tools.example.com/mcp`).",
    )
    model: Annotated[str, _MODEL] = Field("gpt-4o-mini", description="Model of the default chain.")
    system_prompt: str = Field("You're an assistant.", description="System prompt of the default chain.")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="Sampling temperature of the default chain. Unset: the model's own."
    )
    max_output_tokens: Count | None = Field(None, description="Maximum tokens in an answer. Unset: the model's own limit.")
    model_timeout: Seconds = Field(120, description="Timeout of one model request.")

    api_keys: SecretStr = Field(
        SecretStr(""),
        description="API keys of the gateway, as JSON: key hash → tenant, name, limits, webhook (`turnstile key` makes one). "
        "Without keys, the gateway answers this machine only.",
    )
    api_keys_file: Annotated[str, _FILE] = Field(
        "",
        description="Absolute path of a file with the same JSON, reloaded when it changes. Added to TURNSTILE_API_KEYS.",
    )
    cors_origins: Annotated[str, _ORIGINS] = Field(
        "",
        description="Origins of other web pages that may use the gateway from a browser, comma-separated: "
        "`https://app.example.com`. Unset: none.",
    )
    trusted_hosts: Annotated[str, _HOSTS] = Field(
        "",
        description="Hosts under which a gateway without keys, and Flower without a password, answer everybody, "
        "comma-separated: those of a proxy that authenticates. Unset: this machine only.",
    )
    webhook_allow: Annotated[str, _HOSTS] = Field(
        "",
        description="Hosts that `metadata.webhook_url` may name, comma-separated: `hooks.example.com`, `*.example.com`, "
        "`localhost:8080`. Unset: requests may not name one.",
    )
    webhook_networks: Annotated[str, AfterValidator(_networks)] = Field(
        "", description="Private networks that webhooks may go to, comma-separated: `10.0.0.0/8`. Unset: public addresses only."
    )
    webhook_secret: Annotated[SecretStr, AfterValidator(_signing_secret)] = Field(
        SecretStr(""), description="Signs the webhooks of API keys without a secret of their own: `whsec_` and base64."
    )
    webhook_seconds: Seconds = Field(86_400, description="How long delivery of a webhook is retried.")

    show_content: bool = Field(False, description="Show questions and answers in Flower and in logs.")
    log_level: Annotated[str, _LEVEL] = Field(
        "INFO",
        description="Minimum log level; the Procfile passes it to `--loglevel`.",
    )
    health_file: Annotated[str, _FILE] = Field(
        "",
        description="Absolute path of a file that a healthy worker touches, so that a probe can check its age. Unset: none.",
    )
    data_dir: Annotated[str, _FOLDER] = Field(
        "",
        description="Absolute path of the embedded server's data. Unset: the user's data folder.",
    )

    xdg_data_home: str = Field("", description="The system's own setting for the user's data folder.")

    @field_validator("history_prefix")
    @classmethod
    def _apart(cls, prefix: str, others: ValidationInfo) -> str:
        """Refuse a prefix with which some session's name could make a history's key one of the queue's."""
        queue = str(others.data.get("key_prefix", ""))
        if queue and (prefix.startswith(queue) or queue.startswith(prefix)):
            raise ValueError("it must not begin like TURNSTILE_KEY_PREFIX, nor that one like it")
        return prefix

    @field_validator("tools")
    @classmethod
    def _of_the_default_chain(cls, tools: str, others: ValidationInfo) -> str:
        """Refuse tools that nothing would call."""
        if tools and others.data.get("chain"):
            raise ValueError("these tools are the default chain's: unset TURNSTILE_CHAIN, or give that chain tools of its own")
        return tools

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the environment variable behind a field: `redis_url` → `REDIS_URL`, `model` → `TURNSTILE_MODEL`."""
        return _PLAIN.get(field, f"TURNSTILE_{field.upper()}")

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read and validate the environment; empty variables count as unset. Warn of names that look like one of ours.

        Raises:
            SettingError: a value does not fit.
        """
        environ = os.environ if environ is None else environ
        names = {cls.variable(field): field for field in cls.model_fields}
        for name, ours in misspelt(environ, names):
            log.warning("%s is not a setting of Turnstile and has no effect; did you mean %s?", name, ours)
        try:
            return cls.model_validate({names[name]: value for name, value in environ.items() if name in names and value})
        except ValidationError as error:
            raise SettingError(_explain(error)) from None

    @property
    def named_chains(self) -> dict[str, str]:
        """The chains that a turn can choose, by name."""
        chains: dict[str, str] = json.loads(self.chains) if self.chains else {}
        return chains

    @property
    def offline(self) -> bool:
        """True when the offline stand-in model answers, because neither key nor base URL is set."""
        return not self.openai_api_key.get_secret_value() and not self.openai_base_url


def _explain(error: ValidationError) -> str:
    first: Any = error.errors()[0]
    return f"{Settings.variable(str(first['loc'][0]))} is not valid: {first['msg'].removeprefix('Value error, ')}."


@cache
def settings() -> Settings:
    """Return the process's settings, read once."""
    return Settings.load()
