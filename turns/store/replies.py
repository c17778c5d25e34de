"""Reading replies strictly: a script answers with a word that its header promises, and each of these has a reader."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NoReturn, TypeVar

from turnstile.turns.errors import UnknownSession, UnknownTurn
from turnstile.turns.ids import shown
from turnstile.turns.redis.scripts import answers
from turnstile.turns.text import as_text

T = TypeVar("T")


class OneOf(Generic[T]):
    """A reader of a script's replies, which begin with a word.

    Each word of the header's RETURN has a reader, which takes the arguments given beforehand and the rest of the reply.
    Raises RuntimeError for a reply with another word.
    """

    __slots__ = ("readers", "script")

    def __init__(self, script: str, /, **readers: Callable[..., T]) -> None:
        """Raises ValueError when the readers are not those of the words that the script's header promises."""
        if (promised := answers(script)) != readers.keys():
            raise ValueError(f"Script {script} answers with {sorted(promised)}, and the readers are for {sorted(readers)}.")
        self.script = script
        self.readers: Mapping[bytes, Callable[..., T]] = {word.encode(): reader for word, reader in readers.items()}

    def __call__(self, *given: Any) -> T:
        *given_before, (word, *rest) = given
        reader = self.readers.get(word)
        if reader is None:
            raise RuntimeError(
                f"Script {self.script} answered with the word {as_text(word)[:40]!r}, which its header does not promise."
            )
        return reader(*given_before, *rest)

    def each(self, reply: Sequence[Any]) -> list[T]:
        """Read a list of words."""
        return [self((word,)) for word in reply]


def always(value: T) -> Callable[..., T]:
    """Return a reader that has one result, whatever follows the word."""
    return lambda *_: value


def raising(error: Callable[..., Exception]) -> Callable[..., NoReturn]:
    """Return a reader that raises an error, made anew each time of what is given."""

    def read(*given: Any) -> NoReturn:
        raise error(*given)

    return read


def unknown_turn(id: str) -> UnknownTurn:
    """Return the error for a turn of which nothing is stored."""
    return UnknownTurn(f"There is no turn {shown(id)}: it was never accepted, was erased, or its record has expired.")


def unknown_session(session: str) -> UnknownSession:
    """Return the error for a session of which nothing is stored."""
    return UnknownSession(f"Nothing is known of session {shown(session)}: it was never used, was erased, or has expired.")
