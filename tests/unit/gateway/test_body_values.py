"""The values in a body are counted before it is read as JSON."""

import json
import time

import pytest

from turnstile.producers.gateway.edge.body import MOST_VALUES, values_beyond

LARGEST = 8_388_608

DENSE = {
    "lists": b"[" + b"[]," * (LARGEST // 3) + b"[]]",
    "numbers": b"[" + b"1," * (LARGEST // 2) + b"1]",
    "objects": b"[" + b"{}," * (LARGEST // 3) + b"{}]",
    "names": b"{" + b'"":1,' * (LARGEST // 5) + b'"":1}',
    "texts": b"[" + b'"",' * (LARGEST // 3) + b'""]',
    "nested": b"[" * LARGEST,
}


@pytest.mark.parametrize("kind", DENSE)
def test_a_body_of_millions_of_values_is_told_without_reading_it(kind: str) -> None:
    began = time.process_time()
    assert values_beyond(DENSE[kind], MOST_VALUES)
    counted = time.process_time() - began
    began = time.process_time()
    try:
        json.loads(DENSE[kind])
    except RecursionError:
        return
    assert counted < time.process_time() - began


@pytest.mark.parametrize("text", ['[{",' * 500_000, "\\" * 2_000_000, '"' * 2_000_000, '\\"[' * 700_000])
def test_marks_within_a_text_are_no_values(text: str) -> None:
    assert not values_beyond(json.dumps({"input": text}).encode(), MOST_VALUES)


@pytest.mark.parametrize("count", [9, 10, 11])
def test_values_are_counted_about_exactly(count: int) -> None:
    assert values_beyond(json.dumps(["a,b"] * count).encode(), 10) is (count > 10)
