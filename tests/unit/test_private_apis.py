"""Names of other libraries that they do not promise to keep: docs/private-apis.md lists each, with the test that notices."""

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest
from celery import Celery

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "private-apis.md").read_text().splitlines()
    if line.startswith("| `")
]
# An import of a private module, or a private attribute of another library's class, which has a local name such as `_Channel`.
_PRIVATE = re.compile(r"^\s*from (?!turnstile)[\w.]+\.(_\w+) import|\b_[A-Z]\w+\.(_[a-z]\w+)", re.MULTILINE)


@pytest.mark.parametrize(("name", "why", "places", "test"), ROWS, ids=[row[0].strip("`") for row in ROWS])
def test_a_name_is_there_and_has_its_test(name: str, why: str, places: str, test: str) -> None:
    resolve_name(name.strip("`"))
    assert why.endswith(".")
    for place in re.findall(r"`([^`]+)`", places):
        assert (ROOT / place).is_file()
    file, _, function = test.strip("`").partition("::")
    assert f"def {function}(" in (ROOT / "tests" / file).read_text()


def test_private_modules_and_replaced_methods_are_listed() -> None:
    used = {
        word
        for part in ("turns", "memory", "workers", "producers", "deploy")
        for file in (ROOT / part).rglob("*.py")
        for words in _PRIVATE.findall(file.read_text())
        for word in words
        if word
    }
    assert {"_binary", "_queue_bind"} <= used
    assert used <= {word for row in ROWS for word in re.split(r"\W+", row[0])}


def test_task_events_are_buffered_and_announced() -> None:
    announced: list[None] = []
    with Celery(broker="memory://") as app, app.connection_for_write() as connection:
        dispatcher = app.events.Dispatcher(connection, buffer_group=frozenset({"task"}))
        dispatcher.on_send_buffered = lambda: announced.append(None)
        dispatcher.buffer_limit = 3
        sent: list[str] = []
        dispatcher._publish = lambda events, *_, **__: sent.append(str(events))
        for _ in range(2):
            dispatcher.send("task-succeeded", uuid="one")
        assert (len(announced), sent) == (2, [])
        dispatcher.send("task-succeeded", uuid="one")
        assert (len(announced), len(sent)) == (2, 1)
