"""The conversation that every measured session has already had."""

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

MESSAGES = 40
QUESTION = "And what does the next part of the plan say about the costs of keeping it all in one place? "


def window(messages: int = MESSAGES) -> list[BaseMessage]:
    """So many messages of about 150 characters, oldest first, questions and answers in turn."""
    return [_message(number) for number in range(messages)]


def _message(number: int) -> BaseMessage:
    text = f"Message {number}. " + "It says what a message of middling length in a chat about a plan says, no more. " * 2
    return _answer(text, number) if number % 2 else HumanMessage(text)


def _answer(text: str, number: int) -> AIMessage:
    """Return an answer with all the metadata that OpenAI adds."""
    counts = {"prompt_tokens": 900, "completion_tokens": 40, "total_tokens": 940}
    about = {"model_provider": "openai", "model_name": "gpt-4o-mini", "system_fingerprint": "fp_1", "finish_reason": "stop"}
    return AIMessage(
        text,
        id=f"lc_run--{number:032x}-0",
        additional_kwargs={"refusal": None},
        response_metadata={**about, "token_usage": counts, "id": f"chatcmpl-{number:032x}", "logprobs": None},
        usage_metadata={
            "input_tokens": 900,
            "output_tokens": 40,
            "total_tokens": 940,
            "input_token_details": {"audio": 0, "cache_read": 0},
            "output_token_details": {"audio": 0, "reasoning": 0},
        },
    )
