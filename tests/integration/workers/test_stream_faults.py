"""The text of an answer arrives whole, whatever happens to the writer's connection."""

from pathlib import Path

from tests.chaos.proxy import ProxyThread
from tests.support.wait import wait_until_async
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim
from turnstile.workers.attempt.text_stream import TextStream


def _texts(store: TurnStore) -> str:
    return "".join(event.data for event in store.events("t1") if event.type == "text")


async def _reads(store: TurnStore, text: str) -> bool:
    return _texts(store) == text


async def test_a_piece_whose_reply_is_lost_as_memory_fills_up_is_written_once(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server, ProxyThread() as proxies:
        direct, proxy = TurnStore(Settings(redis_url=server.url)), proxies.open(server.port)
        direct.submit("t1", "s1", "question")
        claim = direct.claim("t1", "w1", "n1")
        assert isinstance(claim, Claim)
        store = AsyncTurnStore(Settings(redis_url=f"redis://127.0.0.1:{proxy.port}/0"))
        stream = TextStream(store, claim)

        # Connected, and the script known: it must be the reply to the piece itself that is lost.
        stream.write("first, ")
        await wait_until_async(lambda: _reads(direct, "first, "), "the first piece is written")
        proxy.swallow_replies()
        stream.write("second, ")
        await wait_until_async(
            lambda: _reads(direct, "first, second, "), "the second is written, though its writer cannot know"
        )
        direct.client.config_set("maxmemory", 1)
        proxy.heal()
        stream.write("third")
        after, rest = await stream.close()
        assert await store.finish(claim, Outcome(State.COMPLETED), after=after, text=rest) is State.COMPLETED
        assert _texts(direct) == "first, second, third"
        await store.client.aclose()
