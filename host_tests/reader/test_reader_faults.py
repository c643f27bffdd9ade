"""The reader's supervision: whatever becomes of the chip, it recovers or it is reported, and no
poll takes more than a few milliseconds."""

from itertools import pairwise

import pytest

from firmware.cards.iso14443a import DEAD, NOBODY
from firmware.cards.mifare import Mifare
from host_tests.reader.bench import Bench, Phone

A = "04a1b2c3"
LIMIT_NS = 5_000_000
HALT_FRAMES = 3  # at the least


def register_write(bench: Bench, register: int, value: int) -> None:
    """Behind the driver's back, as a glitch would."""
    bench.model.select()
    bench.model.exchange(bytes([register << 1, value]))
    bench.model.deselect()


def healths(bench: Bench) -> list[str]:
    return [health for health, _ in bench.health]


def test_the_reader_comes_up_from_power_on(make_bench) -> None:
    bench = make_bench()
    assert bench.reader.health == "recovering"
    start_ns = bench.now_ns
    bench.start()
    assert bench.health == [("ok", "VersionReg 92")]
    assert bench.now_ns - start_ns <= 100_000_000
    assert bench.resets == 1


def test_the_reader_comes_up_without_a_reset_pin(make_bench) -> None:
    bench = make_bench(rst=False).start()
    bench.place(A)
    bench.poll()
    assert bench.told == [A]


@pytest.mark.parametrize("version", [0x12, 0x82, 0x88, 0x90, 0x91, 0x92, 0xB2])
def test_clones_are_welcome(make_bench, version: int) -> None:
    bench = make_bench(version=version).start()
    assert bench.health == [("ok", f"VersionReg {version:02x}")]
    bench.place(A)
    bench.polls(100)
    assert bench.told == [A]
    assert bench.reader.health == "ok"


def test_a_card_in_the_field_at_power_on_is_a_tap(make_bench) -> None:
    bench = make_bench()
    bench.place(A)
    bench.polls(10)
    assert bench.told == [A]


def test_no_look_at_cards_before_the_field_has_stood_for_5_ms(make_bench) -> None:
    bench = make_bench()
    on_ns = []

    def tamper(sent: bytes, got: bytes) -> bytes:
        if sent == b"\x28\x83":
            on_ns.append(bench.now_ns)
        if sent == b"\x12\x52" and len(on_ns) == 1:
            on_ns.append(bench.now_ns)
        return got

    bench.tamper = tamper
    while len(on_ns) < 2:
        bench.reader.poll()
        bench.sleep_ns(200_000)
    assert 5_000_000 <= on_ns[1] - on_ns[0] < 8_000_000


@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_a_dead_chip_is_reported_and_tried_again_more_and_more_rarely(
    bench: Bench, level: int
) -> None:
    tries = []
    bench.on_frame = lambda n: tries.append(bench.now_ns)
    bench.model.dead_level = level
    bench.model.fault = "dead"
    bench.run_ms(400)
    assert healths(bench) == ["ok", "recovering", "fault"]
    assert bench.health[-1][1].startswith(f"VersionReg {level:02x}, expected")
    assert bench.longest_ns < LIMIT_NS
    bench.run_ms(600_000)
    assert bench.longest_ns < LIMIT_NS
    pauses = [later - earlier for earlier, later in pairwise(tries) if later - earlier > 5e8]
    assert [round(pause / 1e9) for pause in pauses[:7]] == [1, 2, 4, 8, 16, 32, 60]
    assert all(round(pause / 1e9) == 60 for pause in pauses[7:])
    assert len(tries) < 1000
    assert healths(bench) == ["ok", "recovering", "fault"]


def test_a_chip_that_comes_back_is_used_again(bench: Bench) -> None:
    bench.model.fault = "dead"
    bench.run_ms(20_000)
    bench.model.fault = "none"
    bench.run_ms(17_000)
    assert bench.reader.health == "ok"
    bench.place(A)
    bench.polls(2)
    assert bench.told == [A]


