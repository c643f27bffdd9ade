"""Which firmware runs, whatever state the board's flash is in."""

import json

from host_tests.pure.flash_model import Files, Flash, PowerCut
from host_tests.pure.loading import SLOT, A, B, Board, Stand, entry, on_trial, proven

READ_ONLY, FULL = 30, 28
DAMAGED = b"\0" + B[1:]


def after_crashes(count, **changes):
    """A board on trial that has crashed so often since it was updated."""
    board = Board(on_trial(**changes), cause=Board.HARD)
    for _ in range(count + 1):
        board.runs()
    return board


def gave_up(why):
    return {"version": "0.2.0", "why": why, "sha256": on_trial()["sha256"]}


# What works.


def test_a_proven_version_runs_and_nothing_is_written():
    board = Board(proven(), cause=Board.WATCHDOG)
    for _ in range(9):
        assert board.runs() == proven()
        assert board.mounted == A
    assert board.files.operations == 0
    assert board.said == []


def test_the_other_slot_is_mounted_in_the_place_of_the_first_and_before_the_flash():
    board = Board(proven(**entry("b", B, "0.2.0")))
    board.path = ("", ".frozen", "/rom", "/rom/lib", "/lib")
    board.runs()
    assert board.mounted == B
    assert board.sys.path == ["/rom", "", ".frozen", "/rom/lib", "/lib"]


def test_it_is_mounted_where_microPython_found_nothing_in_the_first_slot():
    board = Board(proven(**entry("b", B, "0.2.0")), a=b"")
    board.mounted = None
    board.runs()
    assert board.mounted == B and board.sys.path[0] == "/rom"


def test_a_first_installation_is_on_no_trial_however_often_it_crashes():
    board = Board(proven(proven=False), cause=Board.HARD)
    for _ in range(9):
        assert board.runs()["before"] is None
    assert board.mounted == A and board.files.operations == 0


def test_a_firmware_in_the_flash_runs_only_where_none_was_chosen():
    for name in ("firmware/start.py", "firmware/start.mpy"):
        board = Board(None)
        board.files.flash.contents[name] = [b""]
        assert board.runs() is None
        assert board.mounted == "slot a" and board.files.operations == 0
        for damaged in ({"choice": b"{"}, {"choice": on_trial(), "a": b"", "b": b""}):
            board = Board(**damaged)
            board.files.flash.contents[name] = [b""]
            assert board.fails(), "more than the memory holds, as `mip` left it"
        board = Board(on_trial())
        board.files.flash.contents[name] = [b""]
        assert board.runs()["version"] == "0.2.0" and board.mounted == B


# The trial.


def test_an_update_gives_way_after_three_crashes():
    board = after_crashes(2)
    assert board.mounted == B and board.choice["starts"] == 3
    state = board.runs()
    assert board.mounted == A
    assert state == board.choice == proven(gave_up=gave_up("3 crashes"))
    assert board.said == ["tapgate 0.2.0 gives way to the version before: 3 crashes"]
    written = board.files.operations
    for _ in range(9):
        board.runs()
    assert board.mounted == A and board.files.operations == written


def test_each_start_is_counted_before_the_firmware_is_there_to_crash():
    board = Board(on_trial(), cause=Board.HARD)
    board.runs()
    assert board.choice == on_trial(starts=1)


def test_neither_the_supply_nor_the_console_counts_as_a_crash():
    for cause in (Board.POWER, Board.SOFT):
        board = Board(on_trial(), cause=cause)
        for _ in range(9):
            assert board.runs()["version"] == "0.2.0"
        assert board.choice["starts"] == 1
    for cause in (Board.HARD, Board.WATCHDOG, Board.SLEEP, 0):
        board = Board(on_trial(starts=1), cause=cause)
        board.runs()
        assert board.choice["starts"] == 2, cause


def test_an_update_that_arrived_damaged_is_not_started():
    for spoilt in ({"b": DAMAGED}, {"b": B[:-1]}, {"b": b""}):
        board = Board(on_trial(), **spoilt)
        assert board.runs()["gave_up"] == gave_up("damaged")
        assert board.mounted == A and board.choice["proven"]


def test_what_was_proven_and_is_damaged_later_gives_way_too():
    board = Board(on_trial(proven=True), b=DAMAGED)
    board.runs()
    assert board.mounted == A
    assert board.choice["gave_up"]["why"] == "damaged"


