"""The start of a window moves in blocks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnstile.turns.window_start import kept, next_place

SIZES = st.lists(st.integers(0, 50), min_size=1, max_size=300)


def fitting(sizes: list[int], most: int, most_tokens: int) -> list[int]:
    """The newest that fit, newest first."""
    found: list[int] = []
    for size in reversed(sizes):
        if len(found) == most or (most_tokens and sum(found) + size > most_tokens):
            break
        found.append(size)
    return found


@settings(deadline=None)  # busy machines are slow
@given(SIZES, st.integers(1, 60), st.sampled_from([0, 200, 1_000]), st.floats(0, 0.9))
def test_a_window_is_within_its_limits_and_its_start_never_goes_back(
    sizes: list[int], most: int, tokens: int, block: float
) -> None:
    before = 0
    for length in range(1, len(sizes) + 1):
        newest = fitting(sizes[:length], most, tokens)
        count = kept(newest, length, most, tokens, block)
        assert 0 <= count <= len(newest)
        assert count >= min(len(newest), int(most * (1 - block))) or (
            tokens and sum(newest[: count + 1]) > tokens * (1 - block)
        )
        assert length - count >= before
        before = length - count


@settings(deadline=None)
@given(SIZES, st.integers(1, 60))
def test_so_many_stay_in_any_case(sizes: list[int], least: int) -> None:
    count = kept(sizes, 10_000, len(sizes), 0, 0.9, least)
    assert min(least, len(sizes)) <= count <= len(sizes)


def test_a_whole_history_stays_whole() -> None:
    assert kept([1] * 7, 7, 7, 7, 0.9) == 7
    assert kept([], 7, 7, 7, 0.9) == 0


class Growing:
    """A history that grows turn by turn; a summary is made as many turns after it was asked for as it is `late`."""

    def __init__(self, sizes: list[int], turn: int, most: int, tokens: int, block: float, late: int) -> None:
        self.sizes, self.turn, self.limits, self.late = sizes, turn, (most, tokens, block), late
        self.place = self.length = self.asked = self.turns = 0
        self.due = 0

    def add_turn(self) -> int | None:
        """Add a turn, and return the place to which is to be summed up next."""
        self.length += self.turn
        self.turns += 1
        if self.due and self.turns >= self.due:
            self.place, self.due = self.asked, 0
        most, tokens, block = self.limits
        newest = fitting(self.sizes[: self.length], most, tokens)
        begins = [(self.length - 1 - number) % self.turn == 0 for number in range(len(newest))]
        place = next_place(newest, begins, self.length, self.place, most, tokens, block)
        if place and not self.due:
            self.asked, self.due = place, self.turns + self.late
        return place


@settings(deadline=None)
@given(SIZES, st.integers(1, 6), st.integers(0, 60), st.sampled_from([0, 200, 1_000]), st.floats(0, 0.9), st.integers(0, 9))
def test_a_summary_ends_before_a_turn_that_the_window_keeps(
    sizes: list[int], turn: int, most: int, tokens: int, block: float, late: int
) -> None:
    history = Growing(sizes, turn, most, tokens, block, late)
    while history.length + turn <= len(sizes):
        before, place = history.place, history.add_turn()
        assert history.place >= before
        if place:
            assert history.place < place < history.length
            assert place % turn == 0
            assert history.length - place <= len(fitting(sizes[: history.length], most, tokens))


@pytest.mark.parametrize("most", [10, 40, 1_000])
@pytest.mark.parametrize("block", [0, 0.25, 0.5, 0.9])
def test_no_message_is_in_neither_window_nor_summary(most: int, block: float) -> None:
    history, made = Growing([1] * 4_000, 2, most, 0, block, late=1), set()
    while history.length < 4_000:
        history.add_turn()
        made.add(history.place)
        assert history.length - history.place <= most
    # A summary is a call of a model: it takes in a good part of a block.
    assert len(made) <= 4_000 / (most * max(block, 0.25) / 2) + 1


def test_a_long_history_without_a_summary_is_summed_up_to_its_window() -> None:
    newest = [10] * 40
    begins = [number % 2 == 1 for number in range(40)]
    assert next_place(newest, begins, 100_000, 0, 40, 0, 0.5) == 99_976
    assert next_place(newest, begins, 100_000, 99_976, 40, 0, 0.5) is None
    assert next_place(newest, [False] * 40, 100_000, 0, 40, 0, 0.5) is None


def test_a_window_of_tokens_is_summed_up_as_well() -> None:
    newest = [100] * 10
    begins = [number % 2 == 1 for number in range(10)]
    assert next_place(newest[:8], begins, 8, 0, 40, 1_000, 0.5) is None
    assert next_place(newest, begins, 10, 0, 40, 1_000, 0.5) == 4
