"""What a parser of the firmware makes of some bytes, in words: the same code runs under CPython
and, as a program, under MicroPython, so that the two can be compared.

As a program it reads lines `NAME HEX` and prints an outcome for each. An outcome is "ok" and the
value, or the error's name and what of it is stable.
"""

import binascii
import hashlib
import json
import sys

if __name__ == "__main__":
    sys.path.insert(0, "")

from firmware import config, flash
from firmware.access.week import Week
from firmware.allowlist import index, ref, shard
from firmware.allowlist.errors import ListError, ObjectError
from firmware.allowlist.store import Store
from firmware.commands import Commands
from firmware.hmac_sha256 import HmacSha256
from firmware.link import dns, ntp
from firmware.link.address import DnsError, is_address
from firmware.link.framing import OVERSIZED, FrameError, Inbox
from firmware.link.messages import MessageError, Versions, verify
from firmware.settings import Settings, SettingsError
from host_tests.pure.flash_model import Files, Flash
from host_tests.pure.lists import verify as signed_so_to_say

KEY = b"k" * 32
TOPIC = "tapgate/home/left/settings"
STAMP = b"12345678"


def plain(value) -> str:
    """A value from JSON in words that do not depend on the interpreter. Floats are only named: a
    board's are shorter."""
    if value is None or value is True or value is False:
        return str(value)
    if isinstance(value, float):
        return "float"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return "text " + binascii.hexlify(coded(value)).decode()
    if isinstance(value, dict):
        lines = sorted([plain(key) + ": " + plain(value[key]) for key in value])
        return "{" + ", ".join(lines) + "}"
    if isinstance(value, (bytes, bytearray)):
        return "bytes " + binascii.hexlify(value).decode()
    return "[" + ", ".join([plain(each) for each in value]) + "]"


def coded(text) -> bytes:
    try:
        return text.encode()
    except UnicodeError:
        return text.encode("utf-8", "surrogatepass")


def _json(data):
    return json.loads(data)


def _message(data):
    """`data`: the JSON, to be signed rightly."""
    made = binascii.hexlify(HmacSha256(KEY).digest(TOPIC.encode(), b"\n", data))
    return verify(KEY, TOPIC, made + b" " + data)


def _unsigned(data):
    return verify(KEY, TOPIC, data)


def _settings(data):
    body = json.loads(data)
    if not isinstance(body, dict):
        return None
    body["v"] = 1
    held = Settings("settings", None, dict(DEFAULTS))
    kept = flash.replace
    flash.replace = lambda *_: None
    try:
        held.offer(body, b"raw")
    finally:
        flash.replace = kept
    return [held[name] for name in sorted(DEFAULTS)] + [
        held.in_schedule(number, minute) for number in (1, 5, 31) for minute in (0, 70, 10_079)
    ]


DEFAULTS = {
    "access": "open",
    "authority": "native",
    "offline": "deny",
    "operator_wait_s": 10,
    "service_may_start": False,
    "stop_on_withdrawal": True,
    "resume_within_s": 14_400,
}


def _week(data):
    body = json.loads(data)
    if not isinstance(body, dict):
        return None
    week = Week(body.get("schedules"), body.get("offsets"), body.get("until"))
    return [week.holds(number, minute) for number in (1, 2, 31) for minute in (0, 5, 9_000)]


class _Point:
    """A charge point that only says what it was told."""

    def __init__(self):
        self.told = []
        self.session = self
        self.holder = None
        self.progress = 0
        self.tester = None
        self.left = None

    def happened(self, event):
        self.told.append(list(event))

    def enrol(self, seconds, v):
        self.told.append([seconds, v])

    def end_left(self, reason):
        self.told.append(["left", reason])

    def answer(self, *of):
        self.told.append(list(of))
        return True


