"""The scopes that are explored: small ones in every test run, the full ones by `make explore`."""

from tests.exploration.scope import Scope

SMALL = (
    Scope("rare events", {"A": 2}, attempts=1, copies=1, fails=True, rare={"erase": 1, "retry": 1}),
    Scope("an erase in pieces", {"A": 3}, workers=1, attempts=1, copies=1, fails=True, pieces=True, rare={"erase": 1}),
    Scope("three turns", {"A": 3}, attempts=1, copies=1, cancels=True),
    Scope("an outage", {"A": 1}, attempts=1, fails=True, rare={"erase": 1, "retry": 1, "outage": 1}),
    Scope("one turn", {"A": 1}, forgiven=1, cancels=True, fails=True, delays=True, deaf=True, early=True),
    Scope("one streamed turn", {"A": 1}, copies=1, forgiven=1, delays=True, deaf=True, early=True, streams=True),
    Scope("one session", {"A": 2}, cancels=True, fails=True),
    Scope("two sessions", {"A": 1, "B": 1}, attempts=1),
    Scope("open calls", {"A": 2}, attempts=1, copies=1, cancels=True, fails=True, rare={"calls": 1, "retry": 1}),
    Scope("calls upon calls", {"A": 3}, workers=1, attempts=1, copies=1, crashes=False, rare={"calls": 2, "erase": 1}),
    Scope("kept steps", {"A": 1}, copies=1, cancels=True, fails=True, deaf=True, steps=3, rare={"erase": 1, "retry": 1}),
    Scope(
        "steps of a thread", {"A": 2}, attempts=1, copies=1, cancels=True, fails=True, steps=3, rare={"calls": 1, "retry": 1}
    ),
    Scope(
        "a cut among kept steps",
        {"A": 1},
        workers=1,
        copies=1,
        cancels=True,
        fails=True,
        crashes=False,
        steps=3,
        rare={"cut": 1},
    ),
    Scope("a cut among open calls", {"A": 2}, workers=1, attempts=1, copies=1, crashes=False, rare={"calls": 1, "cut": 1}),
    Scope("a cut", {"A": 2}, workers=1, attempts=1, copies=1, crashes=False, rare={"cut": 1}),
)

FULL = (
    Scope("three turns of one session", {"A": 3}, cancels=True, fails=True),
    Scope("two sessions, three turns", {"A": 2, "B": 1}, cancels=True),
    Scope("two sessions, cancels and requeues", {"A": 1, "B": 1}, cancels=True, delays=True),
    Scope("a cut among two turns", {"A": 2}, attempts=1, copies=1, cancels=True, streams=True, rare={"cut": 1}),
    Scope("a cut in one turn", {"A": 1}, copies=1, cancels=True, fails=True, delays=True, rare={"cut": 1}),
    Scope("open calls, three turns", {"A": 3}, attempts=1, copies=1, cancels=True, fails=True, rare={"calls": 1, "retry": 1}),
    Scope(
        "a cut among open calls and their ends",
        {"A": 2},
        workers=1,
        attempts=1,
        copies=1,
        cancels=True,
        fails=True,
        crashes=False,
        steps=1,
        rare={"calls": 1, "retry": 1, "cut": 1},
    ),
    Scope(
        "kept steps of two turns",
        {"A": 2},
        copies=1,
        cancels=True,
        fails=True,
        steps=2,
        rare={"erase": 1, "retry": 1, "calls": 1},
    ),
    Scope("two turns, everything", {"A": 2}, forgiven=1, cancels=True, fails=True, delays=True, deaf=True, early=True),
)
