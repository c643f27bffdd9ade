"""Role x scope x mode x validity x group x charger: what the portal says that a charger answers,
and what chargers with the real firmware answer to the same cards."""

import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import pytest

from host_tests.end_to_end.conftest import OWNER, STRANGER, Site, wait
from host_tests.end_to_end.seeing import TAP_MS, coil, plug_in, rests, unplug
from host_tests.end_to_end.wire import Wire
from tools.portal import chargers, database, installation, prediction, settings
from tools.portal.token import token
from tools.virtual.client import VirtualCharger

HERE, THERE = "left", "right"
ROLES = ("owner", "user", "service")
NOW = datetime.now(UTC).replace(microsecond=0)
OPTIONS = {
    "always": (),
    "begun": ("--from", (NOW - timedelta(days=2)).isoformat()),
    "soon": ("--from", (NOW + timedelta(days=2)).isoformat()),
    "ending": ("--until", (NOW + timedelta(days=2)).isoformat()),
    "over": ("--until", (NOW - timedelta(days=2)).isoformat()),
}
DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
GUARD_S = 1.6  # an approved tap is no stop before
EVENT_S = 5
SECOND, LOST = "5ec00d01", "10570001"
_numbers = itertools.count(0x0411_0000_0000_00)


class Holder(NamedTuple):
    """A person and their card."""

    email: str
    number: str  # hex


class Place(NamedTuple):
    """One charger, what it hangs on, and what it is called."""

    name: str
    charger: VirtualCharger
    wire: Wire


@pytest.fixture(scope="module")
def people(site: Site) -> dict[str, Holder]:
    """Every case's own person with a card, by the case's name."""
    made: dict[str, Holder] = {}

    def add(case: str, *permissions: tuple[str, ...], partner: str = "") -> Holder:
        """`permissions`: what follows EMAIL in `grant`, or "revoke" and what follows there."""
        made[case] = holder = Holder(f"{case}@x.org", f"{next(_numbers):014x}")
        of = ("--partner", partner) if partner else ()
        site.tapgate("person", "add", holder.email, *of)
        for permission in permissions:
            verb = "revoke" if permission[0] == "revoke" else "grant"
            site.tapgate(verb, holder.email, *(each for each in permission if each != "revoke"))
        site.tapgate("card", "add", holder.email, "--number", holder.number, "--as", "hex")
        return holder

    for name in (HERE, THERE):
        site.tapgate("charger", "add", name)
    for role in ROLES:
        given = ("--role", role)
        wider = ("--role", "user" if role == "owner" else "owner")
        for word, bounds in OPTIONS.items():
            add(f"{role}-everywhere-{word}", (*given, *bounds))
        for word in ("always", "soon", "over"):
            bounds = OPTIONS[word]
            add(f"{role}-here-{word}", (*given, *bounds, "--charger", HERE))
            add(f"{role}-instead-{word}", wider, (*given, *bounds, "--charger", HERE))
            add(f"{role}-not-here-{word}", (*given, *bounds), ("revoke", "--charger", HERE))
        blocked = add(f"{role}-blocked", given)
        site.tapgate("card", "block", blocked.number, "--as", "hex")
        left = add(f"{role}-left", given)
        site.tapgate("revoke", left.email)
    # Whole days, so that no test depends on its hour: three around today, and the other four.
    days = [DAYS[(NOW.weekday() + i) % 7] for i in range(-1, 6)]
    for name, week in (("inside", days[:3]), ("outside", days[3:])):
        site.tapgate("schedule", "add", name, "--week", f"{' '.join(week)} 00:00-24:00")
        for role in ROLES:
            add(f"{role}-{name}", ("--role", role, "--schedule", name))
        add(f"over-{name}", ("--role", "user", "--schedule", name, *OPTIONS["over"]))
    key = site.tapgate("partner", "add", "Volt")["lookup_key"]
    site.tapgate("partner", "grant", key, "--role", "service")
    site.tapgate("partner", "grant", key, "--role", "owner", "--charger", HERE)
    add("fitter", partner=key)
    add("fitter-of-their-own", ("--role", "user"), partner=key)
    add("fitter-kept-out", ("--role", "user"), ("revoke", "--charger", HERE), partner=key)
    site.tapgate("settings", "--service-may-start", "on", "--charger", THERE)

    add("nothing")
    for case in ("ann", "bo", "cleo", "dan"):
        add(case, ("--role", "user", *OPTIONS["over" if case == "dan" else "always"]))
    site.tapgate("group", "add", "family")
    for member in ("ann", "cleo", "dan"):
        site.tapgate("group", "join", f"{member}@x.org", "family")
    site.tapgate("card", "add", "ann@x.org", "--number", SECOND, "--as", "hex")
    made["ann's other"] = Holder("ann@x.org", SECOND)
    site.tapgate("card", "add", "bo@x.org", "--number", LOST, "--as", "hex")
    site.tapgate("card", "block", LOST, "--as", "hex")
    made["bo's lost one"] = Holder("bo@x.org", LOST)
    made["the owner's"] = Holder("o@x.org", OWNER)
    made["a stranger's"] = Holder("", STRANGER)
    return made


