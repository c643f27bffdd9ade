"""The session: what happens to the driver, the owner and the contactor, case by case.

That the rules hold in every state that can be reached is shown by test_session_walk.
"""

from firmware.access import light, session
from firmware.access.session import START, may_close, step
from firmware.access.table import TABLE
from host_tests.pure.check import raises

# name: (token, role, group, verdict)
CARDS = {
    "anna": (b"anna", "user", 7, "Accepted"),
    "anna's mate": (b"mate", "user", 7, "Accepted"),
    "ben": (b"ben", "user", 0, "Accepted"),
    "cleo": (b"cleo", "user", 0, "Accepted"),
    "owner": (b"owner", "owner", 0, "Accepted"),
    "service": (b"service", "service", 0, "Invalid"),
    "service that may start": (b"starter", "service", 0, "Accepted"),
    "unknown": (b"nobody", None, 0, "Unknown"),
    "blocked": (b"blocked", "user", 0, "Blocked"),
    "expired": (b"expired", "user", 0, "Expired"),
    "phone": (None, None, 0, "RandomNumber"),
}
TAPS = [("tap", token, role, group, now) for token, role, group, now in CARDS.values()]
ORDERS = [
    ("authorise", b"person", "user", 0),
    ("stop", None),
    ("enrol", 60),
    ("cancel_enrol",),
    ("selftest", True),
    ("selftest", False),
]
HAPPENINGS = [
    ("vehicle", True, False),
    ("vehicle", True, True),
    ("vehicle", False, False),
    ("access", "open"),
    ("access", "restricted"),
    ("available", False),
    ("available", True),
    ("withdrawn",),
    ("unreadable", "unreadable"),
    ("unreadable", "several"),
]
PERIOD = 1 << 30


class Charger:
    """Goes through events; starts just before the ticks wrap, so that every case crosses that."""

    def __init__(self):
        self.now_ms = PERIOD - 700
        self.session = START
        self.effects: tuple = ()
        self.contactor = False
        self.offered = False

    def tell(self, *event):
        self.session, self.effects = step(self.session, event, self.now_ms)
        for effect in self.effects:
            if effect[0] == "contactor":
                self.contactor = effect[1]
            elif effect[0] == "offer":
                self.offered = effect[1]
        assert self.contactor == (self.session.state == "charging")
        assert self.contactor == may_close(self.session)
        return self

    def plug(self, asks=True):
        return self.tell("vehicle", True, asks)

    def unplug(self):
        return self.tell("vehicle", False, False)

    def tap(self, name, verdict=None):
        """A card, long enough after the last one."""
        return self.wait(1_500).tap_at_once(name, verdict)

    def tap_at_once(self, name, verdict=None):
        token, role, group, listed = CARDS[name]
        if self.state == "enrolling" and token is not None:
            return self.tell("shown", token, role is not None)
        return self.tell("tap", token, role, group, verdict or listed)

    def ask(self, name, wait_s=10):
        """A card that the operator is to judge, long enough after the last one."""
        return self.wait(1_500).ask_at_once(name, wait_s)

    def ask_at_once(self, name, wait_s=10):
        return self.tell("ask", CARDS[name][0], None, 0, None, wait_s)

    def answer(self, name, verdict=None):
        """The operator knows the card as it stands above, or has `verdict` instead."""
        token, role, group, known = CARDS[name]
        if verdict is not None:
            role, group = None, 0
        return self.tell("answer", token, role, group, verdict or known)

    def wait(self, ms):
        self.now_ms = (self.now_ms + ms) % PERIOD
        return self.tell("tick")

    @property
    def state(self):
        return self.session.state

    def overlay(self):
        shown = [effect[1] for effect in self.effects if effect[0] == "overlay"]
        assert len(shown) <= 1
        return shown[0] if shown else None

    def record(self, name):
        """The fields of the one record of that name, no fields if there is none."""
        found = [effect[2] for effect in self.effects if effect[:2] == ("record", name)]
        assert len(found) <= 1
        return found[0] if found else {}

    def refused_as(self, verdict):
        return self.record("card_refused").get("verdict") == verdict

    def declined(self):
        return [effect for effect in self.effects if effect[0] == "declined"]


def open_charger():
    return Charger().tell("access", "open")


def charging_by(name):
    charger = Charger().plug().tap(name)
    assert charger.state == "charging"
    return charger


# Restricted: plug in, tap, charge.


def test_a_charger_begins_available_restricted_and_open_circuit():
    assert START.state == "available"
    assert not START.open
    assert not may_close(START)


def test_a_vehicle_waits_in_yellow_until_a_card_is_approved():
    charger = Charger().plug()
    assert charger.state == "awaiting"
    charger.tap("anna")
    assert charger.state == "charging"
    assert charger.overlay() == "accepted"


def test_an_approved_card_closes_the_contactor_before_anything_is_told():
    charger = Charger().plug().tap("anna")
    assert charger.effects[:2] == (("offer", True), ("contactor", True))


def test_a_session_that_starts_is_recorded_with_its_holder():
    charger = Charger().plug().tap("anna")
    assert charger.record("session_started") == {
        "token": b"anna",
        "role": "user",
        "group": 7,
        "by": "card",
    }


def test_owners_start_sessions_too():
    charger = Charger().plug().tap("owner")
    assert charger.state == "charging"
    assert charger.session.holder == (b"owner", 0, "owner", "card")


def test_an_unknown_card_is_refused_and_told():
    charger = Charger().plug().tap("unknown")
    assert charger.state == "awaiting"
    assert charger.effects == (
        ("overlay", "refused"),
        (
            "record",
            "card_refused",
            {"token": b"nobody", "role": None, "verdict": "Unknown", "state": "awaiting"},
        ),
    )


def test_every_refused_verdict_keeps_the_contactor_open_wherever_no_session_runs():
    for verdict in (
        "Blocked",
        "ConcurrentTx",
        "Expired",
        "Invalid",
        "Unknown",
        "NotAtThisTime",
        "NotAtThisLocation",
        "RandomNumber",
        "ListTooOld",
        "ClockUnknown",
        "",
    ):
        for charger in (
            Charger(),
            Charger().plug(),
            charging_by("ben").tap("ben"),
            Charger().tell("available", False),
            Charger().tell("fault", "contactor_welded"),
        ):
            before = charger.state
            charger.tap("anna", verdict or "a word not heard of before")
            assert charger.state == before, verdict
            assert charger.overlay() in ("refused", "expired")
            assert charger.record("card_refused")


def test_an_expired_card_and_an_old_list_have_their_own_light():
    assert Charger().plug().tap("expired").overlay() == "expired"
    assert Charger().plug().tap("anna", "ListTooOld").overlay() == "expired"
    assert Charger().plug().tap("blocked").overlay() == "refused"


def test_a_phone_is_refused_as_a_random_number():
    charger = Charger().plug().tap("phone")
    assert charger.refused_as("RandomNumber")
    assert charger.state == "awaiting"


def test_a_card_that_cannot_be_read_is_asked_to_stay_and_changes_nothing():
    for charger in (Charger(), Charger().plug(), charging_by("anna")):
        before = charger.session
        for kind in ("unreadable", "several"):
            charger.tell("unreadable", kind)
            assert charger.effects == (("overlay", "unreadable"),)
            assert charger.session == before


# The vehicle.


def test_energy_is_offered_with_the_approval_and_flows_when_the_vehicle_asks():
    charger = Charger().plug(asks=False).tap("anna")
    assert charger.state == "authorised"
    assert charger.offered
    assert not charger.contactor
    charger.tell("vehicle", True, True)
    assert charger.state == "charging"
    assert charger.effects == (("contactor", True),)


