"""docs/wiring.svg: the reference board on a sheet of A4, pin numbers from the firmware's defaults.

Extra-low voltage is on the left, mains on the right of a hatched band. Whatever stands across the
band has to hold mains and extra-low voltage apart.
"""

from tools.papers.board import INPUT_ONLY_FROM, NUMBERS
from tools.papers.drawing import Sheet

_SMALL = 10.5
_ESP_LEFT, _ESP_RIGHT = 392, 544
_EDGE, _MAINS = 890, 910  # the hatched band
_ACROSS = 832  # where what stands across it begins
_LINE = 1056  # L1, L2, L3, N as one line


def drawn() -> str:
    sheet = Sheet(
        297,
        210,
        "Tapgate: wiring of the reference board",
        "ESP32 with RC522 reader, light, contactor driver, feedback, vehicle contact or control "
        "pilot, S0 meter and 5 V supply; extra-low voltage and mains kept apart.",
    )
    _frame(sheet)
    _reader(sheet)
    _rgb(sheet)
    _neopixel(sheet)
    _mains(sheet)
    _supply(sheet)
    _meter(sheet)
    _coil(sheet)
    _feedback(sheet)
    _contact(sheet)
    _pilot(sheet)
    _notes(sheet)
    return sheet.svg()


def _frame(sheet: Sheet) -> None:
    sheet.text(12, 30, "Tapgate: wiring of the reference board", 21, bold=True)
    sheet.text(
        1176, 30, "GPIO: the defaults of config.json. "
        "Drawn by function: on the devkit the pins lie elsewhere.", anchor="end",
    )  # fmt: skip
    sheet.box(12, 44, _EDGE - 12, 726, "area")
    sheet.text(22, 62, "EXTRA-LOW VOLTAGE", 13, bold=True)
    sheet.add(
        '<pattern id="hatch" width="9" height="9" patternUnits="userSpaceOnUse">'
        '<path d="M-2 11L11 -2M-2 2L2 -2M7 11L11 7" stroke="#000" stroke-width="1.600"/></pattern>'
        f'<rect x="{_EDGE}" y="44" width="{_MAINS - _EDGE}" height="726" fill="url(#hatch)" '
        'stroke="#000"/>'
    )
    sheet.box(_MAINS, 44, 1176 - _MAINS, 726, "warn")
    sheet.add(f'<rect class="s" x="{_MAINS}" y="44" width="{1176 - _MAINS}" height="25"/>')
    sheet.text(1043, 62, "MAINS: ELECTRICIAN ONLY", 14, "middle", bold=True, fill="#fff")
    sheet.box(_ESP_LEFT, 74, _ESP_RIGHT - _ESP_LEFT, 684)
    middle = (_ESP_LEFT + _ESP_RIGHT) / 2
    sheet.text(middle, 326, "ESP32", 18, "middle", bold=True)
    sheet.text(middle, 343, "devkit", anchor="middle")


def _gpio(sheet: Sheet, name: str, y: float, right: bool = False) -> None:
    """The pin's label inside the ESP32's box."""
    number = f"GPIO{NUMBERS[name]}"
    if right:
        sheet.text(_ESP_RIGHT - 6, y + 4, number, 13, "end", bold=True)
        sheet.text(_ESP_RIGHT - 6, y + 17, name, _SMALL, "end")
    else:
        sheet.text(_ESP_LEFT + 6, y + 4, number, 13, bold=True)
        sheet.text(_ESP_LEFT + 60, y + 4, name, _SMALL)


def _power(sheet: Sheet, volts: str, y: float, right: bool = False) -> None:
    x = _ESP_RIGHT - 6 if right else _ESP_LEFT + 6
    sheet.text(x, y + 4, volts, 13, "end" if right else "start", bold=True)


# --- left of the ESP32 ----------------------------------------------------------------------------


def _reader(sheet: Sheet) -> None:
    x = 150
    sheet.box(28, 82, x - 28, 196)
    sheet.text(66, 128, "RC522", 16, "middle", bold=True)
    sheet.text(66, 145, "card reader", _SMALL, "middle")
    for label, y in (("3.3V", 100), ("GND", 144)):
        sheet.text(x - 6, y + 4, label, anchor="end")
        sheet.wire((x, y), (_ESP_LEFT, y))
        _power(sheet, "3V3" if label == "3.3V" else "GND", y)
    for at, farads in ((190, "100 nF"), (280, "10 µF")):
        sheet.part("capacitor", at, 122, 90)
        sheet.dot((at, 100), (at, 144))
        sheet.wire((at, 142), (at, 144))
        sheet.wire((at, 100), (at, 102))
        sheet.text(at + 15, 126, farads)
    for number, (label, name) in enumerate(
        (("SCK", "sck"), ("MOSI", "mosi"), ("MISO", "miso"), ("SDA (CS)", "cs"), ("RST", "rst"))
    ):
        y = 168 + 23 * number
        sheet.text(x - 6, y + 4, label, anchor="end")
        sheet.wire((x, y), (_ESP_LEFT, y))
        _gpio(sheet, name, y)
    sheet.text(
        28, 294, "3.3 V only: 5 V destroys the chip. IRQ stays open.\n"
        "Leads at most 30 cm, capacitors at the module.", _SMALL,
    )  # fmt: skip


