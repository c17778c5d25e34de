"""Requests that want to be compacted, and servers that cannot do it."""

import pytest

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.responses.arrival import Arrival
from turnstile.producers.gateway.responses.compaction import check_compaction
from turnstile.producers.gateway.responses.schemas import ResponseRequest
from turnstile.turns.settings import Settings

NOTHING = Arrival({}, [])
GRAPH = {"chain": "app:agent"}


def request(**asked: object) -> ResponseRequest:
    return ResponseRequest.model_validate({"input": "hi", "context_management": [{"type": "compaction"}], **asked})


@pytest.mark.parametrize("settings", [GRAPH, {"tools": "app:tools"}])
def test_a_server_whose_chain_may_be_a_graph_names_one_that_sums_up(settings: dict[str, str]) -> None:
    with pytest.raises(ApiError, match="TURNSTILE_SUMMARY"):
        check_compaction(Settings(**settings), request(), NOTHING)


@pytest.mark.parametrize(
    ("settings", "asked"),
    [({}, {}), ({**GRAPH, "summary": "default"}, {}), (GRAPH, {"store": False}), (GRAPH, {"context_management": []})],
)
def test_whoever_can_be_compacted_is_not_refused(settings: dict[str, str], asked: dict[str, object]) -> None:
    check_compaction(Settings(**settings), request(**asked), NOTHING)