def test_a_vehicle_that_pauses_keeps_its_session_and_its_offer():
    charger = charging_by("anna").tell("vehicle", True, False)
    assert charger.state == "authorised"
    assert charger.effects == (("contactor", False),)
    assert charger.offered
    charger.tell("vehicle", True, True)
    assert charger.state == "charging"


def test_nothing_is_offered_before_an_approval_nor_after_the_end():
    charger = Charger().plug(asks=False)
    assert not charger.offered
    charger.tap("anna").tap("anna")
    assert charger.state == "finished"
    assert not charger.offered


def test_a_vehicle_that_waits_and_asks_gets_nothing():
    charger = Charger().plug(asks=False).tell("vehicle", True, True)
    assert charger.state == "awaiting"
    assert charger.effects == ()


def test_a_finished_vehicle_that_asks_again_gets_nothing():
    charger = charging_by("anna").tap("anna")
    charger.tell("vehicle", True, False).tell("vehicle", True, True)
    assert charger.state == "finished"


def test_unplugging_opens_the_contactor_first_and_ends_the_session():
    charger = charging_by("anna").unplug()
    assert charger.state == "available"
    assert charger.effects == (
        ("contactor", False),
        ("offer", False),
        (
            "record",
            "session_ended",
            {"token": b"anna", "role": "user", "by": "card", "reason": "unplugged"},
        ),
    )
    assert charger.session.holder is None


def test_unplugging_ends_a_session_that_draws_nothing_and_one_that_waits():
    charger = Charger().plug(asks=False).tap("anna").unplug()
    assert charger.state == "available"
    assert charger.record("session_ended")["reason"] == "unplugged"
    charger.plug().unplug()
    assert charger.state == "available"
    assert charger.effects == ()


def test_the_next_vehicle_needs_its_own_approval():
    assert charging_by("anna").unplug().plug().state == "awaiting"
    assert charging_by("anna").tap("anna").unplug().plug().state == "awaiting"


def test_a_connector_out_of_the_vehicle_asks_for_nothing():
    charger = Charger().plug().tell("vehicle", False, True)
    assert not charger.session.asks


def test_what_changes_nothing_gives_the_same_session_back():
    charger = charging_by("anna")
    before = charger.wait(2_000).session
    for event in (
        ("vehicle", True, True),
        ("access", "restricted"),
        ("available", True),
        ("fault_cleared", "no such fault"),
        ("tick",),
    ):
        after, effects = step(before, event, charger.now_ms)
        assert after is before
        assert effects == ()


# Stopping with a card.


def test_the_same_card_ends_the_session():
    charger = charging_by("anna").tap("anna")
    assert charger.state == "finished"
    assert charger.effects[0] == ("contactor", False)
    assert charger.overlay() == "accepted"
    assert charger.record("session_ended") == {
        "token": b"anna",
        "role": "user",
        "by": "card",
        "reason": "card",
    }


def test_a_card_of_the_same_group_ends_the_session_of_its_holder():
    charger = charging_by("anna").tap("anna's mate")
    assert charger.state == "finished"
    ended = charger.record("session_ended")
    assert (ended["token"], ended["reason"]) == (b"anna", "group")


def test_owners_and_service_end_any_session():
    for name, reason in (
        ("owner", "owner"),
        ("service", "service"),
        ("service that may start", "service"),
    ):
        for asks in (True, False):
            charger = Charger().plug(asks).tap("anna").tap(name)
            assert charger.state == "finished"
            assert charger.record("session_ended")["reason"] == reason
            assert charger.record("session_ended")["token"] == b"anna"


def test_any_other_card_is_refused_as_concurrent_and_nothing_changes():
    for name in ("ben", "unknown", "blocked", "expired", "phone"):
        for asks in (True, False):
            charger = Charger().plug(asks).tap("anna").wait(2_000)
            before = charger.session
            charger.tap(name)
            assert charger.refused_as("ConcurrentTx")
            assert charger.overlay() == "refused"
            assert charger.session == before


def test_what_the_list_said_of_a_card_refused_as_concurrent_is_kept():
    assert charging_by("anna").tap("unknown").record("card_refused")["judged"] == "Unknown"
    assert charging_by("anna").tap("ben").record("card_refused")["judged"] == "Accepted"
    assert "judged" not in Charger().plug().tap("unknown").record("card_refused")


def test_a_driver_may_stop_after_the_hours_of_the_card_are_over():
    for verdict in ("Expired", "NotAtThisTime", "ListTooOld", "ClockUnknown", "Unknown"):
        charger = charging_by("anna").tap("anna", verdict)
        assert charger.state == "finished"
        assert charger.record("session_ended")["reason"] == "card"


def test_a_card_that_was_blocked_meanwhile_cannot_act():
    for name in ("anna", "anna's mate", "owner", "service"):
        charger = charging_by("anna").tap(name, "Blocked")
        assert charger.state == "charging"
        assert charger.refused_as("ConcurrentTx")


def test_an_approved_tap_is_no_stop_within_one_and_a_half_seconds():
    for name in ("anna", "anna's mate", "owner", "service"):
        charger = charging_by("anna").wait(1_499).tap_at_once(name)
        assert charger.state == "charging"
        assert charger.effects == ()
        charger.wait(1).tap_at_once(name)
        assert charger.state == "finished"


def test_a_tap_is_no_stop_that_soon_after_a_session_began_with_the_plug_either():
    charger = Charger().tap("anna").wait(1_000).plug().tap_at_once("anna")
    assert charger.state == "charging"


def test_another_card_is_refused_at_once_however_soon_it_comes():
    charger = charging_by("anna").tap_at_once("ben")
    assert charger.refused_as("ConcurrentTx")


def test_a_stop_is_not_turned_into_a_start_by_a_card_that_wobbles():
    charger = charging_by("anna").tap("anna").wait(1_499).tap_at_once("anna")
    assert charger.state == "finished"
    assert charger.effects == ()
    charger.wait(1).tap_at_once("anna")
    assert charger.state == "charging"


def test_the_guard_is_over_when_the_vehicle_leaves():
    charger = charging_by("anna").wait(300).unplug().wait(300).plug().wait(300)
    assert charger.state == "awaiting"
    assert charger.tap_at_once("anna").state == "charging"


def test_the_guard_is_over_even_when_no_tick_came():
    charger = charging_by("anna")
    charger.now_ms = (charger.now_ms + 1_500) % PERIOD
    assert charger.tap_at_once("anna").state == "finished"


def test_the_guard_does_not_come_back_when_the_ticks_have_gone_round():
    charger = charging_by("anna").wait(2_000)
    charger.now_ms = (charger.now_ms - 1_000) % PERIOD
    assert charger.tap_at_once("anna").state == "finished"


# After the end, still connected.


def test_a_driver_who_stopped_by_mistake_taps_again():
    charger = charging_by("anna").tap("anna").tap("anna")
    assert charger.state == "charging"
    assert charger.record("session_started")["token"] == b"anna"


def test_any_approved_card_starts_the_next_session_of_a_vehicle_that_stays():
    for name in ("anna's mate", "ben", "owner", "service that may start"):
        charger = charging_by("anna").tap("anna").tap(name)
        assert charger.state == "charging"
        assert charger.session.holder[0] == CARDS[name][0]


def test_a_finished_session_leaves_its_group_no_right_on_the_next():
    charger = charging_by("anna").tap("anna").tap("ben")
    assert charger.tap("anna").refused_as("ConcurrentTx")


# Service cards.


