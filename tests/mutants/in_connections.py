"""Faults in the fence against late commands."""

from tests.mutants.mutant import Mutant

_FENCE = "turns/redis/fence.py"
_SOCKETS = "turns/redis/uvloop_sockets.py"
_TESTS = ("tests/unit/turns/test_fence.py", "tests/integration/turns/test_late_commands.py")


def _in_fence(name: str, breaks: str, old: str, new: str, *, file: str = _FENCE) -> Mutant:
    return Mutant(name, breaks, file, old, new, _TESTS)


CONNECTIONS = (
    _in_fence(
        "a lost connection is left open",
        "an erase that was sent again runs a second time, later, and forgets what was accepted since",
        "if self._last is None:",
        "if True:",
    ),
    _in_fence(
        "a connection is closed by its id alone",
        "after a failover strangers lose their connections",
        '"ID", id, "ADDR", address',
        '"ID", id',
    ),
    _in_fence(
        "a busy server counts as one that has closed it",
        "what waited behind a long script runs late",
        "if is_busy(refusal):",
        "if False:",
    ),
    _in_fence(
        "nothing goes on without a fence",
        "a user with the rights of an older version cannot connect",
        "            _warn(str(refusal))\n",
        "            raise refusal\n",
    ),
    _in_fence(
        "blocking connections have no fence",
        "an erase that a program has sent again runs late",
        "else (Fenced, kind)",
        "else (kind,)",
        file=_SOCKETS,
    ),
    _in_fence(
        "connections of the multiplexer do not know each other",
        "a question that a gateway has sent again comes back after its conversation was erased",
        "        connection.fence = self._fence\n",
        "",
        file="turns/redis/multiplexer.py",
    ),
    _in_fence(
        "a bounded store forgets its connection",
        "a call that was given up runs after the calls that came next",
        "            self._own.connection.disconnect()",
        "            self._own.connection, lost = None, self._own.connection\n            lost.disconnect()",
        file="turns/store/bounded.py",
    ),
)
