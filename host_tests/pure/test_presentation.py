"""From looks to events: one card, one tap, until it was really gone."""

from binascii import hexlify, unhexlify
from time import ticks_add

from firmware.cards.reader import ALONE_MS, GONE_MS, PRESENT_MS, Presentation

A = "04a1b2c3"
B = "04112233445566"
PHONE_1 = "08010203"
PHONE_2 = "080a0b0c"


class Table:
    """A presentation, looked at every 25 ms. Looks: "-" nobody, "?" unreadable, "~" hardly even
    that, "*" several, and the numbers."""

    def __init__(self, now_ms=1000):
        self.told = []
        self.now_ms = now_ms
        self.presentation = Presentation(
            lambda number: self.told.append(hexlify(number).decode()),
            self.told.append,
            lambda: self.told.append("gone"),
        )

    def looks(self, *looks, every_ms=25):
        for look in looks:
            presentation = self.presentation
            if look == "-":
                presentation.nobody(self.now_ms)
            elif look == "*":
                presentation.several(self.now_ms)
            elif look == "?" or look == "~":
                presentation.unreadable(look == "?", self.now_ms)
            else:
                presentation.number(unhexlify(look), self.now_ms)
            self.now_ms = ticks_add(self.now_ms, every_ms)
        return self.told


def test_a_card_is_told_of_at_the_first_look():
    assert Table().looks("-", A) == [A]


def test_a_card_left_lying_is_one_tap():
    assert Table().looks(*([A] * 100)) == [A]


def test_a_card_counts_again_after_it_was_really_gone():
    table = Table()
    assert table.looks(A, A, *(["-"] * 10), A) == [A, "gone", A]


def test_two_missed_looks_are_not_gone():
    assert Table().looks(A, "-", "-", A, "-", "-", A) == [A]


def test_three_missed_looks_in_too_short_a_time_are_not_gone():
    assert Table().looks(A, "-", "-", "-", A) == [A]


def test_a_long_time_with_too_few_looks_is_not_gone():
    assert Table().looks(A, "-", "-", A, every_ms=GONE_MS) == [A]


def test_gone_takes_three_silences_over_the_time_it_takes():
    table = Table()
    table.looks(A, A)
    table.now_ms += PRESENT_MS - 25
    assert table.looks("-", "-") == [A]
    assert table.looks("-") == [A, "gone"]


def test_a_garbled_look_means_that_the_card_is_still_there():
    assert Table().looks(A, *(["-", "-", "?"] * 20)) == [A]


def test_a_garbled_look_starts_the_silence_anew():
    told = Table().looks(A, "-", "-", "-", "-", "-", "?", "-", "-", "-", "-", "-")
    assert told == [A]


def test_looks_in_quick_succession_leave_a_card_time_to_come_nearer():
    assert Table().looks(*(["?"] * 10), A, every_ms=8) == [A]
    assert Table().looks(*(["?"] * 11), every_ms=8) == ["unreadable"]


def test_an_unreadable_card_is_told_of_once():
    assert Table().looks(*(["?"] * 100)) == ["unreadable"]


def test_a_card_that_is_read_in_time_was_never_unreadable():
    assert Table().looks("?", "?", "?", A, "?", "?", "?", "?", "?") == [A]


def test_an_unreadable_card_that_is_read_at_last_is_a_tap():
    assert Table().looks(*(["?"] * 6), A, A) == ["unreadable", A]


def test_a_card_drawn_past_too_quickly_is_told_to_be_held():
    assert Table().looks("?", *(["-"] * 8)) == ["unreadable", "gone"]


def test_one_speck_of_noise_is_nobody():
    assert Table().looks("~", *(["-"] * 8), "~", *(["-"] * 8)) == []


def test_several_cards_are_told_of_once_and_none_of_them_is_taken():
    assert Table().looks("*", "*", "*", A, "*", B, A, A, "*") == ["several"]


def test_the_one_that_stays_of_several_is_taken_when_it_is_really_alone():
    table = Table()
    alone = ALONE_MS // 25
    assert table.looks("*", *([A] * alone)) == ["several"]
    assert table.looks(A) == ["several", "gone", A]
    assert table.looks(A, A, A) == ["several", "gone", A]


def test_alone_means_without_a_gap():
    half = ALONE_MS // 25 // 2 + 2
    for gap in ("*", "-", B):
        assert Table().looks("*", *([A] * half), gap, *([A] * half)) == ["several"]


def test_a_second_card_beside_a_tapped_one_is_several_and_no_tap():
    assert Table().looks(A, A, "*", "*", A, A, A) == [A, "several"]


def test_a_second_card_that_stays_when_the_first_is_taken_away_is_a_tap():
    table = Table()
    assert table.looks(A, "*", *([B] * (ALONE_MS // 25 + 1))) == [A, "several", "gone", B]


def test_a_card_put_in_the_place_of_another_is_a_new_tap():
    table = Table()
    assert table.looks(A, A, B, B) == [A]
    assert table.looks(B, B, B, B, B) == [A, "gone", B]


def test_a_card_seen_once_beside_a_tapped_one_changes_nothing():
    assert Table().looks(A, B, A, B, B, A, "-", B, A) == [A]


def test_a_random_number_is_told_of_once_whatever_numbers_follow():
    assert Table().looks(PHONE_1, PHONE_2, PHONE_1, PHONE_2) == ["random"]


def test_a_long_number_that_begins_with_08_is_not_random():
    number = "08010203040506"
    assert Table().looks(number) == [number]


def test_problems_count_anew_in_the_next_presentation():
    nobody = ["-"] * 8
    told = Table().looks("*", *nobody, "*", *nobody, PHONE_1, *nobody, PHONE_1)
    assert told == ["several", "gone", "several", "gone", "random", "gone", "random"]


def test_gone_is_told_only_of_what_was_told_of():
    assert Table().looks("~", *(["-"] * 10)) == []


def test_time_may_wrap():
    for before in range(0, 400, 25):
        table = Table(ticks_add(0, -before))
        assert table.looks(A, A, *(["-"] * 10), A) == [A, "gone", A]


def test_a_card_at_rest_is_looked_at_more_rarely():
    table = Table()
    table.looks(A)
    assert not table.presentation.settled
    table.looks(A)
    assert table.presentation.settled
    table.looks("-")
    assert not table.presentation.settled
    table.looks(A)
    assert table.presentation.settled
    table.looks("?")
    assert not table.presentation.settled
