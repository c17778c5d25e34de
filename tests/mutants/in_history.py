"""Faults in histories, windows, and the tools that answers call."""

from tests.mutants.mutant import Mutant

_WINDOW = "tests/unit/memory/test_window.py"
_CLAIM = "tests/scripts/test_claim.py"
_ATTEMPT = "tests/integration/workers/test_attempt.py"
_TOOLS = "tests/integration/workers/test_tools.py"
_AGENT = "tests/integration/workers/test_tool_agent.py"

HISTORY = (
    Mutant(
        "calls go out without their answers",
        "the model's server refuses the whole history",
        "memory/calls.py",
        "        left = _with_calls(message, answers)\n",
        "        left = message\n",
        (_WINDOW,),
    ),
    Mutant(
        "a message loses its text with its calls",
        "what an assistant said is forgotten because nobody answered its call",
        "memory/calls.py",
        "    return left if left.text or calls_of(left) else None\n",
        "    return left if calls_of(left) else None\n",
        (_WINDOW,),
    ),
    Mutant(
        "an answered exchange is cut",
        "answers arrive for calls that the model is not shown",
        "memory/window.py",
        "    goes_on = bool(following) and isinstance(following[0], ToolMessage)\n",
        "    goes_on = False\n",
        (_WINDOW,),
    ),
    Mutant(
        "a long exchange is claimed in part",
        "after an agent's long turn the model knows nothing of it",
        "turns/lua/lib/read_window.lua",
        "  if human(elements) then return elements, false end\n",
        "  if elements then return elements, false end\n",
        (_CLAIM,),
    ),
    Mutant(
        "a window slides",
        "no prompt begins as the last one did, and the provider's cache keeps none",
        "turns/window_start.py",
        "    return last >> bit << bit\n",
        "    return first\n",
        (_WINDOW,),
    ),
    Mutant(
        "a block takes the only question along",
        "a model is asked to go on with what it cannot see",
        "memory/window.py",
        "    return next(human, len(found))\n",
        "    return 1\n",
        (_WINDOW,),
    ),
    Mutant(
        "a claim does not tell how long the history is",
        "windows slide, and the provider's cache keeps no prompt",
        "turns/turn.py",
        "            length=noted or int(length),\n",
        "            length=noted,\n",
        (_ATTEMPT,),
    ),
    Mutant(
        "broken arguments are repaired",
        "a tool is called with other arguments than the model meant",
        "workers/chains/items.py",
        '(sound if _is_object(call["args"] or "{}") else broken).append(call)',
        "sound.append(call)",
        (_TOOLS,),
    ),
    Mutant(
        "calls that were cut off are run",
        "a tool is called with half of its arguments",
        "workers/chains/tool_agent.py",
        "        if finish_reason(answer) in CUT_OFF:\n",
        "        if False:\n",
        (_AGENT,),
    ),
    Mutant(
        "a client's call ends the run at once",
        "the worker's calls of the same answer are never run",
        "workers/chains/tool_agent.py",
        "            if not own:\n",
        "            if True:\n",
        (_AGENT,),
    ),
)