def _rgb(sheet: Sheet) -> None:
    sheet.text(28, 340, "Light, kind rgb", 13, bold=True)
    sheet.text(
        28, 356, "LED with common anode, switched by transistors: a high pin\n"
        'lights it, so light.common stays "cathode" (high = on).', _SMALL,
    )  # fmt: skip
    rail = 46
    sheet.supply(rail, 398, "5 V")
    sheet.wire((rail, 398), (rail, 544))
    for number, name in enumerate(("red", "green", "blue")):
        y = 408 + 68 * number
        gate = y + 22
        sheet.text(rail + 33, y + 21, name, _SMALL, "middle")
        sheet.wire((rail, y), (rail + 14, y))
        sheet.part("led", rail + 34, y)
        sheet.wire((rail + 54, y), (rail + 60, y))
        sheet.part("resistor", rail + 80, y)
        sheet.text(rail + 80, y - 9, "R", anchor="middle")
        sheet.wire((rail + 100, y), (174, y))
        sheet.part("mosfet", 182, gate + 2, mirror=True)
        sheet.ground(174, gate + 26)
        sheet.wire((206, gate + 2), (_ESP_LEFT, gate + 2))
        sheet.dot((236, gate + 2))
        sheet.wire((236, gate + 2), (236, gate + 24), (244, gate + 24))
        sheet.part("resistor", 264, gate + 24)
        sheet.wire((284, gate + 24), (296, gate + 24))
        sheet.ground(296, gate + 24)
        sheet.text(312, gate + 29, "100 kΩ", _SMALL)
        _gpio(sheet, name, gate + 2)
    sheet.dot((rail, 408), (rail, 476))
    sheet.text(
        28, 622, "R for the LED's current; its values are in the parts list.\n"
        "100 kΩ: dark while the ESP32 starts.", _SMALL,
    )  # fmt: skip


def _neopixel(sheet: Sheet) -> None:
    sheet.text(28, 661, "or: light, kind neopixel (on red's pin)", 13, bold=True)
    y = 704
    sheet.box(234, y - 20, 106, 40)
    sheet.text(287, y - 3, "level shifter", _SMALL, "middle")
    sheet.text(287, y + 11, "3.3 V to 5 V", _SMALL, "middle")
    sheet.wire((340, y), (_ESP_LEFT, y))
    _gpio(sheet, "neopixel", y)
    sheet.part("resistor", 206, y)
    sheet.wire((226, y), (234, y))
    sheet.text(206, y - 9, "330 Ω", _SMALL, "middle")
    sheet.box(124, y - 26, 62, 52)
    sheet.text(180, y + 4, "DIN", anchor="end")
    sheet.text(155, y - 11, "LEDs", 12, "middle", bold=True)
    sheet.wire((52, y - 20), (124, y - 20))
    sheet.supply(86, y - 20, "")
    sheet.text(98, y - 25, "5 V", 12, bold=True)
    sheet.part("capacitor", 52, y, 90)
    sheet.wire((52, y + 20), (124, y + 20))
    sheet.dot((86, y - 20), (86, y + 20))
    sheet.ground(86, y + 20)
    sheet.text(67, y + 5, "470 µF", _SMALL)
    sheet.text(
        28, 750, "Shifter 74AHCT or 74HCT at 5 V: LEDs of the WS2812B kind\n"
        "want 0.7 × 5 V = 3.5 V. 60 mA for each LED at full white.", _SMALL,
    )  # fmt: skip


# --- mains ----------------------------------------------------------------------------------------


def _mains(sheet: Sheet) -> None:
    sheet.box(990, 84, 178, 66)
    sheet.text(1079, 101, "In the distribution board", 12, "middle", bold=True)
    sheet.text(
        1079, 116, "isolator, overcurrent device,\nRCD type B, or type A with\n"
        "6 mA DC disconnection", _SMALL, "middle",
    )  # fmt: skip
    sheet.wire((_LINE, 150), (_LINE, 660), kind="thick")
    for offset in range(0, 24, 6):
        sheet.wire((_LINE - 9, 630 - offset), (_LINE + 9, 620 - offset))
    sheet.text(_LINE - 15, 622, "L1 L2 L3 N", anchor="end")
    sheet.wire((1146, 150), (1146, 660), kind="thick dash")
    sheet.text(1136, 622, "PE", anchor="end")
    sheet.box(960, 660, 208, 90)
    sheet.text(1064, 680, "X1", 14, "middle", bold=True)
    sheet.text(1064, 697, "cable fixed to the charger,\nwith vehicle connector", 12, "middle")
    sheet.text(1064, 738, "PE and CP are in the same cable", _SMALL, "middle")


