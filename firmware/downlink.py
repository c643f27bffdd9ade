"""What the portal tells a charger: settings, allow-list, objects, commands and verdicts.

Each message is checked before anything follows from it (DESIGN section 7); what is refused is
reported, once per cause and minute; a topic that the broker refuses once an hour.
"""

from micropython import const

from firmware.link.messages import SIZE_LIMIT, MessageError, verify
from firmware.settings import SettingsError

_REPORT_EVERY_S = const(60)
_REFUSED_EVERY_S = const(3_600)
_CAUSES_LIMIT = const(16)  # that are reported within that time
_ASK_AGAIN_S = const(60)
_ANSWER_AGE_S = const(600)  # of a verdict; two clocks are never quite the same


class Downlink:
    """Takes every message that the link delivers: `message(topic, payload)`.

    `key`: the charger's 32 bytes. `versions`: the last `v` of each topic, on flash. `commands`:
    name -> function(body) that returns why it was not done, or None. `answer(body)`: the operator
    has judged a card; raises MessageError.
    """

    def __init__(
        self, key, topics, versions, settings, sync, clock, commands, answer, record, changed
    ):
        self._key = key
        self._topics = topics
        self._versions = versions
        self._settings = settings
        self._sync = sync
        self._clock = clock
        self._commands = commands
        self._answer = answer
        self._record = record
        self._changed = changed
        self._reported = {}  # (topic's last word, why) -> told again when, in seconds up
        self._missed_up_s = None  # since when something good is missing for want of room
        self._due = []  # topics that are still to be subscribed to
        self.rejected = 0
        self._takers = {
            topics.settings: self._take_settings,
            topics.allowlist: self._take_allowlist,
            topics.command: self._take_command,
            topics.verdict: self._take_verdict,
        }

    def connected(self) -> None:
        """A new connection: the broker knows nothing of what was subscribed to."""
        topics = self._topics
        self._missed_up_s = None
        # From the last: the schedules are to be there before the list that speaks of them.
        self._due = [topics.verdict, topics.command, topics.allowlist, topics.settings]

    def subscribe(self, link) -> None:
        """Subscribe over `link` (its `subscribe`) to what is due, as far as it takes it now. That
        is also a topic once more where a message was heard that could not be held or stored: what
        is retained comes again then. And where the broker has refused one.
        """
        missed = self._missed_up_s
        if missed is not None and self._clock.up_s() - missed >= _ASK_AGAIN_S:
            self.connected()
        while self._due and link.subscribe(self._due[-1], 1):
            self._due.pop()

    def message(self, topic: str, payload) -> None:
        """`payload`: bytes, or a memoryview of what the link writes over with the next message."""
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
        except (OSError, MemoryError) as error:
            self._miss(topic, "flash" if isinstance(error, OSError) else "memory", str(error))

    def skipped(self, topic: str | None, size: int) -> None:
        """The link has not taken a message: too large, or there was no memory for it just now."""
        if topic is None or size > SIZE_LIMIT:
            self.reject(topic, "size", f"{size} bytes")
        else:
            self._miss(topic, "memory", f"{size} bytes")

    def refused(self, topic: str) -> None:
        """The broker does not let us hear `topic`: its access list may be mended at any time."""
        self._missed_up_s = self._clock.up_s()
        self.reject(topic, "subscribe", "the broker forbids it", _REFUSED_EVERY_S)

    def reject(
        self, topic: str | None, why: str, detail: str, quiet_s: int = _REPORT_EVERY_S
    ) -> None:
        """Count what was not followed, and report its cause at most once in `quiet_s`."""
        self.rejected += 1
        word = (topic or "?").split("/")[-1]
        cause = (word, why)
        up_s = self._clock.up_s()
        reported = self._reported
        for known in list(reported):
            if up_s >= reported[known]:
                del reported[known]
        if cause in reported or len(reported) >= _CAUSES_LIMIT:
            return
        reported[cause] = up_s + quiet_s
        self._record("message_rejected", {"topic": word, "why": why, "detail": detail})

    def _miss(self, topic, why, detail):
        self._missed_up_s = self._clock.up_s()
        self.reject(topic, why, detail)

    def _take_settings(self, body, raw):
        if self._settings.is_current(raw):
            return
        # Those that should be in force may come again: what was kept of them may be damaged.
        self._versions.check("settings", body["v"], again=self._settings.version < body["v"])
        self._settings.offer(body, raw)
        self._changed()
        self._versions.floor("settings", body["v"])
        self._record("settings_applied", {"v": body["v"]})

    def _take_allowlist(self, body, raw):
        # The one in force may come again: if it is damaged on flash, it is fetched anew.
        self._versions.check("allowlist", body["v"], again=True)
        self._sync.offer(body, raw)

    def _take_command(self, body, raw):
        version, name, expires = body["v"], body.get("command"), body.get("exp")
        if type(name) is not str:
            raise MessageError("type", "command: allowed a text")
        if type(expires) is not int:
            raise MessageError("type", "exp: allowed a whole number")
        now = self._clock.now()
        if now is None or expires < now:
            raise MessageError("expired", f"exp {expires}, now {now}")
        self._versions.check("command", version)
        try:
            self._versions.store("command", version)
        except OSError:
            if name != "stop" and (name != "available" or body.get("on") is not False):
                raise
            # What only opens has protection enough in `exp`, and in this life is done once.
            self._versions.floor("command", version)
        why = self._carry_out(name, body)
        self._record("command_done", {"v": version, "command": name, "ok": not why, "why": why})

    def _take_verdict(self, body, raw):
        # In memory alone, as no question's number comes again, nor does its answer; where the flash
        # keeps no numbers they do come again after a restart, but with another time.
        now = self._clock.now()
        if now is not None and body["t"] < now - _ANSWER_AGE_S:
            raise MessageError("expired", f"t {body['t']}, now {now}")
        self._versions.check("verdict", body["v"])
        self._versions.floor("verdict", body["v"])
        self._answer(body)

    def _carry_out(self, name, body):
        command = self._commands.get(name)
        if command is None:
            return "no such command"
        try:
            return command(body)
        except Exception as error:  # it gets its answer, whatever happens
            return repr(error)
