"""The names of an installation's MQTT topics (DESIGN sections 6 to 8)."""

from micropython import const

_ROOT = const("tapgate/")


class Topics:
    """Topics of one charger. `installation` and `charger` are slugs, checked by the configuration.

    Down, signed: `settings`, `allowlist`, `command`, `verdict`. Up: `state`, `event`, `authorise`.
    """

    def __init__(self, installation: str, charger: str):
        base = f"{_ROOT}{installation}/{charger}/"
        self.settings = base + "settings"
        self.allowlist = base + "allowlist"
        self.command = base + "command"
        self.verdict = base + "verdict"
        self.state = base + "state"
        self.event = base + "event"
        self.authorise = base + "authorise"
        self._objects = f"{_ROOT}{installation}/object/"

    def object(self, digest_hex: str) -> str:
        """Where the object with this digest lies."""
        return self._objects + digest_hex

    def digest(self, topic: str) -> str | None:
        """The digest that an object's topic names; None for every other topic."""
        if topic.startswith(self._objects):
            return topic[len(self._objects) :]
        return None
