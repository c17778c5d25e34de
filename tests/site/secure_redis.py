"""Redis itself with TLS alone, certificates on both sides, and a user for each role."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from tests.support.certificates import Certificates
from tests.support.ports import lasting_port
from tests.support.processes import Process
from turnstile.deploy import acl
from turnstile.turns.settings import Settings

PASSWORDS = {user: f"{user}-password" for user in acl.USERS}


class Secure:
    """The files of one deployment: an authority, what the servers and the clients show, and the users.

    The certificates name a host, as those of real machines do, and no address.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.certificates = folder, Certificates(folder)
        self.users = folder / "users.acl"
        self.users.write_text(acl.text(Settings(), {user: acl.digest(word) for user, word in PASSWORDS.items()}))
        own, key = self.certificates.sign("server", "DNS:localhost")
        files = [
            "--tls-cert-file",
            str(own),
            "--tls-key-file",
            str(key),
            "--tls-ca-cert-file",
            str(self.certificates.authority),
        ]
        self.server_options = [*files, "--tls-auth-clients", "yes"]
        self._shown = self.certificates.sign("client")

    def query(self, *, shows_certificate: bool = True) -> str:
        """Return the query of a URL."""
        query = f"ssl_ca_certs={self.certificates.authority}"
        return query + ("&ssl_certfile={}&ssl_keyfile={}".format(*self._shown) if shows_certificate else "")

    def client(self, port: int, **login: str) -> redis.Redis:
        """Return a client that shows the clients' certificate."""
        return redis.Redis.from_url(f"rediss://localhost:{port}/0?{self.query()}", **login)


class SecureRedis(Process):
    """A server of which only the TLS port is open, to clients that show a certificate of its authority."""

    def __init__(self, secure: Secure, *options: str) -> None:
        self.port, self.secure = lasting_port(), secure
        folder = secure.folder / f"redis-{self.port}"
        folder.mkdir()
        own = ["--dir", str(folder), "--save", "", "--aclfile", str(secure.users)]
        command = [*redis_server(self.port, secure), *own, *options]
        super().__init__(secure.folder / f"redis-{self.port}.log", command, {"PATH": "/usr/bin:/bin", "LC_ALL": "C"})

    def readiness(self) -> Callable[[], bool]:
        """Return the check whether the server answers."""
        return self._answers

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self.ask("PING"))
        return False

    def ask(self, *words: str) -> Any:
        """Return what the server answers to a command of its administrator."""
        with self.secure.client(self.port, username="admin", password=PASSWORDS["admin"]) as client:
            return client.execute_command(*words)

    def url(self, user: str, *, shows_certificate: bool = True) -> str:
        """Return a user's URL."""
        query = self.secure.query(shows_certificate=shows_certificate)
        return f"rediss://{user}:{PASSWORDS[user]}@localhost:{self.port}/0?{query}"


def redis_server(port: int, secure: Secure, *config: Path) -> list[str]:
    """Return the command of a server on a TLS port."""
    program = shutil.which("redis-server")
    assert program, "redis-server is missing: install it (Debian: apt-get install redis-server)"
    where = ["--bind", "127.0.0.1", "--port", "0", "--tls-port", str(port)]
    return [program, *map(str, config), *where, *secure.server_options]
