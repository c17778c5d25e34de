"""Descriptions of faults in scripts."""

from tests.mutants.mutant import Mutant

# The script whose tests notice most of the faults in a part that many scripts use.
_USERS = {
    "lib/cancel_head": "cancel",
    "lib/check_dispatch": "sweep",
    "lib/enqueue": "submit",
    "lib/history_full": "submit",
    "lib/keep_history": "keep",
    "lib/open_branch": "follow",
    "lib/end_turn": "follow",
    "lib/messages_since": "follow",
    "lib/is_erased": "erase",
    "lib/remove_erased": "erase",
    "session/erase_tenant": "erase",
    "turn/delete_turn": "follow",
    "lib/live_workers": "register_worker",
    "lib/create_turn": "submit",
    "lib/release": "sweep",
    "turn/status": "work",
    "lib/carry_out_end": "finish",
    "lib/number_dispatch": "sweep",
    "lib/make_ready": "sweep",
    "lib/clock": "sweep",
    "lib/append_event": "emit",
    "lib/overdue": "sweep",
    "lib/outage_grace": "reap",
}
_REGRESSIONS = "tests/scripts/test_regressions.py"
CUTS = "tests/scripts/test_cuts.py"
SMALL_SCOPE = "tests/exploration/test_small_scope.py::test_no_interleaving_breaks_a_rule"


def in_script(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    """Describe a fault in a script or a part, by its folder and name."""
    subject = _USERS.get(script, script.partition("/")[2])
    tests = (f"tests/scripts/test_{subject}.py", _REGRESSIONS, SMALL_SCOPE)
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, tests)


def in_cut(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    """Describe a fault that shows only when a script is cut short."""
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, (CUTS,))
