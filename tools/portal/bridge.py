"""Between the chargers and an operator's platform, while one decides: a charger's question goes out
under the operator's key, its answer comes back under the charger's.

Nothing is passed on that is not signed, newer than what was before it, and of the types that the
other side knows; an answer counts once, and only for the question that its charger asked last.
What is not passed on `serve` says and counts; a charger that hears nothing does what the operator's
offline policy says.
"""

import re
import time
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeGuard

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import chargers, commanding, installation, signing, topics
from tools.portal.duty import Answer, Duty, Outgoing, Remark
from tools.portal.schema import Charger, Installation
from tools.portal.token import is_token

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
_WORD = re.compile(r"[a-z]{1,32}")

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
        self._new: dict[int, _Asked] = {}  # of a transaction that may still fail

    def ended(self, stored: bool) -> None:
        if stored:
            self._asked |= self._new
        self._new = {}

    def filters(self, site: Installation) -> Iterable[str]:
        if site.operator_name is None:
            return ()
        return topics.authorise(site.name, "+"), topics.operator_answer(site.name)

    def message(self, session: Session, topic: str, payload: bytes, now: int) -> Iterable[Answer]:
        site = installation.current(session)
        if site.operator_key is None:
            return ()
        if topic == topics.operator_answer(site.name):
            return self._answer(session, site, topic, payload, now)
        charger = _charger(session, topic.split("/")[2])
        if charger is None or topic != topics.authorise(site.name, charger.name):
            return (Remark("not passed on: a question from no charger of this installation"),)
        return self._question(site, charger, topic, payload, now)

    def _last(self, charger: Charger) -> _Asked | None:
        return self._new.get(charger.id) or self._asked.get(charger.id)

    def _question(
        self, site: Installation, charger: Charger, topic: str, payload: bytes, now: int
    ) -> Iterable[Answer]:
        if len(payload) > MESSAGE_LIMIT_BYTES:
            return _ignored(charger.name, f"a question of more than {MESSAGE_LIMIT_BYTES} bytes")
        body = signing.verified(bytes.fromhex(charger.key), topic, payload)
        if body is None:
            return _ignored(charger.name, "a question that this charger has not signed")
        n, token, state, t = (body.get(each) for each in ("n", "token", "state", "t"))
        if not (
            _whole(n)
            and (t is None or _whole(t))
            and is_token(token)
            and isinstance(state, str)
            and _WORD.fullmatch(state)
        ):
            return _ignored(charger.name, "a question of wrong types")
        before = self._last(charger)
        if before is not None and n <= before.n:
            return _ignored(charger.name, "a question no newer than the one before")
        if t is not None and now - t > site.operator_wait_s + _OLD_S:
            return _ignored(charger.name, "a question that nobody waits for any more")
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
        signed = signing.sign(_key(site), out, question)
        self._new[charger.id] = _Asked(n, token, now)
        return (Outgoing(out, signed),)

    def _answer(
        self, session: Session, site: Installation, topic: str, payload: bytes, now: int
    ) -> Iterable[Answer]:
        platform = site.operator_name or "operator"
        if len(payload) > MESSAGE_LIMIT_BYTES:
            return _ignored(platform, f"an answer of more than {MESSAGE_LIMIT_BYTES} bytes")
        body = signing.verified(_key(site), topic, payload)
        if body is None:
            return _ignored(platform, "an answer that is not signed with its key")
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
            return _ignored(platform, "an answer of wrong types")
        if v <= site.operator_answered_v:
            return _ignored(platform, "an answer whose v has not grown")
        site.operator_answered_v = v
        if verdict not in VERDICTS or role not in ROLES or group > GROUP_MAX:
            return _ignored(platform, "an answer with no such verdict, role or group")
        charger = _charger(session, name)
        asked = self._last(charger) if charger else None
        if charger is None or asked is None or asked.n != n or asked.answered:
            return _ignored(platform, "an answer to a question that nobody asks")
        if not 0 <= now - asked.at <= site.operator_wait_s + _LATE_S:
            return _ignored(platform, "an answer that has come too late")
        content = {
            "n": n,
            "token": asked.token,
            "verdict": verdict,
            "role": role,
            "group": group,
        }
        out = topics.verdict(site.name, charger.name)
        _, signed = commanding.next_message(session, site, charger, "verdict", out, content, now)
        self._new[charger.id] = asked._replace(answered=True)
        return (Outgoing(out, signed),)


def _charger(session: Session, name: str) -> Charger | None:
    return session.scalars(select(Charger).where(Charger.name == name, chargers.PRESENT)).first()


def _key(site: Installation) -> bytes:
    assert site.operator_key is not None
    return bytes.fromhex(site.operator_key)


def _whole(found: object) -> TypeGuard[int]:
    return type(found) is int and 0 <= found <= _NUMBER_MAX


def _ignored(who: str, why: str) -> tuple[Remark]:
    return (Remark(f"{who}: not passed on, {why}"),)
