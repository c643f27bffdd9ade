"""Faults at the hardware, wrong configurations, power cuts: the contactor's side of each."""

import json
import time
from pathlib import Path

import psutil
import pytest

from host_tests.end_to_end.conftest import ANNA, Site, wait
from host_tests.end_to_end.seeing import (
    coil,
    light,
    plug_in,
    rests,
    start_charging,
    tap,
    unplug,
)
from tools import mpy
from tools.installer import slots
from tools.romfs import PARTITION_BYTES
from tools.virtual.client import VirtualCharger
from tools.virtual.flash import Rom, open_flash


def test_a_welded_contactor_is_a_fault(site: Site, charger: VirtualCharger, name: str):
    start_charging(charger, ANNA)
    charger.do("contactor", fault="welded")
    since = charger.mark()
    unplug(charger)
    charger.wait_for(coil(False), 5, since)
    charger.wait_for(light("red"), 5, since)
    wait(lambda: site.status(name)["state"] == "faulted", 5, "reported as faulted")
    charger.do("contactor", fault="none")
    charger.wait_for(light("green"), 6)


def test_a_coil_that_does_not_pull_is_a_fault(charger: VirtualCharger):
    charger.do("contactor", fault="open_coil")
    plug_in(charger, "yellow")
    since = tap(charger, ANNA)
    charger.wait_for(coil(False), 5, since)
    charger.wait_for(light("red"), 3, since)


@pytest.mark.parametrize("fault", ["deaf", "dead", "noise", "brownout", "stuck"])
def test_a_reader_in_trouble_stops_nobody_and_recovers(charger: VirtualCharger, fault: str):
    start_charging(charger, ANNA)
    since = charger.mark()
    charger.do("reader", fault=fault)
    time.sleep(1)
    assert not [push for push in charger.pushes[since:] if coil(False)(push)]
    charger.do("reader", fault="none")
    unplug(charger)
    charger.wait_for(coil(False), 5, since)
    plug_in(charger, "yellow")

    def accepted() -> bool:
        before = tap(charger, ANNA)
        time.sleep(0.2)
        return any(coil(True)(push) for push in charger.pushes[before:])

    wait(accepted, 75, "accepted again")


def test_a_dead_reader_is_shown_and_open_access_still_works(
    site: Site, charger: VirtualCharger, name: str
):
    charger.do("reader", fault="dead")
    charger.wait_for(light("red"), 10)
    charger.wait_for(light("yellow"), 2)  # red and yellow in turn
    site.change("access", "open", "--charger", name)
    plug_in(charger, "blue")


def test_power_cut_in_mid_session_opens_and_the_session_goes_on_when_the_power_is_back(
    charger: VirtualCharger,
):
    start_charging(charger, ANNA)
    since = charger.mark()
    charger.do("power", off_ms=300)
    charger.wait_for(coil(False), 5, since)
    charger.wait_for(coil(True), 10, since)
    charger.wait_for(light("blue"), 3, since)
    charger.wait_for(coil(False), 2, tap(charger, ANNA))  # it is still hers


def test_a_vehicle_that_left_while_the_power_was_away_leaves_nothing_behind(
    charger: VirtualCharger,
):
    start_charging(charger, ANNA)
    since = charger.mark()
    charger.do("power", off_ms=1_000)
    charger.wait_for(coil(False), 5, since)
    unplug(charger)
    charger.wait_for(lambda push: "ready" in push, 10, since)
    plugged = charger.mark()
    time.sleep(2.5)  # what ran has ended by then
    plug_in(charger, "yellow")
    rests(charger, coil(True), 0.5, plugged)
    charger.wait_for(coil(True), 2, tap(charger, ANNA))  # the list was on the flash


def test_the_list_outlives_power_cuts_on_a_littlefs_image(site: Site):
    site.add("image")
    path = site.config("image")
    with VirtualCharger.start(path, site.home / "image.img") as charger:
        site.wait_in_step("image")
        since = charger.mark()
        charger.do("link", up=False)
        charger.do("power", off_ms=200)
        charger.wait_for(lambda push: "ready" in push, 20, since)
        start_charging(charger, ANNA)