def _supply(sheet: Sheet) -> None:
    sheet.box(_ACROSS, 84, 138, 66)
    sheet.text(901, 103, "5 V supply", 13, "middle", bold=True)
    sheet.text(901, 119, "2 A or more,\nreinforced insulation", _SMALL, "middle")
    sheet.wire((_ESP_RIGHT, 96), (_ACROSS, 96))
    sheet.wire((_ESP_RIGHT, 140), (_ACROSS, 140))
    _power(sheet, "5V", 96, right=True)
    _power(sheet, "GND", 140, right=True)
    sheet.part("capacitor", 640, 118, 90)
    sheet.wire((640, 96), (640, 98))
    sheet.wire((640, 138), (640, 140))
    sheet.dot((640, 96), (640, 140))
    sheet.text(656, 122, "470 µF")
    sheet.dot((760, 96), (760, 140))
    sheet.wire((760, 96), (760, 88))
    sheet.part("supply", 760, 88)
    sheet.text(772, 86, "5 V", 12, bold=True)
    sheet.ground(760, 140)
    sheet.wire((_LINE, 168), (930, 168), (930, 150))
    sheet.dot((_LINE, 168))
    sheet.part("fuse", 1000, 168)
    sheet.text(1000, 186, "F2", 12, "middle")


def _pulled_up(sheet: Sheet, name: str, y: float) -> None:
    """From the pin to x = 720, where a contact's line begins: capacitor, resistor, pull-up."""
    sheet.wire((_ESP_RIGHT, y), (580, y))
    _gpio(sheet, name, y + 1, right=True)
    sheet.part("capacitor", 566, y + 20, 90)
    sheet.dot((566, y), (680, y))
    sheet.ground(566, y + 40)
    sheet.text(582, y + 25, "100 nF", _SMALL)
    sheet.part("resistor", 620, y)
    sheet.wire((580, y), (600, y))
    sheet.text(620, y - 9, "1 kΩ", _SMALL, "middle")
    sheet.wire((640, y), (720, y))
    sheet.part("resistor", 680, y - 24, 90)
    sheet.wire((680, y - 4), (680, y))
    sheet.supply(680, y - 44, "3.3 V")
    sheet.text(692, y - 20, "1 kΩ")
    if NUMBERS[name] >= INPUT_ONLY_FROM:
        why = f"needed: GPIO{NUMBERS[name]} has\nno pull-up of its own"
    else:
        why = f"helpful: GPIO{NUMBERS[name]}'s\nown pull-up is weak"
    sheet.text(560, y - 37, why, _SMALL)


def _meter(sheet: Sheet) -> None:
    y = 236
    _pulled_up(sheet, "meter", y)
    sheet.wire((720, y), (_ACROSS, y))
    sheet.box(_ACROSS, 212, 252, 62)
    sheet.text(_ACROSS + 6, y + 4, "S0+")
    sheet.text(_ACROSS + 6, y + 28, "S0−")
    sheet.text(_LINE - 58, 240, "Meter P1", 13, "middle", bold=True)
    sheet.text(_LINE - 58, 256, "isolated output", _SMALL, "middle")
    sheet.wire((_ACROSS, y + 24), (806, y + 24), (806, y + 30))
    sheet.ground(806, y + 30)
    sheet.text(736, 210, "Meter, kind s0", 13, bold=True)


