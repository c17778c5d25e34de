"""A clock that scripts read instead of the server's, and that stands still until a test sets it."""

from tests.scripts.cutting import with_hook
from turnstile.turns.redis.scripts import build
from turnstile.turns.store.turns import TurnStore

# Stands before a script's parts, which then see this table instead of the server's.
_HOOK = """
local server = redis
local redis = setmetatable({ call = function(command, ...)
  return command == 'TIME' and { %d, 0 } or server.call(command, ...)
end }, { __index = server })
"""


def set_clock(store: TurnStore, seconds: int) -> None:
    """Let the store's scripts see this moment, in seconds since 1970."""
    store.scripts.update({name: with_hook(script, _HOOK % seconds) for name, script in build(store.settings).items()})
