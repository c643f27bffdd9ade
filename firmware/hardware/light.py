"""The one light: renders the looks that `firmware.access.light` gives to states and messages.

An overlay goes before a standing remark, a remark before the state. Colours are sent as they stand
in the table, linear, times the pattern's and the lamp's own brightness.
"""

from time import ticks_add, ticks_diff

from micropython import const

from firmware.access import light as table

_FRAME_MS = const(40)  # at most 25 changes a second; what is new shows within one frame
PWM_HZ = const(1_000)

# `identify` answers "which one is it?": a look that no state has.
IDENTIFY = ("white", "fast blink")
_IDENTIFY_MS = const(10_000)

_FULL = const(255)
_DARK = (0, 0, 0)
_PWM_PER_STEP = const(257)  # 255 * 257 = 65,535, the whole of duty_u16


class Light:
    """What to show, and when: `render` writes `lamp` only when its colour changes.

    lamp: has `write(red, green, blue)`, 0 to 255 each. brightness: percent, of everything.
    """

    def __init__(self, lamp, brightness: int = 100):
        self._lamp = lamp
        self._brightness = brightness
        self._state = ""
        self._look_colour = None  # of the state, by name
        self._pattern = None
        self._look_fresh = False
        self._look_ms = 0  # when its pattern began, or a whole number of periods later
        self._over = None
        self._over_pattern = None
        self._over_ms = 0
        self._over_for_ms = 0
        # The reader's remark covers the whole second, so it goes first.
        self._remarks = [_Remark(name) for name in ("reader", "offline")]
        self._hue = None  # the name of the colour last asked for, and what it is
        self._full_colour = _DARK
        self._colour = self._shown = _DARK
        self._written_ms = 0
        self._rested = True  # a frame has passed since the last change
        lamp.write(0, 0, 0)

    def state(self, name: str) -> None:
        """Show a state; its pattern begins at the next `render`, and ends that of `identify`."""
        if name != self._state:
            if self._over == IDENTIFY:
                self.uncover()
            self._state = name
            self._look_fresh = True

    def overlay(self, name: str, now_ms: int) -> None:
        """Show an overlay for its two seconds, in place of another one if there is one."""
        self.cover(table.entry(table.OVERLAYS, name), now_ms, table.OVERLAY_MS)

    def identify(self, now_ms: int) -> None:
        """Blink white for ten seconds, or until the state is another."""
        self.cover(IDENTIFY, now_ms, _IDENTIFY_MS)

    def cover(self, look: tuple, now_ms: int, for_ms: int) -> None:
        """Show `look`, (colour, pattern), in place of everything else for so long."""
        self._over = look
        self._over_pattern = None
        self._over_ms = now_ms
        self._over_for_ms = for_ms

    def uncover(self) -> None:
        """End an overlay before its time: the state has become what matters."""
        self._over = self._over_pattern = None

    def standing(self, name: str, on: bool) -> None:
        """Turn a standing remark on or off."""
        for remark in self._remarks:
            if remark.name == name:
                if on != remark.on:
                    remark.turn(on)
                return
        raise KeyError(name)

    def render(self, now_ms: int) -> bool:
        """Bring the lamp up to date; call it every 10 ms. True if the lamp was written."""
        try:
            if self._look_fresh:
                look = table.entry(table.STATES, self._state)
                self._pattern = table.entry(table.PATTERNS, look[1])
                self._look_fresh = False
                self._look_colour = look[0]
                self._look_ms = now_ms
            if not self._rested:
                if ticks_diff(now_ms, self._written_ms) < _FRAME_MS:
                    return False
                self._rested = True
            scale = self._percent(now_ms) * self._brightness
        except MemoryError:
            return False  # the next time there may be enough
        red, green, blue = self._colour
        red = _scaled(red, scale)
        green = _scaled(green, scale)
        blue = _scaled(blue, scale)
        shown = self._shown
        if red == shown[0] and green == shown[1] and blue == shown[2]:
            return False
        self._shown = (red, green, blue)
        self._written_ms = now_ms
        self._rested = False
        self._lamp.write(red, green, blue)
        return True

    def _percent(self, now_ms):
        """How bright the lamp is now; leaves the full colour in `_colour`."""
        if self._over is not None:
            # What began within this very round may have begun after `now_ms` was taken.
            at_ms = max(0, ticks_diff(now_ms, self._over_ms))
            if at_ms < self._over_for_ms:
                if self._over_pattern is None:
                    self._over_pattern = table.entry(table.PATTERNS, self._over[1])
                self._colour = self._full(self._over[0])
                return table.brightness(self._over_pattern, at_ms)
            self.uncover()
        for remark in self._remarks:
            if remark.on:
                colour = remark.colour(self._state, now_ms)
                if colour is not None:
                    self._colour = self._full(colour)
                    return 100
        if self._pattern is None:
            return 0
        period_ms = self._pattern[0]
        at_ms = ticks_diff(now_ms, self._look_ms)
        if not 0 <= at_ms < period_ms:
            at_ms %= period_ms
            self._look_ms = ticks_add(now_ms, -at_ms)
        self._colour = self._full(self._look_colour)
        return table.brightness(self._pattern, at_ms)

    def _full(self, colour):
        if colour != self._hue:
            self._full_colour = table.entry(table.COLOURS, colour)
            self._hue = colour
        return self._full_colour


class _Remark:
    def __init__(self, name):
        self.name = name
        self.on = False
        self.fresh = False
        self._look = ()  # what the table says, while it is on
        self._began_ms = 0

    def turn(self, on):
        try:
            self._look = table.entry(table.STANDING, self.name) if on else ()
        except MemoryError:
            return  # who still wants it says so again
        self.on = self.fresh = on

    def colour(self, state, now_ms):
        if self.fresh:
            self.fresh = False
            self._began_ms = now_ms
        states, period_ms, _ = self._look  # pyright: ignore[reportAssignmentType]
        at_ms = ticks_diff(now_ms, self._began_ms)
        if not 0 <= at_ms < period_ms:
            at_ms %= period_ms
            self._began_ms = ticks_add(now_ms, -at_ms)
        return table.standing_colour(self._look, at_ms) if state in states else None


def _scaled(value, scale):
    # Rounded up: what is on stays visible, however dim the lamp is set.
    return (value * scale + 9_999) // 10_000


class RgbLamp:
    """Three PWM channels; `anode`: the lamp's common wire is the supply, so that low is on."""

    def __init__(self, red, green, blue, anode: bool = False):
        self._channels = (red, green, blue)
        self._flip = 65_535 if anode else 0

    def write(self, red: int, green: int, blue: int) -> None:
        channels = self._channels
        flip = self._flip
        channels[0].duty_u16(red * _PWM_PER_STEP ^ flip)
        channels[1].duty_u16(green * _PWM_PER_STEP ^ flip)
        channels[2].duty_u16(blue * _PWM_PER_STEP ^ flip)


class PixelLamp:
    """Addressable LEDs that all show the same; `pixels` is a NeoPixel, which sends green first."""

    def __init__(self, pixels, red_first: bool = False):
        self._pixels = pixels
        self._red_first = red_first

    def write(self, red: int, green: int, blue: int) -> None:
        self._pixels.fill((green, red, blue) if self._red_first else (red, green, blue))
        self._pixels.write()
