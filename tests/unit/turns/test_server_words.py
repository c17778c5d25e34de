"""The words in which servers say that a prompt is too long, and what of them an operator is told."""

from typing import Any

import httpx2
import openai
import pytest

from turnstile.turns.server_words import ServerWords
from turnstile.workers.attempt.failures import classify

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")

OPENAI = (
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens. "
    "Please reduce the length of the messages."
)
TPM = (
    "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 40123. The input or "
    "output tokens must be reduced in order to run successfully."
)
VLLM = (
    "This model's maximum context length is 4096 tokens. However, you requested 4472 tokens (376 in the messages, 4096 in the "
    "completion). Please reduce the length of the messages or completion."
)
LM_STUDIO = (
    "Trying to keep the first 14538 tokens when context the overflows. However, the model is loaded with context length of "
    "only 2048 tokens, which is not enough. Try to load the model with a larger context length, or provide a shorter input"
)
LLAMA: dict[str, Any] = {
    "code": 400,
    "message": "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it",
    "type": "exceed_context_size_error",
    "n_prompt_tokens": 4390,
    "n_ctx": 4096,
}
TOO_LONG: list[tuple[str, int | None, Any, tuple[int, int]]] = [
    ("OpenAI", 400, {"message": OPENAI, "type": "invalid_request_error", "code": "context_length_exceeded"}, (9001, 8192)),
    ("OpenAI 2", 429, {"message": TPM, "type": "tokens", "code": "rate_limit_exceeded"}, (40123, 30000)),
    ("Azure", 400, {"message": OPENAI, "type": "invalid_request_error", "code": "context_length_exceeded"}, (9001, 8192)),
    ("vLLM", 400, {"object": "error", "message": VLLM, "type": "BadRequestError", "code": 400}, (4472, 4096)),
    (
        "vLLM 2",
        400,
        {"message": "The prompt (total length 25938) is too long to fit into the model (context length 4096)."},
        (25938, 4096),
    ),
    (
        "vLLM 3",
        400,
        {"message": "The decoder prompt (length 10127) is longer than the maximum model length of 8192."},
        (10127, 8192),
    ),
    (
        "vLLM 4",
        400,
        {"object": "error", "message": "max_tokens must be at least 1, got -186.", "type": "BadRequestError"},
        (0, 0),
    ),
    ("llama.cpp", 400, LLAMA, (4390, 4096)),
    ("llama.cpp, older", 400, {"message": "the request exceeds the available context size. try increasing it"}, (0, 0)),
    ("OpenRouter", 400, {"message": OPENAI, "code": 400}, (9001, 8192)),
    (
        "Gemini",
        400,
        {"message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", "code": 400},
        (0, 0),
    ),
    ("llama.cpp, in a stream", None, LLAMA, (4390, 4096)),
    ("llama.cpp 2", 500, {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}, (0, 0)),
    ("llama.cpp 3", 500, {**LLAMA, "code": 500}, (4390, 4096)),
    ("llama-cpp-python", 400, {"message": "Requested tokens (2285) exceed context window of 2048"}, (0, 0)),
    ("Ollama", 400, {"message": "the input length exceeds the context length", "type": "api_error", "code": None}, (0, 0)),
    ("Ollama 2", 400, {"message": "prompt is too long: 5000 tokens > 4096 maximum", "type": "invalid_request_error"}, (0, 0)),
    ("LM Studio", 400, LM_STUDIO, (14538, 2048)),
    ("LM Studio, in a stream", None, {"message": LM_STUDIO}, (14538, 2048)),
    ("LM Studio 2", 400, "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)", (15028, 7424)),
    (
        "TGI",
        422,
        {
            "message": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 1244 `inputs` "
            "tokens and 1000 `max_new_tokens`",
            "error_type": "validation",
        },
        (1244, 2048),
    ),
    ("TGI 2", 422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 1168", (1168, 1024)),
    (
        "SGLang",
        400,
        {"object": "error", "message": "The input (61709 tokens) is longer than the model's context length (40960 tokens)."},
        (61709, 40960),
    ),
    (
        "SGLang 2",
        400,
        {"message": "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens)."},
        (160062, 59862),
    ),
]


def raised(status: int | None, body: Any) -> openai.APIError:
    """The error that the default chain raises for an answer, or for a piece of a stream."""
    if status is None:
        return openai.APIError("The model's server reported an error.", REQUEST, body=body)
    response = httpx2.Response(status, request=REQUEST, json={"error": body})
    return openai.AsyncOpenAI(api_key="x")._make_status_error_from_response(response)


@pytest.mark.parametrize(("server", "status", "body", "tokens"), TOO_LONG, ids=[case[0] for case in TOO_LONG])
def test_every_servers_words_for_a_prompt_that_is_too_long(
    server: str, status: int | None, body: Any, tokens: tuple[int, int]
) -> None:
    failure = classify(raised(status, body))
    assert (failure.code, failure.retryable, failure.away) == ("context_length_exceeded", False, False), server
    assert failure.words
    assert (failure.words.asked, failure.words.allowed) == tokens


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, {"message": "Unsupported value: 'temperature'.", "type": "invalid_request_error"}, "invalid_request"),
        (500, {"message": "The context length was computed.", "type": "server_error"}, "model_overloaded"),
        (429, {"message": "Too many tokens: maximum context length", "type": "tokens"}, "rate_limited"),
        (None, {"message": "out of memory", "type": "server_error"}, "model_overloaded"),
    ],
)
def test_other_errors_stay_what_they_are(status: int | None, body: Any, code: str) -> None:
    assert classify(raised(status, body)).code == code


def test_an_operator_is_told_the_type_and_code_and_the_text_where_content_is_shown() -> None:
    body = {"message": "Bob's secret\nis 'x'.", "type": "invalid_request_error", "code": "invalid_value"}
    words = ServerWords.of(raised(400, body))
    assert words.told(400, whole_text=False) == "HTTP 400, invalid_request_error, invalid_value"
    assert words.told(400, whole_text=True) == "HTTP 400, invalid_request_error, invalid_value: Bob's secret is 'x'."
    odd = ServerWords.of(raised(400, {"message": "no", "type": "Bob's secret", "code": {"Bob": "secret"}}))
    assert odd.told(400, whole_text=False) == "HTTP 400"