def test_a_service_card_does_not_start_a_session():
    charger = Charger().plug().tap("service")
    assert charger.state == "awaiting"
    assert charger.refused_as("Invalid")
    assert charger.overlay() == "refused"
    charger = charging_by("anna").tap("anna").tap("service")
    assert charger.state == "finished"
    assert charger.refused_as("Invalid")


def test_a_service_card_starts_a_session_where_the_settings_say_so():
    charger = Charger().plug().tap("service that may start")
    assert charger.state == "charging"
    assert charger.record("session_started")["role"] == "service"
    assert charger.tap("service that may start").record("session_ended")["reason"] == "card"


def test_a_service_card_never_takes_a_preauthorisation_over():
    charger = Charger().tell("authorise", b"person", "user", 9)
    charger.tell("tap", b"service", "service", 9, "Invalid")
    assert charger.state == "service"
    assert charger.plug().state == "awaiting"


# Tap first, plug in later.


def test_tap_first_and_plug_in_later():
    charger = Charger().tap("anna")
    assert charger.state == "preauthorised"
    assert charger.overlay() == "accepted"
    assert not charger.record("session_started")
    charger.wait(59_999).plug()
    assert charger.state == "charging"
    assert charger.record("session_started")["token"] == b"anna"


def test_a_vehicle_that_does_not_ask_yet_is_authorised_by_the_tap_before():
    assert Charger().tap("anna").plug(asks=False).state == "authorised"


def test_owners_may_tap_first_too():
    assert Charger().tap("owner").plug().session.holder[0] == b"owner"


def test_a_preauthorisation_is_over_after_60_seconds_whoever_had_it_before():
    for name in ("anna's mate", "ben", "owner"):
        charger = Charger().tap("anna").wait(50_000).tap(name)
        assert charger.wait(59_999).state == "preauthorised"
        assert charger.wait(1).state == "available"
    charger = Charger().tap("anna").wait(50_000).tell("authorise", b"person", "user", 0)
    assert charger.wait(59_999).state == "preauthorised"
    assert charger.wait(1).state == "available"
    charger = Charger().tap("anna").wait(60_000)
    assert charger.state == "available"
    assert charger.session.holder is None
    assert charger.plug().state == "awaiting"


def test_a_preauthorisation_is_over_even_when_no_tick_came():
    charger = Charger().tap("anna")
    charger.now_ms = (charger.now_ms + 60_000) % PERIOD
    charger.plug()
    assert charger.state == "awaiting"
    charger = open_charger().tap("anna")
    charger.now_ms = (charger.now_ms + 60_000) % PERIOD
    charger.plug()
    assert charger.state == "charging"
    assert charger.record("session_started")["token"] is None


def test_the_same_card_cancels_its_preauthorisation():
    charger = Charger().tap("anna").tap("anna")
    assert charger.state == "available"
    assert charger.overlay() == "accepted"
    assert charger.plug().state == "awaiting"


def test_a_card_cancels_its_preauthorisation_even_when_its_hours_are_over():
    assert Charger().tap("anna").tap("anna", "Expired").state == "available"


def test_a_wobbling_card_does_not_cancel_its_preauthorisation():
    charger = Charger().tap("anna").wait(1_000).tap_at_once("anna")
    assert charger.state == "preauthorised"
    assert charger.effects == ()


def test_another_approved_card_takes_the_preauthorisation_over_for_60_seconds_of_its_own():
    for name in ("anna's mate", "ben", "owner"):
        charger = Charger().tap("anna").wait(50_000).tap(name)
        assert charger.state == "preauthorised"
        assert charger.overlay() == "accepted"
        charger.wait(59_000).plug()
        assert charger.record("session_started")["token"] == CARDS[name][0]


def test_a_refused_card_leaves_the_preauthorisation_as_it_is():
    charger = Charger().tap("anna").tap("unknown")
    assert charger.refused_as("Unknown")
    assert charger.state == "preauthorised"
    assert charger.plug().session.holder[0] == b"anna"


def test_a_withdrawn_card_loses_its_preauthorisation():
    charger = Charger().tap("anna").tell("withdrawn")
    assert charger.state == "available"


# Open and restricted.


def test_an_open_charger_needs_no_card():
    charger = open_charger().plug()
    assert charger.state == "charging"
    assert charger.record("session_started") == {
        "token": None,
        "role": None,
        "group": 0,
        "by": "open",
    }
    charger.unplug()
    assert charger.record("session_ended") == {
        "token": None,
        "role": None,
        "by": "open",
        "reason": "unplugged",
    }


def test_a_vehicle_that_waits_in_yellow_starts_when_the_mode_becomes_open():
    charger = Charger().plug().tell("access", "open")
    assert charger.state == "charging"
    assert charger.record("session_started")["by"] == "open"
    assert Charger().plug(asks=False).tell("access", "open").state == "authorised"


def test_a_running_session_goes_on_when_the_mode_becomes_restricted():
    charger = open_charger().plug().tell("access", "restricted")
    assert charger.state == "charging"
    charger.tell("vehicle", True, False).tell("vehicle", True, True)
    assert charger.state == "charging"
    assert charger.unplug().plug().state == "awaiting"


def test_a_running_session_goes_on_when_the_mode_becomes_open():
    charger = charging_by("anna").tell("access", "open")
    assert charger.state == "charging"
    assert charger.session.holder[0] == b"anna"
    assert charger.tap("ben").refused_as("ConcurrentTx")


def test_an_access_mode_nobody_knows_is_restricted():
    charger = open_charger().tell("access", "ajar")
    assert charger.plug().state == "awaiting"


def test_an_approved_card_on_an_open_session_is_welcome_and_changes_nothing():
    charger = open_charger().plug(asks=False).tap("ben")
    assert charger.overlay() == "accepted"
    charger = open_charger().plug().tap("ben")
    assert charger.overlay() == "accepted"
    assert charger.state == "charging"
    assert charger.session.holder is None
    assert charger.tap("ben").state == "charging", "nor does it stop somebody else's session"


def test_an_unknown_card_on_an_open_session_is_refused():
    charger = open_charger().plug().tap("unknown")
    assert charger.refused_as("ConcurrentTx")
    assert charger.state == "charging"


def test_owners_and_service_end_an_open_session():
    for name in ("owner", "service"):
        charger = open_charger().plug().tap(name)
        assert charger.state == "finished"
        assert charger.record("session_ended")["reason"] == name


def test_an_open_session_that_was_ended_stays_ended_until_unplugged():
    charger = open_charger().plug().tap("owner")
    charger.tell("vehicle", True, False).tell("vehicle", True, True)
    charger.tell("access", "restricted").tell("access", "open")
    assert charger.state == "finished"
    assert charger.unplug().plug().state == "charging"


def test_an_open_session_under_a_restricted_mode_refuses_other_cards():
    charger = open_charger().plug().tell("access", "restricted").tap("ben")
    assert charger.refused_as("ConcurrentTx")
    assert charger.state == "charging"


def test_who_taps_first_at_an_open_charger_holds_the_session():
    charger = open_charger().tap("anna").plug()
    assert charger.record("session_started")["token"] == b"anna"
    assert charger.tap("anna").state == "finished"


# Withdrawn, stopped and started from elsewhere.


def test_a_withdrawn_card_ends_its_session():
    for asks in (True, False):
        charger = Charger().plug(asks).tap("anna").tell("withdrawn")
        assert charger.state == "finished"
        assert charger.record("session_ended")["reason"] == "withdrawn"
    assert charging_by("anna").tell("withdrawn").effects[0] == ("contactor", False)


