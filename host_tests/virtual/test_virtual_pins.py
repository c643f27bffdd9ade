"""What is wired to the pins, as the board sees and drives it."""

import time

COIL = "from machine import Pin; coil = Pin(27, Pin.OUT, value={}); feedback = Pin(34, Pin.IN)"


def test_the_coil_is_pushed_when_its_pin_changes_and_only_then(bench):
    since = bench.charger.mark()
    bench.run(COIL.format(0) + "; coil(1); coil(1); coil.off(); coil.off()")
    bench.charger.wait_for(lambda push: push.get("on") is False, 2, since)
    coil = [push["on"] for push in bench.charger.pushes[since:] if push.get("pin") == "contactor"]
    assert coil == [True, False]


def test_the_feedback_follows_the_coil_after_the_contactor_has_moved(bench):
    bench.run(COIL.format(0))
    assert bench.run("coil(1); print(feedback())") == "0"
    assert bench.run("import time; time.sleep_ms(60); print(feedback())") == "1"
    assert bench.run("coil(0); time.sleep_ms(60); print(feedback())") == "0"


def test_a_welded_contactor_stays_closed_without_its_coil(bench):
    bench.run(COIL.format(1) + "; import time; time.sleep_ms(60)")
    bench.charger.do("contactor", fault="welded")
    assert bench.run("coil(0); time.sleep_ms(60); print(feedback())") == "1"


def test_an_open_coil_never_closes_the_contacts(bench):
    bench.charger.do("contactor", fault="open_coil")
    assert bench.run(COIL.format(1) + "; import time; time.sleep_ms(60); print(feedback())") == "0"
    assert bench.charger.status()["contactor"] is True


def test_the_plug_closes_a_contact_to_ground_and_bounces(bench):
    bench.run(
        "from machine import Pin; contact = Pin(32, Pin.IN, Pin.PULL_UP); edges = []\n"
        "contact.irq(lambda pin: edges.append(pin()), Pin.IRQ_RISING | Pin.IRQ_FALLING)"
    )
    assert bench.run("print(contact())") == "1"
    bench.charger.do("plug")
    assert bench.run("import time; time.sleep_ms(60); print(contact(), len(edges) > 2)") == "0 True"


def test_an_interrupt_is_served_while_the_program_sleeps_or_waits(bench):
    bench.run(
        "import asyncio, time; from machine import Timer\n"
        "async def doze(): await asyncio.sleep_ms(400)\n"
        "def delay(wait):\n"
        "    came = []; start = time.ticks_ms()\n"
        "    note = lambda timer: came.append(time.ticks_diff(time.ticks_ms(), start))\n"
        "    Timer(1).init(mode=Timer.ONE_SHOT, period=30, callback=note)\n"
        "    wait(); print(29 <= came[0] < 250)"
    )
    assert bench.run("delay(lambda: time.sleep_ms(400))") == "True"
    assert bench.run("delay(lambda: asyncio.run(doze()))") == "True"


def test_three_channels_written_one_after_the_other_are_one_change_of_the_lamp(bench):
    bench.run(
        "from machine import PWM, Pin\n"
        "red, green, blue = [PWM(Pin(n), freq=1000, duty_u16=0) for n in (25, 26, 33)]"
    )
    since = bench.charger.mark()
    bench.run("red.duty_u16(65535); green.duty(706); blue.duty_ns(0)")
    bench.charger.wait_for(lambda push: "light" in push, 2, since)
    bench.run("red.duty_u16(65535)")
    bench.run("blue.duty_u16(65535)")
    bench.charger.wait_for(lambda push: push.get("light", [0])[-1] == 255, 2, since)
    lights = [push["light"] for push in bench.charger.pushes[since:] if "light" in push]
    assert lights == [[255, 176, 0], [255, 176, 255]]


def test_the_pilot_shows_the_vehicle_and_the_wave_at_the_instant_of_reading(bench):
    bench.run(
        "from machine import ADC, PWM, Pin; import time\n"
        "pwm = PWM(Pin(4), freq=1000, duty_u16=65535)\n"
        "adc = ADC(Pin(36), atten=ADC.ATTN_11DB)\n"
        "def levels():\n"
        "    seen = set()\n"
        "    for _ in range(200):\n"
        "        seen.add(round(adc.read_uv() / 50000))\n"
        "    return sorted(v * 0.05 for v in seen)\n"
        "def volts(): print(' '.join('%.2f' % v for v in levels()))"
    )
    assert bench.run("volts()") == "2.30"
    bench.charger.do("plug")
    assert bench.run("volts()") == "2.05"
    assert bench.run("pwm.duty_u16(17476); time.sleep_ms(60); volts()") == "0.30 1.80"
    bench.charger.do("draw", on=False)
    assert bench.run("time.sleep_ms(60); volts()") == "0.30 2.05"


