"""Everything around the chip: what is wired to the board's pins, and the people who touch it.

One lock guards all of it. The board's requests come in on their own thread, commands and whatever
is due come from the main thread; both hold the lock while they look or touch.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
from collections.abc import Callable
from typing import Any

from tools.virtual.board import wire
from tools.virtual.contactor import Contactor
from tools.virtual.counter import Counter
from tools.virtual.flash import Chip as Storage
from tools.virtual.flash import Flash, ImageFlash, Nvs
from tools.virtual.lamp import Colour, Lamp, NeopixelLamp, RgbLamp
from tools.virtual.meter import Meter
from tools.virtual.network import Relays, Wifi
from tools.virtual.pins import Drive, Pins
from tools.virtual.rc522 import Chip, Field, MifareClassic, Phone
from tools.virtual.rtc import Rtc
from tools.virtual.schedule import Due, Schedule
from tools.virtual.vehicle import Vehicle
from tools.virtual.wiring import Wiring

PHONE = "phone"
CARD_KINDS = ("classic1k", "classic4k", PHONE)
_ESPRESSIF = bytes((0x24, 0x0A, 0xC4))  # a vendor prefix of ESP32 addresses


class World:
    """`push` takes what happens at the hardware; `interrupt(kind, number)` reaches the board."""

    def __init__(
        self,
        wired: Wiring,
        flash: Flash,
        storage: Storage,
        nvs: Nvs,
        loop: asyncio.AbstractEventLoop,
        push: Callable[[dict[str, Any]], None],
        schedule: Schedule | None = None,
        rng: random.Random | None = None,
    ):
        rng = rng or random.Random()
        self.lock = threading.RLock()
        self.wired, self.flash, self.storage, self.nvs = wired, flash, storage, nvs
        self.schedule = schedule or Schedule()
        self.interrupt: Callable[[int, int], None] = lambda kind, number: None
        self._push = push
        self._rng = rng
        now_ns = self.schedule.now_ns
        pins = self.pins = Pins(now_ns, lambda pin: self.interrupt(wire.PIN_EVENT, pin))

        self.field = Field(now_ns)
        self.chip = Chip(now_ns, self.field, rng=rng)
        self.present: dict[str, MifareClassic | Phone] = {}  # by the name to take them away
        self._cards: dict[str, MifareClassic] = {}
        pins.listen(wired.pins["cs"], self._chip_select)
        pins.listen(wired.pins["rst"], self._chip_reset)
        self._selected = False

        self.contactor = Contactor(self.schedule, self._coil, self._contacts)
        pins.listen(wired.pins["contactor"], self.contactor.driven)
        pins.source(wired.pins["feedback"], self.contactor.mirror)

        self.vehicle = Vehicle(self.schedule, self._contact, rng)
        external = wire.PULL_UP if wired.pin("contact") >= 34 else wire.PULL_NONE
        pins.source(wired.pins["contact"], self.vehicle.contact_level, external)
        pins.listen(wired.pins["pilot_pwm"], self.vehicle.pilot_driven)
        pins.microvolts[wired.pin("pilot_adc")] = self.vehicle.pilot_microvolts

        self.meter = Meter(self.schedule, wired.pulses_per_kwh, self._meter_edge)
        pins.source(wired.pins["meter"], self.meter.level, wire.PULL_UP)

        self.lamp = self._lamp()
        self.wifi = Wifi(self.schedule, wired.ssid, wired.password)
        self.relays = Relays(loop, wired.time_host)
        self.rtc = Rtc(self.schedule)
        self.counters: dict[int, Counter] = {}
        self.timers: dict[int, Due] = {}

    @property
    def unique_id(self) -> bytes:
        return _ESPRESSIF + hashlib.sha256(self.wired.name.encode()).digest()[:3]

    def push(self, **event: Any) -> None:
        event.setdefault("t_ms", self.schedule.t_ms())
        self._push(event)

    # the board's life, as its supply and its resets make it

    def power_lost(self) -> None:
        self.chip_reset()
        self.chip.power(False)
        self.rtc.power_lost()
        self.lamp.power_lost()

    def power_back(self) -> None:
        self.chip.power(True)

    def chip_reset(self) -> None:
        """Every reset but the soft one: the pins let go of what they held."""
        self.pins.release_all()
        self._forget()
        self.wifi.reset()
        self.relays.board_lost()

    def soft_reset(self) -> None:
        self.pins.stop_pwm()
        self._forget()

    def _forget(self) -> None:
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
        self.counters.clear()
        self.nvs.reset()

    # the reader

    def _chip_select(self, drive: Drive) -> None:
        selected = drive.duty == 0
        if selected != self._selected:
            self._selected = selected
            if selected:
                self.chip.select()
            else:
                self.chip.deselect()

    def _chip_reset(self, drive: Drive) -> None:
        self.chip.reset_pin(0 if drive.duty == 0 else 1)

    # cards

    def place(self, uid: str | None, kind: str) -> str:
        """Put a card into the field; returns the name under which it can be taken away."""
        if kind == PHONE:
            name = uid or PHONE
            card = Phone(self._rng)
        else:
            assert uid is not None
            name = uid
            card = self._cards.get(f"{kind} {uid}") or MifareClassic(bytes.fromhex(uid), kind)
            self._cards[f"{kind} {uid}"] = card  # its memory outlives the tap
        if name in self.present:
            raise ValueError(f"{name} is in the field already")
        self.present[name] = card
        self.field.place(card)
        self.push(card="placed", uid=name)
        return name

    def remove(self, name: str) -> None:
        self.field.remove(self.present.pop(name))
        self.push(card="removed", uid=name)

    # lamp, contactor, vehicle, meter

    def _lamp(self) -> Lamp:
        wired = self.wired
        if wired.light.get("kind") == "neopixel":
            lamp = NeopixelLamp(self.schedule, self._light, wired.light["order"])
            self.bitstreams = {wired.pins["neopixel"]: lamp.data}
            return lamp
        lamp = RgbLamp(self.schedule, self._light, wired.light.get("common") == "anode")
        for index, name in enumerate(("red", "green", "blue")):
            self.pins.listen(wired.pins[name], lamp.channel(index))
        self.bitstreams = {}
        return lamp

    def _light(self, colour: Colour, t_ms: float) -> None:
        self.push(light=list(colour), t_ms=t_ms)

    def _coil(self, on: bool) -> None:
        self.push(pin="contactor", on=on)

    def _contacts(self) -> None:
        self.pins.look(self.wired.pins["feedback"])

    def _contact(self) -> None:
        self.pins.look(self.wired.pins["contact"])

    def _meter_edge(self) -> None:
        self.pins.look(self.wired.pins["meter"])

    # status

    def status(self) -> dict[str, Any]:
        flash: dict[str, Any] = {"flash": "directory"}
        if isinstance(self.flash, ImageFlash):
            image = self.flash
            flash = {
                "flash": "image",
                "flash_reads": image.reads,
                "flash_programs": image.programs,
                "flash_erases": image.erases,
            }
        if self.storage.rom:
            rom = self.storage.rom
            flash |= {"romfs_programs": rom.programs, "romfs_erases": rom.erases}
        return {
            "contactor": self.contactor.coil,
            "main_contacts": self.contactor.closed,
            "light": list(self.lamp.colour),
            "vehicle": self.vehicle.connected,
            "asks": self.vehicle.asks,
            "pilot": self.vehicle.state,
            "cards": list(self.present),
            "link": self.wifi.up,
            "spi_frames": self.chip.frames,
            **flash,
        }
