import sys

from firmware import config
from firmware.hardware import board
from firmware.hardware.board import Board
from firmware.hardware.counted_s0 import CountedS0
from firmware.hardware.meter import NoMeter
from firmware.hardware.pilot import Pilot
from firmware.hardware.s0 import S0
from firmware.hardware.vehicle import Contact


class _Pin:
    IN = "in"
    OUT = "out"
    PULL_UP = "up"
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(self, log, number, mode=None, pull=None, value=None):
        self.log = log
        self.number = number
        self.level = 1 if value is None else value
        if mode is not None:
            log.append((number, mode, pull, value))

    def __call__(self, level=None):
        if level is None:
            return self.level
        self.level = level
        self.log.append((self.number, level))
        return None

    def irq(self, handler=None, trigger=3):
        self.handler = handler


class _Machine:
    """The module `machine`, as far as a board's parts are built from it."""

    PWRON_RESET = 1
    HARD_RESET = 2
    WDT_RESET = 3
    DEEPSLEEP_RESET = 4
    SOFT_RESET = 5

    def __init__(self, cause=1):
        self.log = log = []
        self.cause = cause
        self.pwm = pwm = {}
        self.spi = spi = {}
        self.wdt = wdt = []

        class Pin(_Pin):
            def __init__(self, number, mode=None, pull=None, value=None):
                _Pin.__init__(self, log, number, mode, pull, value)

        class PWM:
            def __init__(self, pin, freq, duty_u16):
                self.freq = freq
                self.duty = duty_u16
                pwm[pin.number] = self

            def duty_u16(self, value):
                self.duty = value

        class ADC:
            ATTN_11DB = "11 dB"

            def __init__(self, pin, atten):
                log.append((pin.number, "adc", atten))

            def read_uv(self):
                return 2_300_000

        class SPI:
            def __init__(self, number, **options):
                options["id"] = number
                spi.update(options)

        class WDT:
            def __init__(self, timeout):
                wdt.append(timeout)

        self.Pin = Pin
        self.PWM = PWM
        self.ADC = ADC
        self.SPI = SPI
        self.WDT = WDT
        self.RTC = object

    def unique_id(self):
        return b"\x24\x0a\xc4\x00\x01\x02"

    def reset_cause(self):
        return self.cause


def _config(**sections):
    found = {
        "installation": "north-garage",
        "charger": "bay-1",
        "charger_key": "0" * 64,
        "card_key": "1" * 64,
        "wifi": {"ssid": "Garage"},
        "broker": {"host": "broker.local"},
    }
    found.update(sections)
    return config.check(found)


def _built(cause=1, **sections):
    machine = _Machine(cause)
    return Board(_config(**sections), machine), machine


def test_the_coil_is_driven_low_before_anything_else():
    _, machine = _built(pins={"contactor": 13})
    assert machine.log[0] == (13, "out", None, 0)
    assert (13, 1) not in machine.log


def test_the_contactor_stays_open_until_an_interlock_is_given():
    built, _ = _built()
    assert built.contactor.close() is False
    built.contactor.interlock = lambda: True
    assert built.contactor.close() is True


def test_pull_ups_are_asked_for_where_the_chip_has_them():
    _, machine = _built(pins={"feedback": 34, "contact": 32})
    assert (34, "in", None, None) in machine.log
    assert (32, "in", "up", None) in machine.log


class _Esp32:
    """The module `esp32`, with pulse counters that work, or that are all in use."""

    def __init__(self, free=True):
        asked = self.asked = []

        class PCNT:
            IGNORE, INCREMENT = 0, 1

            def __init__(self, number):
                asked.append(number)
                if not free:
                    raise OSError(-261)

            def init(self, **told):
                self.told = told

            def start(self):
                pass

            def value(self):
                return 0

        self.PCNT = PCNT


def _metered(esp32):
    sys.modules["esp32"] = esp32
    try:
        return _built(meter={"kind": "s0", "pulses_per_kwh": 800, "stall_s": 90})
    finally:
        del sys.modules["esp32"]


def test_the_chip_counts_the_meters_pulses():
    built, machine = _metered(_Esp32())
    assert isinstance(built.meter, CountedS0)
    assert built.meter.stall_s == 90
    assert (35, "in", None, None) in machine.log


