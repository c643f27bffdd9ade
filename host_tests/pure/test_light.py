import json
from time import ticks_add  # pyright: ignore[reportAttributeAccessIssue]

from firmware.access import light as table
from firmware.hardware.light import IDENTIFY, Light, PixelLamp, RgbLamp
from host_tests.pure.check import raises
from host_tests.pure.heap import without_heap

DARK = (0, 0, 0)
GREEN = (0, 255, 0)
YELLOW = (255, 180, 0)
BLUE = (0, 0, 255)
RED = (255, 0, 0)
WHITE = (255, 255, 255)


class _Rig:
    def __init__(self, brightness=100, begin_ms=0):
        self.writes = []  # (ms since the rig was made, colour)
        self.at_ms = 0
        self.now_ms = begin_ms
        self.colour = DARK
        self.light = Light(self, brightness)

    def write(self, red, green, blue):
        self.colour = (red, green, blue)
        self.writes.append((self.at_ms, self.colour))

    def run(self, ms, step_ms=10):
        """Let time pass; return every colour shown, in order, without repetitions."""
        shown = [self.colour]
        for _ in range(ms // step_ms):
            self.light.render(self.now_ms)
            if self.colour != shown[-1]:
                shown.append(self.colour)
            self.now_ms = ticks_add(self.now_ms, step_ms)
            self.at_ms += step_ms
        return shown

    def overlay(self, name):
        self.light.overlay(name, self.now_ms)


def _hue(colour):
    """The table's colour of which this is a darker shade, or None for a dark lamp."""
    if colour == DARK:
        return None
    best = (1_000, None)
    for name in sorted(table.COLOURS):
        full = table.COLOURS[name]
        scale = max(colour) / max(full)
        off = sum(abs(full[i] * scale - colour[i]) for i in range(3))
        if off < best[0]:
            best = (off, name)
    return best[1]


def test_the_lamp_is_dark_until_a_state_is_known():
    rig = _Rig()
    assert rig.run(1_000) == [DARK]


def test_every_state_shows_its_colour_at_once():
    for name in table.STATES:
        rig = _Rig()
        rig.light.state(name)
        rig.run(10)
        assert _hue(rig.colour) == table.STATES[name][0], name


def test_a_new_state_shows_within_one_frame():
    rig = _Rig()
    names = sorted(table.STATES)
    for before in names:
        for name in names:
            if name == before:
                continue
            rig.light.state(before)
            rig.run(730)
            rig.light.state(name)
            rig.run(50)
            assert _hue(rig.colour) == table.STATES[name][0], (before, name)


def test_a_slow_pulse_never_loses_its_colour():
    rig = _Rig()
    rig.light.state("awaiting")
    rig.run(20)
    shown = rig.run(10_000)
    assert min(colour[0] for colour in shown) == 51
    assert max(colour[0] for colour in shown) == 255
    assert {_hue(colour) for colour in shown} == {"yellow"}


def test_a_steady_state_is_written_once():
    rig = _Rig()
    rig.light.state("charging")
    rig.run(60_000)
    assert rig.writes == [(0, DARK), (0, BLUE)]


def test_dim_and_bright_green_differ():
    rig = _Rig()
    rig.light.state("available")
    rig.run(100)
    dim = rig.colour
    rig.light.state("finished")
    rig.run(100)
    assert 0 < dim[1] < 64
    assert rig.colour == GREEN


def test_the_lamp_is_written_at_most_twenty_five_times_a_second():
    rig = _Rig()
    rig.light.state("awaiting")
    rig.run(10_000, step_ms=5)
    assert len(rig.writes) > 100
    for i in range(2, len(rig.writes)):
        assert rig.writes[i][0] - rig.writes[i - 1][0] >= 40


def test_setting_the_same_state_again_does_not_start_its_pattern_again():
    rig = _Rig()
    rig.light.state("faulted")
    for _ in range(20):
        rig.light.state("faulted")
        rig.run(50)
    assert len(rig.writes) >= 5


def test_an_overlay_goes_before_the_state_for_two_seconds():
    rig = _Rig()
    rig.light.state("awaiting")
    rig.run(500)
    rig.overlay("refused")
    rig.run(50)
    assert rig.colour == RED
    shown = rig.run(1_910)
    assert {_hue(colour) for colour in shown} == {"red", None}
    rig.run(80)
    assert _hue(rig.colour) == "yellow"


def test_each_overlay_flashes_as_often_as_it_should():
    for name, flashes, colour in (
        ("accepted", 2, GREEN),
        ("refused", 2, RED),
        ("expired", 4, RED),
        ("unreadable", 1, YELLOW),
        ("enrolled", 2, WHITE),
    ):
        rig = _Rig()
        rig.overlay(name)
        shown = rig.run(2_500)
        assert shown.count(colour) == flashes, (name, shown)
        assert set(shown) == {colour, DARK}


def test_a_state_that_comes_under_an_overlay_shows_after_it():
    rig = _Rig()
    rig.light.state("awaiting")
    rig.overlay("accepted")
    rig.run(100)
    rig.light.state("charging")
    assert BLUE not in rig.run(1_850)
    rig.run(100)
    assert rig.colour == BLUE


def test_an_overlay_ended_before_its_time_shows_the_state_at_once():
    rig = _Rig()
    rig.light.state("awaiting")
    rig.overlay("refused")
    rig.run(100)
    rig.light.state("charging")
    rig.light.uncover()
    rig.run(50)
    assert rig.colour == BLUE


def test_an_overlay_that_began_since_the_round_began_is_shown():
    rig = _Rig()
    rig.light.state("awaiting")
    rig.run(1_000)
    rig.light.overlay("refused", ticks_add(rig.now_ms, 2))
    assert RED in rig.run(500)


def test_a_second_overlay_takes_the_place_of_the_first():
    rig = _Rig()
    rig.overlay("refused")
    rig.run(1_000)
    rig.overlay("accepted")
    rig.run(50)
    assert rig.colour == GREEN


def test_offline_winks_white_over_the_state():
    rig = _Rig()
    rig.light.state("charging")
    rig.run(1_000)
    rig.light.standing("offline", True)
    shown = rig.run(15_000)
    assert shown == [BLUE] + [WHITE, BLUE] * 3
    rig.light.standing("offline", False)
    assert rig.run(10_000) == [BLUE]


def test_saying_again_that_it_is_offline_does_not_put_off_the_wink():
    rig = _Rig()
    rig.light.state("charging")
    for _ in range(60):
        rig.light.standing("offline", True)
        rig.run(100)
    assert WHITE in [colour for _, colour in rig.writes]


def test_a_dead_reader_shows_red_and_yellow_in_turn():
    rig = _Rig()
    rig.light.state("awaiting")
    rig.light.standing("reader", True)
    rig.run(100)
    shown = rig.run(4_000)
    assert set(shown) == {RED, YELLOW}
    assert len(shown) >= 8


def test_a_dead_reader_does_not_hide_a_session_that_runs():
    rig = _Rig()
    rig.light.state("charging")
    rig.light.standing("reader", True)
    rig.run(100)
    assert rig.run(4_000) == [BLUE]


def test_a_dead_reader_goes_before_being_offline():
    rig = _Rig()
    rig.light.state("awaiting")
    rig.light.standing("offline", True)
    rig.light.standing("reader", True)
    rig.run(100)
    assert WHITE not in rig.run(10_000)


def test_an_overlay_goes_before_a_standing_remark():
    rig = _Rig()
    rig.light.state("available")
    rig.light.standing("reader", True)
    rig.run(100)
    rig.overlay("accepted")
    rig.run(50)
    assert set(rig.run(1_900)) == {GREEN, DARK}


def test_identify_blinks_for_ten_seconds():
    rig = _Rig()
    rig.light.state("charging")
    rig.run(100)
    rig.light.identify(rig.now_ms)
    rig.run(50)
    assert set(rig.run(9_900)) == {WHITE, DARK}
    rig.run(100)
    assert rig.colour == BLUE
    assert IDENTIFY not in table.STATES.values()


def test_identify_ends_when_the_state_is_another():
    rig = _Rig()
    rig.light.state("charging")
    rig.light.identify(rig.now_ms)
    rig.run(1_000)
    rig.light.state("charging")  # the same, once more
    rig.run(50)
    assert set(rig.run(1_000)) == {WHITE, DARK}
    rig.light.state("faulted")
    rig.run(50)
    assert WHITE not in rig.run(500)
    assert rig.light.identify(rig.now_ms) is None
    rig.overlay("accepted")
    rig.run(50)
    rig.light.state("awaiting")
    assert set(rig.run(1_800)) == {GREEN, DARK}  # who has held a card there sees the answer


def test_names_that_the_table_does_not_have_are_mistakes():
    rig = _Rig()
    raises(KeyError, rig.overlay, "pending")
    raises(KeyError, rig.light.standing, "pending", True)
    rig.light.state("pending")
    raises(KeyError, rig.run, 10)


def test_where_the_table_is_a_text_in_the_rom_it_says_the_same():
    for each in (table.COLOURS, table.PATTERNS, table.STATES, table.OVERLAYS, table.STANDING):
        text = "\n"
        for name in each:
            text += name + "\t" + json.dumps(each[name]) + "\n"
        for name in each:
            found = table.entry(text.encode(), name)
            assert json.dumps(found) == json.dumps(each[name]), name
        raises(KeyError, table.entry, text.encode(), "pending")


def test_a_look_that_no_memory_was_found_for_shows_at_the_next_frame():
    for number in (1, 2, 3):
        rig = _Rig()
        rig.light.state("charging")
        rig.run(50)
        with _NoMemory(number):
            rig.light.state("finished")
            rig.light.render(rig.now_ms)
            assert rig.colour == BLUE
            rig.run(50)
        assert rig.colour == GREEN


def test_an_overlay_that_no_memory_was_found_for_shows_at_the_next_frame():
    for number in (2, 3):
        rig = _Rig()
        rig.light.state("charging")
        rig.run(50)
        with _NoMemory(number):
            rig.overlay("refused")
            rig.light.render(rig.now_ms)
            assert rig.colour == BLUE
            rig.run(50)
        assert rig.colour == RED


def test_a_remark_that_no_memory_was_found_for_shows_when_it_is_made_again():
    rig = _Rig()
    rig.light.state("available")
    rig.run(50)
    with _NoMemory(1):
        rig.light.standing("reader", True)
    rig.run(50)
    assert rig.colour != RED
    rig.light.standing("reader", True)
    rig.run(50)
    assert rig.colour == RED


class _NoMemory:
    """For what is looked up in a table for the `number`th time."""

    def __init__(self, number):
        self._left = number

    def __enter__(self):
        self._entry, table.entry = table.entry, self._fails

    def __exit__(self, kind, error, trace):
        table.entry = self._entry

    def _fails(self, *given):
        self._left -= 1
        if not self._left:
            raise MemoryError
        return self._entry(*given)


def test_brightness_dims_everything_and_hides_nothing():
    rig = _Rig(brightness=50)
    rig.light.state("finished")
    rig.run(10)
    assert rig.colour == (0, 128, 0)
    for name in table.STATES:
        rig = _Rig(brightness=1)
        rig.light.state(name)
        rig.run(10)
        full = table.COLOURS[table.STATES[name][0]]
        assert [bool(value) for value in rig.colour] == [bool(value) for value in full], name


def test_the_wrap_of_the_ticks_is_not_seen():
    rig = _Rig(begin_ms=ticks_add(0, -3_000))
    rig.light.state("charging")
    rig.light.standing("offline", True)
    rig.run(1_500)
    rig.overlay("accepted")
    shown = rig.run(2_100)
    assert shown == [BLUE, GREEN, DARK, GREEN, DARK, BLUE]
    rig.run(10_000)
    winks = [at_ms for at_ms, colour in rig.writes if colour == WHITE]
    assert winks == [7_500, 12_500], winks


def test_rendering_a_steady_light_allocates_nothing():
    rig = _Rig()
    rig.light.state("charging")
    rig.light.standing("offline", True)
    rig.run(100)
    render = rig.light.render
    for now_ms in range(100, 400, 10):
        without_heap(render, now_ms)


class _Pwm:
    duty = None

    def duty_u16(self, value):
        self.duty = value


def test_a_lamp_of_three_channels_is_driven_over_the_whole_range():
    pwm = (_Pwm(), _Pwm(), _Pwm())
    RgbLamp(pwm[0], pwm[1], pwm[2]).write(255, 128, 0)
    assert [channel.duty for channel in pwm] == [65_535, 32_896, 0]


def test_a_common_anode_turns_the_levels_round():
    pwm = (_Pwm(), _Pwm(), _Pwm())
    RgbLamp(pwm[0], pwm[1], pwm[2], anode=True).write(255, 128, 0)
    assert [channel.duty for channel in pwm] == [0, 32_639, 65_535]


class _Pixels:
    """Keeps what goes out on the wire: green first, as the board's NeoPixel sends it."""

    def __init__(self, leds):
        self.leds = leds
        self.wire = b""
        self._colour = DARK

    def fill(self, colour):
        self._colour = colour

    def write(self):
        red, green, blue = self._colour
        self.wire = bytes((green, red, blue)) * self.leds


def test_pixels_all_show_the_colour_in_their_own_order():
    pixels = _Pixels(3)
    PixelLamp(pixels).write(1, 2, 3)
    assert pixels.wire == bytes((2, 1, 3)) * 3
    PixelLamp(pixels, red_first=True).write(1, 2, 3)
    assert pixels.wire == bytes((1, 2, 3)) * 3
