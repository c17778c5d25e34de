"""The memory that the answers of one key may hold."""

import pytest

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.large_answers import ANSWERS_OF_A_KEY, SMALL_BYTES, Holding, require_room

HALF = ANSWERS_OF_A_KEY // 2


def test_a_keys_answers_have_a_bound_together() -> None:
    with Holding("a") as first, Holding("a") as second, Holding("b") as other:
        first.set(HALF)
        second.set(HALF)
        with pytest.raises(ApiError, match="wait for their readers"):
            first.set(HALF + 1)
        other.set(HALF + 1)
        second.set(0)
        first.set(HALF + 1)


def test_small_answers_are_not_counted_and_one_alone_may_be_of_any_size() -> None:
    with Holding("a") as first, Holding("a") as second:
        first.set(2 * ANSWERS_OF_A_KEY)
        second.set(SMALL_BYTES)
        with pytest.raises(ApiError):
            second.set(SMALL_BYTES + 1)


def test_a_quarter_is_left_to_streams_that_are_under_way() -> None:
    with Holding("a") as holding:
        holding.set(HALF + HALF // 2)
        require_room("a")
        holding.set(HALF + HALF // 2 + 1)
        with pytest.raises(ApiError):
            require_room("a")
        require_room("b")
    require_room("a")


def test_the_first_event_of_what_was_asked_has_room_and_the_next_ones_count() -> None:
    with Holding("a") as other, Holding("a", sure=True) as stream:
        other.set(ANSWERS_OF_A_KEY)
        stream.set(HALF)
        stream.set(HALF - 1)
        with pytest.raises(ApiError):
            stream.set(HALF)
        with pytest.raises(ApiError):
            require_room("a")
