"""Whether a vehicle is connected and asks for energy, by a contact. By the pilot: pilot.py."""

from time import ticks_diff

from micropython import const

CONNECT_MS = const(50)
# Three looks, 10 ms apart: with the look that comes just too early, unplugging is seen in 30 ms.
DISCONNECT_MS = const(20)

# (connected, asks)
NEITHER = const((False, False))
CONNECTED = const((True, False))
ASKS = const((True, True))


class Debounced:
    """A yes or no that changes after it was otherwise for `rise_ms`, or `fall_ms`, on end."""

    def __init__(self, rise_ms, fall_ms):
        self.value = False
        self._rise_ms = rise_ms
        self._fall_ms = fall_ms
        self._differs = False
        self._since_ms = 0

    def update(self, seen, now_ms):
        if seen == self.value:
            self._differs = False
        elif not self._differs:
            self._differs = True
            self._since_ms = now_ms
        elif ticks_diff(now_ms, self._since_ms) >= (self._rise_ms if seen else self._fall_ms):
            self.value = seen
            self._differs = False
        return self.value


class Contact:
    """A contact in the connector: `pin` reads 0 while a vehicle is connected.

    What the vehicle wants cannot be seen, so that a connected vehicle counts as one that asks.
    """

    fault = None
    tells_draw = False

    def __init__(self, pin):
        self.pin = pin
        self._connected = Debounced(CONNECT_MS, DISCONNECT_MS)

    def sample(self, now_ms: int) -> tuple:
        """Look once; call it every 10 ms. Returns (connected, asks)."""
        return ASKS if self._connected.update(not self.pin(), now_ms) else NEITHER

    def offer(self, on: bool) -> None:
        """Nothing to tell a vehicle through a contact."""