@pytest.fixture(scope="module")
def places(site: Site, people: dict[str, Holder]) -> Iterator[dict[str, Place]]:
    """Both chargers, in step with all cards, at rest."""
    site.tapgate("publish")
    made: dict[str, Place] = {}
    try:
        for name in (HERE, THERE):
            path = site.config(name)
            key = bytes.fromhex(json.loads(path.read_text())["charger_key"])
            wire = Wire(site.broker, name, key)
            made[name] = Place(name, VirtualCharger.start(path, site.home / name), wire)
        for name in made:
            site.wait_in_step(name)
        yield made
    finally:
        for place in made.values():
            place.wire.close()
            place.charger.stop()


def predicted(site: Site, place: Place, number: str, holder: str | None = None) -> tuple:
    """(verdict, role where that lets in) as the portal says, by the time the charger has; with a
    session's holder: (whether it ends that session, verdict)."""
    clock_set = place.wire.state["clock"] == "set"
    with database.reading(site.home) as session:
        here = installation.current(session)
        charger = chargers.find(session, place.name)
        key, at = bytes.fromhex(here.card_key), int(time.time())
        card = token(key, bytes.fromhex(number))
        found = prediction.of_card(session, here, charger, card, at, clock_set=clock_set)
        if holder is None:
            found = found.offline or found  # no platform answers here
            return found.verdict, found.role if found.verdict == "Accepted" else None
        theirs = token(key, bytes.fromhex(holder))
        ends = prediction.may_end(session, here, found, card, theirs)
        return ends, found.verdict


def answered(place: Place, number: str) -> tuple[str, str | None]:
    """The same as the charger says: its contactor, and the event that goes with it. It has a
    vehicle that waits for a card, before and afterwards."""
    since = place.charger.mark()
    found, closed = shown(place, number, "session_started")
    if found["event"] == "card_refused":
        assert not closed and not any(map(coil(True), place.charger.pushes[since:]))
        return found["verdict"], None
    place.charger.wait_for(coil(True), 5, since)
    again(place)
    return "Accepted", found["role"]


def tried_to_end(place: Place, number: str) -> tuple[bool, str | None]:
    """Whether that card ended the session that runs, and else what it would have got."""
    since = place.charger.mark()
    found, closed = shown(place, number, "session_ended")
    if found["event"] == "session_ended":
        place.charger.wait_for(coil(False), 5, since)
        return True, None
    assert closed and found["verdict"] == "ConcurrentTx"
    return False, found["judged"]


def shown(place: Place, number: str, done: str) -> tuple[dict, bool]:
    """The event `done`, or the refusal, that a card held to the reader brings, and whether the
    contactor is closed then."""
    charger, wire = place.charger, place.wire
    heard = len(wire.events)
    charger.do("place", uid=number)

    def event() -> dict | None:
        new = wire.events[heard:]
        return next((e for e in new if e["event"] in (done, "card_refused")), None)

    found = wait(event, EVENT_S, f"an answer to {number}")
    closed = charger.status()["contactor"]
    charger.do("remove", uid=number)
    return found, closed


def again(place: Place) -> None:
    """Another vehicle."""
    unplug(place.charger)
    plug_in(place.charger, "yellow")


def test_every_card_gets_the_verdict_that_the_portal_says(
    site: Site, people: dict[str, Holder], places: dict[str, Place]
):
    def round_of(place: Place) -> dict[str, tuple]:
        plug_in(place.charger, "yellow")
        found = {case: answered(place, holder.number) for case, holder in people.items()}
        unplug(place.charger)
        return found

    numbers = {case: holder.number for case, holder in people.items()}
    with ThreadPoolExecutor() as both:
        said = dict(zip(places, both.map(round_of, places.values()), strict=True))
    for name, place in places.items():
        wanted = {case: predicted(site, place, number) for case, number in numbers.items()}
        differ = {case: (wanted[case], said[name][case]) for case in wanted}
        assert not {c: both for c, both in differ.items() if both[0] != both[1]}, name
        assert len(set(wanted.values())) >= 6  # the table shows something