def test_an_interrupt_counts_the_meters_pulses_where_the_chip_cannot():
    esp32 = _Esp32(free=False)
    built, _ = _metered(esp32)
    assert esp32.asked == [0]
    assert isinstance(built.meter, S0)
    assert built.meter.stall_s == 90


def test_the_reader_is_on_its_bus_and_not_selected():
    built, machine = _built()
    assert (5, "out", None, 1) in machine.log
    assert (22, "out", None, 1) in machine.log
    assert machine.spi["id"] == 2 and machine.spi["baudrate"] <= 10_000_000
    assert (machine.spi["polarity"], machine.spi["phase"]) == (0, 0)
    assert [machine.spi[name].number for name in ("sck", "mosi", "miso")] == [18, 23, 19]
    assert built.cs.number == 5 and built.rst is not None and built.rst.number == 22


def test_without_a_reset_line_and_feedback_there_are_none():
    built, machine = _built(pins={"rst": None, "feedback": None})
    assert built.rst is None
    assert all(entry[0] not in (22, 34) for entry in machine.log)


def test_the_parts_are_those_of_the_configuration():
    built, machine = _built()
    assert isinstance(built.vehicle, Contact) and isinstance(built.meter, NoMeter)
    assert sorted(machine.pwm) == [25, 26, 33]
    built, machine = _built(
        vehicle={"kind": "pilot", "max_current_a": 32}, meter={"kind": "s0", "pulses_per_kwh": 800}
    )
    assert isinstance(built.vehicle, Pilot) and isinstance(built.meter, S0)
    assert (machine.pwm[4].freq, machine.pwm[4].duty) == (1_000, 65_535)
    assert (36, "adc", "11 dB") in machine.log
    built.vehicle.offer(True)
    assert abs(machine.pwm[4].duty / 65_535 - 32 / 60) < 0.0001


def test_a_lamp_with_a_common_anode_is_dark_at_the_start():
    _, machine = _built(light={"kind": "rgb", "common": "anode"})
    assert [machine.pwm[pin].duty for pin in (25, 26, 33)] == [65_535] * 3
    assert machine.pwm[25].freq == 1_000


def test_a_board_that_cannot_start_is_red():
    machine = _Machine()
    board.alarm(config.lamp(None), machine)
    assert [machine.pwm[pin].duty for pin in (25, 26, 33)] == [65_535, 0, 0]


def test_a_board_whose_lamp_might_be_the_coil_stays_dark():
    machine = _Machine()
    board.alarm(None, machine)
    assert machine.log == [] and machine.pwm == {}


class _Pixels:
    made = []  # noqa: RUF012

    def __init__(self, pin, count):
        self.pin = pin
        self.count = count
        self.colour = None
        _Pixels.made.append(self)

    def fill(self, colour):
        self.colour = colour

    def write(self):
        pass


class _NeopixelModule:
    NeoPixel = _Pixels


def test_addressable_leds_are_built_with_their_number_and_order():
    sys.modules["neopixel"] = _NeopixelModule  # pyright: ignore[reportArgumentType]
    try:
        built, machine = _built(light={"kind": "neopixel", "leds": 8, "order": "RGB"})
    finally:
        del sys.modules["neopixel"]
    pixels = _Pixels.made.pop()
    assert (pixels.pin.number, pixels.count) == (25, 8)
    built.light.state("faulted")
    built.light.render(0)
    assert pixels.colour == (0, 255, 0)  # red first on the wire, where NeoPixel puts green
    assert machine.pwm == {}


def test_the_cause_of_the_start_is_a_word():
    words = [_built(cause=cause)[0].reset_cause for cause in (1, 2, 3, 4, 5, 99)]
    assert words == ["power", "hard", "watchdog", "sleep", "soft", "unknown"]


def test_the_chip_is_known_by_its_number():
    assert _built()[0].id == "240ac4000102"


def test_the_watchdog_starts_when_it_is_asked_for():
    built, machine = _built()
    assert machine.wdt == []
    built.watchdog()
    assert machine.wdt == [board.WATCHDOG_MS]
