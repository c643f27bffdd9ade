"""Messages down to a charger (DESIGN section 7): `<64 hex of HMAC-SHA256> <JSON>`."""

import hashlib
import hmac
import json

SIGNATURE_DIGITS = 64


def sign(key: bytes, topic: str, body: dict) -> bytes:
    """The signed message, ready to be published on `topic`."""
    text = json.dumps(body, separators=(",", ":")).encode()
    return _signature(key, topic, text) + b" " + text


def verified(key: bytes, topic: str, payload: bytes) -> dict | None:
    """What a message says, or None if this key did not sign it for this topic."""
    signature, text = payload[:SIGNATURE_DIGITS], payload[SIGNATURE_DIGITS + 1 :]
    blank = payload[SIGNATURE_DIGITS : SIGNATURE_DIGITS + 1]
    if blank != b" " or not hmac.compare_digest(signature, _signature(key, topic, text)):
        return None
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):  # the second: nested deeper than anybody needs
        return None
    return body if isinstance(body, dict) else None


def _signature(key: bytes, topic: str, text: bytes) -> bytes:
    return hmac.new(key, topic.encode() + b"\n" + text, hashlib.sha256).hexdigest().encode()