def test_meter_pulses_pull_the_line_low_and_are_counted_in_hardware(start):
    charger = start(
        "from machine import Counter, Pin; import time; low = []\n"
        "counter = Counter(0, Pin(35, Pin.IN), edge=Counter.FALLING)\n"
        "Pin(35).irq(lambda pin: low.append(pin()), Pin.IRQ_FALLING)\n"
        "contact = Pin(32, Pin.IN, Pin.PULL_UP); print('armed')\n"
        "while contact() or len(low) < 12: time.sleep_ms(5)\n"
        "print('pulses', counter.value(), len(low), Pin(35)())\n"
    )
    charger.wait_for_output("armed", 5)
    assert charger.do("energy", wh=12)["pulses"] == 12
    charger.do("plug")
    charger.wait_for_output("pulses 12 12 1", 5)


def test_a_timer_calls_back_until_it_is_stopped(bench):
    bench.run(
        "from machine import Timer; import time; calls = []; timer = Timer(0)\n"
        "timer.init(period=5, callback=lambda t: calls.append(t is timer))\n"
        "time.sleep_ms(60); timer.deinit(); count = len(calls)"
    )
    assert bench.run(
        "time.sleep_ms(30); print(5 < count < 20, all(calls), len(calls) == count)"
    ) == ("True True True")


def test_the_reader_answers_on_its_wires_and_frames_are_counted(bench):
    before = bench.charger.status()["spi_frames"]
    version = (
        "from machine import SPI, Pin\n"
        "cs, rst = Pin(5, Pin.OUT, value=1), Pin(22, Pin.OUT, value=1)\n"
        "spi = SPI(2, baudrate=5_000_000)\n"
        "into = bytearray(2)\n"
        "cs(0); spi.write_readinto(b'\\xee\\x00', into); cs(1)\n"
        "print(hex(into[1]))"
    )
    assert bench.run(version) == "0x92"
    assert bench.charger.status()["spi_frames"] == before + 1


def test_a_reader_that_is_held_in_reset_says_nothing(bench):
    answer = bench.run(
        "from machine import SPI, Pin\n"
        "cs, rst = Pin(5, Pin.OUT, value=1), Pin(22, Pin.OUT, value=0)\n"
        "spi = SPI(1, sck=Pin(18), mosi=Pin(23), miso=Pin(19))\n"
        "cs(0); spi.write(b'\\xee'); print(spi.read(1)); cs(1)"
    )
    assert answer == "b'\\x00'"


def test_a_neopixel_keeps_its_colour_through_a_reset_and_loses_it_with_the_supply(start):
    program = (
        "import machine, neopixel, time\n"
        "contact = machine.Pin(32, machine.Pin.IN, machine.Pin.PULL_UP)\n"
        "while contact(): time.sleep_ms(5)\n"
        "if machine.reset_cause() == machine.PWRON_RESET:\n"
        "    lamp = neopixel.NeoPixel(machine.Pin(25), 2)\n"
        "    lamp[0] = (1, 2, 3); lamp.write()\n"
        "    time.sleep_ms(100); machine.reset()\n"
    )
    config = {"light": {"kind": "neopixel", "leds": 2, "order": "GRB"}}
    charger = start(program, config)
    charger.do("plug")
    charger.wait_for(lambda push: push.get("light") == [1, 2, 3], 2, 0)
    charger.wait_for(lambda push: push.get("reset") == "soft", 2, 0)
    assert charger.status()["light"] == [1, 2, 3]
    charger.do("power", off_ms=50)
    assert charger.status()["light"] == [0, 0, 0]


def test_a_pin_without_pull_up_does_not_see_an_open_contact(bench):
    assert bench.run("from machine import Pin; print(Pin(32, Pin.IN)())") == "0"


def test_the_clock_starts_in_2000_and_can_be_set(bench):
    assert bench.run(
        "import time; print(time.gmtime()[0], time.mktime((2000, 1, 2) + (0,) * 5))"
    ) == ("2000 86400")
    bench.run("import machine; machine.RTC().datetime((2026, 11, 22, 0, 13, 5, 7, 0))")
    assert bench.run("print(time.gmtime()[:6])") == "(2026, 11, 22, 13, 5, 7)"
    assert abs(int(bench.run("print(time.time())")) + 946_684_800 - 1_795_352_707) < 5
    assert time.gmtime(1_795_352_707)[:6] == (2026, 11, 22, 13, 5, 7)
