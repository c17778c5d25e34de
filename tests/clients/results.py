"""The results of clients in docs/clients.md."""

from collections.abc import Sequence

from tests.clients.clients import clients
from tests.clients.run import STEPS, Row
from tests.exploration.page import ROOT, rewrite, rows, table

PAGE = "clients.md"
COMMAND = "make test-clients"
_HEAD = ("client", "version", *STEPS, "remarks")


def publish(new: Sequence[Row]) -> None:
    """Write these rows in place of those of the same clients, and how each client is set up."""
    names = [client.name for client in clients()]
    replaced = {_client(row.name) for row in new}
    kept = [row for row in rows(PAGE, COMMAND) if _client(row[0]) in names and _client(row[0]) not in replaced]
    cells = [*kept, *(_cells(row) for row in new)]
    cells.sort(key=lambda row: names.index(_client(row[0])))
    rewrite(PAGE, COMMAND, [*table(_HEAD, cells), "", *setups()])


def setups() -> list[str]:
    """Return the lines that point each client at the gateway, out of the scripts that ran."""
    return [line for client in clients() for line in (f"## {client.name}", "", *client.shown, "")]


def text() -> str:
    """Return the page."""
    return (ROOT / "docs" / PAGE).read_text()


def _client(name: str) -> str:
    return name.partition(",")[0]


def _cells(row: Row) -> list[str]:
    return [row.name, row.version, *(row.results[step] for step in STEPS), "; ".join(row.reasons) or " "]
