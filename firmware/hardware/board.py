"""Builds what the configuration says is wired to the board, and loads the code for nothing else."""

from binascii import hexlify

from micropython import const

from firmware.hardware.contactor import Contactor
from firmware.hardware.light import PWM_HZ, Light, PixelLamp, RgbLamp
from firmware.hardware.meter import NoMeter
from firmware.hardware.vehicle import Contact
from firmware.hardware.watchdog import Watchdog

# Half of what the MFRC522 is specified for (data sheet section 8.1.2: 10 Mbit/s), and a whole
# fraction of the ESP32's 80 MHz. A card takes some 700 bits, so that 10 MHz would save 0.07 ms of a
# tap and give up the margin that clones and leads of 30 cm need.
_SPI_HZ = const(5_000_000)
_SPI_ID = const(2)

# Longer than anything that the start or a full flash may take, short for a driver who waits.
WATCHDOG_MS = const(8_000)

_METER_COUNTER = const(0)  # of the chip's eight pulse counters
_INPUT_ONLY_FROM = const(34)  # these pins have no pull-up: one is needed on the board


class Board:
    """Everything wired: spi, cs, rst (or None), contactor, light, vehicle, meter, rtc.

    config: a checked configuration. machine: the module, or what stands for it. The coil is driven
    low first. The contactor stays open until `contactor.interlock` is given. `id` is the chip's
    number in hex, `reset_cause` one of "power", "hard", "watchdog", "sleep", "soft". `guarded`: the
    watchdog, once it runs.
    """

    guarded = None

    def __init__(self, config: dict, machine):
        pins = config["pins"]
        self._machine = machine
        coil = _output(machine, pins["contactor"], 0)
        feedback = None if pins["feedback"] is None else _input(machine, pins["feedback"])
        self.contactor = Contactor(coil, feedback, _never, **config["contactor"])
        self.light = Light(lamp(config, machine), config["light"]["brightness"])
        self.vehicle = _vehicle(config, machine)
        self.meter = _meter(config, machine)
        self.cs = _output(machine, pins["cs"], 1)
        self.rst = None if pins["rst"] is None else _output(machine, pins["rst"], 1)
        self.spi = machine.SPI(
            _SPI_ID,
            baudrate=_SPI_HZ,
            polarity=0,
            phase=0,
            sck=machine.Pin(pins["sck"]),
            mosi=machine.Pin(pins["mosi"]),
            miso=machine.Pin(pins["miso"]),
        )
        self.rtc = machine.RTC()
        self.id = hexlify(machine.unique_id()).decode()
        self.reset_cause = _reset_cause(machine)

    def watchdog(self) -> Watchdog:
        """Start the watchdog timer, which nothing can stop again; `guarded` then."""
        self.guarded = Watchdog(self._machine.WDT(timeout=WATCHDOG_MS))
        return self.guarded


def alarm(settings: dict | None, machine) -> None:
    """Steady red, the look of a board that cannot start; settings: what `config.lamp` returns."""
    if settings is None:
        return
    bright = (255 * settings["light"]["brightness"] + 99) // 100
    lamp(settings, machine).write(bright, 0, 0)


def lamp(config: dict, machine):
    """The lamp itself, as the sections `light` and `pins` say."""
    light = config["light"]
    pins = config["pins"]
    if light["kind"] == "neopixel":
        from neopixel import NeoPixel

        pixels = NeoPixel(_output(machine, pins["neopixel"], 0), light["leds"])
        return PixelLamp(pixels, light["order"] == "RGB")
    anode = light["common"] == "anode"
    dark = 65_535 if anode else 0
    channels = [
        machine.PWM(machine.Pin(pins[name]), freq=PWM_HZ, duty_u16=dark)
        for name in ("red", "green", "blue")
    ]
    return RgbLamp(channels[0], channels[1], channels[2], anode)


def _vehicle(config, machine):
    pins = config["pins"]
    vehicle = config["vehicle"]
    if vehicle["kind"] == "contact":
        return Contact(_input(machine, pins["contact"]))
    from firmware.hardware.pilot import PILOT_HZ, STEADY, Pilot

    pwm = machine.PWM(machine.Pin(pins["pilot_pwm"]), freq=PILOT_HZ, duty_u16=STEADY)
    adc = machine.ADC(machine.Pin(pins["pilot_adc"]), atten=machine.ADC.ATTN_11DB)
    return Pilot(pwm, adc, vehicle["max_current_a"])


def _meter(config, machine):
    if config["meter"]["kind"] == "none":
        return NoMeter()
    pin = _input(machine, config["pins"]["meter"])
    pulses_per_kwh, stall_s = config["meter"]["pulses_per_kwh"], config["meter"]["stall_s"]
    try:
        from esp32 import PCNT

        from firmware.hardware.counted_s0 import CountedS0

        return CountedS0(PCNT(_METER_COUNTER), pin, pulses_per_kwh, stall_s)
    except Exception as error:  # an older MicroPython, or a chip without one that is free
        print("the meter's pulses are counted by an interrupt:", repr(error))
        from firmware.hardware.s0 import S0

        return S0(pin, pulses_per_kwh, stall_s)


def _output(machine, pin, value):
    return machine.Pin(pin, machine.Pin.OUT, value=value)


def _input(machine, pin):
    if pin >= _INPUT_ONLY_FROM:
        return machine.Pin(pin, machine.Pin.IN)
    return machine.Pin(pin, machine.Pin.IN, machine.Pin.PULL_UP)


def _never():
    return False


def _reset_cause(machine):
    cause = machine.reset_cause()
    for name, word in (
        ("PWRON_RESET", "power"),
        ("HARD_RESET", "hard"),
        ("WDT_RESET", "watchdog"),
        ("DEEPSLEEP_RESET", "sleep"),
        ("SOFT_RESET", "soft"),
    ):
        if cause == getattr(machine, name, None):
            return word
    return "unknown"