def test_a_session_that_nobody_holds_is_not_withdrawn():
    charger = open_charger().plug().tell("withdrawn")
    assert charger.state == "charging"
    assert charger.effects == ()
    charger.tell("fault", "supply").tell("withdrawn")
    assert charger.effects == ()


def test_a_start_from_the_app_is_the_persons():
    charger = Charger().plug().tell("authorise", b"person", "user", 7)
    assert charger.state == "charging"
    assert charger.overlay() == "accepted"
    assert charger.record("session_started") == {
        "token": b"person",
        "role": "user",
        "group": 7,
        "by": "remote",
    }
    assert charger.tap("anna").state == "finished", "a card of the person's group stops it"


def test_a_start_from_the_app_waits_60_seconds_for_the_vehicle():
    charger = Charger().tell("authorise", b"person", "user", 7)
    assert charger.state == "preauthorised"
    assert charger.overlay() == "accepted"
    charger.wait(59_000).tell("authorise", b"second", "user", 0)
    assert charger.overlay() == "accepted"
    charger.wait(59_000).plug()
    assert charger.record("session_started")["token"] == b"second"
    assert Charger().tell("authorise", b"person", "user", 7).wait(60_000).state == "available"


def test_a_start_from_the_app_takes_a_finished_vehicle_up_again():
    charger = charging_by("anna").tap("anna").tell("authorise", b"person", "user", 7)
    assert charger.state == "charging"


def test_a_start_from_the_app_is_declined_while_a_session_runs():
    charger = charging_by("anna").tell("authorise", b"person", "user", 7)
    assert charger.declined() == [("declined", "authorise", "charging")]
    assert charger.session.holder[0] == b"anna"


def test_a_stop_from_elsewhere_ends_the_session_with_its_reason():
    for asks in (True, False):
        charger = Charger().plug(asks).tap("anna").tell("stop", None)
        assert charger.state == "finished"
        assert charger.record("session_ended")["reason"] == "remote"
    charger = charging_by("anna").tell("stop", "operator")
    assert charger.record("session_ended")["reason"] == "operator"
    assert charger.effects[0] == ("contactor", False)


def test_a_stop_from_elsewhere_ends_a_session_that_nobody_holds_too():
    charger = open_charger().plug().tell("stop", None)
    assert charger.state == "finished"
    assert charger.record("session_ended")["reason"] == "remote"
    charger = open_charger().plug().tell("fault", "supply").tell("stop", None)
    assert charger.record("session_ended")["reason"] == "remote"


def test_a_stop_takes_a_preauthorisation_back_and_is_declined_where_there_is_nothing():
    assert Charger().tap("anna").tell("stop", None).state == "available"
    charger = Charger().plug().tell("stop", None)
    assert charger.declined() == [("declined", "stop", "awaiting")]


# Switched off by the owner.


def test_switching_off_ends_the_session_and_says_why():
    for asks in (True, False):
        charger = Charger().plug(asks).tap("anna").tell("available", False)
        assert charger.state == "unavailable"
        assert charger.record("session_ended")["reason"] == "unavailable"
    charger = charging_by("anna").tell("available", False)
    assert charger.effects[0] == ("contactor", False)


def test_switched_off_from_every_state_without_a_session():
    for charger in (
        Charger(),
        Charger().tap("anna"),
        Charger().plug(),
        charging_by("anna").tap("anna"),
        Charger().tell("enrol", 60),
    ):
        assert charger.tell("available", False).state == "unavailable"
        assert charger.session.holder is None


def test_switched_off_nobody_charges_not_even_when_open():
    charger = Charger().tell("available", False).tell("access", "open").plug()
    assert charger.state == "unavailable"
    charger.tap("anna")
    assert charger.refused_as("NotAtThisTime")
    assert charger.overlay() == "refused"
    charger.tell("authorise", b"person", "user", 0)
    assert charger.declined() == [("declined", "authorise", "unavailable")]


def test_switched_on_again_the_charger_is_what_the_vehicle_makes_it():
    off = ("available", False)
    on = ("available", True)
    assert Charger().tell(*off).tell(*on).state == "available"
    assert Charger().tell(*off).plug().tell(*on).state == "awaiting"
    assert Charger().plug().tell(*off).unplug().tell(*on).state == "available"
    assert charging_by("anna").tell(*off).tell(*on).state == "awaiting"
    assert open_charger().plug().tell(*off).tell(*on).state == "charging"


def test_switching_on_again_during_a_fault_lets_an_open_charger_begin_anew():
    charger = open_charger().plug().tap("owner").tell("fault", "supply")
    charger.tell("available", False).tell("available", True)
    charger.tell("fault_cleared", "supply").wait(2_000)
    assert charger.state == "charging"


# A card that the operator judges.


def checking(name="anna"):
    return Charger().plug().ask(name)


def test_a_card_is_put_to_the_operator_with_the_state_it_was_tapped_in():
    for charger, state in (
        (Charger(), "available"),
        (Charger().plug(), "awaiting"),
        (charging_by("ben").tap("ben"), "finished"),
    ):
        charger.ask("anna")
        assert charger.state == "checking"
        assert charger.effects == (("ask", b"anna", state),)
        assert not charger.offered


def test_an_accepted_card_charges_at_once_as_the_operators():
    charger = checking().answer("anna")
    assert charger.state == "charging"
    assert charger.effects[:2] == (("offer", True), ("contactor", True))
    assert charger.overlay() == "accepted"
    assert charger.record("session_started") == {
        "token": b"anna",
        "role": "user",
        "group": 7,
        "by": "operator",
    }
    assert Charger().plug(asks=False).ask("anna").answer("anna").state == "authorised"
    assert Charger().plug().ask("owner").answer("owner").state == "charging"


def test_an_accepted_card_without_a_vehicle_waits_60_seconds_for_it():
    charger = Charger().ask("anna").answer("anna")
    assert charger.state == "preauthorised"
    assert charger.overlay() == "accepted"
    charger.wait(59_999).plug()
    assert charger.record("session_started")["by"] == "operator"
    assert Charger().ask("anna").answer("anna").wait(60_000).state == "available"


def test_a_vehicle_that_comes_while_the_card_is_checked_charges_with_the_answer():
    charger = Charger().ask("anna").plug()
    assert charger.state == "checking"
    assert charger.answer("anna").state == "charging"


def test_a_card_that_the_operator_refuses_leads_back_with_the_verdict_as_it_came():
    for before, state in (
        (Charger(), "available"),
        (Charger().plug(), "awaiting"),
        (charging_by("ben").tap("ben"), "finished"),
    ):
        start = before.session
        for verdict in ("Blocked", "Unknown", "NoCredit", "ConcurrentTx", "NotAllowedTypeEVSE"):
            before.session = start
            charger = before.ask("anna").answer("anna", verdict)
            assert charger.state == state
            assert charger.overlay() == "refused"
            assert charger.refused_as(verdict)
            assert charger.session.asked is None
    assert checking().answer("anna", "Expired").overlay() == "expired"


def test_the_operators_service_card_ends_sessions_and_starts_none():
    charger = Charger().plug().ask("service").answer("service")
    assert charger.state == "awaiting"
    assert charger.refused_as("Invalid")
    charger = charging_by("anna").ask("service").answer("service")
    assert charger.state == "finished"
    assert charger.record("session_ended")["reason"] == "service"
    assert Charger().ask("service").answer("service").state == "service"
    charger = Charger().plug().ask("service that may start").answer("service that may start")
    assert charger.state == "charging"


