"""Room in a worker process's memory for large turns."""

import subprocess
import sys

from turnstile.turns.settings import Settings
from turnstile.workers.process.room import Room

MIB = 1_048_576


def room(size: int) -> Room:
    return Room(Settings(large_turns_bytes=size * MIB, tenant_share=0.75))


def test_large_turns_go_while_there_is_room() -> None:
    memory = room(20)
    with memory.hold("a/1") as first, memory.hold("a/2") as second, memory.hold("b/1") as other:
        assert first(10 * MIB)
        assert not second(6 * MIB)
        assert second(5 * MIB)
        assert not other(6 * MIB)
        assert other(5 * MIB)
    with memory.hold("a/2") as second:
        assert second(15 * MIB)


def test_a_tenant_finds_room_beside_another_that_takes_all_it_can() -> None:
    memory = room(40)
    holds = [memory.hold(f"greedy/{n}") for n in range(10)]
    assert [hold.__enter__()(10 * MIB) for hold in holds] == [True] * 3 + [False] * 7
    with memory.hold("other/1") as take:
        assert take(10 * MIB)


def test_a_turn_that_is_larger_than_the_room_goes_alone() -> None:
    memory = room(2)
    with memory.hold("a/1") as first, memory.hold("b/1") as other:
        assert first(50 * MIB)
        assert not other(2 * MIB)
    with memory.hold("b/1") as other:
        assert other(2 * MIB)


def test_small_turns_take_no_room() -> None:
    memory = room(2)
    with memory.hold("1") as large:
        assert large(50 * MIB)
        for n in range(100):
            with memory.hold(f"a/{n}") as small:
                assert small(MIB)


def test_a_turn_that_grows_takes_what_it_lacks() -> None:
    memory = room(20)
    with memory.hold("a/1") as take, memory.hold("b/1") as other:
        assert take(2 * MIB)
        assert take(2 * MIB)
        assert take(12 * MIB)
        assert take(3 * MIB)
        assert not other(9 * MIB)
        assert other(8 * MIB)
        assert not take(13 * MIB)


_HOARDING = """
import resource, sys
from turnstile.workers.process.room import return_large_blocks
return_large_blocks()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
for _ in range(3):
    bytearray(b"x") * (8 << 20)
before = resident()
large, small = [], []
for _ in range(20):
    large.append(bytearray(b"x") * (8 << 20))
    small.append(bytearray(b"x") * 100_000)
assert resident() - before > 150
large.clear()
print(resident() - before)
"""


def test_the_memory_of_large_turns_goes_back_to_the_system() -> None:
    left = subprocess.run([sys.executable, "-c", _HOARDING], check=True, capture_output=True, text=True)
    assert int(left.stdout) < 30
