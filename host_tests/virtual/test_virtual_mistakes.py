"""What a board would punish, in silence or with smoke, is an error on the virtual one."""

import pytest

SPI = (
    "from machine import SPI, Pin\n"
    "cs = Pin(5, Pin.OUT, value=1)\n"
    "spi = SPI(2, baudrate={}, polarity={})\n"
)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("Pin(34, Pin.OUT)", "ValueError: pin can only be input"),
        ("Pin(36, Pin.IN).init(Pin.OUT)", "ValueError: pin can only be input"),
        ("PWM(Pin(39))", "ValueError: pin can only be input"),
        ("Pin(6)", "ValueError: GPIO6 is wired to the flash chip"),
        ("Pin(24)", "ValueError: invalid pin"),
        ("Pin(40)", "ValueError: invalid pin"),
        ("Pin(27, Pin.OUT, speed=1)", "TypeError: unexpected keyword argument 'speed'"),
        ("SPI(2, baud=1)", "TypeError: unexpected keyword argument 'baud'"),
        ("PWM(Pin(4), frequency=1)", "TypeError: unexpected keyword argument 'frequency'"),
        ("WDT(timeout_ms=1)", "TypeError: unexpected keyword argument 'timeout_ms'"),
        ("SPI(3)", "ValueError: SPI(3) doesn't exist"),
        ("SPI(2, bits=16)", "ValueError: bits must be 8"),
        ("PWM(Pin(4), freq=0)", "ValueError: frequency must be from 1Hz to 40MHz"),
        ("PWM(Pin(4), freq=1000, duty_u16=70000)", "ValueError: duty_u16 must be from 0 to 65535"),
        ("PWM(Pin(4), freq=1000, duty=1, duty_u16=1)", "ValueError: only one of parameters"),
        ("PWM(Pin(25)); NeoPixel(Pin(25), 1)", "ValueError: GPIO25 is in use by PWM"),
        ("PWM(Pin(18)); SPI(2)", "ValueError: GPIO18 is in use by PWM and cannot be SPI(2)"),
        ("SPI(1); PWM(Pin(13))", "ValueError: GPIO13 is in use by SPI(1) and cannot be PWM"),
        ("ADC(Pin(32)); PWM(Pin(32))", "ValueError: GPIO32 is in use by ADC and cannot be PWM"),
        ("PWM(Pin(4)); Pin(4, Pin.OUT)", "ValueError: GPIO4 is in use by PWM: deinit that first"),
        ("ADC(Pin(5))", "ValueError: invalid pin"),
        ("NeoPixel(Pin(26), 2)[2] = (1, 2, 3)", "IndexError:"),
        ("RTC().datetime((1999, 1, 1, 0, 0, 0, 0, 0))", "ValueError: date out of range"),
        ("SoftSPI(sck=Pin(18), mosi=Pin(23))", "ValueError: must specify all of sck/mosi/miso"),
    ],
)
def test_a_wrong_use_of_a_pin_or_peripheral_is_refused(shared_bench, code, error):
    imports = (
        "from machine import ADC, PWM, RTC, SPI, WDT, Pin, SoftSPI; from neopixel import NeoPixel\n"
    )
    assert shared_bench.fails(imports + code).startswith(error)


def test_what_a_board_allows_is_allowed(bench):
    bench.run(
        "from machine import ADC, PWM, SPI, Pin, SoftSPI; import machine\n"
        "for n in (18, 23): Pin(n, Pin.OUT)\n"
        "spi = SPI(2, 1_000_000, sck=Pin(18), mosi=Pin(23), miso=Pin(19)); spi.init(); SPI(2)\n"
        "spi.deinit(); SoftSPI(sck=Pin(18), mosi=Pin(23), miso=Pin(19)).init(baudrate=400000)\n"
        "Pin(27, Pin.OUT); Pin(27, Pin.OUT, value=0); assert Pin(27) is Pin(27)\n"
        "pwm = PWM(Pin(4), freq=1000); pwm.deinit(); Pin(4, Pin.OUT)\n"
        "from neopixel import NeoPixel; [NeoPixel(Pin(25, Pin.OUT), 1) for _ in range(2)]\n"
        "assert ADC(Pin(36)).read() >= 0 and machine.Signal(27, Pin.OUT, invert=True).value() == 1"
    )


def test_a_transfer_while_the_chip_select_is_high_is_an_error(bench):
    assert bench.fails(SPI.format(5_000_000, 0) + "spi.write(b'1')") == (
        "RuntimeError: SPI transfer while the reader's chip-select GPIO5 is high"
    )


def test_a_line_taken_from_the_bus_is_noticed_until_the_bus_is_set_up_again(bench):
    code = SPI.format(1_000_000, 0) + "cs(0); spi.write(b'1'); Pin(23, Pin.OUT); "
    assert bench.fails(code + "spi.write(b'1')") == (
        "RuntimeError: GPIO23 was taken from SPI(2) by a Pin"
    )
    bench.run("spi.init(); spi.write(b'1')")


def test_a_clock_that_is_too_fast_for_the_reader_is_an_error(bench):
    assert bench.fails(SPI.format(20_000_000, 0) + "cs(0); spi.write(b'1')") == (
        "RuntimeError: the reader takes 10 MHz at most, found 20000000"
    )


def test_another_spi_mode_than_the_readers_is_an_error(bench):
    assert "polarity 1" in bench.fails(SPI.format(1_000_000, 1) + "cs(0); spi.read(1)")


def test_wifi_takes_the_second_converter_away(bench):
    adc = "from machine import ADC, Pin; import network; adc = ADC(Pin(4))\n"
    bench.run(adc + "adc.read()")
    assert "OSError" in bench.fails(adc + "network.WLAN(network.STA_IF).active(True); adc.read()")


def test_a_watchdog_cannot_be_given_another_time(start):
    charger = start(
        "from machine import WDT\nwatchdog = WDT(timeout=5000)\nWDT(timeout=5000)\n"
        "try:\n    WDT(timeout=60000)\nexcept ValueError as error:\n    print(error)\n"
        "print(hasattr(watchdog, 'deinit'))\n"
    )
    charger.wait_for_output("the watchdog runs with 5000 ms and cannot be changed to 60000", 5)
    charger.wait_for_output("False", 5)