def test_no_answer_in_time_leaves_the_card_to_somebody_else():
    for charger, state in (
        (Charger().ask("anna", 20), "available"),
        (Charger().plug().ask("anna", 20), "awaiting"),
        (charging_by("ben").tap("ben").ask("anna", 20), "finished"),
        (charging_by("ben").ask("anna", 20), "charging"),
        (Charger().tap("ben").ask("anna", 20), "preauthorised"),
    ):
        assert charger.wait(19_999).session.asked is not None
        charger.wait(1)
        assert charger.state == state
        assert charger.effects == (("unanswered", b"anna"),)
        assert charger.answer("anna").effects == (), "too late"
        assert charger.state == state


def test_what_will_not_be_answered_need_not_be_waited_for():
    charger = checking().tell("unanswered")
    assert charger.state == "awaiting"
    assert charger.effects == (("unanswered", b"anna"),)
    assert charger.tell("unanswered").effects == ()


def test_an_answer_about_another_card_or_about_none_does_nothing():
    for charger in (checking("ben"), Charger().plug(), Charger(), charging_by("ben")):
        before = charger.session
        charger.answer("anna").answer("owner")
        assert charger.session is before
        assert charger.effects == ()


def test_only_the_first_of_two_answers_counts():
    charger = checking().answer("anna", "Blocked").answer("anna")
    assert charger.state == "awaiting"
    charger = checking().answer("anna").wait(2_000).answer("anna", "Blocked")
    assert charger.state == "charging"
    assert charger.effects == ()


def test_checking_is_left_by_what_happens_meanwhile_and_the_answer_then_starts_nothing():
    for event, state in (
        (("vehicle", False, False), "available"),
        (("access", "open"), "charging"),
    ):
        charger = checking().tell(*event)
        assert charger.state == state
        assert charger.session.asked is None
        charger.answer("anna")
        assert charger.state == state
        assert charger.effects == ()
    assert checking().tell("access", "open").record("session_started")["by"] == "open"


def test_a_card_that_is_checked_when_nobody_is_served_any_more_is_told_so_or_waits_until_it_is():
    for began, over, state in (
        (("available", False), ("available", True), "unavailable"),
        (("fault", "supply"), ("fault_cleared", "supply"), "faulted"),
    ):
        charger = checking().tell(*began)
        assert charger.state == state
        assert charger.answer("anna").refused_as("NotAtThisTime")
        assert charger.state == state
        charger = checking().tell(*began).tell(*over).wait(2_000)
        assert charger.state == "checking"
        assert charger.answer("anna").state == "charging"
        charger = checking().tell(*began).unplug().tell(*over).wait(2_000)
        assert charger.answer("anna").state == "available", "whoever leaves has not waited"


def test_a_question_that_runs_beside_what_is_over_keeps_the_charger_checking_until_its_end():
    for before, event in (
        (Charger().tap("anna"), ("stop", None)),
        (Charger().tap("anna"), ("withdrawn",)),
        (Charger().tell("available", False), ("available", True)),
        (Charger().tell("selftest", True), ("selftest", False)),
    ):
        charger = before.ask("ben", 20).tell(*event)
        assert charger.state == "checking"
        assert charger.tell("enrol", 60).declined()
        waits = charger.session
        assert charger.wait(20_000).effects == (("unanswered", b"ben"),)
        assert charger.state == "available"
        charger.session = waits
        assert charger.answer("ben").state == "preauthorised"
    assert Charger().tap("anna").ask("ben").ask("anna").state == "checking", "taken back"


def test_an_approval_that_lapses_beside_a_question_leaves_the_vehicle_to_the_other_card():
    charger = Charger().tap("anna").wait(48_500).ask("ben", 60).wait(10_000)
    assert charger.state == "checking"
    assert charger.plug().state == "checking"
    assert charger.answer("ben").record("session_started")["token"] == b"ben"
    charger = Charger().tell("fault", "supply").ask("ben").plug()
    assert charger.tell("fault_cleared", "supply").wait(2_000).state == "checking"


def test_groups_of_the_operator_and_groups_of_the_list_are_no_one_anothers():
    charger = charging_by("anna").ask("anna's mate").answer("anna's mate")
    assert charger.refused_as("ConcurrentTx")
    charger = checking().answer("anna").tap("anna's mate")
    assert charger.refused_as("ConcurrentTx")
    charger = checking().answer("anna").ask("anna's mate").answer("anna's mate")
    assert charger.record("session_ended")["reason"] == "group"
    charger = Charger().plug().tell("authorise", b"person", "user", 7)
    assert charger.ask("anna's mate").answer("anna's mate").refused_as("ConcurrentTx")
    assert charger.tap("anna's mate").record("session_ended")["reason"] == "group"


def test_checking_goes_on_whatever_else_happens():
    for charger in (Charger(), Charger().plug()):
        before = charger.ask("anna").session
        for event in ORDERS + HAPPENINGS:
            charger.session = before
            if event[0] in ("available", "access") or event == ("vehicle", False, False):
                continue
            charger.tell(*event)
            assert charger.state == "checking", event
            assert charger.session.asked == before.asked


def test_a_charger_that_opened_while_a_card_is_checked_keeps_no_vehicle_waiting():
    charger = open_charger().ask("anna").plug()
    assert charger.state == "charging"
    assert charger.record("session_started")["by"] == "open"
    assert Charger().ask("anna").tell("access", "open").state == "available"


def test_a_card_that_comes_while_another_is_checked_is_concurrent():
    for name in ("ben", "owner", "service"):
        for charger in (checking().tap(name), checking().ask(name)):
            assert charger.refused_as("ConcurrentTx")
            assert charger.overlay() == "refused"
            assert charger.state == "checking"
            assert charger.answer("anna").state == "charging"
    charger = checking().tap("phone")
    assert charger.refused_as("ConcurrentTx")
    assert charger.record("card_refused")["judged"] == "RandomNumber"


def test_the_card_that_is_checked_may_wobble():
    charger = checking()
    before = charger.session
    for _ in range(2):
        charger.ask("anna")
        assert charger.effects == ()
        charger.tap("anna")
        assert charger.effects == ()
    assert charger.session == before


def test_the_operators_driver_stops_without_being_asked_about():
    for charger in (
        charging_by("anna"),
        checking().answer("anna"),
        Charger().plug(asks=False).tap("anna"),
    ):
        charger.ask("anna")
        assert charger.state == "finished"
        assert charger.record("session_ended")["reason"] == "card"
        assert charger.overlay() == "accepted"
    charger = charging_by("anna").tell("fault", "supply").ask("anna")
    assert charger.record("session_ended")["reason"] == "card"
    assert Charger().tap("anna").ask("anna").state == "available", "takes the approval back"


def test_an_operators_accepted_tap_is_no_stop_within_one_and_a_half_seconds():
    charger = checking().answer("anna").wait(1_499).ask_at_once("anna")
    assert charger.state == "charging"
    assert charger.effects == ()
    assert charger.wait(1).ask_at_once("anna").state == "finished"


def test_the_session_goes_on_while_another_card_is_asked_about():
    for name, verdict, reason in (
        ("anna's mate", None, "group"),
        ("owner", None, "owner"),
        ("service", None, "service"),
        ("ben", None, None),
        ("unknown", None, None),
        ("owner", "Blocked", None),
    ):
        for faults in ((), ("supply",)):
            charger = checking().answer("anna")
            for fault in faults:
                charger.tell("fault", fault)
            state = charger.state
            charger.ask(name)
            assert charger.effects == (("ask", CARDS[name][0], state),)
            assert charger.state == state
            charger.answer(name, verdict)
            if reason is None:
                assert charger.state == state
                assert charger.refused_as("ConcurrentTx")
            else:
                assert charger.record("session_ended")["reason"] == reason
                assert charger.overlay() == "accepted"


