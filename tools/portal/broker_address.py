"""The broker's address as one text: mqtt[s]://[USER:PASSWORD@]HOST:PORT."""

import re
import ssl
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from tools.portal.refusal import Refusal, WrongUsage

FORM = "mqtt[s]://[USER:PASSWORD@]HOST:PORT"
_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}

# What a charger has room for, see firmware/config.py.
_USER_MAX_BYTES = 128
_PASSWORD_MAX_BYTES = 256
_CA_MAX_CHARACTERS = 8_192
_CA_FILE_MAX_BYTES = 1_000_000

_ADDRESS = re.compile(
    r"(?P<scheme>mqtts?)://"
    r"(?:(?P<user>[^:@/?#\s]*)(?::(?P<password>[^:@/?#\s]*))?@)?"
    r"(?P<host>[^:@/?#\s\[\]]+)(?::(?P<port>[0-9]{1,5}))?/?"
)
# RFC 1123 section 2.1: labels of letters, digits and hyphens; an IPv4 address fits as well.
_LABEL = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)


class BrokerAddress(NamedTuple):
    host: str
    port: int
    tls: bool
    user: str
    password: str

    def __str__(self) -> str:
        """For people: without the password."""
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        return f"mqtt{'s' if self.tls else ''}://{user}{self.host}:{self.port}"


def parse(text: str) -> BrokerAddress:
    """The address. WrongUsage says what is wrong with it, never showing the password."""
    if text.count("@") > 1:
        raise WrongUsage("broker: write '@' in a user name or password as %40")
    if "[" in text:
        raise WrongUsage("broker: chargers reach IPv4 only; give a host name or an IPv4 address")
    found = _ADDRESS.fullmatch(text)
    if not found:
        raise WrongUsage(
            f"broker: an address looks like {FORM}; "
            "':', '/', '?', '#' and '%' in a user name or password are written as %3A, %2F, %3F, "
            "%23 and %25"
        )
    if not _HOST.fullmatch(found["host"]):
        raise WrongUsage(f"broker: {found['host']!r} is not a host name or an IPv4 address")
    port = int(found["port"]) if found["port"] else _DEFAULT_PORTS[found["scheme"]]
    if not 1 <= port <= 65_535:
        raise WrongUsage(f"broker: port {port}, allowed are 1 to 65535")
    user = _decoded(found["user"] or "", "user name", _USER_MAX_BYTES)
    password = _decoded(found["password"] or "", "password", _PASSWORD_MAX_BYTES)
    if password and not user:
        raise WrongUsage("broker: a password needs a user name before it")
    return BrokerAddress(found["host"].lower(), port, found["scheme"] == "mqtts", user, password)


def certificates(file: Path) -> str:
    """The PEM certificates in the file, and nothing else of it."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_CA_FILE_MAX_BYTES).decode()
    except UnicodeDecodeError:
        raise Refusal(f"{file} is not PEM text; convert it with openssl x509 -inform der") from None
    if "PRIVATE KEY-----" in text:
        raise Refusal(
            f"{file} holds a private key, which belongs on the broker alone; "
            "give the certificate only"
        )
    found = "\n".join(_CERTIFICATE.findall(text))
    if not found:
        raise Refusal(f"{file} holds no certificate (-----BEGIN CERTIFICATE-----)")
    if len(found) >= _CA_MAX_CHARACTERS:
        raise Refusal(
            f"{file} holds {len(found)} characters of certificates, a charger has room for "
            f"{_CA_MAX_CHARACTERS}; give the one authority that signed the broker's"
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found)
    except ssl.SSLError as error:
        raise Refusal(f"{file} holds a damaged certificate ({error.reason or error})") from None
    return found + "\n"


def _decoded(text: str, what: str, max_bytes: int) -> str:
    if _STRAY_PERCENT.search(text):
        raise WrongUsage(f"broker: write '%' in the {what} as %25")
    try:
        found = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise WrongUsage(f"broker: the {what} is not UTF-8 once decoded") from None
    if not found.isprintable():
        raise WrongUsage(f"broker: the {what} holds characters that cannot be typed")
    if len(found.encode()) > max_bytes:
        raise WrongUsage(f"broker: the {what} is longer than {max_bytes} bytes")
    return found
