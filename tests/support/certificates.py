"""Certificates for servers and clients on loopback, made by openssl's command line for one run."""

import ssl
import subprocess
from pathlib import Path

_KEY = ["-newkey", "rsa:2048", "-nodes", "-sha256"]
_LEAF = """basicConstraints=CA:FALSE
subjectAltName={names}
authorityKeyIdentifier=keyid,issuer
"""


class Certificates:
    """An authority of the test's own in `folder`, and what it has signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = folder / "authority.pem"
        usage = "keyUsage=critical,keyCertSign,cRLSign"
        self._openssl("req", "-x509", *_KEY, *self._out("authority"), "-days", "2", "-subj", "/CN=authority", "-addext", usage)

    def sign(self, name: str, names: str = "DNS:localhost,IP:127.0.0.1") -> tuple[Path, Path]:
        """Return a certificate for loopback by these names, and its key."""
        extensions = self._folder / "extensions.txt"
        extensions.write_text(_LEAF.format(names=names))
        request, signed = self._folder / f"{name}.csr", self._folder / f"{name}.pem"
        key = self._folder / f"{name}.key"
        self._openssl("req", *_KEY, "-keyout", str(key), "-out", str(request), "-subj", f"/CN={name}")
        by = ["-CA", str(self.authority), "-CAkey", str(self._folder / "authority.key"), "-CAcreateserial"]
        self._openssl("x509", "-req", "-in", str(request), *by, "-days", "2", "-extfile", str(extensions), "-out", str(signed))
        return signed, key

    def server(self, *, asks_for_certificates: bool = False) -> ssl.SSLContext:
        """Return a server's side of TLS."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authority)
        context.load_cert_chain(*self.sign("server"))
        context.verify_mode = ssl.CERT_REQUIRED if asks_for_certificates else ssl.CERT_NONE
        return context

    def _out(self, name: str) -> list[str]:
        return ["-keyout", str(self._folder / f"{name}.key"), "-out", str(self._folder / f"{name}.pem")]

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True)