def _command(data):
    body = json.loads(data)
    if not isinstance(body, dict):
        return None
    body["v"] = 1
    point = _Point()
    commands = Commands(point, None, _Nothing(), lambda: None)
    name = body.get("command")
    command = commands.by_name.get(name) if isinstance(name, str) else None
    if command is None or name == "identify":
        return commands.answer(body)
    why = command(body)
    return [point.told, why.split(":")[0] if why else None]


class _Nothing:
    def store(self, _):
        pass


def _config(data):
    return config.check(json.loads(data))


def _lamp(data):
    return config.lamp(json.loads(data))


def _shard(data):
    count = shard.check(data, 0, 0)
    entries = [shard.find(data, data[at : at + 7]) for at in range(8, len(data), 16)]
    return [count] + [list(each) for each in entries if each is not None]


def _index(data):
    return list(index.check(data))


def _ref(data):
    body = json.loads(data)
    return list(ref.check(body)) if isinstance(body, dict) else None


def _record(data):
    """`data`: the file `ref` of an otherwise empty flash."""
    held = Flash()
    held.contents = {"list/ref": [data], "list/i0": [hashlib.sha256(b"").digest()[:16]]}
    store = Store("list", signed_so_to_say, Files(held))
    wrong = store.load()
    return [wrong is not None, store.applied is not None, store.lookup(b"1234567")]


def _versions(data):
    kept = flash.read
    flash.read = lambda path, limit: data if len(data) <= limit else None
    try:
        versions = Versions("versions")
    finally:
        flash.read = kept
    return [versions.damaged] + [
        versions.last(name) for name in ("settings", "allowlist", "command")
    ]


def _dns(data):
    return dns.answer(data, "a.bc", 7)


def _dns_query(data):
    return dns.query(data.decode(), 7)


def _ntp(data):
    return ntp.answer(data, STAMP)


def _address(data):
    return is_address(data.decode())


def _stream(data):
    inbox = Inbox(objects="tapgate/home/object/")
    found = []
    at = 0
    while at < len(data):
        want = inbox.want()
        count = min(len(want), len(data) - at, 700)
        want[:count] = data[at : at + count]
        at += count
        try:
            outcome = inbox.got(count)
            if outcome:
                topic = inbox.topic() if inbox.kind == 0x30 else ""
                found.append(
                    [
                        inbox.kind,
                        outcome == OVERSIZED,
                        topic,
                        inbox.packet_id,
                        inbox.code,
                        inbox.payload_size,
                        inbox.taken,
                    ]
                )
                inbox.next()
        except FrameError:
            return found + ["broken"]  # noqa: RUF005
    return found + [inbox.taken]  # noqa: RUF005


PARSERS = {
    "json": _json,
    "message": _message,
    "unsigned": _unsigned,
    "settings": _settings,
    "week": _week,
    "command": _command,
    "config": _config,
    "lamp": _lamp,
    "shard": _shard,
    "index": _index,
    "ref": _ref,
    "record": _record,
    "versions": _versions,
    "dns": _dns,
    "dns query": _dns_query,
    "ntp": _ntp,
    "address": _address,
    "stream": _stream,
}


def outcome(name: str, data: bytes) -> str:
    try:
        return "ok " + plain(PARSERS[name](data))
    except MessageError as error:
        return "MessageError " + error.why
    except config.ConfigError as error:
        return "ConfigError " + str(error).split(":")[0]
    except (SettingsError, ListError, ObjectError) as error:
        return type(error).__name__
    except DnsError:
        return "DnsError"
    except ntp.NtpError as error:
        return f"NtpError {error.kiss}"
    except UnicodeError:
        return "ValueError"
    except ValueError:
        return "ValueError"
    except RuntimeError:
        return "ValueError"  # nested too deep for CPython; each caller awaits both
    except Exception as error:
        return f"raised {type(error).__name__} {error}"


if __name__ == "__main__":
    for line in sys.stdin:
        asked, digits = line.rstrip("\n").rsplit(" ", 1)
        print(outcome(asked, binascii.unhexlify(digits)).replace("\n", " "))
