"""A worker's own calls, in a stretch of a history: each is told once, with its output, at the place of the output.

One that waits for an approval is told at its own place. A client's call, and its output, stay two items.
"""

from collections.abc import Mapping

from turnstile.memory.element import Element
from turnstile.turns.output import Item
from turnstile.turns.text import dumps


class Runs:
    """The calls in a stretch, whose elements are given by their places, that are a worker's own."""

    def __init__(self, elements: Mapping[int, Element]) -> None:
        self._by_output: dict[int, Item] = {}
        self._run: set[tuple[int, str]] = set()
        made: dict[str, tuple[int, Item]] = {}
        self.lacks_calls = False
        for place in sorted(elements):
            element = elements[place]
            made |= {call["call_id"]: (place, call) for call in element.calls}
            if element.answers is None:
                continue
            found = made.pop(element.answers, None)
            self.lacks_calls |= found is None
            if found and (element.run or elements[found[0]].own):
                self._by_output[place] = found[1]
                self._run.add((found[0], element.answers))
        self.lacks_outputs = bool(made)
        self._open = {(place, call) for call, (place, _) in made.items() if elements[place].own}

    def of_output(self, place: int, element: Element) -> Item | None:
        """Return the call that an element ends, as the item of an output; None for a call that a client answered."""
        call = self._by_output.get(place)
        if call is None:
            return None
        content = element.content if isinstance(element.content, str) else dumps(element.content, str)
        return {**call, "error" if element.failed else "output": content}

    def is_open(self, place: int, call: str) -> bool:
        """Return whether a call of the element at a place is the worker's own, and waits for an approval."""
        return (place, call) in self._open

    def is_clients(self, place: int, call: str) -> bool:
        """Return whether a call of the element at a place is not the worker's own."""
        return (place, call) not in self._run and (place, call) not in self._open


NO_RUNS = Runs({})
