"""What a driver sees and what the contactor does, measured at the pins."""

import time

from host_tests.end_to_end.conftest import ANNA, OWNER, STRANGER, Site
from host_tests.end_to_end.seeing import (
    coil,
    light,
    ms_from_card_to,
    ms_until,
    plug_in,
    rests,
    start_charging,
    tap,
    unplug,
)
from tools.virtual.client import VirtualCharger

SETTLED_S = 1.6  # an approved tap cannot be turned into a stop within 1.5 s


def test_a_vehicle_that_waits_is_shown_yellow_within_200_ms(charger: VirtualCharger):
    assert ms_until(charger, "plug", light("yellow")) < 200
    assert charger.status()["contactor"] is False


def test_an_unknown_card_is_shown_red_and_the_coil_stays_off(charger: VirtualCharger):
    plug_in(charger, "yellow")
    since = tap(charger, STRANGER)
    charger.wait_for(light("red"), 5, since)
    charger.wait_for(light("yellow"), 4, since)
    assert not [push for push in charger.pushes if coil(True)(push)]


def test_an_approved_card_closes_the_contactor_and_the_light_turns_blue(charger: VirtualCharger):
    plug_in(charger, "yellow")
    since = tap(charger, ANNA)
    assert ms_from_card_to(charger, coil(True), since) < 200
    charger.wait_for(light("green"), 5, since)  # accepted
    charger.wait_for(light("blue"), 4, since)


def test_the_same_card_again_ends_the_session(charger: VirtualCharger):
    start_charging(charger, ANNA)
    time.sleep(SETTLED_S)
    charger.wait_for(coil(False), 1, tap(charger, ANNA))


def test_an_approved_tap_is_not_turned_into_a_stop_at_once(charger: VirtualCharger):
    start_charging(charger, ANNA)
    time.sleep(0.5)  # long enough for the card to be gone, and come again
    rests(charger, coil(False), 0.5, tap(charger, ANNA))


def test_a_card_left_lying_is_one_tap(charger: VirtualCharger):
    plug_in(charger, "yellow")
    since = charger.mark()
    charger.do("place", uid=ANNA)
    charger.wait_for(coil(True), 5, since)
    rests(charger, coil(False), SETTLED_S + 1, since)


def test_somebody_elses_card_does_not_end_the_session(charger: VirtualCharger):
    start_charging(charger, ANNA)
    time.sleep(SETTLED_S)
    since = tap(charger, STRANGER)
    charger.wait_for(light("red"), 5, since)
    rests(charger, coil(False), 0.5, since)


def test_the_owners_card_ends_anybodys_session(charger: VirtualCharger):
    start_charging(charger, ANNA)
    time.sleep(SETTLED_S)
    charger.wait_for(coil(False), 1, tap(charger, OWNER))


def test_unplugging_opens_the_contactor_within_100_ms(charger: VirtualCharger):
    start_charging(charger, ANNA)
    assert ms_until(charger, "unplug", coil(False)) < 100


def test_the_next_vehicle_is_shown_yellow_and_heard_at_once(charger: VirtualCharger):
    plug_in(charger, "yellow")
    charger.wait_for(light("red"), 1, tap(charger, STRANGER))
    unplug(charger)
    assert ms_until(charger, "plug", light("yellow")) < 200  # not after the 2 s of the refusal
    charger.wait_for(coil(True), 1, tap(charger, ANNA))
    unplug(charger)
    assert ms_until(charger, "plug", light("yellow")) < 200
    charger.wait_for(coil(True), 1, tap(charger, ANNA))  # that session is over: this is no stop


def test_tap_first_and_plug_in_later(charger: VirtualCharger):
    since = tap(charger, ANNA)
    charger.wait_for(light("green"), 5, since)
    rests(charger, coil(True), 0.3, since)
    charger.do("plug")
    charger.wait_for(coil(True), 5, since)


def test_two_cards_at_once_are_nobodys_tap(charger: VirtualCharger):
    plug_in(charger, "yellow")
    since = charger.mark()
    charger.do("place", uid=ANNA)
    charger.do("place", uid=STRANGER)
    # Anna's card alone may have been read before the other came: then hers was the tap.
    both = charger.mark()
    alone = [push for push in charger.pushes[since:both] if coil(True)(push)]
    if not alone:
        rests(charger, coil(True), 0.6, since)
    charger.do("remove", uid=STRANGER)


def test_a_phone_that_invents_its_number_is_refused(charger: VirtualCharger):
    plug_in(charger, "yellow")
    since = charger.mark()
    charger.do("place", kind="phone")
    charger.wait_for(light("red"), 5, since)
    rests(charger, coil(True), 0.3, since)


def test_open_access_needs_no_card(site: Site, charger: VirtualCharger, name: str):
    plug_in(charger, "yellow")
    since = charger.mark()
    site.change("access", "open", "--charger", name)
    charger.wait_for(coil(True), 5, since)  # who waits in yellow need not wait any longer
    charger.do("unplug")
    charger.wait_for(coil(False), 5, since)
    again = charger.mark()
    charger.do("plug")
    charger.wait_for(coil(True), 1, again)


def test_a_withdrawn_card_ends_its_session_and_works_no_more(
    site: Site, charger: VirtualCharger, name: str
):
    start_charging(charger, ANNA)
    since = charger.mark()
    site.change("revoke", "anna@x.org", "--charger", name)
    charger.wait_for(coil(False), 5, since)
    unplug(charger)
    plug_in(charger, "yellow")
    after = tap(charger, ANNA)
    charger.wait_for(light("red"), 1, after)
    rests(charger, coil(True), 0.3, after)


def test_nobody_is_let_in_before_a_list_has_come(site: Site):
    site.tapgate("charger", "add", "unpublished")
    with site.charger("unpublished") as charger:
        plug_in(charger, "yellow")
        since = tap(charger, ANNA)
        charger.wait_for(light("red"), 5, since)
        rests(charger, coil(True), 0.3, since)