def test_without_anything_whole_to_go_back_to_there_is_no_trial():
    for before in (None, {}, 7, "a", entry("a", B, "0.1.0"), {"run": "a"}, entry("c", A, "")):
        board = Board(on_trial(before=before, starts=3), cause=Board.HARD)
        assert not board.runs()["before"]
        assert board.mounted == B and board.files.operations == 0


def test_what_cannot_be_counted_is_not_started_and_what_was_proven_runs():
    for fault in (READ_ONLY, FULL):
        board = Board(on_trial(), cause=Board.HARD, fault=fault)
        for _ in range(3):
            state = board.runs()
            assert state["proven"] and state["gave_up"]["why"] == "flash not written"
            assert board.mounted == A
        assert board.choice == on_trial()
        board.fault = 0
        board.runs()
        assert board.mounted == B and board.choice["starts"] == 1


def test_after_three_crashes_the_proven_version_runs_whether_that_can_be_stored_or_not():
    board = after_crashes(2)
    board.fault = READ_ONLY
    for _ in range(3):
        assert board.runs()["gave_up"]["why"] == "3 crashes"
        assert board.mounted == A


def trial(**changes):
    board = Board(on_trial(**changes), cause=Board.HARD)
    loader = board.loader()
    state = loader.load()
    return board, loader.Trial(state), state


def test_an_update_has_three_minutes():
    board, _, _ = trial()
    assert board.timer[1] == 180_000
    board.elapse()
    assert board.choice["gave_up"] == gave_up("not healthy within 180 s")
    assert board.choice["run"] == "a" and board.choice["proven"]
    assert board.done == ["reset"]
    board.runs()
    assert board.mounted == A


def test_what_has_proven_itself_is_let_be_although_the_flash_does_not_say_so_yet():
    board, _, state = trial()
    state["proven"] = True  # and the firmware is about to write that
    board.elapse()
    assert board.done == [] and board.timer is None
    assert board.choice == on_trial(starts=1)


def test_when_time_is_up_and_that_cannot_be_stored_it_counts_as_a_crash():
    board, _, _ = trial()
    board.fault = READ_ONLY
    try:
        board.elapse()
    except OSError:
        pass
    assert board.done == ["reset"]
    assert board.choice == on_trial(starts=1)


def test_somebody_at_the_console_ends_the_trial_and_the_next_one_begins_anew():
    board, on, _ = trial(starts=2)
    on.end()
    assert board.timer is None
    assert board.choice == on_trial()
    board.fault = READ_ONLY
    on.end()


def test_the_console_leaves_what_was_proven_meanwhile():
    board, on, state = trial()
    state["proven"] = True
    on.end()
    assert board.timer is None and board.choice == on_trial(starts=1)


# The supply goes.


def test_a_cut_at_any_write_leaves_the_older_state_or_the_newer():
    for begin in (Board.runs, trial_ends, time_is_up):
        for starts in (0, 2, 3):
            first = on_trial(starts=starts)
            after = Board(first, cause=Board.HARD)
            begin(after)
            for torn in (False, True):
                for cut in range(after.files.operations):
                    check_cut(first, after, begin, torn, cut)


def check_cut(first, after, begin, torn, cut):
    flash = Flash(torn=torn)
    board = Board(first, cause=Board.HARD, files=Files(flash, cut))
    try:
        begin(board)
        raise AssertionError("not cut")
    except PowerCut:
        pass
    again = Board(None, files=Files(flash))
    possible = [first, after.choice, on_trial(starts=first["starts"] + 1)]
    assert again.choice in possible, (cut, again.choice)
    again.runs()
    assert again.mounted in (A, B)


def trial_ends(board):
    loader = board.loader()
    loader.Trial(loader.load()).end()


def time_is_up(board):
    loader = board.loader()
    state = loader.load()
    if not state["proven"]:
        loader.Trial(state)
        board.elapse()


# What is missing.

WRONG = (
    None,
    b"",
    b"{",
    b"\xff" * 4_096,
    b"\x00" * 100,
    b"null",
    b"[]",
    b"7",
    b'"run"',
    b"{}",
    b"[" * 2_000,
    json.dumps(on_trial()).encode()[:-40],
    json.dumps({"before": "x" * 4_000}).encode(),
)


