"""The start of a window moves in blocks."""

from hypothesis import given, settings
from hypothesis import strategies as st

from turnstile.turns.window_start import kept

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