def test_a_question_about_a_session_ends_with_it_and_the_card_is_told():
    for event in (("vehicle", False, False), ("stop", None), ("withdrawn",), ("available", False)):
        charger = charging_by("anna").ask("ben").tell(*event)
        assert charger.record("card_refused") == {
            "token": b"ben",
            "role": None,
            "verdict": "ConcurrentTx",
            "state": "charging",
        }
        assert charger.overlay() == "refused"
        before = charger.session
        assert before.asked is None
        charger.answer("ben")
        assert charger.session is before
    charger = charging_by("anna").ask("ben").tap("anna")
    assert charger.refused_as("ConcurrentTx")
    assert charger.effects[-1] == ("overlay", "accepted"), "whose card is there sees green"
    assert charger.answer("ben").state == "finished"


def test_a_preauthorisation_stands_until_the_operator_accepts_the_other_card():
    charger = Charger().tap("anna").ask("ben")
    assert charger.state == "preauthorised"
    charger.answer("ben", "Blocked")
    assert charger.refused_as("Blocked")
    assert charger.plug().session.holder[0] == b"anna"
    charger = Charger().tap("anna").ask("ben").answer("ben")
    assert charger.plug().session.holder[0] == b"ben"
    charger = Charger().tap("anna").ask("ben").plug()
    assert charger.session.holder[0] == b"anna"
    assert charger.answer("ben").refused_as("ConcurrentTx")


def test_one_card_is_asked_about_at_a_time():
    charger = charging_by("anna").ask("ben").ask("owner")
    assert charger.refused_as("ConcurrentTx")
    assert "judged" not in charger.record("card_refused")
    assert charger.answer("owner").effects == ()
    assert charger.answer("ben").refused_as("ConcurrentTx")
    assert charger.ask("owner").answer("owner").state == "finished"
    assert charging_by("anna").ask("ben").ask("anna").state == "finished", "one's own always"


def test_where_nobody_is_served_the_operator_lets_service_in_alone():
    for event in (("available", False), ("fault", "supply")):
        charger = Charger().tell(*event)
        state = charger.state
        assert charger.ask("anna").state == state
        assert charger.answer("anna").refused_as("NotAtThisTime")
        assert charger.state == state
        assert charger.ask("service").answer("service").state == "service"


def test_a_card_is_registered_and_asked_of_nobody_while_enrolling():
    charger = Charger().tell("enrol", 60).tell("shown", b"anna", False)
    assert charger.state == "available"
    assert "ask" not in [effect[0] for effect in charger.effects]


def test_more_words_on_a_refusal_are_kept():
    charger = Charger().plug().tell("tap", b"anna", None, 0, "Unknown", "nobody at home")
    assert charger.record("card_refused")["why"] == "nobody at home"
    assert "why" not in Charger().plug().tap("unknown").record("card_refused")


# Faults.


def test_a_fault_opens_the_contactor_first_in_every_state():
    for charger in (
        Charger(),
        Charger().tap("anna"),
        Charger().plug(),
        charging_by("anna"),
        Charger().plug(asks=False).tap("anna"),
        charging_by("anna").tap("anna"),
        Charger().tell("enrol", 60),
        Charger().tap("service"),
        Charger().tell("available", False),
    ):
        tested = charger.state == "service"
        charger.tell("fault", "contactor_welded")
        assert charger.state == ("service" if tested else "faulted")
        assert charger.effects[0] == ("contactor", False)
        assert charger.record("fault") == {"fault": "contactor_welded"}
        assert not charger.offered


def test_a_session_outlives_a_fault():
    charger = charging_by("anna").tell("fault", "pilot_short")
    assert not charger.record("session_ended")
    charger.tell("fault_cleared", "pilot_short")
    assert charger.record("fault_cleared") == {"fault": "pilot_short"}
    assert charger.wait(1_999).state == "faulted"
    charger.wait(1)
    assert charger.state == "charging"
    assert not charger.record("session_started")
    assert charger.session.holder[0] == b"anna"


def test_a_vehicle_that_rested_during_the_fault_is_authorised_after_it():
    charger = charging_by("anna").tell("fault", "supply").tell("vehicle", True, False)
    charger.tell("fault_cleared", "supply").wait(2_000)
    assert charger.state == "authorised"
    assert charger.offered


def test_nothing_but_time_ends_the_wait_after_a_fault():
    for charger in (charging_by("anna"), open_charger().plug(), Charger()):
        charger.wait(1_500).tell("fault", "supply").tell("fault_cleared", "supply")
        before = charger.session
        for event in TAPS + ORDERS + HAPPENINGS:
            by_card = event[0] == "tap" and event[2] in ("service", "owner")
            if not before.connected and (by_card or event == ("selftest", True)):
                continue
            charger.session = before
            charger.tell(*event)
            assert charger.state == "faulted", event
            charger.wait(0)
            assert charger.state == "faulted", event


def test_a_fault_that_comes_back_at_once_is_waited_out_anew():
    charger = charging_by("anna").tell("fault", "supply").tell("fault_cleared", "supply")
    charger.wait(1_500).tell("fault", "supply")
    charger.wait(1_500)
    assert charger.state == "faulted"
    assert charger.wait(100).session is charger.wait(100).session, "waits for no time"
    charger.wait(60_000).tell("fault_cleared", "supply")
    assert charger.wait(1_999).state == "faulted"
    assert charger.wait(1).state == "charging"


def test_the_last_of_several_faults_counts():
    charger = Charger().tell("fault", "a").tell("fault", "b").tell("fault", "a")
    assert charger.session.faults == ("a", "b")
    assert charger.effects == ()
    charger.tell("fault_cleared", "a")
    assert charger.record("fault_cleared") == {"fault": "a"}
    waiting = Charger().plug().tell("fault", "a").tell("fault", "b").tell("fault_cleared", "a")
    assert waiting.record("fault_cleared") == {"fault": "a"}
    assert charger.wait(10_000).state == "faulted"
    assert charger.tell("fault_cleared", "b").wait(2_000).state == "available"


def test_a_vehicle_that_leaves_during_a_fault_ends_its_session():
    charger = charging_by("anna").tell("fault", "supply").unplug()
    assert charger.record("session_ended")["reason"] == "unplugged"
    assert charger.tell("fault_cleared", "supply").wait(2_000).state == "available"


def test_a_session_is_ended_during_a_fault_by_those_who_may():
    for name, reason in (
        ("anna", "card"),
        ("anna's mate", "group"),
        ("owner", "owner"),
        ("service", "service"),
    ):
        charger = charging_by("anna").tell("fault", "supply").tap(name)
        assert charger.state == "faulted"
        assert charger.overlay() == "accepted"
        assert charger.record("session_ended")["reason"] == reason
        charger.tell("fault_cleared", "supply").wait(2_000)
        assert charger.state == "finished"


def test_a_session_is_ended_during_a_fault_from_elsewhere_too():
    for event, reason in (
        (("stop", None), "remote"),
        (("withdrawn",), "withdrawn"),
        (("available", False), "unavailable"),
    ):
        charger = charging_by("anna").tell("fault", "supply").tell(*event)
        assert charger.state == "faulted"
        assert charger.record("session_ended")["reason"] == reason


def test_other_cards_during_a_fault_are_concurrent_with_a_session_and_untimely_without():
    charger = charging_by("anna").tell("fault", "supply")
    for name in ("ben", "unknown"):
        assert charger.tap(name).refused_as("ConcurrentTx")
    charger = Charger().plug().tell("fault", "supply")
    for name in ("anna", "owner", "service"):
        assert charger.tap(name).refused_as("NotAtThisTime")
        assert charger.state == "faulted"
    assert charger.tap("unknown").refused_as("Unknown")


