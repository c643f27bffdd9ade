"""Chargers whose broker, hardware and events are all in a test's hands."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from host_tests.end_to_end.conftest import ANNA, Site, broker, name, site, wait
from host_tests.end_to_end.seeing import coil, light, ms_from_card_to, plug_in, tap, unplug
from host_tests.end_to_end.wire import Wire
from tools.virtual.client import VirtualCharger

__all__ = ["Watched", "broker", "name", "powered", "prepared", "refused", "site"]

SETTLED_S = 1.6  # an approved tap cannot be turned into a stop within 1.5 s
TAP_LIMIT_MS = 200  # as in end_to_end/test_when_the_link_is_bad.py


class Watched:
    """A charger that runs, and the wire on which it is heard."""

    def __init__(self, site: Site, name: str, charger: VirtualCharger, wire: Wire):
        self.site, self.name, self.charger, self.wire = site, name, charger, wire

    def reported(
        self,
        event: str,
        since: int,
        wanted: Callable[[dict[str, Any]], bool] = lambda found: True,
        within_s: float = 15,
    ) -> dict[str, Any]:
        """The first such event from place `since` in the wire's events on."""

        def found() -> dict[str, Any] | None:
            for body in self.wire.events[since:]:
                if body["event"] == event and wanted(body):
                    return body
            return None

        return wait(found, within_s, f"reported: {event}")

    def wait_for_state(self, within_s: float = 15, **wanted: Any) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            state = self.wire.state
            return state if wanted.items() <= state.items() else None

        return wait(there, within_s, f"in state {wanted}")

    def charging_ms(self) -> float:
        """Plug in and tap Anna's card; from the card to the coil."""
        plug_in(self.charger, "yellow")
        return ms_from_card_to(self.charger, coil(True), tap(self.charger, ANNA))

    def leave(self) -> None:
        """Unplug, and wait until the same card may come again."""
        since = self.charger.mark()
        unplug(self.charger)
        assert self.charger.status()["contactor"] is False
        self.charger.wait_for(coil(False), 1, since)
        time.sleep(SETTLED_S)


def refused(charger: VirtualCharger, uid: str) -> None:
    """A vehicle waits: that card is refused, and it goes on waiting."""
    since = tap(charger, uid)
    charger.wait_for(light("red"), 5, since)
    charger.wait_for(light("yellow"), 5, since)
    assert not [push for push in charger.pushes[since:] if coil(True)(push)]


def prepared(site: Site, name: str, **sections: Any) -> Path:
    """The config.json of a new charger; `sections`: what goes into them, or in place of a value."""
    site.add(name)
    path = site.config(name)
    config = json.loads(path.read_text())
    for section, values in sections.items():
        if isinstance(values, dict):
            config[section].update(values)
        else:
            config[section] = values
    path.write_text(json.dumps(config))
    return path


@contextmanager
def powered(
    site: Site, name: str, config: Path, flash: Path, in_step: bool = True, **start: Any
) -> Iterator[Watched]:
    key = bytes.fromhex(json.loads(config.read_text())["charger_key"])
    wire = Wire(site.broker, name, key)
    try:
        with VirtualCharger.start(config, flash, **start) as charger:
            if in_step:
                site.wait_in_step(name)
            yield Watched(site, name, charger, wire)
    finally:
        wire.close()
