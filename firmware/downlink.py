"""What the portal tells a charger: settings, allow-list, objects and commands.

Each message is checked before anything follows from it (DESIGN section 7); what is refused is
reported, once per cause and minute.
"""

from time import ticks_diff, ticks_ms

from micropython import const

from firmware.link.messages import MessageError, verify
from firmware.settings import SettingsError

REPORT_EVERY_MS = const(60_000)
_CAUSES_LIMIT = const(16)


class Downlink:
    """Takes every message that the link delivers: `message(topic, payload)`.

    `key`: the charger's 32 bytes. `versions`: the last `v` of each topic, on flash. `commands`:
    name -> function(body) that returns why it was not done, or None.
    """

    def __init__(self, key, topics, versions, settings, sync, clock, commands, record, changed):
        self._key = key
        self._topics = topics
        self._versions = versions
        self._settings = settings
        self._sync = sync
        self._clock = clock
        self._commands = commands
        self._record = record
        self._changed = changed
        self._reported = {}  # (topic's last word, why) -> when
        self.rejected = 0
        self._takers = {
            topics.settings: self._take_settings,
            topics.allowlist: self._take_allowlist,
            topics.command: self._take_command,
        }

    def subscriptions(self) -> tuple:
        """The topics to subscribe to at each connect."""
        return tuple(self._takers)

    def message(self, topic: str, payload: bytes) -> None:
        digest = self._topics.digest(topic)
        if digest is not None:
            self._sync.object(digest, payload)
            return
        take = self._takers.get(topic)
        if take is None:
            return  # nothing that we asked for
        try:
            body = verify(self._key, topic, payload)
            self._clock.lower_bound(body["t"])
            take(body, bytes(payload))
        except MessageError as error:
            self.reject(topic, error.why, error.detail)
        except SettingsError as error:
            self.reject(topic, "value", str(error))
        except OSError as error:
            self.reject(topic, "flash", str(error))

    def reject(self, topic: str | None, why: str, detail: str) -> None:
        """Count a message that was not followed, and report its cause at most once a minute."""
        self.rejected += 1
        word = (topic or "?").split("/")[-1]
        cause = (word, why)
        now_ms = ticks_ms()
        last_ms = self._reported.get(cause)
        if last_ms is not None and ticks_diff(now_ms, last_ms) < REPORT_EVERY_MS:
            return
        if len(self._reported) >= _CAUSES_LIMIT:
            self._reported.clear()
        self._reported[cause] = now_ms
        self._record("message_rejected", {"topic": word, "why": why, "detail": detail})

    def _take_settings(self, body, raw):
        if self._settings.is_current(raw):
            return
        self._versions.check("settings", body["v"])
        self._settings.offer(body, raw)
        self._versions.floor("settings", body["v"])
        self._record("settings_applied", {"v": body["v"]})
        self._changed()

    def _take_allowlist(self, body, raw):
        # The one in force may come again: if it is damaged on flash, it is fetched anew.
        self._versions.check("allowlist", body["v"], again=True)
        self._sync.offer(body, raw)

    def _take_command(self, body, raw):
        version = body["v"]
        expires = body.get("exp")
        if type(expires) is not int:
            raise MessageError("type", f"exp: found {expires!r}, allowed a whole number")
        if expires < self._clock.now():
            raise MessageError("expired", f"exp {expires}, now {self._clock.now()}")
        self._versions.check("command", version)
        self._versions.store("command", version)
        name = body.get("command")
        command = self._commands.get(name)
        why = command(body) if command is not None else f"no command {name!r}"
        self._record("command_done", {"v": version, "command": name, "ok": not why, "why": why})