def test_a_chip_that_is_missing_from_the_start_is_a_fault(make_bench) -> None:
    bench = make_bench()
    bench.model.fault = "dead"
    bench.run_ms(1_000)
    assert healths(bench) == ["fault"]
    bench.model.fault = "none"
    bench.run_ms(3_000)
    assert healths(bench) == ["fault", "ok"]


def test_a_brownout_is_noticed_at_the_next_poll_and_mended(bench: Bench) -> None:
    bench.polls(2)
    bench.model.fault = "brownout"
    assert bench.poll() == DEAD
    bench.run_ms(125)
    assert healths(bench) == ["ok", "recovering", "ok"]
    assert bench.longest_ns < LIMIT_NS
    assert bench.resets == 1  # the one of the start: a soft reset was enough
    bench.place(A)
    bench.poll()
    assert bench.told == [A]


def test_a_card_that_lies_there_through_a_recovery_is_no_new_tap(bench: Bench) -> None:
    bench.place(A)
    bench.polls(10)
    for _ in range(3):
        bench.model.fault = "brownout"
        bench.run_ms(12_000)
    assert bench.told == [A]
    assert bench.reader.health == "ok"


def test_a_phone_with_a_new_number_after_a_recovery_is_still_one_presentation(bench: Bench) -> None:
    bench.field.place(Phone(bench.rng))
    bench.polls(10)
    assert bench.told == ["random"]
    bench.model.fault = "brownout"
    bench.run_ms(1_000)
    assert bench.told == ["random"]


def test_a_stuck_receiver_is_mended(bench: Bench) -> None:
    bench.model.fault = "stuck"
    bench.run_ms(2_000)
    assert healths(bench) == ["ok", "recovering", "ok"]
    assert bench.longest_ns < LIMIT_NS
    bench.place(A)
    bench.poll()
    assert bench.told == [A]


def test_a_stuck_receiver_is_mended_without_a_reset_pin(make_bench) -> None:
    bench = make_bench(rst=False).start()
    bench.model.fault = "stuck"
    bench.run_ms(2_000)
    bench.place(A)
    bench.poll()
    assert bench.told == [A]


def test_a_deaf_chip_is_reset_every_minute_without_anybody_noticing(bench: Bench) -> None:
    """Deafness cannot be told from an empty field, so it may last a minute but no longer."""
    bench.run_ms(50_000)
    assert bench.resets == 1
    bench.run_ms(200_000)
    assert bench.resets == 1 + 4
    assert healths(bench) == ["ok"]
    assert bench.longest_ns < LIMIT_NS
    bench.model.fault = "deaf"
    bench.place(A)
    bench.run_ms(1_000)
    assert bench.told == []
    bench.model.fault = "none"
    bench.polls(2)
    assert bench.told == [A]


def test_the_chip_is_not_reset_while_a_card_lies_there(bench: Bench) -> None:
    bench.place(A)
    bench.run_ms(200_000)
    assert bench.resets == 1
    assert bench.told == [A]


@pytest.mark.parametrize(
    ("name", "register", "value", "within_ms"),
    [
        ("TxModeReg", 0x12, 0x80, 1_100),
        ("RxModeReg", 0x13, 0x80, 1_100),
        ("TxASKReg", 0x15, 0x00, 1_100),
        ("RFCfgReg", 0x26, 0x48, 1_100),
        ("ModeReg", 0x11, 0x3F, 1_100),
        ("TPrescalerReg", 0x2B, 0x00, 1_100),
        ("TReloadReg low", 0x2D, 0x0B, 1_100),
        ("TModeReg", 0x2A, 0x00, 1_100),
        ("TxControlReg", 0x14, 0x80, 30),
    ],
)
@pytest.mark.parametrize("lying", [False, True])
def test_a_register_that_changed_is_noticed_and_mended(
    bench: Bench, name: str, register: int, value: int, within_ms: int, lying: bool
) -> None:
    if lying:
        bench.place(A)
        bench.polls(5)
    register_write(bench, register, value)
    bench.run_ms(within_ms)
    health, detail = bench.health[1]
    assert health == "recovering"
    assert detail.startswith(f"{name} {value:02x}, expected ")
    bench.run_ms(150)
    assert bench.reader.health == "ok"
    assert bench.told == ([A] if lying else [])


