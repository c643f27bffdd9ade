"""Between the chargers and an operator's platform, while one decides: a charger's question goes out
under the operator's key, its answer comes back under the charger's.

Nothing is passed on that is not signed, newer than what was before it, and of the types that the
other side knows; an answer counts once, and only for the question that its charger asked last.
What is not passed on leaves no trace but in the log: a charger that hears nothing does what the
operator's offline policy says.
"""

import json
import logging
import re
import time
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeGuard

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import commanding, installation, signing, topics
from tools.portal.duty import Duty, Outgoing
from tools.portal.schema import Charger, Installation
from tools.portal.token import TOKEN_BYTES

MESSAGE_LIMIT_BYTES = 8_192
GROUP_MAX = 65_535
ROLES = ("owner", "user", "service")
# OCPP 2.0.1, AuthorizationStatusEnumType; then those of our own (DESIGN section 2).
VERDICTS = frozenset(
    (
        "Accepted",
        "Blocked",
        "ConcurrentTx",
        "Expired",
        "Invalid",
        "NoCredit",
        "NotAllowedTypeEVSE",
        "NotAtThisLocation",
        "NotAtThisTime",
        "Unknown",
        "RandomNumber",
        "ListTooOld",
        "ClockUnknown",
    )
)

_NUMBER_MAX = (1 << 53) - 1  # what every JSON parser keeps whole
_OLD_S = 60  # a question may have waited so long for the link, beyond the charger's patience
_LATE_S = 2
_TOKEN = re.compile(rf"[0-9a-f]{{{2 * TOKEN_BYTES}}}")
_WORD = re.compile(r"[a-z]{1,32}")

_log = logging.getLogger("tapgate.bridge")
_log.addHandler(logging.NullHandler())

Body = dict[str, Any]


class _Asked(NamedTuple):
    n: int
    token: str
    at: int
    answered: bool = False


class Bridge(Duty):
    """Which question each charger asked last it keeps in memory: after a restart of `serve` an
    answer that was on its way fits none."""

    def __init__(self) -> None:
        self._asked: dict[int, _Asked] = {}  # by charger

    def filters(self, site: Installation) -> Iterable[str]:
        if site.operator_name is None:
            return ()
        return topics.authorise(site.name, "+"), topics.operator_answer(site.name)

    def message(self, session: Session, topic: str, payload: bytes, now: int) -> Iterable[Outgoing]:
        site = installation.current(session)
        if site.operator_key is None:
            return ()
        if len(payload) > MESSAGE_LIMIT_BYTES:
            return _ignored(topic, f"{len(payload)} bytes")
        if topic == topics.operator_answer(site.name):
            return self._answer(session, site, topic, payload, now)
        charger = _charger(session, topic.split("/")[2])
        if charger is None or topic != topics.authorise(site.name, charger.name):
            return _ignored(topic, "no such charger")
        return self._question(site, charger, topic, payload, now)

    def _question(
        self, site: Installation, charger: Charger, topic: str, payload: bytes, now: int
    ) -> Iterable[Outgoing]:
        body = signing.verified(bytes.fromhex(charger.key), topic, payload)
        if body is None:
            return _ignored(topic, "not signed by that charger")
        n, token, state, t = (body.get(each) for each in ("n", "token", "state", "t"))
        if not (
            _whole(n)
            and (t is None or _whole(t))
            and isinstance(token, str)
            and _TOKEN.fullmatch(token)
            and isinstance(state, str)
            and _WORD.fullmatch(state)
        ):
            return _ignored(topic, "wrong types")
        before = self._asked.get(charger.id)
        if before is not None and n <= before.n:
            return _ignored(topic, f"n {n} <= {before.n}")
        if t is not None and now - t > site.operator_wait_s + _OLD_S:
            return _ignored(topic, "an old question")
        self._asked[charger.id] = _Asked(n, token, now)
        # Milliseconds: so that a database put back from a copy goes on above what was sent.
        site.operator_asked_v = max(site.operator_asked_v + 1, time.time_ns() // 1_000_000)
        question = {
            "v": site.operator_asked_v,
            "t": now,
            "charger": charger.name,
            "n": n,
            "token": token,
            "state": state,
        }
        out = topics.operator_question(site.name)
        return (Outgoing(out, signing.sign(_key(site), out, question)),)

    def _answer(
        self, session: Session, site: Installation, topic: str, payload: bytes, now: int
    ) -> Iterable[Outgoing]:
        body = signing.verified(_key(site), topic, payload)
        if body is None:
            return _ignored(topic, "not signed with the operator's key")
        v, n, name, verdict = (body.get(each) for each in ("v", "n", "charger", "verdict"))
        role, group = body.get("role", "user"), body.get("group", 0)
        if not (
            _whole(v)
            and _whole(body.get("t"))
            and _whole(n)
            and isinstance(name, str)
            and isinstance(verdict, str)
            and isinstance(role, str)
            and _whole(group)
        ):
            return _ignored(topic, "wrong types")
        if v <= site.operator_answered_v:
            return _ignored(topic, f"v {v} <= {site.operator_answered_v}")
        site.operator_answered_v = v
        if verdict not in VERDICTS or role not in ROLES or group > GROUP_MAX:
            return _ignored(topic, "no such verdict, role or group")
        charger = _charger(session, name)
        asked = self._asked.get(charger.id) if charger else None
        if charger is None or asked is None or asked.n != n or asked.answered:
            return _ignored(topic, "nobody asks that")
        if not 0 <= now - asked.at <= site.operator_wait_s + _LATE_S:
            return _ignored(topic, "too late")
        self._asked[charger.id] = asked._replace(answered=True)
        content = {
            "n": n,
            "token": asked.token,
            "verdict": verdict,
            "role": role,
            "group": group,
        }
        out = topics.verdict(site.name, charger.name)
        _, signed = commanding.next_message(session, site, charger, "verdict", out, content, now)
        return (Outgoing(out, signed),)


def _charger(session: Session, name: str) -> Charger | None:
    return session.scalars(select(Charger).where(Charger.name == name)).first()


def _key(site: Installation) -> bytes:
    assert site.operator_key is not None
    return bytes.fromhex(site.operator_key)


def _whole(found: object) -> TypeGuard[int]:
    return type(found) is int and 0 <= found <= _NUMBER_MAX


def _ignored(topic: str, why: str) -> tuple[Outgoing, ...]:
    _log.warning("%s: not passed on: %s", topic, json.dumps(why))
    return ()
