"""Faults in files and batches: bounds, owners, results that are counted, turns among tenants."""

from tests.mutants.mutant import Mutant
from tests.mutants.script import in_cut

_TESTS = "tests/scripts/test_batches.py"


def _in_batch(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    """Describe a fault in a script that only tests of files and batches notice."""
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, (_TESTS,))


BATCHES = (
    _in_batch(
        "an idempotency key begins any batch",
        "a client takes the batch over another file for its own",
        "if seen and seen ~= fingerprint then",
        "if false then",
        script="batch/create_batch",
    ),
    _in_batch(
        "batches of a tenant have no bound",
        "one tenant fills Redis with batches",
        "redis.call('ZCARD', unfinished) >= rule.most_unfinished_batches",
        "false",
        script="batch/create_batch",
    ),
    _in_batch(
        "a tenant takes all gateways",
        "all batches of other tenants wait for one tenant's",
        "rule.batches_at_work - 1",
        "-1",
        script="lib/admit_batches",
    ),
    _in_batch(
        "a batch that makes room is taken again",
        "a long batch keeps its place before those that wait",
        "now + lease, tenant",
        "lease, tenant",
        script="batch/renew_batch",
    ),
    _in_batch(
        "half a file begins a batch",
        "the rest of the requests is never answered, and nobody says so",
        "if (whole or '') == '' then",
        "if false then",
        script="batch/create_batch",
    ),
    _in_batch(
        "results are not counted as stored",
        "a tenant stores as much as it likes, as results",
        "  charge(tenant, file, bytes)\n",
        "",
        script="batch/record_result",
    ),
    _in_batch(
        "errors need no room",
        "lines that are no requests fill Redis",
        "asked == '0' and",
        "false and",
        script="batch/record_result",
    ),
    _in_batch(
        "a file of results ends with the last line before a gap",
        "answers to lines behind one without a result cannot be read",
        "math.max(tonumber(line), tonumber(last or 0))",
        "line",
        script="batch/end_batch",
    ),
    _in_batch(
        "a deleted file is still counted",
        "a tenant that deletes its files has no room until they would have expired",
        "  charge(tenant, name, 0)\n",
        "",
        script="lib/drop_stored",
    ),
    _in_batch(
        "what has expired is still counted",
        "after a week a tenant can upload nothing more",
        "  free_room(tenant, now)\n",
        "",
        script="lib/fits",
    ),
    _in_batch(
        "a lost owner records results",
        "a result that came too late stands beside the one that counts",
        "if owner ~= token then return { 'lost' } end",
        "",
        script="batch/record_result",
    ),
    _in_batch(
        "a line has a result of each outcome",
        "a request stands in the output and in the errors",
        "redis.call('HEXISTS', key.results .. file, number) + redis.call('HEXISTS', key.results .. other, number) == 0",
        "redis.call('HEXISTS', key.results .. file, number) == 0",
        script="batch/record_result",
    ),
    _in_batch(
        "a batch ends and the next one stays",
        "a tenant's third batch never begins",
        "  admit_batches(tenant, now)\n",
        "",
        script="lib/leave_work",
    ),
    _in_batch(
        "a cancelled batch waits its turn",
        "a batch is `cancelling` for hours, until the tenant's others have ended",
        "if owner then",
        "if true then",
        script="batch/cancel_batch",
    ),
    Mutant(
        "a batch ends without what Redis has lost",
        "requests that were answered have no result, and a retry asks them twice",
        "producers/gateway/batches/run.py",
        "range(_MORE_LOOKS)",
        "()",
        ("tests/unit/gateway/test_batch_run.py", "tests/integration/gateway/test_batch_losses.py"),
    ),
    in_cut(
        "a file is uncounted before it is gone",
        "what a cut has left of a file is never counted",
        "  redis.call('UNLINK', key.pieces .. name, key.results .. name)\n  charge(tenant, name, 0)\n",
        "  charge(tenant, name, 0)\n  redis.call('UNLINK', key.pieces .. name, key.results .. name)\n",
        script="lib/drop_stored",
    ),
)
