"""The station: asked to join, watched, and asked again. No call here waits for the radio."""

import asyncio
import time

from micropython import const

_POLL_MS = const(250)
JOIN_MS = const(15_000)  # how long one attempt may take before the next
RESTART_AFTER = const(8)  # attempts in a row, then the radio is switched off and on

_NO_ADDRESS = const("0.0.0.0")


class Wifi:
    """`wlan` is a `network.WLAN(network.STA_IF)`. `up`: joined, with an address.

    `on_change(up)` is called at each change; `beat()` at each look.
    """

    def __init__(
        self, wlan, ssid: str, password: str, on_change=lambda up: None, beat=lambda: None
    ):
        self._wlan = wlan
        self._ssid = ssid
        self._password = password
        self._on_change = on_change
        self._beat = beat
        self._attempts = 0
        self._asked_ms = 0
        self.up = False
        self.problem = ""  # what the driver last refused

    async def run(self) -> None:
        while True:
            self._beat()
            self.poll(time.ticks_ms())
            await asyncio.sleep_ms(_POLL_MS)

    def poll(self, now_ms) -> None:
        """One look at the radio; asks it to join where it is due."""
        try:
            self._poll(now_ms)
        except OSError as error:  # the driver refuses while it is busy: the next attempt asks again
            self.problem = str(error)

    def rssi(self) -> int | None:
        """Signal strength in dBm, or None while there is no link."""
        if not self.up:
            return None
        try:
            return self._wlan.status("rssi")
        except OSError:
            return None

    @property
    def dns(self) -> str:
        """The DNS server that DHCP gave."""
        return self._wlan.ifconfig()[3]

    def _poll(self, now_ms) -> None:
        wlan = self._wlan
        up = wlan.isconnected() and wlan.ifconfig()[0] != _NO_ADDRESS
        if up != self.up:
            self.up = up
            self._attempts = 1
            self._asked_ms = now_ms  # the driver rejoins by itself: it is given its time first
            if up:
                self.problem = ""
            self._on_change(up)
        if up or (self._attempts and time.ticks_diff(now_ms, self._asked_ms) < JOIN_MS):
            return
        first = not self._attempts
        self._attempts += 1
        self._asked_ms = now_ms
        if not first:
            wlan.disconnect()
        if self._attempts % RESTART_AFTER == 0:
            wlan.active(False)
        wlan.active(True)
        wlan.connect(self._ssid, self._password)
