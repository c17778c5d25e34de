"""The one place that reads the environment.

Each field of `Settings` is one environment variable; `Settings.variable(field)` tells its name. Every value is validated
when the settings are loaded, and a bad one is named.
"""

import json
import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator

from turnstile.turns import setting_forms as forms
from turnstile.turns.errors import SettingError
from turnstile.turns.named_chains import NamedChain, read_chains
from turnstile.turns.policies import WHEN_BUSY, WHEN_HELD, pattern
from turnstile.turns.setting_names import misspelt, variable

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Turns that may wait in one session, whatever the settings say: to find one of them, a script reads the others."""


class Settings(BaseModel):
    """Everything that can be set, with its default. Durations are seconds, sizes are bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    redis_url: forms.ServerUrl = Field(
        "",
        description="Queue and history: `redis://`, `rediss://`, `unix://`, or `sentinel://host:port,…/db?master=name`; "
        "TLS takes `ssl_ca_certs` and its like in the query. "
        "Unset: the server that `turnstile up` runs, else `redis://localhost:6379/0`.",
    )
    openai_api_key: SecretStr = Field(
        SecretStr(""), description="Key for the model's API. If this and the base URL are unset, the offline stand-in answers."
    )
    openai_base_url: forms.WebAddress = Field(
        "", description="Any server that speaks OpenAI's API, for instance `http://localhost:8000/v1`."
    )

    key_prefix: forms.Prefix = Field(
        "turnstile:",
        description="Prefix of every queue key. If changed, Celery's queues get it too. A second deployment on one Redis needs "
        "another, and another `TURNSTILE_HISTORY_PREFIX`.",
    )
    history_prefix: forms.Prefix = Field(
        "message_store:",
        validate_default=True,
        description="Prefix of a history's key; the session id follows. Deployments with the same one share their histories.",
    )
    history_ttl: forms.Retention | None = Field(
        None,
        description="How long a history is kept after its last turn; ten years at most. Unset: forever, except for branches.",
    )
    result_ttl: forms.Seconds = Field(86_400, description="How long a finished turn can be looked up.")
    failed_ttl: forms.Seconds = Field(604_800, description="How long a failed turn can be looked up and retried.")
    events_ttl: forms.Seconds = Field(3_600, description="How long a finished turn's stream can be read again.")
    file_ttl: Annotated[float, Field(ge=172_800, le=31_536_000)] = Field(
        604_800, description="How long an uploaded file, a batch and its results are kept, two days at least, a year at most."
    )
    max_file_bytes: Annotated[int, Field(ge=1_024, le=1_073_741_824)] = Field(
        209_715_200, description="Maximum size of an uploaded file."
    )
    max_stored_bytes: Annotated[int, Field(ge=1_024)] = Field(
        1_073_741_824, description="Maximum size of all files of a tenant together; they are kept in Redis's memory."
    )
    steps_ttl: forms.Seconds = Field(
        604_800, description="How long the steps of a graph are kept after the latest one; they go when their turn is answered."
    )

    window_messages: Annotated[int, Field(ge=0, le=10_000)] = Field(
        40, description="Maximum number of newest history messages that go into the prompt."
    )
    window_tokens: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        0, description="Maximum tokens of history in the prompt, counted approximately. 0: no limit."
    )
    window_block: Annotated[float, Field(ge=0, le=0.9)] = Field(
        0.5,
        description="Share of the window that is left out at once when it overflows, so that the prompts of many turns begin "
        "alike, and a provider's cache keeps what they have in common. 0: the oldest message is left out each time.",
    )
    summary: forms.ChainName = Field(
        "",
        description="Chain that sums up what falls out of the window, `default` or one of `TURNSTILE_CHAINS`; its summary "
        "stands before the window. Unset: what falls out is not sent any more.",
    )
    window_bytes: Annotated[int, Field(ge=1_024, le=268_435_456)] = Field(
        16_777_216, description="Maximum size of the history that a worker reads for a turn, as stored, in bytes."
    )

    large_turns_bytes: Annotated[int, Field(ge=1_024)] = Field(
        134_217_728,
        description="Maximum size of the large turns that a worker process has at work together, in bytes of questions and "
        "histories; each takes about 3.5 times as much memory. Turns over 1 MiB are large, and wait for room without a slot. "
        "A tenant's have `TURNSTILE_TENANT_SHARE` of it.",
    )

    max_question_bytes: forms.Count = Field(
        262_144,
        description="Maximum size of the text of a question, of instructions, or of a message that is added, in UTF-8 bytes; "
        "with pictures and files, and where nothing is stored, 16 MiB.",
    )
    max_history_messages: Annotated[int, Field(ge=10, le=10_000_000)] = Field(
        100_000, description="Messages in a session's history after which it takes no more turns."
    )
    file_hosts: forms.Hosts = Field(
        "",
        description="Hosts from which the model's server may fetch pictures and files by `http:` too, or at private addresses, "
        "comma-separated. Unset: `https:` of public hosts, and `data:`.",
    )
    max_body_bytes: forms.Count = Field(8_388_608, description="Maximum size of a request to the gateway, in bytes.")
    strict_parameters: bool = Field(
        False,
        description="The gateway refuses parameters that OpenAI's API does not have, such as `top_k`, instead of passing them "
        "to the model's server.",
    )
    max_waiting_per_session: Annotated[int, Field(ge=1, le=MOST_WAITING)] = Field(
        1_000, description="Maximum waiting turns per session; 10,000 at most."
    )
    max_schedules: forms.Count = Field(
        10_000, description="Maximum schedules of one tenant; sessions without a tenant are one. A session has 100 at most."
    )
    max_waiting: forms.Count = Field(200_000, description="Maximum unfinished turns in all sessions together.")
    max_waiting_per_tenant: forms.Count | None = Field(
        None,
        description="Maximum unfinished turns of one tenant. Unset: half of `TURNSTILE_MAX_WAITING`; where no tenant has a "
        "name, all of it.",
    )
    max_unfinished_bytes: Annotated[int, Field(ge=1_024)] = Field(
        67_108_864,
        description="Maximum size of the questions and options of one tenant's unfinished turns together; sessions without a "
        "tenant are one. Turns of 1 KiB and less are not counted. A single turn of any size has room. The same holds for a "
        "tenant's schedules, which are counted apart.",
    )
    tenant_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.75,
        description="Share of all slots that one tenant's turns may have while other tenants are active as well; alone it may "
        "have all.",
    )
    chat_reserve: Annotated[float, Field(ge=0, le=0.9)] = Field(
        0.1, description="Share of all slots that turns of the queue `batch` leave free."
    )

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
    hold_seconds: forms.Seconds = Field(
        600,
        validate_default=True,
        description="How long a session waits for the answers to its open calls before the next turn goes.",
    )
    when_held: Annotated[str, Field(pattern=pattern(WHEN_HELD))] = Field(
        "queue",
        description="A question in a session whose calls are open: `queue` it behind their answers, `reject` it, or "
        "`close` the calls without answers and go on. A request may choose otherwise.",
    )
    when_busy: Annotated[str, Field(pattern=pattern(WHEN_BUSY))] = Field(
        "queue",
        description="A question in a session that is at work on another: `queue` it, `reject` it, `interrupt` or `rollback` "
        "the turn under way, `merge` it with others that wait, or `steer` that turn by it. A request, or its API key, may "
        "choose otherwise.",
    )
    merge_seconds: Annotated[float, Field(ge=0, le=3_600)] = Field(
        0,
        description="How long a session must be quiet before questions that are to be merged are answered, in seconds, but at "
        "most ten times as long in all. 0: an idle session answers at once.",
    )
    turn_seconds: forms.Seconds = Field(
        600, validate_default=True, description="Deadline of a turn, counted from its first start over all attempts."
    )
    retry_base_seconds: Annotated[float, Field(gt=0, le=3_600)] = Field(
        1, description="Delay before the first retry of a failed model call or webhook; it doubles each time, with jitter."
    )
    retry_max_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        60, description="Maximum delay between retries, even if the model's server asks for more."
    )

    concurrency: Annotated[int, Field(ge=1, le=10_000)] = Field(100, description="Turns that one worker process runs at once.")
    batch_share: Annotated[float, Field(ge=0.01, le=0.5)] = Field(
        0.2,
        description="Share of the dispatches that a worker takes from the queue `batch` while turns wait in `chat` as well.",
    )
    shutdown_seconds: Annotated[float, Field(ge=0, le=3_600)] = Field(
        8, description="Time that running turns get to finish after SIGTERM before they are returned to the queue."
    )
    intake_queue: forms.IntakeQueue = Field(
        "celery", description="Queue to which plain Celery apps send `workers.answer`. Their own workers must not read it."
    )

    chain: forms.Chain = Field(
        "", description="Your own Runnable or LangGraph graph, as `package.module:name`. Unset: the default chain."
    )
    chains: forms.Chains = Field(
        "",
        description='More chains, as JSON: `{"name": "package.module:name"}`, or the default chain with other models: '
        '`{"name": {"model": "gpt-4o,gpt-4o-mini"}}`. A turn chooses one by `chain=`.',
    )
    max_steps: Annotated[int, Field(ge=1, le=100_000)] = Field(100, description="Maximum steps of a graph in one turn.")
    max_model_calls: forms.Count = Field(50, description="Maximum calls of models that a graph makes in one turn.")
    max_turn_tokens: Annotated[int, Field(ge=0, le=1_000_000_000)] = Field(
        0, description="Tokens after which a graph makes no more calls of models in one turn. 0: no limit."
    )
    tools: forms.Tools = Field(
        "",
        description="Tools that workers run for the default chain, comma-separated: LangChain's as `package.module:name`, MCP "
        "servers by URL (`https://tools.example.com/mcp`).",
    )
    model: forms.Models = Field(
        "gpt-4o-mini",
        description="Model of the default chain; or several, comma-separated: the next answers when one is away, has no place "
        "in its budget, or has no room for the prompt.",
    )
    model_servers: forms.ModelServers = Field(
        SecretStr(""),
        description="Servers of models that are not at `OPENAI_BASE_URL`, as JSON: "
        '`{"model": {"url": "https://models.example.com/v1", "key": "sk-..."}}`. No other key is sent there.',
    )
    fallback_seconds: Annotated[float, Field(ge=0, le=3_600)] = Field(
        10, description="How long a turn waits for a place in its model's budget before the next model of the list may answer."
    )
    system_prompt: str = Field(
        "You're an assistant.",
        description="System prompt of the default chain, where neither the turn nor its history brings one. Chat completions "
        "are asked without it.",
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="Sampling temperature of the default chain. Unset: the model's own."
    )
    max_output_tokens: forms.Count | None = Field(
        None, description="Maximum tokens in an answer. Unset: the model's own limit."
    )
    prices: forms.Prices = Field(
        "",
        description="Prices of models by name, for quotas of spend, as JSON: of a million tokens of input and of output, "
        '`{"gpt-4o-mini": [0.15, 0.60], "*": [5, 15]}`.',
    )
    model_budgets: forms.Budgets = Field(
        "",
        description="Limits of the models' server, over all workers, as JSON: "
        '`{"gpt-4o-mini": {"requests": 500, "tokens": 200000, "concurrent": 50}}`: a minute, and calls at once. '
        "`*` stands for any other model. Unset: none is known, and only the server's own answers hold a model up.",
    )
    model_timeout: forms.Seconds = Field(120, description="Timeout of one model request.")

    api_keys: SecretStr = Field(
        SecretStr(""),
        description="API keys of the gateway, as JSON: key hash → tenant, name, limits, webhook (`turnstile key` makes one). "
        "Without keys, the gateway answers this machine only.",
    )
    api_keys_file: forms.File = Field(
        "", description="Absolute path of a file with the same JSON, reloaded when it changes. Added to TURNSTILE_API_KEYS."
    )
    flower_url: forms.WebAddressOrPath = Field(
        "",
        description="Address of Flower, to which the gateway's page for operators links: `https://flower.example.com`, or "
        "`/flower` on the gateway's own host. Unset: no links; `turnstile up` sets it.",
    )
    cors_origins: forms.Origins = Field(
        "",
        description="Origins of other web pages that may use the gateway from a browser, comma-separated: "
        "`https://app.example.com`. Unset: none.",
    )
    trusted_hosts: forms.Hosts = Field(
        "",
        description="Hosts under which a gateway without keys, and Flower without a password, answer everybody, "
        "comma-separated: those of a proxy that authenticates. Unset: this machine only.",
    )
    webhook_allow: forms.Hosts = Field(
        "",
        description="Hosts that `metadata.webhook_url` may name, comma-separated: `hooks.example.com`, `*.example.com`, "
        "`localhost:8080`. Unset: requests may not name one.",
    )
    webhook_networks: forms.Networks = Field(
        "", description="Private networks that webhooks may go to, comma-separated: `10.0.0.0/8`. Unset: public addresses only."
    )
    webhook_secret: forms.SigningSecret = Field(
        SecretStr(""), description="Signs the webhooks of API keys without a secret of their own: `whsec_` and base64."
    )
    webhook_seconds: forms.Seconds = Field(86_400, description="How long delivery of a webhook is retried.")
    max_webhooks: forms.Count = Field(
        50_000,
        description="Maximum webhooks of one API key under way, those of requests without a key together. More are given up at "
        "once (`too_many`), and `turnstile resend` sends them later.",
    )

    batches: bool = Field(True, description="Offer Files and Batches at the gateway, and work on batches in its process.")
    drain_seconds: Annotated[float, Field(ge=0, le=3_600)] = Field(
        0,
        description="How long a gateway that is told to stop still takes requests, with `/readyz` at 503: the time that a load "
        "balancer needs to notice. Then streams get `WEB_SHUTDOWN_SECONDS`, 3 by default.",
    )
    show_content: bool = Field(False, description="Show questions and answers in Flower and in logs.")
    log_level: forms.LogLevel = Field("INFO", description="Minimum log level; the Procfile passes it to `--loglevel`.")
    log_format: Annotated[str, Field(pattern="^(text|json)$")] = Field(
        "text", description="Log lines of workers, gateways and `turnstile up`: `text`, or `json`, an object a line."
    )
    otel_exporter_otlp_endpoint: str = Field(
        "",
        description="OpenTelemetry's collector, as in `http://localhost:4318`, to which workers and gateways send traces. "
        "Unset: no traces.",
    )
    otel_exporter_otlp_traces_endpoint: str = Field("", description="The same for traces alone, with the path: `…/v1/traces`.")
    otel_exporter_otlp_protocol: str = Field("", description="`http/protobuf` is the only one here.")
    otel_exporter_otlp_traces_protocol: str = Field("", description="The same for traces alone.")
    otel_traces_exporter: str = Field(
        "",
        description="`none`: no traces, whatever the address. `otlp`: traces, without an address to `http://localhost:4318`.",
    )
    otel_sdk_disabled: str = Field("", description="`true`: no traces.")
    health_file: forms.File = Field(
        "", description="Absolute path of a file that a healthy worker touches, so that a probe can check its age. Unset: none."
    )
    data_dir: forms.Folder = Field(
        "", description="Absolute path of the embedded server's data. Unset: the user's data folder."
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

    @field_validator("hold_seconds", "turn_seconds")
    @classmethod
    def _outlived_by_steps(cls, seconds: float, others: ValidationInfo) -> float:
        """Refuse a time in which the steps of a graph that waits, or works, would be lost."""
        if seconds > (kept := others.data.get("steps_ttl", seconds)):
            raise ValueError(f"TURNSTILE_STEPS_TTL keeps a graph's steps for {kept:g} seconds only: raise that as well")
        return seconds

    @field_validator("model_servers")
    @classmethod
    def _not_of_the_first_model(cls, servers: SecretStr, others: ValidationInfo) -> SecretStr:
        """Refuse a second place for the model of which OPENAI_BASE_URL and OPENAI_API_KEY tell."""
        first = str(others.data.get("model", "")).partition(",")[0]
        if first in json.loads(servers.get_secret_value() or "{}"):
            raise ValueError("the first model of TURNSTILE_MODEL is asked at OPENAI_BASE_URL: leave it out here")
        return servers

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
        return variable(field)

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
    def named_chains(self) -> Mapping[str, NamedChain]:
        """The chains that a turn can choose, by name."""
        return read_chains(self.chains)

    @property
    def asks_models(self) -> bool:
        """True when a chain asks models that the settings name."""
        return not self.chain or any(chain.models for chain in self.named_chains.values())

    @property
    def summary_chain(self) -> str:
        """The name of the chain that sums up; empty for the one of turns that choose none."""
        return "" if self.summary == "default" and "default" not in self.named_chains else self.summary

    @property
    def models(self) -> tuple[str, ...]:
        """The models of the default chain: the one that is asked, then those that answer in its place."""
        return tuple(self.model.split(","))

    @property
    def chain_models(self) -> tuple[str, ...]:
        """The models of the default chain and of named chains, each once."""
        chains = (chain.models for chain in self.named_chains.values() if chain.models)
        return tuple(dict.fromkeys(model for models in (self.model, *chains) for model in models.split(",")))

    @property
    def servers_by_model(self) -> dict[str, tuple[str, str]]:
        """The address and the key of each model that has a server of its own."""
        servers: dict[str, dict[str, str]] = json.loads(self.model_servers.get_secret_value() or "{}")
        return {model: (place["url"], place.get("key") or "none") for model, place in servers.items()}

    @property
    def budgets_by_model(self) -> dict[str, dict[str, int]]:
        """The limits of each model that has some: `requests`, `tokens`, `concurrent`."""
        budgets: dict[str, dict[str, int]] = json.loads(self.model_budgets) if self.model_budgets else {}
        return budgets

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
