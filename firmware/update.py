"""An update, as the version sees it that runs: it says that it works and may stay, and tells of
another one that has given way to it. The other side of it is the loader (firmware/loader.py)."""

import json
from time import ticks_diff

from micropython import const

from firmware import flash

_WELL_MS = const(10_000)
_AGAIN_MS = const(60_000)  # after a write that failed


class Update:
    """`state`: what firmware.json at `path` says. Once `proven` is set in it, also before that is
    on the flash, the loader lets this version be.

    `proven`: this version has been well for ten seconds, in this life or an earlier one.
    """

    def __init__(self, state: dict, path: str = "firmware.json"):
        self._state = state
        self._path = path
        self._well_since_ms = None
        self._failed_ms = None
        self._event = None  # the number of the one that tells of the other version
        self._due = False  # the flash says something else

    @property
    def proven(self) -> bool:
        return self._state["proven"]

    def report(self, record) -> None:
        """record(event, fields) gives the event's number: once, at the start."""
        given = self._state.get("gave_up")
        if isinstance(given, dict):
            fields = {"firmware": given.get("version"), "why": given.get("why")}
            self._event = record("update_failed", fields)

    def tick(self, now_ms: int, alive: bool, mqtt, uplink, journal) -> bool:
        """Call it every 50 ms until nothing is left to be done, which it returns. alive: all tasks
        are. It is well as long as the portal hears of it, and its events are not lost."""
        state = self._state
        well = alive and mqtt.connected and uplink.told and (journal.stored or not journal.pending)
        if not state["proven"] and self._has_lasted(now_ms, well):
            state["proven"] = self._due = True
            state["starts"] = 0
            uplink.changed()
        if self._event is not None and journal.holds(self._event):
            state["failed"] = state["gave_up"]  # for an installer who brings it again
            self._event = state["gave_up"] = None
            self._due = True
        if self._due and not self._failed_lately(now_ms):
            try:
                flash.replace(self._path, json.dumps(state).encode())
                self._due = False
            except (OSError, MemoryError):
                self._failed_ms = now_ms
        return state["proven"] and self._event is None and not self._due

    def _has_lasted(self, now_ms, well):
        if not well:
            self._well_since_ms = None
        elif self._well_since_ms is None:
            self._well_since_ms = now_ms
        else:
            return ticks_diff(now_ms, self._well_since_ms) >= _WELL_MS
        return False

    def _failed_lately(self, now_ms):
        # The ticks wrap: what lies days back may look like the future, but never like a moment ago.
        then_ms = self._failed_ms
        return then_ms is not None and 0 <= ticks_diff(now_ms, then_ms) < _AGAIN_MS
