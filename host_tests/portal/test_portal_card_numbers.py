"""A number as printed becomes the bytes that the reader will see, or is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.portal import card_number
from tools.portal.refusal import Refusal

# 0x04A1B2C3 = 77705923, 0xC3B2A104 = 3283263748; 0x04112233445566 = 1144738493519206.
FOUR = bytes.fromhex("04a1b2c3")
SEVEN = bytes.fromhex("04112233445566")


@pytest.mark.parametrize(
    ("text", "reading", "number"),
    [
        ("04a1b2c3", "hex", FOUR),
        ("c3b2a104", "hex-reversed", FOUR),
        ("77705923", "decimal", FOUR),
        ("0077705923", "decimal", FOUR),
        ("3283263748", "decimal-reversed", FOUR),
        ("04112233445566", "hex", SEVEN),
        ("66554433221104", "hex-reversed", SEVEN),
        ("1144738493519206", "decimal", SEVEN),
        ("00112233445566778899", "hex", bytes.fromhex("00112233445566778899")),
        ("00000001", "decimal", bytes([0, 0, 0, 1])),
        ("4294967295", "decimal", b"\xff\xff\xff\xff"),
    ],
)
def test_each_way_of_printing_gives_the_same_bytes(text, reading, number):
    assert card_number.number(text, reading) == number


@pytest.mark.parametrize(
    "text",
    ["04A1B2C3", "04:a1:b2:c3", "04-A1-B2-C3", "04 a1 b2 c3", "0x04a1b2c3", " 04a1b2c3 "],
)
def test_hex_is_known_by_its_letters_or_its_separators(text):
    assert card_number.number(text) == FOUR


def test_digits_in_separated_pairs_are_hex():
    assert card_number.number("12:34:56:78") == bytes.fromhex("12345678")


def test_ten_decimal_digits_have_only_one_reading():
    assert card_number.number("0077705923") == FOUR


@pytest.mark.parametrize("text", ["12345678", "04112233445566"])
def test_digits_that_could_be_hex_or_decimal_are_refused_with_the_choices(text):
    with pytest.raises(Refusal) as refused:
        card_number.number(text)
    assert "hex" in str(refused.value)
    assert "--as hex|hex-reversed|decimal|decimal-reversed" in str(refused.value)
    assert refused.value.exit_status == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "04a1b2",  # three bytes
        "04a1b2c3d",  # half a byte
        "04a1b2c3d4",  # five
        "04:a1:b2-c3",  # mixed separators
        "04::a1:b2:c3",
        "0x",
        "4294967296",  # one more than four bytes hold
        "9" * 18,
        "anna",
        "٣٤٥٦٧٨٩٠",  # digits, but not on any card
        "-1",
        "04a1b2c3\n04a1b2c3",
    ],
)
def test_what_fits_no_reading_is_refused_without_repeating_it(text):
    with pytest.raises(Refusal) as refused:
        card_number.number(text)
    assert not text.strip() or text.strip() not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "reading"), [("04a1b2c3", "decimal"), ("123", "hex"), ("72057594037927936", "decimal")]
)
def test_a_named_reading_that_does_not_fit_is_refused(text, reading):
    with pytest.raises(Refusal, match=f"--as {reading}"):
        card_number.number(text, reading)


@pytest.mark.parametrize(
    ("text", "reading"),
    [("08a1b2c3", None), ("c3b2a108", "hex-reversed"), ("134217729", "decimal")],
)
def test_a_number_that_changes_at_each_tap_is_refused(text, reading):
    with pytest.raises(Refusal, match="made up anew"):
        card_number.number(text, reading)


def test_seven_bytes_that_begin_with_08_are_a_number_like_any_other():
    assert card_number.number("08aabbccddeeff") == bytes.fromhex("08aabbccddeeff")


@given(st.sampled_from([4, 7, 10]).flatmap(lambda size: st.binary(min_size=size, max_size=size)))
def test_every_number_is_found_again_from_each_way_of_printing_it(number):
    printed = [number.hex(), number[::-1].hex(), number.hex(":")]
    if len(number) < 10:
        width = 10 if len(number) == 4 else 17
        printed.append(str(int.from_bytes(number, "big")).zfill(width))
        printed.append(str(int.from_bytes(number, "little")).zfill(width))
    for text in printed:
        assert number in card_number.every_reading(text)


@pytest.mark.parametrize("text", ["04", "1234567", " 04 "])
def test_a_few_digits_are_no_number_unless_their_reading_is_said(text: str):
    with pytest.raises(Refusal, match="--as decimal"):
        card_number.number(text)
    assert len(card_number.number(text, "decimal")) == 4


def test_zeros_that_fit_neither_4_nor_7_bytes_are_asked_about():
    with pytest.raises(Refusal, match="10 digits for the first, with 17"):
        card_number.number("0003735928559")
    assert card_number.number("3735928559") == bytes.fromhex("deadbeef")
    assert card_number.number("00000003735928559") == bytes.fromhex("000000deadbeef")


@pytest.mark.parametrize("text", ["4294967296", "72057594037927936"])
def test_a_number_that_is_too_large_is_told_so(text):
    with pytest.raises(Refusal, match="as decimal, too large for"):
        card_number.number(text)
