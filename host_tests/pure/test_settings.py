import json

from firmware.settings import Settings, SettingsError
from host_tests.pure.check import raises
from host_tests.pure.place import directory

DEFAULTS = {
    "access": "restricted",
    "authority": "native",
    "offline": "deny",
    "operator_wait_s": 10,
    "service_may_start": False,
    "stop_on_withdrawal": True,
    "resume_within_s": 14_400,
    "poll_ms": 25,
}


def verify(raw):
    if raw[:5] != b"good ":
        raise ValueError("signature")
    return json.loads(raw[5:])


def message(**values):
    body = dict(values)
    return body, b"good " + json.dumps(body).encode()


def settings(path):
    return Settings(path, verify, DEFAULTS)


def test_without_a_message_the_defaults_hold():
    held = settings(directory() + "settings")
    assert held.load() is None
    assert held["access"] == "restricted"
    assert held.version == 0


def test_settings_outlive_a_restart():
    path = directory() + "settings"
    settings(path).offer(*message(v=3, t=1, access="open"))
    held = settings(path)
    assert held.load() is None
    assert held["access"] == "open"
    assert held.version == 3


def test_what_is_on_the_flash_is_verified_again():
    path = directory() + "settings"
    with open(path, "wb") as file:
        file.write(b'bad  {"v":9,"access":"open"}')
    held = settings(path)
    assert held.load() == "signature"
    assert held["access"] == "restricted"


def test_settings_that_were_damaged_open_nothing_until_others_come():
    path = directory() + "settings"
    for raw in (b"bad  {}", b"", b"good {", b'good {"v":0}', b"9" * 9_000):
        with open(path, "wb") as file:
            file.write(raw)
        held = Settings(path, verify, dict(DEFAULTS, access="open"))
        assert held.load() is not None
        assert held["access"] == "restricted"
        held.offer(*message(v=3, t=1))
        assert held["access"] == "open"


def test_a_setting_left_out_is_the_default_again():
    held = settings(directory() + "settings")
    held.offer(*message(v=1, access="open", resume_within_s=0))
    held.offer(*message(v=2, resume_within_s=60))
    assert held["access"] == "restricted"
    assert held["resume_within_s"] == 60


def test_a_wrong_value_changes_nothing_and_is_named():
    held = settings(directory() + "settings")
    held.offer(*message(v=1, access="open"))
    for name, value in (
        ("access", "closed"),
        ("access", ["open"]),
        ("authority", "king"),
        ("offline", "allow"),
        ("operator_wait_s", 0),
        ("operator_wait_s", 61),
        ("operator_wait_s", True),
        ("operator_wait_s", "10"),
        ("service_may_start", 1),
        ("stop_on_withdrawal", None),
        ("resume_within_s", -1),
        ("resume_within_s", True),
        ("resume_within_s", 1.5),
    ):
        error = raises(SettingsError, held.offer, *message(v=2, **{name: value}))
        assert str(error).startswith(name + ": found "), str(error)
    assert held["access"] == "open"
    assert held.version == 1


def test_under_an_operator_access_is_restricted_whatever_the_message_says():
    held = settings(directory() + "settings")
    assert held["authority"] == "native"
    assert held["operator_wait_s"] == 10
    held.offer(
        *message(v=1, access="open", authority="operator", offline="list", operator_wait_s=3)
    )
    assert held["access"] == "restricted"
    assert (held["authority"], held["offline"], held["operator_wait_s"]) == ("operator", "list", 3)
    held.offer(*message(v=2, access="open"))
    assert (held["access"], held["authority"], held["offline"]) == ("open", "native", "deny")


ALWAYS = {"schedules": {"3": "00002760"}, "offsets": [[0, 60]], "offsets_until": 5_000_000}


def test_schedules_hold_from_the_message_that_brings_them_and_outlive_a_restart():
    path = directory() + "settings"
    held = settings(path)
    assert held.in_schedule(3, 100) is None
    held.offer(*message(v=1, **ALWAYS))
    assert held.in_schedule(3, 100) is True
    assert held.in_schedule(4, 100) is None
    again = settings(path)
    assert again.load() is None
    assert again.in_schedule(3, 100) is True
    again.offer(*message(v=2))
    assert again.in_schedule(3, 100) is None


def test_schedules_that_are_malformed_change_nothing_and_are_named():
    held = settings(directory() + "settings")
    held.offer(*message(v=1, **ALWAYS))
    for path, wrong in (
        ("schedules: ", {"schedules": []}),
        ("schedules.3: ", {"schedules": {"3": "0000276"}}),
        ("schedules.3: ", {"schedules": {"3": [0, 10_080]}}),
        ("schedules.40: ", {"schedules": {"40": ""}}),
        ("offsets.0: ", {"offsets": [0, 60]}),
        ("offsets_until: ", {"offsets_until": None}),
    ):
        body = dict(ALWAYS)
        body.update(wrong)
        error = raises(SettingsError, held.offer, *message(v=2, access="open", **body))
        assert str(error).startswith(path), str(error)
    assert held["access"] == "restricted"
    assert held.in_schedule(3, 100) is True


def test_an_older_message_is_refused():
    held = settings(directory() + "settings")
    held.offer(*message(v=5, access="open"))
    for v in (5, 4, None, "6", True):
        raises(SettingsError, held.offer, *message(v=v))
    assert held["access"] == "open"


def test_the_message_in_force_is_known_when_it_comes_again():
    held = settings(directory() + "settings")
    body, raw = message(v=5)
    held.offer(body, raw)
    assert held.is_current(raw)
    assert not held.is_current(message(v=6)[1])


def test_keys_of_a_newer_portal_are_ignored():
    held = settings(directory() + "settings")
    held.offer(*message(v=1, access="open", colour="pink"))
    assert held["access"] == "open"
    raises(KeyError, held.__getitem__, "colour")


def test_settings_that_cannot_be_stored_do_not_count():
    held = settings("build/pure/no/such/settings")
    raises(OSError, held.offer, *message(v=1, access="open"))
    assert held["access"] == "restricted"