def _coil(sheet: Sheet) -> None:
    y, five, drain = 384, 308, 360
    sheet.box(_ACROSS, 298, 152, 70)
    sheet.text(976, 360, "K2", 14, "end", bold=True)
    sheet.wire((_ESP_RIGHT, y), (590, y))
    _gpio(sheet, "contactor", y, right=True)
    sheet.part("resistor", 610, y)
    sheet.text(610, y - 9, "100 Ω", _SMALL, "middle")
    sheet.wire((630, y), (676, y))
    sheet.dot((656, y))
    sheet.part("resistor", 656, y + 20, 90)
    sheet.ground(656, y + 40)
    sheet.text(644, y + 25, "10 kΩ", 12, "end", bold=True)
    sheet.part("mosfet", 700, y)
    sheet.ground(708, y + 24)
    sheet.wire((708, drain), (860, drain), (860, 354))
    sheet.part("coil", 860, 334, 90)
    sheet.wire((860, 314), (860, five), (740, five))
    sheet.supply(740, five, "5 V")
    sheet.part("diode", 800, 334, -90)
    sheet.wire((800, 314), (800, five))
    sheet.wire((800, 354), (800, drain))
    sheet.dot((800, five), (800, drain))
    sheet.text(787, 339, "flyback\ndiode", _SMALL, "end")
    sheet.text(
        722, 390, "10 kΩ holds the coil open\nwhile the ESP32 starts,\nor when its wire is off.",
        _SMALL,
    )  # fmt: skip
    sheet.wire((876, 334), (944, 334), kind="link")
    sheet.part("make contact", 950, 334, 90)
    sheet.wire((_LINE, 286), (950, 286), (950, 314))
    sheet.dot((_LINE, 286))
    sheet.text(1012, 301, "L")
    sheet.part("coil", 950, 400, 90)
    sheet.wire((950, 354), (950, 380))
    sheet.wire((950, 420), (950, 432))
    sheet.text(950, 446, "N", anchor="middle")
    sheet.text(974, 398, "K1", 14, bold=True)
    sheet.text(974, 412, "with RC\nor varistor", _SMALL)


def _feedback(sheet: Sheet) -> None:
    y = 502
    _pulled_up(sheet, "feedback", y)
    sheet.text(736, 464, "Feedback", 13, bold=True)
    sheet.box(808, 476, 314, 66)
    sheet.wire((720, y), (820, y))
    sheet.part("break contact", 838, y)
    sheet.wire((858, y), (880, y), (880, y + 30), (786, y + 30))
    sheet.ground(786, y + 30)
    sheet.wire((840, y + 5), (840, y + 14), (_LINE - 6, y + 14), kind="link")
    sheet.wire((_LINE, 477), (_LINE, 500), kind="thick")
    sheet.part("make contact", _LINE, 510, 90)
    sheet.wire((_LINE, 520), (_LINE, 541), kind="thick")
    sheet.text(1072, 498, "K1", 14, bold=True)
    sheet.text(1072, 512, "all poles", _SMALL)
    sheet.text(968, 496, "mirror contact", _SMALL, "middle")


def _contact(sheet: Sheet) -> None:
    y = 608
    _pulled_up(sheet, "contact", y)
    sheet.part("make contact", 760, y)
    sheet.wire((720, y), (740, y))
    sheet.wire((780, y), (800, y))
    sheet.ground(800, y)
    sheet.text(736, y - 42, "Vehicle, kind contact", 13, bold=True)
    sheet.text(736, y - 28, "closed = vehicle connected", _SMALL)


def _pilot(sheet: Sheet) -> None:
    top, sends, reads = 656, 674, 734
    sheet.box(660, top, 168, 106)
    sheet.text(744, top + 17, "Pilot stage", 13, "middle", bold=True)
    sheet.text(
        744, top + 32, "IEC 61851-1, annex A\npin high: +12 V, low: −12 V\nthrough 1 kΩ, 1 kHz\n"
        "own ±12 V, surge protection\nADC: 1.3 V + pilot / 12\n"
        "never outside 0 to 3.3 V", _SMALL, "middle",
    )  # fmt: skip
    sheet.text(660, 650, "or: vehicle, kind pilot", 13, bold=True)
    sheet.wire((_ESP_RIGHT, sends), (660, sends))
    _gpio(sheet, "pilot_pwm", sends, right=True)
    sheet.dot((580, sends))
    sheet.part("resistor", 600, sends + 20)
    sheet.wire((580, sends), (580, sends + 20))
    sheet.wire((620, sends + 20), (628, sends + 20))
    sheet.ground(628, sends + 20)
    sheet.text(600, sends + 37, "10 kΩ", _SMALL, "middle")
    sheet.wire((_ESP_RIGHT, reads), (660, reads))
    _gpio(sheet, "pilot_adc", reads, right=True)
    sheet.wire((828, 684), (960, 684))
    sheet.text(846, 679, "CP", 12, bold=True)
    sheet.wire((828, 734), (960, 734))
    sheet.text(846, 729, "PE", 12, bold=True)
    sheet.text(846, 748, "0 V", 12)


def _notes(sheet: Sheet) -> None:
    sheet.text(
        12, 790, "Across the hatched band stand the supply, the meter's output, K2, K1's mirror "
        "contact and CP: each with double or reinforced insulation between\nits two sides "
        "(IEC 60664-1), and their wires apart. With a pilot, 0 V is joined to PE (PELV); with a "
        "contact it is not (SELV).", 11.5,
    )  # fmt: skip
    sheet.text(
        12, 826, "Tapgate is no RCD, no overcurrent protection and no earth monitor, and cannot "
        "open a welded contactor: see docs/installation.md.", 11.5, bold=True,
    )  # fmt: skip