def test_a_board_without_a_good_firmware_json_says_so_and_writes_nothing():
    for content in WRONG:
        board = Board(content)
        assert board.fails() in (
            "firmware.json is missing",
            "firmware.json is damaged",
            "the firmware in the ROM is damaged",
        ), content
        assert board.files.operations == 0 and board.done == []
    assert Board(None).fails() == "firmware.json is missing"
    assert Board(b"{").fails() == "firmware.json is damaged"


def test_values_of_any_other_kind_are_as_good_as_damage():
    for name in ("run", "sha256", "bytes", "version", "proven", "starts", "before", "gave_up"):
        for value in (None, True, -1, 0, 1 << 40, 1.5, "", "ab", "x" * 64, [], {}, [[]]):
            for make in (proven, on_trial):
                for cause in (Board.POWER, Board.HARD):
                    board = Board(make(**{name: value}), cause=cause)
                    loader = board.loader()
                    try:
                        state = loader.load()
                    except loader.Incomplete as error:
                        assert str(error) == "the firmware in the ROM is damaged"
                        assert make is proven and name in ("run", "sha256", "bytes")
                        continue
                    assert board.mounted in (A, B)
                    assert state["proven"] in (True, False)
                    assert board.done == []


def test_with_both_slots_damaged_the_board_says_so():
    assert Board(on_trial(), a=b"", b=DAMAGED).fails() == "the firmware in the ROM is damaged"
    assert Board(proven(), a=b"").fails() == "the firmware in the ROM is damaged"


def test_an_image_cannot_reach_beyond_its_slot():
    long = bytes(SLOT + 1)
    board = Board(proven(**entry("a", long, "0.1.0")), a=long, b=b"")
    assert board.fails() == "the firmware in the ROM is damaged"
    fits = bytes(SLOT)
    board = Board(proven(**entry("b", fits, "0.1.0")), a=b"", b=fits)
    board.runs()
    assert board.mounted == fits


def no_rom(**members):
    board = Board(proven())
    board.vfs = Stand(**members)
    return board.fails()


def test_a_microPython_without_rom_or_a_board_without_the_partition_is_named():
    what = "there is no ROM file system (partition romfs)"
    assert no_rom() == what
    assert no_rom(rom_ioctl=lambda op, number: -22) == what

    def fails(op, number):
        raise OSError(19)

    assert no_rom(rom_ioctl=fails) == what


# The lamp of a board that cannot start.


def lamp(config):
    board = Board(None, config=config)
    board.loader().alarm()
    return board.lamp


def config(light, **pins):
    return json.dumps({"light": light, "pins": pins}).encode()


def test_the_lamp_that_is_configured_is_red():
    assert lamp(config({"kind": "rgb"}, red=2, green=4, blue=16, contactor=13)) == {
        2: True,
        4: False,
        16: False,
    }
    anode = config({"kind": "rgb", "common": "anode"}, red=2, green=4, blue=16)
    assert lamp(anode) == {2: False, 4: True, 16: True}
    strip = {"kind": "neopixel", "leds": 3}
    assert lamp(config(strip, neopixel=12)) == {12: (3, (64, 0, 0))}
    assert lamp(json.dumps({"light": strip}).encode()) == {25: (3, (64, 0, 0))}
    strip["order"] = "RGB"
    assert lamp(config(strip)) == {25: (3, (0, 64, 0))}


def test_without_a_good_config_json_it_is_the_usual_lamp():
    for content in (None, b"", b"{", b"[]", b"{}", b'{"pins": 7}', b'{"pins": {}}'):
        assert lamp(content) == {25: True, 26: False, 33: False}, content


def test_a_pin_that_may_be_the_coils_is_never_driven():
    for light in ({"kind": "rgb"}, {"kind": "rgb", "common": "anode"}, {"kind": "neopixel"}):
        for name in ("red", "green", "blue", "neopixel"):
            for pins in ({name: 27}, {name: 13, "contactor": 13}, {name: "27"}, {name: None}):
                driven = lamp(config(light, **pins))
                assert 27 not in driven and 13 not in driven, (light, pins)
    strange = config({"kind": "neopixel", "leds": "many"}, neopixel={})
    assert lamp(strange) in ({}, lamp(strange))
