"""Chooses which of the two firmwares in the ROM runs. It outlives them both: an update that does
not work gives way to what ran before.

firmware.json names the slot that runs: {"run", "sha256", "bytes", "version", "proven", "starts",
"before", "gave_up", "failed"}. What has not proven itself is on trial as long as `before` names a
version to go back to: it gives way when it is damaged, after three crashes, and when it has not set
`proven` within three minutes. `gave_up` is that version until it is told of, `failed` afterwards.
A firmware/ in the flash runs where no version was ever chosen (no firmware.json), on no trial: it
takes memory that only a board with PSRAM has, so that its files must not stop a board with slots.

Where there is no trial, main.py gives the memory back that this file takes.
"""

import binascii
import hashlib
import json
import os
import sys

import machine
from micropython import const

_FILE = const("firmware.json")
_LIMIT_BYTES = const(2_048)
_CRASHES = const(3)
_TRIAL_MS = const(180_000)
_TRIAL_TIMER = const(3)  # of the chip's four: the firmware leaves it alone
_LAMP = {"red": 25, "green": 26, "blue": 33, "neopixel": 25, "contactor": 27}  # by default


class Incomplete(Exception):
    """What is missing, for an installer."""


def load() -> dict | None:
    """Choose, and mount it for `import firmware`. Returns what firmware.json says of it, None for
    one in the flash. Raises Incomplete."""
    try:
        state, image = _choose(_mapped(), _read())
    except Incomplete:
        # Beside slots that are damaged it is what `mip` has left, and more than the memory holds.
        if _is_there(_FILE):
            raise
        if _is_there("firmware/start.py") or _is_there("firmware/start.mpy"):
            return None
        raise
    _mount(image)
    return state


def _is_there(name):
    try:
        os.stat(name)
    except OSError:
        return False
    return True


class Trial:
    """Of the version that `state` describes, which runs from now on. state["proven"] ends it well;
    main.py ends it when somebody is at the console."""

    def __init__(self, state: dict):
        print("tapgate", state.get("version"), "is on trial")
        self._state = state
        self._timer = machine.Timer(_TRIAL_TIMER)
        # Not once: a call that finds no place in MicroPython's queue is lost.
        self._timer.init(period=_TRIAL_MS, callback=self._time_is_up)

    def end(self) -> None:
        """Nothing is judged any more, and the next start is no crash."""
        self._timer.deinit()
        if not self._state["proven"]:
            self._state["starts"] = 0
            try:
                _store(self._state)
            except (OSError, MemoryError):
                pass

    def _time_is_up(self, timer) -> None:
        """Whatever the firmware is doing at the moment, or not."""
        if self._state["proven"]:
            timer.deinit()
            return
        try:
            _store(_back(self._state, f"not healthy within {_TRIAL_MS // 1_000} s"))
        finally:
            machine.reset()  # where that could not be stored, this counts as a crash


def alarm() -> None:
    """Steady red, on the lamp that config.json names or else the usual one. No firmware is there
    to check that file: a pin that may be the coil's is left alone."""
    pins = dict(_LAMP)
    light = {}
    try:
        with open("config.json", "rb") as file:
            found = json.loads(file.read(16_384))
        light.update(found.get("light", {}))
        pins.update(found.get("pins", {}))
    except Exception:
        pass  # then the usual one
    try:
        if light.get("kind") == "neopixel":
            if pins["neopixel"] != pins["contactor"]:
                from neopixel import NeoPixel

                pixels = NeoPixel(machine.Pin(pins["neopixel"]), light.get("leds", 1))
                pixels.fill((0, 64, 0) if light.get("order") == "RGB" else (64, 0, 0))
                pixels.write()
            return
        dark = light.get("common") == "anode"
        for name in ("red", "green", "blue"):
            if pins[name] != pins["contactor"]:
                machine.Pin(pins[name], machine.Pin.OUT, value=dark != (name == "red"))
    except Exception:
        pass  # no lamp: the console has said it


def _mapped():
    """The ROM partition, as it lies in memory."""
    try:
        import vfs

        return memoryview(vfs.rom_ioctl(2, 0))
    except (ImportError, AttributeError, TypeError, OSError):
        raise Incomplete("there is no ROM file system (partition romfs)") from None


def _read():
    try:
        with open(_FILE, "rb") as file:
            state = json.loads(file.read(_LIMIT_BYTES))
    except OSError:
        raise Incomplete(_FILE + " is missing") from None
    except (ValueError, RuntimeError):
        state = None
    if not isinstance(state, dict):
        raise Incomplete(_FILE + " is damaged")
    state["proven"] = state.get("proven") is True
    return state


def _store(state):
    with open(_FILE + ".new", "wb") as file:
        file.write(json.dumps(state).encode())
    os.rename(_FILE + ".new", _FILE)


def _choose(rom, state):
    """What is to run, as firmware.json has it or will have it, and its image."""
    image = _whole(rom, state)
    before = state.get("before")
    if image is not None and (state["proven"] or not before):
        return state, image
    older = _whole(rom, before)
    if older is None:
        if image is None:
            raise Incomplete("the firmware in the ROM is damaged")
        state["before"] = None  # nothing to go back to: no trial
        return state, image
    why = "damaged" if image is None else _counted(state)
    if why is None:
        return state, image
    state = _back(state, why)
    try:
        _store(state)
    except (OSError, MemoryError):
        pass  # it runs all the same, and the next start comes to the same end
    return state, older


def _whole(rom, entry):
    """The image that `entry` describes if the ROM holds it, to the last bit, else None."""
    try:
        slot = len(rom) // 2 & ~4_095
        at = {"a": 0, "b": slot}[entry["run"]]
        size = entry["bytes"]
        if not 0 < size <= slot:
            return None
        image = rom[at : at + size]
        digest = binascii.hexlify(hashlib.sha256(image).digest()).decode()
        return image if digest == entry["sha256"] else None
    except (TypeError, KeyError):  # nothing of the kind stands there
        return None


def _counted(state):
    """Count this start of what is on trial; why it has to give way, or None.

    The first start counts whatever caused it, later ones where a crash may have: neither the supply
    nor somebody at the console. What cannot be counted might crash for ever, and is not started.
    """
    starts = state.get("starts")
    if type(starts) is not int:
        starts = 0
    if starts and machine.reset_cause() in (machine.PWRON_RESET, machine.SOFT_RESET):
        return None
    if starts >= _CRASHES:
        return f"{_CRASHES} crashes"
    state["starts"] = starts + 1
    try:
        _store(state)
    except (OSError, MemoryError):
        return "flash not written"
    return None


def _back(state, why):
    """What firmware.json says after giving way to the version before."""
    version = state.get("version")
    print("tapgate", version, "gives way to the version before:", why)
    older = dict(state["before"])
    older["gave_up"] = {"version": version, "why": why, "sha256": state.get("sha256")}
    older["proven"] = True
    older["starts"] = 0
    older["before"] = None
    return older


def _mount(image):
    """At /rom, in place of what MicroPython has found in the first slot. It goes before the flash,
    where somebody may have removed a firmware/ by half."""
    import vfs

    try:
        vfs.umount("/rom")
    except OSError:
        pass
    vfs.mount(vfs.VfsRom(image), "/rom")  # pyright: ignore[reportAttributeAccessIssue]
    if "/rom" in sys.path:
        sys.path.remove("/rom")
    sys.path.insert(0, "/rom")
