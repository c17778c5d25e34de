"""Classes of faults, each as a function, in files by what they hit."""

from collections.abc import Callable, Mapping

from tests.chaos.faults import Fault, Kind
from tests.chaos.hits import connections, guests, lines, messages, processes, rights, server, turns
from tests.chaos.scene import Scene

HITS: Mapping[Kind, Callable[[Scene, Fault], None]] = {
    Kind.KILL_WORKER: processes.kill_worker,
    Kind.FREEZE_WORKER: processes.freeze_worker,
    Kind.KILL_PRODUCER: processes.kill_producer,
    Kind.KILL_GATEWAY: processes.kill_gateway,
    Kind.KILL_ALL: processes.kill_all,
    Kind.OTHER_SETTINGS: guests.join,
    Kind.KILL_SERVER: server.kill,
    Kind.STOP_SERVER: server.stop,
    Kind.FILL_MEMORY: server.fill_memory,
    Kind.TAKE_RIGHT: rights.take,
    Kind.CUT_WORKER: connections.cut_worker,
    Kind.DEAFEN_WORKER: connections.deafen_worker,
    Kind.SILENCE_WORKER: connections.silence_worker,
    Kind.SLOW_WORKER: connections.slow_worker,
    Kind.CUT_PRODUCER: connections.cut_producer,
    Kind.DEAFEN_PRODUCER: connections.deafen_producer,
    Kind.SILENCE_PRODUCER: connections.silence_producer,
    Kind.KILL_CONNECTION: lines.kill,
    Kind.CLOSE_AT_SERVER: lines.close_at_server,
    Kind.CLOSE_AT_CLIENT: lines.close_at_client,
    Kind.HOLD_CONNECTION: lines.hold,
    Kind.LOSE_DISPATCH: messages.lose,
    Kind.DOUBLE_DISPATCH: messages.double,
    Kind.STALE_DISPATCH: messages.repeat,
    Kind.ODD_MESSAGE: messages.send_odd,
    Kind.REVOKE: turns.revoke,
    Kind.REMOVE_SCHEDULE: turns.remove_schedule,
}