def test_a_fault_ends_a_preauthorisation():
    charger = Charger().tap("anna").tell("fault", "supply").plug()
    assert charger.tell("fault_cleared", "supply").wait(2_000).state == "awaiting"


def test_an_open_charger_begins_after_the_fault():
    charger = open_charger().tell("fault", "supply").plug()
    assert charger.state == "faulted"
    charger.tell("fault_cleared", "supply").wait(2_000)
    assert charger.state == "charging"
    assert charger.record("session_started")["by"] == "open"


def test_a_charger_switched_off_during_a_fault_is_off_after_it():
    charger = Charger().tell("fault", "supply").tell("available", False)
    assert charger.tell("fault_cleared", "supply").wait(2_000).state == "unavailable"


# A session that was cut short by the end of the board's power.


def resumed(by="card", asks=True, charger=None):
    """Anna's session, or nobody's, goes on at a charger that has just started."""
    held = (b"anna", "user", 7) if by != "open" else (None, None, 0)
    return (charger or Charger()).tell("resume", *held, by, asks)


def test_a_session_resumes_with_its_holder_and_is_not_started_again():
    for by in ("card", "operator", "remote"):
        charger = resumed(by)
        assert charger.state == "charging"
        assert charger.effects == (
            ("offer", True),
            ("contactor", True),
            ("record", "session_resumed", {}),
        )
        assert charger.session.holder == (b"anna", 7, "user", by)
        assert charger.session.connected
        ended = charger.unplug().record("session_ended")
        assert (ended["token"], ended["by"], ended["reason"]) == (b"anna", by, "unplugged")


def test_a_session_resumes_for_a_vehicle_that_has_to_be_offered_energy_first():
    charger = resumed(asks=False)
    assert charger.state == "authorised"
    assert charger.offered
    assert charger.tell("vehicle", True, True).state == "charging"


def test_who_may_end_a_session_may_end_it_after_it_has_resumed():
    for name, reason in (("anna", "card"), ("anna's mate", "group"), ("owner", "owner")):
        charger = resumed().tap_at_once(name)
        assert charger.state == "finished"
        assert charger.record("session_ended")["reason"] == reason
    assert resumed().tap("ben").refused_as("ConcurrentTx")


def test_nobodys_session_resumes_only_while_access_is_open():
    charger = resumed("open", charger=open_charger())
    assert charger.state == "charging"
    assert charger.session.holder is None
    assert resumed("open").session is START
    assert resumed("card", charger=open_charger()).session.holder[0] == b"anna"


def test_a_session_resumes_behind_a_fault_and_goes_on_after_it():
    charger = resumed(charger=Charger().tell("fault", "contactor_welded"))
    assert charger.state == "faulted"
    assert charger.record("session_resumed") == {}
    assert not charger.record("session_ended")
    charger.tell("fault_cleared", "contactor_welded").wait(2_000)
    assert charger.state == "charging"
    charger = resumed(charger=Charger().tell("fault", "contactor_welded"))
    assert charger.unplug().record("session_ended")["reason"] == "unplugged"


def test_a_session_that_has_been_overtaken_by_events_does_not_resume():
    for charger in (
        Charger().tell("available", False),
        Charger().tell("fault", "supply").tell("available", False),
        Charger().tap("ben"),
        Charger().tell("enrol", 60),
        Charger().tell("selftest", True),
        Charger().ask("ben"),
        Charger().plug(),
        charging_by("ben"),
        charging_by("anna").tap("anna"),
    ):
        before = charger.session
        resumed(charger=charger)
        assert charger.session is before
        assert charger.effects == ()


# Enrolling.


def test_the_next_card_is_registered_and_not_judged():
    for charger, state in ((Charger(), "available"), (Charger().plug(), "awaiting")):
        charger.tell("enrol", 60)
        assert charger.state == "enrolling"
        charger.tap("unknown")
        assert charger.state == state
        assert charger.effects == (("overlay", "enrolled"), ("enrolled", b"nobody", False))


def test_a_card_that_is_on_the_list_already_is_told_and_shown_red():
    for name in ("anna", "owner", "blocked", "service"):
        charger = Charger().tell("enrol", 60).tap(name)
        assert charger.state == "available"
        assert charger.effects == (("overlay", "refused"), ("enrolled", CARDS[name][0], True))


def test_a_registered_card_that_wobbles_is_not_refused_as_unknown():
    charger = Charger().tell("enrol", 60).tap("unknown").wait(1_000).tap_at_once("unknown")
    assert charger.effects == ()


def test_a_random_number_is_never_registered():
    charger = Charger().tell("enrol", 60).tap("phone")
    assert charger.state == "available"
    assert charger.overlay() == "refused"
    assert charger.refused_as("RandomNumber")
    assert charger.effects[-1] == ("enrol_failed", "RandomNumber")
    assert "enrolled" not in [effect[0] for effect in charger.effects]


def test_an_unreadable_card_may_be_tried_again_while_enrolling():
    for kind in ("unreadable", "several"):
        charger = Charger().tell("enrol", 60).tell("unreadable", kind)
        assert charger.state == "enrolling"
        assert charger.effects == (("overlay", "unreadable"), ("enrol_retry", kind))
        assert charger.tap("unknown").effects[-1] == ("enrolled", b"nobody", False)


def test_enrolling_ends_by_itself_and_by_order():
    charger = Charger().tell("enrol", 20)
    assert charger.wait(19_999).state == "enrolling"
    charger.wait(1)
    assert charger.state == "available"
    assert charger.effects == (("enrol_failed", "time_out"),)
    charger = Charger().tell("enrol", 20).tell("cancel_enrol")
    assert charger.state == "available"
    assert charger.effects == (("enrol_failed", "cancelled"),)
    charger.tell("cancel_enrol")
    assert charger.declined() == [("declined", "cancel_enrol", "available")]


def test_enrolling_again_gives_the_time_anew_and_never_more_than_ten_minutes():
    for charger in (Charger(), Charger().plug()):
        charger.tell("enrol", 20).wait(15_000).tell("enrol", 20)
        assert charger.wait(15_000).state == "enrolling"
    charger = Charger().tell("enrol", 20).tell("enrol", 200)
    assert charger.effects == (("enrol_failed", "replaced"),)
    assert charger.wait(199_999).state == "enrolling"
    charger = Charger().tell("enrol", 1_000_000)
    assert charger.wait(600_000).state == "available"


def test_a_vehicle_that_waits_is_found_again_after_enrolling():
    charger = Charger().plug().tell("enrol", 60)
    assert charger.state == "enrolling"
    assert charger.tap("ben").state == "awaiting"
    assert Charger().tell("enrol", 60).plug().tap("ben").state == "awaiting"
    assert Charger().plug().tell("enrol", 60).unplug().tap("ben").state == "available"
    for end in (("cancel_enrol",), ("tap", None, None, 0, "RandomNumber")):
        charger = Charger().tell("enrol", 60).plug().tell(*end)
        assert charger.state == "awaiting"
        assert charger.tap("ben").state == "charging"
    assert Charger().tell("enrol", 60).plug().wait(60_000).state == "awaiting"


def test_a_vehicle_that_was_plugged_in_while_enrolling_starts_when_the_mode_is_open():
    charger = open_charger().tell("enrol", 60).plug().tap("ben")
    assert charger.state == "charging"
    assert charger.record("session_started")["token"] is None


