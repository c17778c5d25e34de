from tests.clients.clients import clients
from tests.clients.results import COMMAND, PAGE, setups, text
from tests.exploration.page import rows


def test_the_page_shows_how_the_scripts_set_each_client_up() -> None:
    assert "\n".join(setups()).strip() in text(), "run `make test-clients`"
    assert all(client.shown for client in clients())


def test_the_page_has_the_results_of_each_client_at_the_version_that_is_pinned() -> None:
    versions = {row[0].partition(",")[0]: row[1] for row in rows(PAGE, COMMAND)}
    assert versions == {client.name: client.version for client in clients()}, "run `make test-clients`"
