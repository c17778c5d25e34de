"""The trace that goes with a turn."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from turnstile.turns.errors import InvalidTurn, MissingExtra, SettingError
from turnstile.turns.extras import MODULES, need
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.tracing.context import TraceContext, join, read, trace_id
from turnstile.turns.tracing.switch import start

ROOT = Path(__file__).parents[3]
ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{ID}-00f067aa0ba902b7-01"


def test_headers_in_the_form_of_the_standard_are_read() -> None:
    assert read(PARENT, "a=1") == TraceContext(PARENT, "a=1")
    assert read(PARENT, "a=1\n") == read(PARENT, None) == TraceContext(PARENT)
    assert read(PARENT.replace("00-", "cc-", 1) + "-more") is not None
    assert trace_id(PARENT) == ID


WRONG = ["", None, 7, PARENT.upper(), PARENT + "\n", PARENT + "x" * 100, PARENT.replace("-", "_"), f"00-{ID}-01"]
WRONG += [PARENT.replace("00-", "ff-", 1), f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{ID}-{'0' * 16}-01"]


@pytest.mark.parametrize("wrong", WRONG)
def test_others_are_none(wrong: object) -> None:
    assert read(wrong) is None


def test_a_trace_is_none_of_what_is_asked() -> None:
    plain, traced = Options(name="bob"), Options(name="bob", traceparent=PARENT, tracestate="a=1")
    assert plain.encode() == traced.encode()
    assert plain.kind == traced.kind
    for options in (traced, Options(traceparent=PARENT)):
        assert Options.decode(join(options.encode(), options.trace)) == options
    assert join(plain.encode(), None) == plain.encode()


@pytest.mark.parametrize(("name", "value"), [("traceparent", "00-1-1-01"), ("tracestate", "a" * 513), ("tracestate", "ä")])
def test_a_trace_of_another_form_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(InvalidTurn, match=name):
        Options(**{name: value})  # type: ignore[arg-type]  # any of them


def test_tracing_is_off_unless_the_environment_asks_for_it() -> None:
    address = "http://127.0.0.1:1"
    assert not start(Settings(), "test")
    assert not start(Settings(otel_exporter_otlp_endpoint=address, otel_sdk_disabled="TRUE"), "test")
    assert not start(Settings(otel_exporter_otlp_endpoint=address, otel_traces_exporter="none"), "test")
    with pytest.raises(SettingError, match="zipkin"):
        start(Settings(otel_traces_exporter="zipkin"), "test")


@pytest.mark.parametrize("protocol", ["", "grpc"])
def test_a_missing_extra_is_named_and_nobody_is_kept_from_starting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    monkeypatch.setitem(MODULES, "tracing", ("nowhere.sdk",))
    asking = Settings(otel_exporter_otlp_endpoint="http://127.0.0.1:1", otel_exporter_otlp_protocol=protocol)
    assert not start(asking, "test")
    [line] = caplog.messages
    assert line.endswith("nowhere.sdk not installed: pip install 'turnstile[tracing]'")
    with pytest.raises(MissingExtra, match=re.escape("nowhere.sdk not installed: pip install 'turnstile[tracing]'")):
        need("tracing")


PARTS = ["turnstile.producers.client", "turnstile.producers.gateway.asgi", "turnstile.workers.process.runtime"]


@pytest.mark.parametrize("module", PARTS)
def test_where_nobody_traces_no_part_of_it_is_loaded(module: str) -> None:
    # redis-py looks for OpenTelemetry's metrics by itself, and FastAPI has its API.
    traced = ("turnstile.turns.tracing.sdk", "turnstile.workers.tracing.attempts", "opentelemetry.exporter")
    look = f"import sys, {module}; sys.exit(any(name.startswith({traced}) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", look], cwd=ROOT, check=False).returncode == 0


def test_attributes_are_those_of_the_conventions() -> None:
    files = [
        *ROOT.glob("workers/tracing/*.py"),
        ROOT / "turns/tracing/context.py",
        *ROOT.glob("producers/gateway/edge/request_*.py"),
    ]
    used = {
        name for file in files for name in re.findall(r'"((?:gen_ai|messaging|http|url|error)\.[a-z_.]+)"', file.read_text())
    }
    conventions = "opentelemetry.semconv._incubating.attributes"
    known: set[str] = set()
    for group in ("gen_ai", "messaging", "http", "url", "error"):
        known |= {name for name in vars(import_module(f"{conventions}.{group}_attributes")).values() if isinstance(name, str)}
    assert len(used) > 15
    assert used <= known, used - known
