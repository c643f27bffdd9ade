"""The reader chip's own self-test on the chip model, and the reader that goes on after it."""

import asyncio

import pytest

from firmware.cards import chip_test
from host_tests.reader.bench import Bench

A = "04a1b2c3"


def carried_out(bench: Bench, on_pause=lambda: None) -> tuple:
    """Lend the chip, test it and give it back, while the reader polls on."""
    outcomes = []

    async def pause(ms: int) -> None:
        on_pause()
        until_ns = bench.now_ns + ms * 1_000_000
        outcomes.append(bench.reader.poll())
        bench.now_ns = max(bench.now_ns, until_ns)

    bench.reader.lend(5_000)
    result = asyncio.run(chip_test.run(bench.chip, pause))
    bench.reader.lend(0)
    return result


@pytest.mark.parametrize("version, name", [(0x91, "1.0"), (0x92, "2.0")])
def test_the_chip_is_named_and_its_64_bytes_are_those_of_its_version(make_bench, version, name):
    bench = make_bench(version=version).start()
    found = f"MFRC522 version {name} ({version:02x}), its self-test is right"
    assert carried_out(bench) == (True, found, version)


@pytest.mark.parametrize("version", [0x12, 0x82, 0x88, 0xB2])
def test_a_clones_own_bytes_are_nobodys_to_judge(make_bench, version):
    passed, found, _ = carried_out(make_bench(version=version).start())
    assert passed is True
    assert "a clone" in found and f"({version:02x})" in found and "right" not in found


def test_another_versions_bytes_are_wrong(make_bench, monkeypatch):
    bench = make_bench(version=0x92).start()
    monkeypatch.setitem(chip_test._EXPECTED, 0x92, chip_test._EXPECTED[0x91])
    passed, found, _ = carried_out(bench)
    assert passed is False and "of 64 bytes of its self-test are wrong" in found


def test_a_chip_that_is_right_the_second_time_is_right(bench: Bench):
    spoilt = []

    def tamper(sent: bytes, got: bytes) -> bytes:
        if len(sent) == 65 and not spoilt:
            spoilt.append(True)
            return bytes(65)
        return got

    bench.tamper = tamper
    assert carried_out(bench)[0] is True and spoilt


def test_a_memory_that_was_not_empty_makes_no_difference(bench: Bench):
    bench.model._core.buffer = bytes(range(25))
    assert carried_out(bench)[0] is True


@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_a_dead_chip_is_said_to_be_none(bench: Bench, level: int):
    bench.model.dead_level = level
    bench.model.fault = "dead"
    passed, found, _ = carried_out(bench)
    assert passed is False
    assert found.startswith(f"no chip answers: VersionReg {level:02x}")


def test_a_chip_that_goes_in_the_midst_of_it_ends_it(bench: Bench):
    paused = []

    def dies() -> None:
        paused.append(True)
        if len(paused) == 3:
            bench.model.dead_level = 0xFF
            bench.model.fault = "dead"

    passed, found, _ = carried_out(bench, dies)
    assert passed is False
    assert "self-test" in found


@pytest.mark.parametrize("rst", [True, False])
def test_the_reader_goes_on_as_before(make_bench, rst: bool):
    bench = make_bench(rst=rst).start()
    bench.place(A)
    bench.polls(5)
    carried_out(bench)
    bench.run_ms(300)
    assert bench.chip.check() is None
    assert bench.told == [A], "a card that lies there through it is no new tap"
    assert bench.health == [("ok", "VersionReg 92")]
    assert bench.reader.failures == 0


def test_a_reader_whose_tester_has_gone_takes_its_chip_back(bench: Bench):
    bench.reader.lend(5_000)
    bench.model.reset_pin(0)
    bench.model.reset_pin(1)
    bench.run_ms(4_900)
    assert bench.told == [] and bench.chip.check() is not None
    bench.run_ms(400)
    bench.place(A)
    bench.polls(3)
    assert bench.told == [A]
    assert bench.health == [("ok", "VersionReg 92")]


def test_a_brownout_after_it_is_noticed(bench: Bench):
    carried_out(bench)
    bench.run_ms(300)
    bench.model.fault = "brownout"
    assert bench.chip.check() is not None
    bench.run_ms(300)
    assert bench.reader.failures == 1