def test_enrolling_is_declined_where_people_are_served():
    for charger, state in (
        (Charger().tap("anna"), "preauthorised"),
        (charging_by("anna"), "charging"),
        (charging_by("anna").tap("anna"), "finished"),
        (Charger().tell("available", False), "unavailable"),
        (Charger().tell("fault", "supply"), "faulted"),
    ):
        assert charger.tell("enrol", 60).declined() == [("declined", "enrol", state)]
        assert charger.state == state


def test_enrolling_that_is_cut_short_says_why():
    for charger in (Charger(), Charger().plug()):
        before = charger.tell("enrol", 60).session
        for event, why, state in (
            (("fault", "supply"), "fault", "faulted"),
            (("available", False), "unavailable", "unavailable"),
            (("cancel_enrol",), "cancelled", "awaiting" if before.connected else "available"),
        ):
            charger.session = before
            charger.tell(*event)
            assert ("enrol_failed", why) in charger.effects
            assert charger.state == state


def test_enrolling_goes_on_whatever_else_happens():
    for charger in (Charger(), Charger().plug()):
        before = charger.tell("enrol", 60).session
        for event in ORDERS + HAPPENINGS:
            charger.session = before
            if event not in (("cancel_enrol",), ("available", False)):
                charger.tell(*event)
                assert charger.state == "enrolling", event


# Self-test.


def test_a_service_card_begins_and_leaves_the_self_test_when_no_vehicle_is_connected():
    for charger in (
        Charger(),
        Charger().tap("anna"),
        Charger().tell("available", False),
        Charger().tell("fault", "supply"),
    ):
        before = charger.state
        charger.tap("service")
        assert charger.state == "service"
        assert charger.effects == (("selftest", True), ("overlay", "accepted"))
        charger.tap("service")
        assert charger.state == ("available" if before == "preauthorised" else before)
        assert charger.effects[:2] == (("contactor", False), ("selftest", False)) or (
            before == "faulted"
        )


def test_an_owner_card_leaves_the_self_test_too():
    assert Charger().tap("service").tap("owner").state == "available"


def test_other_cards_wait_for_the_end_of_the_self_test():
    charger = Charger().tap("service").tap("anna")
    assert charger.refused_as("NotAtThisTime")
    assert charger.state == "service"


def test_the_self_test_can_be_ordered_where_no_vehicle_is_connected():
    for charger in (
        Charger(),
        Charger().tap("anna"),
        Charger().tell("available", False),
        Charger().tell("fault", "supply"),
    ):
        charger.tell("selftest", True)
        assert charger.state == "service"
        assert charger.effects == (("selftest", True),)


def test_no_self_test_with_a_vehicle_connected():
    for charger in (
        Charger().plug(),
        charging_by("anna"),
        charging_by("anna").tap("anna"),
        Charger().plug().tell("available", False),
        Charger().plug().tell("fault", "supply"),
    ):
        before = charger.state
        charger.tell("selftest", True)
        assert charger.declined() == [("declined", "selftest", before)]
        charger.tell("selftest", False)
        assert charger.effects == ()
        assert charger.tap("unknown").state == before
        if before not in ("charging",):
            assert charger.tap("service").state == before


def test_a_vehicle_ends_the_self_test_and_the_contactor_opens_first():
    charger = Charger().tap("service").plug()
    assert charger.state == "awaiting"
    assert charger.effects == (("contactor", False), ("selftest", False))
    charger = open_charger().tap("service").plug()
    assert charger.state == "charging"
    assert charger.effects[:4] == (
        ("contactor", False),
        ("selftest", False),
        ("offer", True),
        ("contactor", True),
    )


def test_the_self_test_ends_by_itself_and_by_its_result():
    assert Charger().tap("service").tell("selftest", False).state == "available"
    for charger, back in (
        (Charger(), "available"),
        (Charger().tap("anna"), "available"),
        (Charger().tell("available", False), "unavailable"),
        (Charger().tell("fault", "supply"), "faulted"),
    ):
        before = charger.session
        for event in (("selftest", True), ("tap", b"service", "service", 0, "Invalid")):
            charger.session = before
            charger.tell(*event)
            assert charger.wait(89_999).state == "service"
            assert charger.wait(1).state == back


def test_the_self_test_goes_on_whatever_else_happens():
    charger = Charger().tell("selftest", True)
    for event in ORDERS + HAPPENINGS:
        if event not in (("selftest", False), ("stop", None)) and event[0] != "vehicle":
            charger.tell(*event)
            assert charger.state == "service", event


def test_whoever_comes_too_late_but_before_the_tick_is_not_turned_away():
    for charger in (Charger().tap("anna"), Charger().tell("enrol", 60), Charger().tap("service")):
        charger.wait(2_000)
        for event in TAPS + ORDERS + [("fault", "supply"), ("available", False)]:
            in_time, effects = step(charger.session, event, charger.now_ms)
            too_late, same = step(charger.session, event, (charger.now_ms + 700_000) % PERIOD)
            assert (in_time.state, effects) == (too_late.state, same), event


def test_a_fault_found_by_the_self_test_shows_when_it_is_over():
    charger = Charger().tap("service").tell("fault", "contactor_stuck_open")
    assert charger.state == "service"
    assert charger.effects[0] == ("contactor", False)
    assert charger.record("fault") == {"fault": "contactor_stuck_open"}
    assert charger.tell("selftest", False).state == "faulted"
    charger.tap("service")
    assert charger.tell("fault_cleared", "contactor_stuck_open").state == "service"
    assert charger.tell("selftest", False).state == "available"


def test_the_self_test_can_be_stopped_from_elsewhere():
    charger = Charger().tell("selftest", True).tell("stop", None)
    assert charger.state == "available"
    assert charger.effects == (("contactor", False), ("selftest", False))


def test_an_owners_card_begins_the_self_test_where_it_could_approve_nobody():
    for charger in (Charger().tell("available", False), Charger().tell("fault", "supply")):
        assert charger.tap("owner").state == "service"
        assert charger.overlay() == "accepted"
    for charger in (
        Charger().plug().tell("available", False),
        Charger().plug().tell("fault", "supply"),
    ):
        before = charger.state
        assert charger.tap("owner").state == before
    assert Charger().tap("owner").state == "preauthorised"


def test_the_self_test_may_close_the_contactor_with_no_vehicle_and_no_fault_and_no_other_way():
    charger = Charger().tell("selftest", True)
    assert may_close(charger.session, True)
    assert not may_close(charger.session), "but for that one part of it"
    assert not may_close(charger.tell("fault", "supply").session, True)
    for charger in (
        Charger(),
        Charger().tap("anna"),
        Charger().plug(),
        Charger().tell("selftest", True).plug(),
        Charger().tell("fault", "supply"),
        Charger().tell("available", False),
        charging_by("anna").tap("anna"),
    ):
        assert not may_close(charger.session, True), charger.state
    assert may_close(charging_by("anna").session, True)


# The table itself.


def test_every_line_has_five_columns_of_known_words():
    states = set(light.STATES)
    for line in TABLE.split("\n"):
        if not line or line[0] == "#":
            continue
        where, _, condition, next_state, effects = line.split()
        assert where == "*" or set(where.split(",")) <= states, line
        assert next_state in states or next_state in ("(stay)", "(go)", "(rest)"), line
        assert condition in session._CONDITIONS, line
        if effects != "-":
            for effect in effects.split(","):
                assert effect.split(":")[0] in session._EFFECTS, line
                if effect.startswith("limit:"):
                    assert effect[6:] in session.LIMIT_MS or effect[6:] == "enrol", line


def test_an_event_that_no_line_takes_is_told_at_once():
    error = raises(ValueError, step, START, ("teleport",), 0)
    assert "teleport" in str(error)
    assert "available" in str(error)
