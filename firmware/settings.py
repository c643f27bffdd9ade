"""The owner's settings: one signed message, kept as it came and verified again at every start."""

from micropython import const

from firmware import flash
from firmware.access.week import Week
from firmware.link.messages import SIZE_LIMIT


class SettingsError(ValueError):
    """A verified settings message holds a value that is not allowed."""


# name -> what is allowed: one of these words, a whole number from one to the other, true or false.
# A key that is not here is from a newer portal, and ignored.
_ALLOWED = {
    "access": ("open", "restricted"),
    "authority": ("native", "operator"),
    "offline": ("deny", "list"),  # who judges while the operator does not answer
    "operator_wait_s": (1, 60),
    "service_may_start": bool,
    "stop_on_withdrawal": bool,
    "resume_within_s": (0, 0x3FFF_FFFF),
}
_SIGNATURE_BYTES = const(64)


class Settings:
    """Values by name, `settings["access"]`, from the last message that was applied or the defaults.
    `in_schedule(schedule, now_min)`: see `Week.holds`.

    `path`: where the raw message is kept. `verify`: raw bytes -> dict, raises ValueError.
    `defaults`: a dict with the names above; other names in it are left alone.
    """

    def __init__(self, path: str, verify, defaults: dict):
        self._path = path
        self._verify = verify
        self._defaults = {}
        for name in _ALLOWED:
            if name in defaults:
                self._defaults[name] = defaults[name]
        self.version = 0  # `v` of the message in force; 0: the defaults
        self._apply(self._checked({"v": 1}), 0, b"")

    def __getitem__(self, name: str):
        return self._values[name]

    def load(self) -> str | None:
        """Take up what the flash holds. Returns why it was not taken, or None. Where there was
        something, a charger that is open by default is restricted until settings come."""
        raw = flash.read(self._path, SIZE_LIMIT)
        if raw is None:
            return None  # none yet
        try:
            body = self._verify(raw)
            self._apply(self._checked(body), body["v"], raw[:_SIGNATURE_BYTES])
        except ValueError as error:
            self._values["access"] = "restricted"
            return str(error)
        return None

    def is_current(self, raw: bytes) -> bool:
        """Whether this message, which was verified, is in force already: a broker sends it at each
        subscription. Its signature stands for it."""
        return raw[:_SIGNATURE_BYTES] == self._signature

    def offer(self, body: dict, raw: bytes) -> None:
        """Apply a verified message and keep it. SettingsError, OSError: nothing has changed."""
        checked = self._checked(body)
        signature = bytes(raw[:_SIGNATURE_BYTES])  # after the flash nothing may want for memory
        flash.replace(self._path, raw)
        self._apply(checked, body["v"], signature)

    def _apply(self, checked, version, signature):
        self._values, self.in_schedule = checked
        self.version = version
        self._signature = signature

    def _checked(self, body: dict) -> tuple:
        """Every value, and `in_schedule` of the schedules."""
        values: dict = dict(self._defaults)
        for name, allowed in _ALLOWED.items():
            if name not in body:
                continue
            found = body[name]
            if allowed is bool:
                good = type(found) is bool
            elif type(allowed[0]) is int:
                good = type(found) is int and allowed[0] <= found <= allowed[1]
            else:
                good = type(found) is str and found in allowed
            if not good:
                raise SettingsError(f"{name}: found {found!r}, allowed {_words(allowed)}")
            values[name] = found
        if values.get("authority") == "operator":
            values["access"] = "restricted"  # nobody is let in past the operator
        try:
            week = Week(
                body.get("schedules", {}), body.get("offsets", []), body.get("offsets_until", 0)
            )
        except ValueError as error:
            raise SettingsError(str(error)) from None
        version = body.get("v")
        if type(version) is not int or version <= self.version:
            raise SettingsError(f"version {version!r} <= {self.version}")
        return values, week.holds


def _words(allowed) -> str:
    if allowed is bool:
        return "true or false"
    if type(allowed[0]) is int:
        return "a whole number from {} to {}".format(*allowed)
    return " or ".join(allowed)