def test_a_gain_that_was_asked_for_is_kept(make_bench) -> None:
    bench = make_bench()
    chip = Mifare(bench, bench.cs, None, gain_db=48)
    chip.init()
    assert chip.check() is None
    register_write(bench, 0x26, 0x58)
    assert chip.check() == "RFCfgReg 58, expected 78"
    with pytest.raises(ValueError, match="gain 40 dB, allowed"):
        Mifare(bench, bench.cs, None, gain_db=40)


def test_silence_from_a_chip_that_is_not_as_it_should_be_is_nobodys_absence(bench: Bench) -> None:
    """100 % modulation switched off under every look: the card cannot hear, but it lies there."""
    bench.place(A)
    bench.polls(5)

    def spoil(n: int) -> None:
        if bench.reader._stage == 0:
            register_write(bench, 0x15, 0x00)

    bench.on_frame = spoil
    bench.run_ms(20_000)
    assert bench.reader.health == "fault"
    bench.on_frame = lambda n: None
    bench.run_ms(20_000)
    assert bench.reader.health == "ok"
    assert bench.told == [A]


def test_an_antenna_that_is_off_does_not_stall_a_poll(bench: Bench) -> None:
    """With the transmitter waiting for the field the chip's timer never starts."""
    register_write(bench, 0x14, 0x80)
    start_ns = bench.now_ns
    assert bench.reader.poll() == DEAD
    assert bench.now_ns - start_ns < LIMIT_NS


def test_a_chip_that_fails_again_soon_gets_a_hard_reset_and_then_is_a_fault(bench: Bench) -> None:
    bench.run_ms(1_000)
    for resets in (1, 2):
        register_write(bench, 0x14, 0x80)
        bench.run_ms(500)
        assert bench.reader.health == "ok"
        assert bench.resets == resets
    register_write(bench, 0x14, 0x80)
    bench.run_ms(100)
    assert bench.reader.health == "fault"
    bench.run_ms(1_500)
    assert bench.reader.health == "ok"
    assert healths(bench) == ["ok", "recovering", "ok", "recovering", "ok", "fault", "ok"]


def test_after_a_steady_while_trouble_is_new_trouble(bench: Bench) -> None:
    for _ in range(5):
        register_write(bench, 0x14, 0x80)
        bench.run_ms(12_000)
    assert "fault" not in healths(bench)
    assert bench.resets == 1


def test_a_chip_that_keeps_no_setting_is_a_fault(make_bench) -> None:
    bench = make_bench()
    bench.tamper = lambda sent, got: got[:-1] + b"\x00" if len(sent) > 12 else got
    bench.run_ms(1_000)
    assert bench.reader.health == "fault"
    assert "TxControlReg 00, expected 83" in bench.reader.detail


def test_a_bus_that_fails_is_a_fault_and_no_crash(bench: Bench) -> None:
    def tamper(sent: bytes, got: bytes) -> bytes:
        raise OSError("SPI bus")

    bench.tamper = tamper
    assert bench.poll() == DEAD
    bench._selected = False
    bench.tamper = lambda sent, got: got
    bench.run_ms(300)
    assert healths(bench) == ["ok", "recovering", "ok"]


def test_an_error_of_the_application_is_not_mistaken_for_the_chip(bench: Bench) -> None:
    def on_card(number: bytes) -> None:
        raise OSError("flash")

    bench.reader.presentation._on_card = on_card
    bench.place(A)
    with pytest.raises(OSError, match="flash"):
        bench.poll()
    assert bench.reader.health == "ok"


