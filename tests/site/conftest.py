"""nginx and Caddy with the shipped configurations, on ports of the test's own."""

import os
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.ports import lasting_port
from tests.support.processes import ROOT, Process

FOLDER = Path(__file__).parent
SHIPPED = ROOT / "deploy" / "proxy"
# nginx' own places, which the shipped file leaves to the system.
_FRAME = """daemon off; pid {folder}/nginx.pid; error_log stderr; user {user};
events {{ }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxied;
  fastcgi_temp_path {folder}/1; uwsgi_temp_path {folder}/2; scgi_temp_path {folder}/3;
  {shipped}
}}
"""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collected only when asked for: what these tests need is more than `make test` sets up."""
    asked = any(Path(argument.split("::")[0]).resolve().is_relative_to(FOLDER) for argument in config.args)
    return None if asked else collection_path.is_relative_to(FOLDER) or None


class Proxy(Process):
    """A reverse proxy before a gateway and a Flower; its file is the shipped one, but for the ports."""

    def __init__(self, kind: str, folder: Path, gateway: int, flower: int) -> None:
        program = shutil.which(kind)
        assert program, f"{kind} is missing: install it (Debian: apt-get install nginx caddy)"
        self.port = lasting_port()
        self.url = f"http://127.0.0.1:{self.port}"
        ports = {"127.0.0.1:8000": f"127.0.0.1:{gateway}", "127.0.0.1:5555": f"127.0.0.1:{flower}"}
        file = (_nginx if kind == "nginx" else _caddy)(folder, self.port, ports)
        options = ["-c", str(file)] if kind == "nginx" else ["run", "--adapter", "caddyfile", "--config", str(file)]
        env = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        super().__init__(folder / f"{kind}.log", [program, *options], env)

    def readiness(self) -> Callable[[], bool]:
        """Return the check whether the proxy listens."""
        return self._listens

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


def _nginx(folder: Path, port: int, ports: dict[str, str]) -> Path:
    shipped = _with((SHIPPED / "nginx.conf").read_text(), {"listen 80;": f"listen 127.0.0.1:{port};", **ports})
    user = Path(folder).owner()
    (folder / "nginx.conf").write_text(_FRAME.format(folder=folder, shipped=shipped, user=user))
    return folder / "nginx.conf"


def _caddy(folder: Path, port: int, ports: dict[str, str]) -> Path:
    shipped = _with((SHIPPED / "Caddyfile").read_text(), {"\n:80 {": f"\n:{port} {{\n\tbind 127.0.0.1", **ports})
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tgrace_period 1s\n}\n" + shipped)
    return folder / "Caddyfile"


def _with(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text
