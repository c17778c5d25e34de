"""A chain of your own: look paragraphs up in a text file, and let the model answer from them.

    TURNSTILE_CHAIN=examples.retrieval_chain:chain celery -A turnstile worker

Run it in the folder above `examples`. HANDBOOK names another file. The search here counts shared words, to stay
readable; put your own retriever in its place.
"""

import os
import re
from pathlib import Path
from typing import Any

from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_openai import ChatOpenAI

_BEST = 2


def _paragraphs() -> list[str]:
    path = Path(os.environ.get("HANDBOOK", str(Path(__file__).with_name("handbook.txt"))))
    return [paragraph.strip() for paragraph in path.read_text(encoding="utf-8").split("\n\n") if paragraph.strip()]


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.lower()) if len(word) > 3}


PARAGRAPHS = _paragraphs()


def find(inputs: dict[str, Any]) -> str:
    """Return the paragraphs that share most words with the question."""
    wanted = _words(str(inputs["question"]))
    return "\n\n".join(sorted(PARAGRAPHS, key=lambda paragraph: -len(wanted & _words(paragraph)))[:_BEST])


prompt = ChatPromptTemplate.from_messages(
    [
        ("system", "Answer from the excerpts alone. Say so when they do not hold the answer."),
        MessagesPlaceholder("history"),
        ("human", "Excerpts:\n{excerpts}\n\nQuestion: {question}"),
    ]
)
# The history gets the question as it was asked, without the excerpts.
model = ChatOpenAI(model=os.environ.get("MODEL", "gpt-4o-mini"))
chain = RunnablePassthrough.assign(excerpts=RunnableLambda(find)) | prompt | model