def test_noise_is_a_card_that_is_there_and_told_to_be_held(make_bench) -> None:
    for seed in range(10):
        bench = make_bench(seed=seed).start()
        bench.model.fault = "noise"
        card = bench.place(A)
        bench.run_ms(3_000)
        assert bench.told[0] in ("unreadable", A)
        assert bench.told.count("unreadable") <= 1 and bench.told.count(A) <= 1
        assert "gone" not in bench.told
        bench.field.remove(card)
        bench.run_ms(500)
        assert bench.told[-1] == "gone" and bench.told.count("gone") == 1
        assert healths(bench) == ["ok"]
        assert bench.longest_ns < 12_000_000


def test_a_tapped_card_in_noise_is_not_a_new_tap(make_bench) -> None:
    for seed in range(10):
        bench = make_bench(seed=seed).start()
        bench.place(A)
        bench.polls(3)
        bench.model.fault = "noise"
        bench.run_ms(2_000)
        bench.model.fault = "none"
        bench.run_ms(1_000)
        assert bench.told == [A]


def test_a_card_taken_away_and_brought_back_is_two_taps(bench: Bench) -> None:
    card = bench.place(A)
    bench.polls(10)
    bench.field.remove(card)
    bench.run_ms(400)
    bench.place(A)
    bench.polls(10)
    assert bench.told == [A, "gone", A]


def test_a_card_lost_for_a_moment_is_one_tap(bench: Bench) -> None:
    for _ in range(10):
        card = bench.place(A)
        bench.polls(4)
        bench.field.remove(card)
        bench.polls(2)
    assert bench.told == [A]


def test_a_phone_is_random_once(bench: Bench) -> None:
    phone = Phone(bench.rng)
    bench.field.place(phone)
    bench.run_ms(2_000)
    assert bench.told == ["random"]
    bench.field.remove(phone)
    bench.run_ms(400)
    bench.field.place(phone)
    bench.run_ms(400)
    assert bench.told == ["random", "gone", "random"]


def test_time_that_wraps_changes_nothing(make_bench) -> None:
    wrap_ns = (1 << 30) * 1_000_000
    bench = make_bench(start_ns=wrap_ns - 700_000_000).start()
    card = bench.place(A)
    bench.run_ms(1_500)
    assert bench.now_ns > wrap_ns
    bench.field.remove(card)
    bench.run_ms(500)
    bench.model.fault = "brownout"
    bench.run_ms(1_500)
    assert bench.told == [A, "gone"]
    assert healths(bench) == ["ok", "recovering", "ok"]


def test_an_empty_field_stays_quiet(bench: Bench) -> None:
    outcomes = bench.polls(10 * 60 * 40)
    assert set(outcomes) == {NOBODY, DEAD}
    assert outcomes.count(DEAD) <= 2 * 10  # the steps of a precautionary reset each minute
    assert bench.told == [] and healths(bench) == ["ok"]


def test_a_read_at_the_moment_of_an_audit_is_not_lost(bench: Bench) -> None:
    for _ in range(30):
        card = bench.place(A)
        bench.polls(4)
        bench.field.remove(card)
        bench.polls(7)
    assert bench.told.count(A) == 30
    assert healths(bench) == ["ok"]


def test_the_card_is_halted_only_after_it_was_told_of(bench: Bench) -> None:
    at: list[int] = []
    bench.reader.presentation._on_card = lambda number: at.append(bench.frames)
    bench.place(A)
    frames = bench.frames_of(bench.poll)
    assert len(at) == 1 and bench.frames - at[0] == HALT_FRAMES
    assert bench.frames_of(bench.poll) == frames  # halted, it is found again


def test_an_spi_that_fails_when_the_card_is_halted_costs_no_tap(bench: Bench) -> None:
    bench.place(A)

    def tamper(sent: bytes, got: bytes) -> bytes:
        if bench.told:
            raise OSError("SPI bus")
        return got

    bench.tamper = tamper
    bench.poll()
    bench._selected = False
    bench.tamper = lambda sent, got: got
    assert bench.told == [A] and healths(bench) == ["ok", "recovering"]
    bench.polls(20)
    assert bench.told == [A] and healths(bench) == ["ok", "recovering", "ok"]
