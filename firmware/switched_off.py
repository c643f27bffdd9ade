"""Whether the owner has switched the charger off, on flash."""

from firmware import flash


class SwitchedOff:
    """Whether the owner has switched the charger off: on flash, as no message brings it back.
    `damaged`: what `load` found says neither."""

    damaged = False

    def __init__(self, path: str):
        self._path = path

    def load(self) -> bool:
        """True also where it is damaged: it may have been switched off for somebody's safety."""
        found = flash.read(self._path, 3)
        self.damaged = found not in (None, b"on", b"off")
        return self.damaged or found == b"off"

    def store(self, off: bool) -> None:
        flash.replace(self._path, b"off" if off else b"on")