HOLDERS = {HERE: "ann", THERE: "the owner's"}  # whose session runs
ENDING = (
    "ann",
    "ann's other",
    "cleo",
    "dan",
    "fitter",
    "bo",
    "bo's lost one",
    "the owner's",
    "a stranger's",
    "nothing",
    "user-everywhere-always",
    *(f"{role}-{scope}-always" for role in ("owner", "service") for scope in ("here", "not-here")),
    *(f"{role}-everywhere-{word}" for role in ("owner", "service") for word in ("soon", "over")),
    *(f"{role}-{word}" for role in ("owner", "service") for word in ("blocked", "left")),
)


def test_a_session_is_ended_by_whom_the_portal_says(
    site: Site, people: dict[str, Holder], places: dict[str, Place]
):
    def ends(place: Place, case: str) -> tuple[bool, str | None]:
        holder = people[HOLDERS[place.name]]
        return predicted(site, place, people[case].number, holder.number)

    def round_of(place: Place) -> dict[str, tuple]:
        found: dict[str, tuple] = {}
        running = False
        # Those who should not end it come first, so that few sessions are needed.
        for case in sorted(ENDING, key=lambda each: ends(place, each)[0]):
            if not running:
                plug_in(place.charger, "yellow")
                since = place.charger.mark()
                place.charger.do("tap", uid=people[HOLDERS[place.name]].number, ms=TAP_MS)
                place.charger.wait_for(coil(True), 5, since)
                time.sleep(GUARD_S)
            found[case] = tried_to_end(place, people[case].number)
            running = not found[case][0]
            if not running:
                unplug(place.charger)
        unplug(place.charger)
        return found

    with ThreadPoolExecutor() as both:
        said = dict(zip(places, both.map(round_of, places.values()), strict=True))
    for name, place in places.items():
        differ = {}
        for case in ENDING:
            ended, verdict = ends(place, case)
            if said[name][case] != (ended, None if ended else verdict):
                differ[case] = (ended, verdict, said[name][case])
        assert not differ, name
        assert {ended for ended, _ in said[name].values()} == {True, False}


MODES = [
    (site, charger)
    for site in ("restricted", "open")
    for charger in ("inherit", "restricted", "open")
]


UNANSWERED = ("ann", "fitter", "user-everywhere-over", "owner-blocked", "a stranger's")


@pytest.mark.parametrize("policy", ["deny", "list"])
def test_without_the_operators_answer_it_is_as_the_portal_says(
    site: Site, people: dict[str, Holder], places: dict[str, Place], policy: str
):
    def round_of(place: Place) -> dict[str, tuple]:
        settled(place.wire)
        plug_in(place.charger, "yellow")
        found = {case: answered(place, people[case].number) for case in UNANSWERED}
        unplug(place.charger)
        return found

    site.change("operator", "connect", "Volt", "--offline", policy, "--wait", "1")
    try:
        with ThreadPoolExecutor() as both:
            said = dict(zip(places, both.map(round_of, places.values()), strict=True))
        for name, place in places.items():
            wanted = {case: predicted(site, place, people[case].number) for case in UNANSWERED}
            assert said[name] == wanted, name
    finally:
        site.change("operator", "disconnect")
        for place in places.values():
            settled(place.wire)


def settled(wire: Wire) -> None:
    """The settings that the portal has put there are in force."""
    v = wire.version("settings")
    wire.wait_for("settings_applied", lambda event: event["v"] == v)


def in_mode(wire: Wire, mode: str) -> bool:
    state = wire.state
    return state["access"] == mode and state["authorisation_required"] is (mode == "restricted")


def test_the_mode_is_the_one_that_the_portal_says(
    site: Site, people: dict[str, Holder], places: dict[str, Place]
):
    """Both at once: one has its own mode, the other the installation's."""
    try:
        for wide, own in MODES:
            site.tapgate("access", wide)
            site.change("access", own, "--charger", HERE)
            for name, place in places.items():
                with database.reading(site.home) as session:
                    here = installation.current(session)
                    mode = settings.access(here, chargers.find(session, name))
                wait(partial(in_mode, place.wire, mode), 10, mode)
                since = place.charger.mark()
                plug_in(place.charger, "blue" if mode == "open" else "yellow")
                if mode == "open":
                    place.charger.wait_for(coil(True), 5, since)
                    for case in ("a stranger's", "ann"):
                        place.charger.do("tap", uid=people[case].number, ms=TAP_MS)
                    assert place.charger.status()["contactor"]  # no card is needed, none matters
                else:
                    rests(place.charger, coil(True), 0.2, since)
                unplug(place.charger)
    finally:
        site.tapgate("access", "restricted")
        site.change("access", "inherit", "--charger", HERE)
        for name in places:
            site.wait_in_step(name)
