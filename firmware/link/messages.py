"""Signed messages (DESIGN section 7): `<64 hex of HMAC-SHA256> <JSON>`, and the versions seen.

The signature covers the topic, so that a message moved to another topic or charger is no longer
signed. Bounds come first, then the signature, and only then is anything parsed.
"""

import binascii
import json

from micropython import const

from firmware import flash
from firmware.hmac_sha256 import HmacSha256, same

SIZE_LIMIT = const(8_192)  # bytes of one message, signature included
NESTING_LIMIT = const(8)  # JSON objects and arrays within each other, the outermost counted
_INTEGER_LIMIT = const(0x3FFF_FFFF_FFFF)  # 2 million years in seconds; far inside every parser

_SIGNATURE_BYTES = const(64)
_LEAST_BYTES = const(67)  # signature, space, {}
_FILE_BYTES = const(256)
_KINDS = const(("settings", "allowlist", "command", "verdict"))


class MessageError(ValueError):
    """A message that is not to be followed. `why` is one stable word, `detail` what was found.

    `why`: size, form, signature, nesting, json, type or version.
    """

    def __init__(self, why: str, detail: str):
        super().__init__(f"{why}: {detail}")
        self.why = why
        self.detail = detail


def verify(key: bytes, topic: str, raw: bytes | bytearray | memoryview) -> dict:
    """The JSON object in `raw`, once size, form, signature, nesting and types are right.

    `key`: the charger's 32 bytes. The object has `v` (at least 1) and `t` (seconds since 1970) as
    whole numbers. Raises MessageError.
    """
    size = len(raw)
    if size > SIZE_LIMIT:
        raise MessageError("size", f"{size} bytes, allowed {SIZE_LIMIT}")
    if size < _LEAST_BYTES:
        raise MessageError("size", f"{size} bytes, at least {_LEAST_BYTES}")
    view = memoryview(raw)
    signature = bytes(view[:_SIGNATURE_BYTES])
    if raw[_SIGNATURE_BYTES] != 0x20 or not _is_hex(signature):
        raise MessageError("form", "not 64 hex digits, a space and JSON")
    body = view[_SIGNATURE_BYTES + 1 :]
    if not same(signature, _signature(key, topic, body)):
        raise MessageError("signature", "not made with this charger's key for this topic")
    text = bytes(body)
    depth = _nesting(text)
    if depth > NESTING_LIMIT:
        raise MessageError("nesting", f"{depth} levels, allowed {NESTING_LIMIT}")
    try:
        content = json.loads(text)
    except (ValueError, RuntimeError) as error:  # UnicodeError is a ValueError
        raise MessageError("json", str(error)) from None
    if not isinstance(content, dict):
        raise MessageError("type", "JSON that is no object")
    _whole(content, "v", 1)
    _whole(content, "t", 0)
    return content


def sign(key: bytes, topic: str, body: dict) -> bytes:
    """`body` as a signed message for `topic`."""
    text = json.dumps(body, separators=(",", ":")).encode()
    return b"".join((_signature(key, topic, text), b" ", text))


class Versions:
    """The last `v` of each kind of message, kept on flash: an older one is a replay.

    `path`: a small file, replaced in one atomic rename. `damaged` is True when it was there and
    could not be read; `floor` then brings back what other files still prove.
    """

    def __init__(self, path: str):
        self._path = path
        data = flash.read(path, _FILE_BYTES)
        self._last = {}
        self.damaged = False
        if data is not None:
            try:
                self._last = _checked(json.loads(data))
            except ValueError:
                self.damaged = True

    def last(self, name: str) -> int:
        """The highest version seen under `name`; 0 when there was none."""
        return self._last.get(name, 0)

    def check(self, name: str, version: int, again: bool = False) -> bool:
        """Whether `version` is newer than the last one. Raises MessageError where it is not.

        `again`: the last version itself is no error but False; a broker sends a retained message
        once more at every connect.
        """
        last = self.last(name)
        if version > last:
            return True
        if again and version == last:
            return False
        raise MessageError("version", f"{version} <= {last}")

    def store(self, name: str, version: int) -> None:
        """Remember `version` before it is acted on. OSError: not stored, and not remembered."""
        if version <= self.last(name):
            return
        known = dict(self._last)
        known[name] = version
        flash.replace(self._path, json.dumps(_checked(known)).encode())
        self._last = known

    def mend(self) -> None:
        """Put what is known in the place of a damaged file, which is then told no more."""
        if self.damaged:
            try:
                flash.replace(self._path, json.dumps(self._last).encode())
            except OSError:
                return  # the next start tells again
            self.damaged = False

    def floor(self, name: str, version: int) -> None:
        """Count `version` as seen, without a write: a verified message on flash proves it."""
        if version > self.last(name):
            self._last[name] = version


def _signature(key: bytes, topic: str, body) -> bytes:
    return binascii.hexlify(HmacSha256(key).digest(topic.encode(), b"\n", body))


def _is_hex(digits: bytes) -> bool:
    try:
        return binascii.hexlify(binascii.unhexlify(digits)) == digits  # lower case only
    except ValueError:
        return False


def _nesting(text: bytes) -> int:
    """How deep brackets go outside strings. Only what has many is walked, and without its strings:
    the digits of the schedules would take a board a tenth of a second."""
    if text.count(b"{") + text.count(b"[") <= NESTING_LIMIT:
        return 0
    depth = deepest = at = 0
    while at < len(text):
        byte = text[at]
        at += 1
        if byte == 0x22:  # quotation mark
            at = _string_end(text, at)
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _string_end(text: bytes, at: int) -> int:
    """Past the quotation mark that ends the string whose first character is at `at`."""
    while True:
        end = text.find(b'"', at)
        if end < 0:
            return len(text)
        escapes = end
        while escapes > at and text[escapes - 1] == 0x5C:  # backslash
            escapes -= 1
        at = end + 1
        if not (end - escapes) & 1:  # an even number of them escape each other
            return at


def _whole(content: dict, name: str, least: int) -> None:
    found = content.get(name)
    if type(found) is not int or not least <= found <= _INTEGER_LIMIT:
        raise MessageError("type", f"{name}: found {found!r}, allowed a whole number from {least}")


def _checked(last) -> dict:
    if not isinstance(last, dict):
        raise ValueError("versions")
    for name, version in last.items():
        if name not in _KINDS or type(version) is not int or version < 0:
            raise ValueError("versions")
    return last
