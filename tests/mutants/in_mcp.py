"""Faults in the bounds on what a worker reads of MCP servers."""

from tests.mutants.mutant import Mutant

_BOUNDS = "tests/unit/workers/test_mcp_bounds.py"
_ANSWERS = f"{_BOUNDS}::test_a_broken_answer_is_an_error_of_its_tool"
_ENDS = (f"{_BOUNDS}::test_a_line_and_an_event_have_an_end",)
_LISTS = (f"{_BOUNDS}::test_a_list_of_tools_is_bounded",)

MCP = (
    Mutant(
        "a session with an MCP server has no end",
        "one tool's comments keep a worker reading",
        "workers/chains/mcp/reading.py",
        "if self._bytes > MOST_SESSION_BYTES:",
        "if False:",
        (f"{_BOUNDS}::test_all_that_comes_in_a_session_has_an_end",),
    ),
    Mutant(
        "reading a tool's answer may take any time",
        "chunks of a byte take a worker's loop for minutes",
        "workers/chains/mcp/reading.py",
        "if self._seconds > MOST_SECONDS:",
        "if False:",
        (f"{_BOUNDS}::test_an_answer_that_takes_long_to_read_has_an_end",),
    ),
    Mutant(
        "a broken answer of a tool is told to the library alone",
        "which waits for another until the turn's deadline",
        "workers/chains/mcp/reading.py",
        "        self._end_after(0)\n",
        "",
        (f"{_ANSWERS}[half_a_pair]", f"{_ANSWERS}[no_events]"),
    ),
    Mutant(
        "an answer that broke off is waited for",
        "a call hangs until its turn's deadline",
        "workers/chains/mcp/reading.py",
        "        self._end_after(_RESUME_SECONDS)\n",
        "",
        (f"{_BOUNDS}::test_an_answer_that_is_not_taken_up_again_is_an_error",),
    ),
    Mutant(
        "a server may hold a call whose answer is there",
        "by not letting its session end",
        "workers/chains/mcp/reading.py",
        "        self._end_after(_CLOSE_SECONDS)\n",
        "        pass\n",
        (f"{_BOUNDS}::test_a_good_answer_comes_through_although_its_server_never_says_goodbye",),
    ),
    Mutant(
        "a tool's answer that is not streamed has no end",
        "it fills a worker's memory",
        "workers/chains/mcp/messages.py",
        "if len(content) > MOST_MESSAGE_BYTES:",
        "if False:",
        (f"{_ANSWERS}[json]",),
    ),
    Mutant(
        "a line of a tool's answer has no end",
        "it fills a worker's memory",
        "workers/chains/mcp/messages.py",
        "if len(self._begun) > MOST_MESSAGE_BYTES:",
        "if False:",
        _ENDS,
    ),
    Mutant(
        "lines of an event count by their letters alone",
        "empty ones fill a worker's memory",
        "workers/chains/mcp/messages.py",
        "_LINE_BYTES = 64",
        "_LINE_BYTES = 0",
        _ENDS,
    ),
    Mutant(
        "an answer to something else is passed on",
        "the library waits for the right one until the turn's deadline",
        "workers/chains/mcp/messages.py",
        " or str(message.id) != str(asked)",
        "",
        (f"{_ANSWERS}[another_id]", f"{_ANSWERS}[another_id_in_events]"),
    ),
    Mutant(
        "details of a server's requests are passed on",
        "the library logs them",
        "workers/chains/mcp/messages.py",
        'return dumps({"jsonrpc": "2.0", "id": request.id, "method": request.method}).encode()',
        "return request.model_dump_json().encode()",
        (f"{_BOUNDS}::test_a_server_may_ask_but_its_words_go_no_further",),
    ),
    Mutant(
        "a compressed answer of a tool is decoded",
        "a small one fills a worker's memory",
        "workers/chains/mcp/connections.py",
        'if response.headers.get("content-encoding", "identity") != "identity":',
        "if False:",
        (f"{_ANSWERS}[compressed]",),
    ),
    Mutant(
        "the head of a tool's answer has no end",
        "interim responses take a worker's time",
        "workers/chains/mcp/connections.py",
        "if self._head > MOST_HEAD_BYTES:",
        "if False:",
        (f"{_ANSWERS}[interim_responses]",),
    ),
    Mutant(
        "a schema's references are followed without end",
        "a worker writes them out at each call of its model",
        "workers/chains/mcp/schemas.py",
        "if count > _MOST_PARTS or len(within) > MOST_DEPTH:",
        "if False:",
        _LISTS,
    ),
    Mutant(
        "a server may list any tools",
        "each call of a model carries them",
        "workers/chains/mcp/schemas.py",
        "if size > MOST_TOOLS_BYTES:",
        "if False:",
        _LISTS,
    ),
)
