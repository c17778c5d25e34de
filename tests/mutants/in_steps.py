"""Faults in the scripts that keep the steps of graphs, and in what ends them."""

from tests.mutants.mutant import Mutant
from tests.mutants.script import SMALL_SCOPE

_TESTS = ("tests/scripts/test_steps.py", SMALL_SCOPE)


def _in_step(name: str, breaks: str, old: str, new: str, *, script: str) -> Mutant:
    return Mutant(name, breaks, f"turns/lua/{script}.lua", old, new, _TESTS)


STEPS = (
    _in_step(
        "a checkpoint of anybody",
        "a zombie overwrites the steps of another attempt",
        "if not owns(id, token) then return { 'superseded' } end\n",
        "",
        script="step/put_checkpoint",
    ),
    _in_step(
        "writes of anybody",
        "a zombie's result counts",
        "if not owns(id, token) then return { 'superseded' } end\n",
        "",
        script="step/put_writes",
    ),
    _in_step(
        "a second write wins",
        "a task's result changes after it was told",
        "if fresh or tonumber(place) < 0 then",
        "if true then",
        script="step/put_writes",
    ),
    _in_step(
        "late writes stay",
        "the writes of earlier steps pile up",
        "if replace == '1' and latest and latest > checkpoint then return { 'kept' } end\n",
        "",
        script="step/put_writes",
    ),
    _in_step(
        "old values stay",
        "the values of earlier steps pile up",
        "  if not kept[name] then redis.call('HDEL', steps, 'value\\31' .. namespace .. '\\31' .. name) end\n",
        "",
        script="step/put_checkpoint",
    ),
    _in_step(
        "a value that is kept goes",
        "a step is read without what it refers to",
        "  if not kept[name] then redis.call(",
        "  if true then redis.call(",
        script="step/put_checkpoint",
    ),
    _in_step(
        "damage reads as nothing",
        "a turn whose steps are damaged pays again",
        "if not body and not latest then",
        "if not body then",
        script="step/read_checkpoint",
    ),
    _in_step(
        "steps outlive their turn",
        "Redis fills up",
        "if state ~= 'failed' or code == 'steps_unreadable' then",
        "if code == 'steps_unreadable' then",
        script="lib/drop_kept_steps",
    ),
    _in_step(
        "steps dropped by anybody",
        "a zombie takes the steps of another attempt away",
        "if not owns(id, token) then return { 'superseded' } end\n",
        "",
        script="step/drop_steps",
    ),
    _in_step(
        "the owner is not looked at",
        "an attempt that was taken over keeps steps and calls tools",
        " and owner == token",
        "",
        script="lib/owns",
    ),
    _in_step(
        "an earlier checkpoint comes after a later one",
        "finished tools run again",
        "if before and before >= checkpoint then return { 'kept' } end\n",
        "",
        script="step/put_checkpoint",
    ),
    _in_step(
        "known messages change",
        "what the history has meanwhile gained is lost to it, or there twice",
        "redis.call('HSETNX', steps, ",
        "redis.call('HSET', steps, ",
        script="lib/note_run",
    ),
    _in_step(
        "checkpoints live for ever",
        "the steps of lost turns fill Redis up",
        "redis.call('PEXPIRE', steps, rule.steps_ttl)\n",
        "",
        script="step/put_checkpoint",
    ),
    _in_step(
        "a write does not keep the steps before it",
        "the steps of a graph that goes on run out",
        "redis.call('PEXPIRE', steps, rule.steps_ttl)\n",
        "",
        script="step/put_writes",
    ),
    _in_step(
        "steps of a failed turn live for ever",
        "Redis fills up after a cut",
        "    redis.call('PEXPIRE', key.steps .. thread, rule.steps_ttl, 'NX')\n",
        "",
        script="lib/drop_kept_steps",
    ),
    _in_step(
        "open calls end the steps",
        "an agent that is answered begins anew",
        "  if not ended.calls then drop_kept_steps(ended.thread or id",
        "  if true then drop_kept_steps(ended.thread or id",
        script="lib/carry_out_end",
    ),
    _in_step(
        "the run that answers go on with is not noted",
        "answers go on with a run that has ended",
        "  if run == id then redis.call('HSET', steps, 'run', run) end\n",
        "",
        script="lib/note_run",
    ),
    _in_step(
        "a call that was run is closed as if it had not been",
        "a model pays again what its history says was not paid",
        "  if results == '' then return end\n",
        "  if true then return end\n",
        script="lib/keep_results",
    ),
    _in_step(
        "the closing of a call is told to its session alone",
        "a branch's model pays again what its history says was not paid",
        "  if redis.call('EXISTS', key.turn .. held) == 1 then redis.call('HSET', key.turn .. held, 'closing', told) end\n",
        "",
        script="lib/keep_results",
    ),
    _in_step(
        "each attempt has all that a turn may use",
        "a turn that fails again and again uses several times its limit",
        "if spent ~= '' then",
        "if false then",
        script="step/check_owner",
    ),
    _in_step(
        "steps run out while their session is held",
        "an agent that is answered late begins anew",
        "  redis.call('PEXPIRE', key.steps .. thread, rule.hold + rule.steps_ttl, 'GT')\n",
        "",
        script="lib/hold",
    ),
    _in_step(
        "steps outlive the calls that nobody answers",
        "Redis fills up",
        "  if thread then redis.call('UNLINK', key.steps .. thread) end\n",
        "",
        script="lib/close_calls",
    ),
    _in_step(
        "steps outlive an erasure",
        "a graph's messages stay after their session was erased",
        ", key.celery_result .. id, key.steps .. id }",
        ", key.celery_result .. id }",
        script="lib/remove_turns",
    ),
    _in_step(
        "an exchange's steps outlive an erasure",
        "a graph's messages stay after their session was erased",
        "if thread then redis.call('UNLINK', key.steps .. thread) end\n",
        "",
        script="session/erase",
    ),
    _in_step(
        "steps outlive a deleted turn",
        "a graph's messages stay after their turn was deleted",
        ", key.celery_result .. id, key.steps .. id)",
        ", key.celery_result .. id)",
        script="turn/delete_turn",
    ),
    _in_step(
        "each turn that answers calls knows anew",
        "what a turn said before it failed is lost to the history",
        "(answers and '>' .. answers or id)",
        "id",
        script="lib/known_field",
    ),
)
