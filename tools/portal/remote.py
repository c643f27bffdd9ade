"""Sessions started and ended from the app: the person's, not a card's."""

import time
from pathlib import Path

from tools.portal import (
    chargers,
    commanding,
    database,
    installation,
    intake,
    operators,
    people,
    prediction,
    token,
)
from tools.portal.commanding import Body, Declined
from tools.portal.refusal import Refusal


def start(site_home: Path, name: str, email: str) -> Body:
    """Authorise a person. `started`: a session has begun; else it does when a vehicle comes."""
    with database.reading(site_home) as session:
        operators.require_native(session)
        site = installation.current(session)
        charger, person = chargers.find(session, name), people.find(session, email)
        found = prediction.of_person(session, site, charger, person, int(time.time()))
        if found.verdict != prediction.ACCEPTED:
            open_ = "; it is open: plugging in is enough" if found.access == "open" else ""
            raise Refusal(f"{name} is not started, {found.verdict}: {found.why}{open_}")
        address, group = person.email, person.group.number if person.group else 0
        holder = token.of_person(bytes.fromhex(site.card_key), person.id).hex()
    body = {"token": holder, "role": found.role, "group": group}
    try:
        _, events = commanding.give(site_home, name, "authorise", **body)
    except Declined as declined:
        raise Refusal(f"{name}: {declined.busy}" if declined.busy else str(declined)) from None
    started = any(
        each.get("event") == "session_started" and each.get("token") == holder for each in events
    )
    return {"charger": name, "person": address, "role": found.role, "started": started}


def stop(site_home: Path, name: str) -> Body:
    """End whatever session runs there. `ended`: there was one, and not only an approval, or
    (`tested`) a self-test."""
    try:
        _, events = commanding.give(site_home, name, "stop")
    except Declined as declined:
        if declined.state is None:
            raise
        raise Refusal(f"{name}: no session runs there, it is {declined.state}") from None
    ended = next((each for each in events if each.get("event") == "session_ended"), {})
    with database.reading(site_home) as session:
        person = people.holder(session, installation.current(session), ended.get("token"))
        address = person.email if person else None
    wh, reason = ended.get("wh"), ended.get("reason")
    return {
        "charger": name,
        "ended": bool(ended),
        "tested": any(each.get("event") == "selftest_done" for each in events),
        "person": address,
        "wh": wh if type(wh) is int else None,
        "reason": intake.shown(reason) if reason else None,
    }
