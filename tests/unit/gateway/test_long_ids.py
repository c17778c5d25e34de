"""An id that names nothing comes back in an error, but not whole when somebody sends a book."""

from collections.abc import Callable

import pytest

from turnstile.producers.gateway.chat.messages import check_calls
from turnstile.producers.gateway.edge.api_errors import ApiError, missing, no_call, no_output
from turnstile.turns.store.batches import unknown_batch
from turnstile.turns.store.files import unknown_file
from turnstile.turns.store.replies import unknown_session, unknown_turn

ERRORS: list[Callable[[str], Exception]] = [
    *(unknown_file, unknown_batch, unknown_turn, unknown_session, no_call, no_output),
    lambda id: missing("item_id", "Item", id),
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_cuts_a_long_id(error: Callable[[str], Exception]) -> None:
    assert len(str(error("x" * 1_000_000))) < 400


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_says_an_id_that_may_be_one_whole(error: Callable[[str], Exception]) -> None:
    assert "x" * 200 in str(error("x" * 200))


def test_an_error_names_some_of_many_calls() -> None:
    calls = [{"id": f"{n}" * 1_000} for n in range(10_000)]
    with pytest.raises(ApiError, match="did not have response messages") as refused:
        check_calls([{"role": "assistant", "content": "", "tool_calls": calls}])
    assert len(str(refused.value)) < 10_000
