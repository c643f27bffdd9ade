"""A broker of one's own on 127.0.0.1, for `make run` and the tests: mosquitto, or else amqtt.

    with Broker() as broker:
        ...  # broker.url, broker.host, broker.port, broker.ca

`BROKER=amqtt` in the environment chooses the embedded one; `python -m tools.broker PORT` runs it.
Both keep everything in memory, and let in anybody who can reach this computer's loopback unless a
user is given. For a site, see the README: this is no broker for that.
"""

import argparse
import asyncio
import base64
import hashlib
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

HOST = "127.0.0.1"
MOSQUITTO = "mosquitto"
AMQTT = "amqtt"

_ROOT = Path(__file__).parent.parent
_START_S = 15.0
_STOP_S = 5.0
_ATTEMPTS = 5  # a port that was free may be taken before the broker has it


class BrokerError(Exception):
    """The broker did not start."""


def mosquitto() -> str | None:
    """Where mosquitto is, or None."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    return shutil.which(MOSQUITTO, path=path)


def chosen() -> str:
    """Which broker is used: what BROKER says, else mosquitto where there is one."""
    wanted = os.environ.get("BROKER", "")
    if wanted not in ("", MOSQUITTO, AMQTT):
        raise BrokerError(f"BROKER={wanted}: allowed {MOSQUITTO} or {AMQTT}")
    if wanted == MOSQUITTO and not mosquitto():
        raise BrokerError("BROKER=mosquitto, but no mosquitto is installed")
    return wanted or (MOSQUITTO if mosquitto() else AMQTT)


def free_port() -> int:
    """A TCP port on the loopback that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return sock.getsockname()[1]


class Broker:
    """`kind`: "mosquitto" or "amqtt" (default: `chosen()`). `port` 0: a free one.

    `user` with `password`: nobody else is let in. `tls`: with a certificate for 127.0.0.1 and
    localhost from a CA made for this run (needs trustme), or `certificate`, a pair of PEM files
    (chain, key). `ca`: the CA's file, or None. Raises BrokerError.
    """

    def __init__(
        self,
        kind: str | None = None,
        port: int = 0,
        user: str = "",
        password: str = "",
        tls: bool = False,
        certificate: tuple[Path, Path] | None = None,
    ):
        self.kind = kind or chosen()
        self.host = HOST
        self.port = port
        self.user = user
        self.password = password
        self.tls = tls or certificate is not None
        self.ca: Path | None = None
        self._certificate = certificate
        self._given_port = port
        self._process: subprocess.Popen | None = None
        self._folder: Path | None = None

    @property
    def url(self) -> str:
        """As `tapgate init --broker` takes it."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return f"mqtt{'s' if self.tls else ''}://{login}{self.host}:{self.port}"

    def __enter__(self) -> "Broker":
        self._folder = Path(tempfile.mkdtemp(prefix="broker-"))
        try:
            if self.tls and not self._certificate:
                self._certificate = self._issue(self._folder)
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, again on the same port after `stop`; returns when it accepts connections."""
        attempts = 1 if self.port else _ATTEMPTS
        for attempt in range(attempts):
            self.port = self.port or free_port()
            try:
                self._start()
            except BrokerError:
                self.stop()
                self.port = self._given_port
                if attempt + 1 == attempts:
                    raise
            else:
                return

    def stop(self) -> None:
        """End it; what it held is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        assert self._folder is not None, "a Broker is started by `with`"
        if self.kind == MOSQUITTO:
            program = mosquitto()
            if not program:
                raise BrokerError("mosquitto is not installed")
            command = [program, "-c", str(self._mosquitto_conf(self._folder))]
        elif self.kind == AMQTT:
            command = [sys.executable, "-m", "tools.broker", str(self.port)]
            if self._certificate:
                command += ["--certificate", *map(str, self._certificate)]
            if self.user:
                command += ["--passwords", str(self._amqtt_passwords(self._folder))]
        else:
            raise BrokerError(f"kind {self.kind!r}: allowed {MOSQUITTO!r} or {AMQTT!r}")
        log = self._folder / "log"
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C at the terminal is for whoever started it
            )
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            with socket.socket() as sock:
                sock.settimeout(1)
                if sock.connect_ex((HOST, self.port)) == 0:
                    return
            time.sleep(0.02)
        raise BrokerError(f"{self.kind} did not start: {log.read_text(errors='replace')[-500:]}")

    def _mosquitto_conf(self, folder: Path) -> Path:
        lines = [
            f"listener {self.port} {HOST}",
            "persistence false",
            "max_inflight_messages 20",
            "max_queued_messages 10000",
            "retain_available true",
            "set_tcp_nodelay true",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # or it would give up its right to read this folder
        if self._certificate:
            lines += [f"certfile {self._certificate[0]}", f"keyfile {self._certificate[1]}"]
        if self.user:
            passwords = folder / "passwords"
            passwords.write_text(f"{self.user}:{_mosquitto_hash(self.password)}\n")
            lines += ["allow_anonymous false", f"password_file {passwords}"]
        else:
            lines.append("allow_anonymous true")
        path = folder / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n")
        return path

    def _amqtt_passwords(self, folder: Path) -> Path:
        from pwdlib import PasswordHash
        from pwdlib.hashers.argon2 import Argon2Hasher

        path = folder / "passwords"
        hashed = PasswordHash((Argon2Hasher(),)).hash(self.password)
        path.write_text(f"{self.user}:{hashed}\n")
        return path

    def _issue(self, folder: Path) -> tuple[Path, Path]:
        import trustme

        authority = trustme.CA()
        issued = authority.issue_cert(HOST, "localhost")
        chain, key = folder / "broker.pem", folder / "broker.key"
        for blob in issued.cert_chain_pems:
            blob.write_to_path(chain, append=True)
        issued.private_key_pem.write_to_path(key)
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        return chain, key


def _mosquitto_hash(password: str) -> str:
    """As mosquitto_passwd writes it: PBKDF2 with SHA-512, type 7."""
    salt, rounds = secrets.token_bytes(12), 101
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


async def _amqtt(port: int, certificate: list[str] | None, passwords: str | None) -> None:
    """Run the embedded broker until the process is ended."""
    from amqtt.broker import Broker as Embedded

    listener: dict = {"type": "tcp", "bind": f"{HOST}:{port}"}
    if certificate:
        listener |= {"ssl": True, "certfile": certificate[0], "keyfile": certificate[1]}
    if passwords:
        plugin = {"amqtt.plugins.authentication.FileAuthPlugin": {"password_file": passwords}}
    else:
        plugin = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Embedded({"listeners": {"default": listener}, "plugins": plugin})
    await broker.start()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.broker", description=_amqtt.__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--certificate", nargs=2, metavar=("CHAIN", "KEY"))
    parser.add_argument("--passwords", metavar="FILE")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    try:
        asyncio.run(_amqtt(options.port, options.certificate, options.passwords))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
