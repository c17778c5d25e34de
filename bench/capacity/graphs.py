"""Graphs whose steps do nothing but write a message: the difference of two is the cost of a step."""

from typing import Any

from langgraph.graph import END, START, MessagesState, StateGraph

from bench.history import window

SHORT, LONG = 1, 11
_MESSAGE = window(2)[1]


def _note(state: MessagesState) -> dict[str, Any]:
    return {"messages": [_MESSAGE.model_copy(update={"id": f"note-{len(state['messages'])}"})]}


def _graph(steps: int) -> StateGraph[MessagesState]:
    graph = StateGraph(MessagesState)
    names = [f"step-{number}" for number in range(steps)]
    for name in names:
        graph.add_node(name, _note)
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph


short = _graph(SHORT).compile()
long = _graph(LONG).compile()
