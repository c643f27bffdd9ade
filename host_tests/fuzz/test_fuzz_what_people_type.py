"""What people type: a value that all behind it can rely on, or one line that says what is wrong."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from hypothesis import assume
from hypothesis import strategies as st

from firmware import config
from firmware.access.week import Week
from host_tests.fuzz import inputs
from host_tests.fuzz.trying import fuzz, tried
from tools.portal import broker_address, card_number, moments, names, week
from tools.portal.refusal import Refusal, WrongUsage

# A text as people type it, and as nobody does: an argument that is no UTF-8 comes with surrogates.
ANY_TEXT = st.one_of(st.text(max_size=30), inputs.TEXTS, st.text("\t \n0aA:-.,@/", max_size=20))


def edited(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """With a slip of the finger."""
    return st.builds(
        lambda text, at, piece, cut: text[:at] + piece + text[at + cut :],
        texts,
        st.integers(0, 30),
        st.text(max_size=2),
        st.integers(0, 2),
    )


def refusal(error: Refusal) -> str:
    """Its text: one line once it is shown, and something to say."""
    text = str(error)
    assert text and len(text) < 1_000
    return text


# --- card numbers ---------------------------------------------------------------------------------

NUMBERS = st.one_of(*(st.binary(min_size=size, max_size=size) for size in (4, 7, 10)))
READINGS = st.sampled_from(card_number.READINGS)


def printed(number: bytes, reading: str, separator: str, case: bool, padded: bool) -> str:
    base, _, reverse = reading.partition("-")
    found = number[::-1] if reverse else number
    if base == "hex":
        text = found.hex(separator) if separator else found.hex()
        return text.upper() if case else text
    return str(int.from_bytes(found, "big")).rjust(
        10 if len(found) == 4 else 17, "0" if padded else " "
    )


@fuzz(
    "card numbers",
    125,
    NUMBERS,
    READINGS,
    st.sampled_from(("", ":", "-", " ", ".")),
    st.booleans(),
    st.sampled_from(("", " ", "\t")),
)
def test_a_number_is_read_as_it_was_printed(
    number: bytes, reading: str, separator: str, case: bool, blank: str
) -> None:
    base = reading.partition("-")[0]
    assume(base == "hex" or len(number) < 10)
    text = blank + printed(number, reading, separator, case, True) + blank
    assert card_number.read(text, reading) == number
    assert number in card_number.every_reading(text)
    random = len(number) == 4 and number[0] == 8
    for chosen in (reading, None):
        try:
            found = card_number.number(text, chosen)
            assert not card_number.is_random(found)
            assert found == number or (chosen is None and "-" in reading)
        except Refusal as error:
            assert text.strip() not in refusal(error)
            assert random or chosen is None


def looks_like_a_number(text: str) -> bool:
    """And not like a word of a message."""
    return len(text.strip()) >= 6 and any(each in "0123456789" for each in text)


@fuzz(
    "card numbers",
    125,
    st.one_of(
        st.text("0123456789", max_size=24),
        st.sampled_from((8, 10, 12, 14, 20)).flatmap(
            lambda n: st.text("0123456789abcdef", min_size=n, max_size=n)
        ),
        st.text("0123456789abcdefxX:- .", max_size=32),
        edited(NUMBERS.map(bytes.hex)),
        ANY_TEXT,
    ),
    st.one_of(READINGS, st.none()),
)
def test_any_text_is_a_whole_number_or_refused(text: str, reading: str | None) -> None:
    try:
        number = card_number.number(text, reading)
    except Refusal as error:
        shown = refusal(error)
        assert not looks_like_a_number(text) or text.strip() not in shown
        number = None
    readings = card_number.every_reading(text)
    assert all(type(each) is bytes and len(each) in (4, 7, 10) for each in readings)
    assert len(set(readings)) == len(readings)
    if number is not None:
        assert number in readings
        # Nothing is cut: all digits are in it.
        digits = "".join(each for each in text.strip().lower() if each in "0123456789abcdef")
        if (reading or "").startswith("decimal") or (reading is None and text.strip().isdigit()):
            way = "little" if reading == "decimal-reversed" else "big"
            if reading or len(digits) not in (8, 14, 20):
                assert int.from_bytes(number, way) == int(digits)
        elif reading and not text.strip().lower().startswith("0x"):
            assert number.hex() == digits or number[::-1].hex() == digits


def test_a_number_has_four_seven_or_ten_bytes() -> None:
    for count in range(24):
        for reading in (None, "hex", "hex-reversed"):
            tried["card numbers"] += 1
            try:
                assert len(card_number.number("ab" * count, reading)) == count
                assert count in (4, 7, 10)
            except Refusal:
                assert count not in (4, 7, 10)


# --- times ----------------------------------------------------------------------------------------

ZONES = st.sampled_from(
    [
        UTC,
        *(
            ZoneInfo(name)
            for name in (
                "Europe/Oslo",
                "America/New_York",
                "Asia/Kathmandu",
                "Pacific/Apia",
                "Australia/Lord_Howe",
                "Africa/Casablanca",
                "America/St_Johns",
            )
        ),
        timezone(timedelta(hours=-11, minutes=-30)),
    ]
)
SECONDS = st.one_of(
    st.integers(0, 4_000_000_000),
    st.integers(0, 253_339_228_800 - 90_000),
    st.sampled_from((0, 1_743_294_600, 1_761_440_400, 1_761_436_800)),
)


@fuzz("times", 100, SECONDS, ZONES)
def test_a_time_that_was_shown_is_that_time(seconds: int, zone: Any) -> None:
    assert moments.parse(moments.shown(seconds, zone), zone) == seconds
    assert moments.parse(moments.shown(seconds, UTC), zone) == seconds
    assert moments.shown_or_none(seconds, zone) == moments.shown(seconds, zone)


@fuzz("times", 75, st.dates(), ZONES)
def test_a_day_is_from_midnight_to_midnight(day: Any, zone: Any) -> None:
    text = day.isoformat()
    try:
        assert moments.day(text) == day
    except WrongUsage:
        assert not 1970 <= day.year <= 9998
        return
    begin = moments.midnight(day, zone)
    following = moments.midnight(day + timedelta(days=1), zone)
    assert 0 <= following - begin <= 90_000  # Apia once left a day out
    for end, expected in ((False, begin), (True, following)):
        try:
            assert moments.parse(text, zone, end=end) == expected
        except WrongUsage as error:
            # Midnight does not exist there, comes twice, or lies before 1970 in UTC.
            assert "exist" in str(error) or "twice" in str(error) or "beyond" in str(error)


TIMES = st.one_of(
    ANY_TEXT,
    edited(st.datetimes().map(datetime.isoformat)),
    edited(st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)),
    edited(st.dates().map(str)),
    st.from_regex(
        r"[0-9]{4}-?(W?[0-9]{2}-?[0-9]{1,2})?([T ][0-9]{2}:?[0-9]{2}([.,][0-9]+)?)?"
        r"(Z|[+-][0-9]{2}:?([0-9]{2})?)?",
        fullmatch=True,
    ),
    st.sampled_from(
        (
            "0001-01-01",
            "9999-12-31",
            "9999-12-31T23:59:59-14:00",
            "0001-01-01T00:00+14:00",
            "2026-W01",
            "2026-W01-1",
            "2026-03-29T02:30",
            "2026-10-25T02:30",
            "1969-12-31T23:30Z",
            "1969-12-31",
            "9999-01-01",
            "20260101",
        )
    ),
)


@fuzz("times", 200, TIMES, ZONES, st.booleans())
def test_any_text_is_a_time_within_the_calendar_or_refused(text: str, zone: Any, end: bool) -> None:
    try:
        found = moments.parse(text, zone, end=end)
        assert type(found) is int and 0 <= found < 253_370_764_800
        assert moments.parse(moments.shown(found, zone), zone) == found
    except WrongUsage as error:
        refusal(error)
    try:
        day = moments.day(text)
        assert day.isoformat() == text.strip() and 1970 <= day.year <= 9998
    except WrongUsage as error:
        refusal(error)


@fuzz("times", 30, ANY_TEXT)
def test_any_text_is_a_zone_or_refused(text: str) -> None:
    try:
        assert moments.shown(0, moments.zone(text))
    except WrongUsage as error:
        refusal(error)


# --- weeks ----------------------------------------------------------------------------------------

DAY_WORDS = st.sampled_from((*week.DAYS, *(day[:2] for day in week.DAYS), "t", "s", "mond", "x"))
CLOCKS = st.builds("{:02}:{:02}".format, st.integers(0, 25), st.integers(0, 61))
RANGES = st.builds("{}-{}".format, CLOCKS, CLOCKS)
PARTS = st.lists(
    st.one_of(DAY_WORDS, st.builds("{}-{}".format, DAY_WORDS, DAY_WORDS), RANGES, RANGES),
    max_size=4,
).map(" ".join)
WEEKS = st.one_of(st.lists(PARTS, max_size=4).map(", ".join), ANY_TEXT, edited(PARTS))
WINDOWS = st.lists(
    st.tuples(st.integers(0, week.WEEK_MIN - 1), st.integers(1, week.DAY_MIN * 2)), max_size=6
).map(lambda pairs: week.joined([(first, first + size) for first, size in pairs]))


def minutes(windows: list[week.Window]) -> set[int]:
    return {minute for first, end in windows for minute in range(first, end)}


@fuzz("weeks", 150, WEEKS)
def test_any_text_is_a_week_that_a_charger_takes_or_refused(text: str) -> None:
    try:
        windows = week.parse(text)
    except WrongUsage as error:
        assert refusal(error).startswith("--week: ")
        return
    check_week(windows)


@fuzz("weeks", 50, WINDOWS)
def test_a_week_in_words_is_the_same_week(windows: list[week.Window]) -> None:
    check_week(windows)


EDGES = st.one_of(st.integers(0, 10_081), st.sampled_from((0, 1, 10_079, 10_080, 10_081)))


@fuzz(
    "weeks",
    100,
    st.lists(st.tuples(EDGES, EDGES).map(sorted), max_size=4).map(sorted),
    st.booleans(),
)
def test_a_charger_takes_windows_that_ascend_and_no_others(pairs: list, equal: bool) -> None:
    pairs = [(first, first if equal else end) for first, end in pairs]
    ends = [-1, *(end for _, end in pairs)]
    right = all(
        before < first < end <= week.WEEK_MIN
        for before, (first, end) in zip(ends, pairs, strict=False)
    )
    try:
        Week({"5": week.wire(pairs)}, [[0, 0]], 1 << 29)
        assert right
    except ValueError as error:
        assert not right and str(error).startswith("schedules.5: ")


def check_week(windows: list[week.Window]) -> None:
    assert windows == sorted(windows)
    for at, (first, end) in enumerate(windows):
        assert 0 <= first < end <= week.WEEK_MIN
        assert at == 0 or windows[at - 1][1] < first
    if windows:
        assert minutes(week.parse(week.shown(windows))) == minutes(windows)
    days = week.by_day(windows)
    assert {d * 1_440 + m for d, first, end in days for m in range(first, end)} == minutes(windows)
    board = Week({"5": week.wire(windows)}, [[0, 0]], 1 << 29)
    inside = minutes(windows)
    for edge in {0, week.WEEK_MIN - 1, *(m for pair in windows for m in (pair[0] - 1, *pair))}:
        minute = edge % week.WEEK_MIN
        assert board.holds(5, 3 * week.WEEK_MIN + minute) == (minute in inside)


# --- names, addresses -----------------------------------------------------------------------------


@fuzz(
    "names",
    125,
    st.one_of(
        ANY_TEXT,
        st.emails(),
        edited(st.emails()),
        st.text("abc-09_A", max_size=34),
        st.sampled_from(
            ("object", "operator", "a" * 64 + "@" + "b" * 190, "ı@İ.ß", "a@b@c", "a@b..c")
        ),
    ),
)
def test_a_name_is_one_that_fits_or_refused(text: str) -> None:
    tries: list[Callable[[], str]] = [
        lambda: names.slug(text, "charger"),
        lambda: names.email(text),
        lambda: names.free_text(text, "label"),
    ]
    for at, each in enumerate(tries):
        try:
            found = each()
        except WrongUsage as error:
            refusal(error)
            continue
        assert found and found.isprintable() and found == found.strip()
        found.encode()
        if at == 0:
            assert config.check(board(charger=found))["charger"] == found
            assert found not in ("object", "operator")
        elif at == 1:
            assert found.count("@") == 1 and len(found) <= 254
            assert names.email(found) == found
            if found.isascii():
                assert names.email_key(found) == names.email_key(found.upper())
            assert names.email_key(names.email_key(found)) == names.email_key(found)
        else:
            assert len(found) <= 100


def board(**other: Any) -> dict:
    return {
        "installation": "a",
        "charger": "b",
        "charger_key": "0" * 64,
        "card_key": "1" * 64,
        "wifi": {"ssid": "s"},
        "broker": {"host": "h"},
        **other,
    }


HOSTS = st.one_of(
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?(\.[a-z0-9]{1,5}){0,3}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.sampled_from(("a" * 64, "[::1]", "a..b", "-a", "ü.de", "a" * 63 + ("." + "b" * 60) * 3)),
)
SECRETS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(("\n", "a\x00", "\u200b", "p@:/ %")),
)


@fuzz("broker addresses", 100, HOSTS, st.integers(0, 65_536), st.booleans(), SECRETS, SECRETS)
def test_a_broker_is_found_under_the_address_that_was_given(
    host: str, port: int, tls: bool, user: str, password: str
) -> None:
    account = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    text = f"mqtt{'s' * tls}://{account}{host}:{port}"
    found = address(text)
    if found is None:
        assert (
            not 0 < port < 65_536
            or not (user + password).isprintable()
            or host in ("a" * 64, "[::1]", "a..b", "-a", "ü.de")
            or len(host) > 253
        )
        return
    assert found == (host.lower(), port, tls, user, password if user else "")
    again = address(str(found))
    assert again == found._replace(password="")


@fuzz(
    "broker addresses",
    100,
    st.one_of(
        ANY_TEXT,
        st.text("mqts:/@%0aF.[]?# ", max_size=30).map(lambda end: "mqtt://" + end),
        edited(st.sampled_from(("mqtt://me:se%20cret@broker.example:1883", "mqtts://broker/"))),
    ),
)
def test_any_text_is_an_address_that_a_board_takes_or_refused(text: str) -> None:
    address(text)


def test_what_cannot_be_typed_is_no_password() -> None:
    for code in (*range(0x20), 0x7F, 0xAD, 0x200B, 0x202E, 0xFEFF):
        tried["broker addresses"] += 1
        assert address(f"mqtt://me:{quote(chr(code))}@broker:1883") is None


def address(text: str) -> broker_address.BrokerAddress | None:
    try:
        found = broker_address.parse(text)
    except WrongUsage as error:
        assert refusal(error).startswith("broker: ")
        return None
    broker = {
        "host": found.host,
        "port": found.port,
        "user": found.user,
        "password": found.password,
    }
    assert config.check(board(broker=broker))["broker"]["host"] == found.host
    assert json.loads(json.dumps(broker)) == broker
    return found
