"""The owner's settings: one signed message, kept as it came and verified again at every start."""

from micropython import const

from firmware import flash

_LIMIT_BYTES = const(8_192)  # the most a message may have, signature included (DESIGN section 7)


class SettingsError(ValueError):
    """A verified settings message holds a value that is not allowed."""


# name -> what is allowed. A key that is not here is from a newer portal, and ignored.
_ALLOWED = {
    "access": ("open", "restricted"),
    "authority": ("native",),  # an operator's word cannot be asked yet: better refused than ignored
    "offline": ("deny", "list"),
    "service_may_start": bool,
    "stop_on_withdrawal": bool,
    "resume_within_s": int,
}


class Settings:
    """Values by name, `settings["access"]`, from the last message that was applied or the defaults.

    `path`: where the raw message is kept. `verify`: raw bytes -> dict, raises ValueError.
    `defaults`: a dict with the names above; other names in it are left alone.
    """

    def __init__(self, path: str, verify, defaults: dict):
        self._path = path
        self._verify = verify
        self._defaults = {name: defaults[name] for name in _ALLOWED if name in defaults}
        self._values = dict(self._defaults)
        self.version = 0  # `v` of the message in force; 0: the defaults
        self._raw = b""

    def __getitem__(self, name: str):
        return self._values[name]

    def load(self) -> str | None:
        """Take up what the flash holds. Returns why it was not taken, or None."""
        raw = flash.read(self._path, _LIMIT_BYTES)
        if raw is None:
            return None  # none yet
        try:
            self._values, self.version = self._checked(self._verify(raw))
        except ValueError as error:
            return str(error)
        self._raw = raw
        return None

    def is_current(self, raw: bytes) -> bool:
        """Whether this very message is in force already: a broker sends it at each subscription."""
        return raw == self._raw

    def offer(self, body: dict, raw: bytes) -> None:
        """Apply a verified message and keep it. SettingsError, OSError: nothing has changed."""
        values, version = self._checked(body)
        flash.replace(self._path, raw)
        self._values, self.version, self._raw = values, version, bytes(raw)

    def _checked(self, body: dict) -> tuple:
        values = dict(self._defaults)
        for name, allowed in _ALLOWED.items():
            if name not in body:
                continue
            found = body[name]
            if isinstance(allowed, tuple):
                good = type(found) is str and found in allowed
            else:
                good = type(found) is allowed and (allowed is bool or found >= 0)
            if not good:
                raise SettingsError(f"{name}: found {found!r}, allowed {_words(allowed)}")
            values[name] = found
        version = body.get("v")
        if type(version) is not int or version <= self.version:
            raise SettingsError(f"version {version!r} <= {self.version}")
        return values, version


def _words(allowed) -> str:
    if isinstance(allowed, tuple):
        return " or ".join(allowed)
    return "true or false" if allowed is bool else "a whole number from 0"
