"""Operator authority: while a third party's platform decides each tap, permissions are managed
there and not here (DESIGN section 3).

Whatever may let somebody in is then refused, also by way of the allow-list, which still decides
offline: permissions and their schedules, who belongs to which partner or group, cards that come or
come back, open access, service cards that may start, and starts from the app. What only takes
away, and what ends sessions, is not: safety waits for no platform.
"""

import json
import secrets
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from tools.portal import home, installation, names, topics
from tools.portal.installation import KEY_BYTES
from tools.portal.refusal import Refusal, WrongUsage
from tools.portal.schema import Installation

WAIT_S = range(1, 61)


def connect(
    session: Session, name: str, offline: str | None = None, wait_s: int | None = None
) -> Installation:
    """Let that operator decide from now on. For the operator that does already: another policy,
    under the same key. What is None stays as it is, or is the default."""
    site = installation.current(session)
    found = names.free_text(name, "operator")
    if wait_s is not None and wait_s not in WAIT_S:
        raise WrongUsage(f"--wait {wait_s}: allowed are {WAIT_S[0]} to {WAIT_S[-1]} seconds")
    if site.operator_name not in (None, found):
        raise Refusal(
            f"{site.operator_name} decides who may charge here; "
            "first run 'tapgate operator disconnect'"
        )
    if site.operator_name is None:
        site.operator_name = found
        site.operator_key = secrets.token_hex(KEY_BYTES)
        site.operator_offline, site.operator_wait_s = "deny", 10
        site.operator_asked_v = site.operator_answered_v = 0
    site.operator_offline = offline or site.operator_offline
    site.operator_wait_s = wait_s or site.operator_wait_s
    return site


def disconnect(session: Session) -> str:
    """The allow-list decides again, as it stands; the operator's key is gone. Returns its name."""
    site = installation.current(session)
    name = require_connected(site)
    site.operator_name = site.operator_key = None
    return name


def require_connected(site: Installation) -> str:
    if site.operator_name is None:
        raise Refusal(
            "no operator is connected, the allow-list decides; see 'tapgate operator connect'"
        )
    return site.operator_name


def require_native(session: Session) -> None:
    """Before anything that may let somebody in. Refusal while an operator decides."""
    name = installation.current(session).operator_name
    if name is not None:
        raise Refusal(
            f"{name} decides who may charge here: make the change on its platform, "
            "or first run 'tapgate operator disconnect'"
        )


def write_access(path: Path, site: Installation) -> None:
    """What the operator's platform needs, keys included, for its eyes alone. The broker's user and
    password for it are the broker's to give."""
    broker = {
        "host": site.broker_host,
        "port": site.broker_port,
        "tls": site.broker_tls,
        "ca": site.broker_ca,
    }
    body: dict[str, Any] = {
        "installation": site.name,
        "operator": site.operator_name,
        "key": site.operator_key,
        "card_key": site.card_key,
        "broker": broker,
        "question": topics.operator_question(site.name),
        "answer": topics.operator_answer(site.name),
        "wait_s": site.operator_wait_s,
        "offline": site.operator_offline,
    }
    home.write_secret(path, json.dumps(body, indent=2, ensure_ascii=False) + "\n")