NO_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nbm8gY2VydA==\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda c: c["wifi"].update(ssid=5), "wifi.ssid: found 5"),
        (lambda c: c.pop("charger_key"), "charger_key"),
        (lambda c: c.update(card_key="12"), "card_key"),
        (lambda c: c["pins"].update(contactor=6), "pins.contactor"),
        (lambda c: c.update(acess="open"), "acess"),
        (lambda c: c["broker"].update(port=0), "broker.port"),
        (lambda c: c["broker"].update(tls=True, ca=NO_CERTIFICATE), "broker.ca: found"),
    ],
)
def test_a_wrong_configuration_is_named_and_shown_red(
    site: Site, name: str, tmp_path: Path, spoil, said: str
):
    site.tapgate("charger", "add", name)
    config = json.loads(site.config(name).read_text())
    secrets = (config["charger_key"], config["card_key"])
    spoil(config)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    with VirtualCharger.start(path, tmp_path / "flash", until="stopped") as charger:
        line = charger.wait_for_output("cannot start", 5)
        assert said in line
        assert not any(secret in "".join(charger.output) for secret in secrets)
        charger.do("plug")
        tap(charger, ANNA)
        status = charger.status()
        assert status["contactor"] is False
        assert status["light"][0] > 0 and status["light"][1:] == [0, 0]


def test_a_board_that_hangs_is_ended_by_the_watchdog(charger: VirtualCharger):
    start_charging(charger, ANNA)
    since = charger.mark()
    (board,) = psutil.Process(charger.process.pid).children()
    board.suspend()
    charger.wait_for(coil(False), 12, since)
    charger.wait_for(lambda push: push.get("reset") == "watchdog", 5, since)
    charger.wait_for(coil(True), 10, since)
    charger.wait_for(light("blue"), 3, since)


def test_a_task_that_breaks_opens_the_contactor_and_the_board_starts_again(
    site: Site, name: str, tmp_path: Path
):
    site.tapgate("charger", "add", name)
    site.change("access", "open", "--charger", name)
    flash = with_a_fault(site.config(name), tmp_path / "flash")
    with VirtualCharger.start(None, flash) as charger:
        since = charger.mark()
        charger.do("plug")
        charger.wait_for(coil(True), 20, since)  # as soon as the settings have come
        charger.wait_for(coil(False), 5, since)
        charger.wait_for(light("red"), 5, since)
        charger.wait_for_output("a task broke", 2)
        rests(charger, coil(True), 1, charger.mark())  # long enough to be read
        charger.wait_for(lambda push: "reset" in push, 4, since)
        charger.wait_for(coil(True), 20, charger.mark())


# A task that ends half a second after the contactor has closed.
LOOK = "    def control(self, now_ms: int) -> None:\n"
BREAKS = "LOOKS = [50]\n\n\nclass ChargePoint:\n"
BREAK = """\
        LOOKS[0] -= self.session.state == "charging"
        if not LOOKS[0]:
            raise ValueError("a task broke")
"""


def with_a_fault(config: Path, flash: Path) -> Path:
    """A flash, and the ROM beside it, of a board whose firmware has that in it."""
    sources = mpy.sources()
    text = sources["firmware/charge_point.py"]
    begin = text.index("        if self._books.torn:\n", text.index(LOOK))
    broken = text[:begin] + BREAK + text[begin:]
    sources["firmware/charge_point.py"] = broken.replace("class ChargePoint:\n", BREAKS, 1)
    image = mpy.image(sources)
    chips = open_flash(flash)
    rom = Rom(flash.with_name(flash.name + ".rom"), PARTITION_BYTES)
    rom.install(image, "a")
    chosen = slots.alone(slots.Wanted(image, mpy.version()))
    chips.install({**mpy.starters(), "config.json": config.read_bytes(), mpy.CHOICE: chosen})
    rom.close()
    chips.close()
    return flash
