"""The offline stand-in for the model as a process of its own.

`python -m turnstile.workers.offline --port 0 --latency 2` prints its base URL as its one line on stdout.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import uvloop

from turnstile.workers.offline.behaviour import OPTIONS, Behaviour
from turnstile.workers.offline.server import OfflineModel


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m turnstile.workers.offline", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    for name, kind in OPTIONS.items():
        flag = f"--{name.replace('_', '-')}"
        if kind is bool:
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, metavar=kind.__name__.upper())
    return parser


def _words(options: Mapping[str, Any]) -> str:
    return " ".join(name if value is True else f"{name}={value}" for name, value in options.items() if value)


async def _serve(port: int, behaviour: Behaviour) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with OfflineModel(port, behaviour) as server:
        sys.stdout.write(server.base_url + "\n")
        sys.stdout.flush()
        await ended.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    port = options.pop("port")
    try:
        uvloop.run(_serve(port, Behaviour().adjusted(_words(options))))
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
