"""Keeps the list on flash in step with the ref that the portal has published (DESIGN section 6).

Driven from outside and without a wait of its own: refs and objects are handed in as they come, and
each `tick` does one small piece of work. At most four objects are asked for at a time, one is in
memory at a time, and each is written before the next is taken. What lies whole on flash is not
asked for again, whatever came between: a lost link, a newer ref, a power cut.

Nearly always there is nothing to be done: what does it (following.py) is loaded when there is, and
given back when that has come to its end.
"""

import gc
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from firmware.allowlist import ref
from firmware.allowlist.errors import ListError, ObjectError
from firmware.loaded import forget

RETRY_MS = const(600_000)  # the long pause, and the one after a failure

_SOON_MS = const(60_000)  # the pause where flash or memory have failed, which may pass
_FULL = const(28)  # ENOSPC
_LOADED = const("following revision draft")


class Sync:
    """`store`: see store.py, loaded. Callables handed in, none of which may raise or call back:

    `fetch(digest)`: ask the link for the object of that name, 32 hex digits; None when the link
    cannot take the question now.
    `release(digest)`: it is no longer waited for, because it came or because it did not.
    `on_applied(version, digest, cards)`: this list is in force now.
    `on_rejected(why, detail)`: why is "ref", "version", "object", "list", "missing", "flash_full",
    "flash" or "memory"; the list in force stays.

    `problem`: why the list that is wanted is not in force, in the words of `on_rejected`, or None.
    What is for following.py: `wanted`, (what the ref says, the ref as it came) until it is in
    force; `asked`, digest: (function that takes the object, shard, since when); `in_step`, whether
    the list in force is the one last offered; `resumed`, whether the link came back since that was
    last set; `now_ms`, of this tick.
    """

    def __init__(self, store, fetch, on_applied, on_rejected, release=lambda digest: None):
        self._store = store
        self.fetch = fetch
        self.forgo = release
        self.on_applied = on_applied
        self.on_rejected = on_rejected
        self.wanted = None
        self.asked = {}
        self.in_step = False
        self.resumed = False
        self.now_ms = ticks_ms()
        self.problem = None
        self._following = None  # while there is something to be done
        self._work = None
        self._rests_until_ms = None

    @property
    def busy(self) -> bool:
        """Whether a list is on its way."""
        return self.wanted is not None

    def offer(self, body: dict, raw: bytes) -> None:
        """A ref has come: `body` as verified, `raw` as it came, signature included."""
        try:
            offered = ref.check(body)
        except ListError as error:
            self.on_rejected("ref", str(error))
            return
        known = self.wanted[0] if self.wanted else self._store.applied
        if offered == known:
            self.in_step = self.wanted is None
        elif known and offered.version <= known.version:
            self.on_rejected("version", f"{offered.version} <= {known.version}")
        else:
            self.wanted = (offered, raw)
            self.in_step = False
            self.problem = self._rests_until_ms = None
            self._stop()

    def object(self, digest: str, payload: bytes | memoryview) -> None:
        """An object has come. It is checked and written before this returns."""
        asked = self.asked.pop(digest, None)
        if asked is None:
            return
        self.forgo(digest)
        try:
            asked[0](asked[1], payload)
        except (ObjectError, MemoryError) as error:  # it stays missing, and is asked for again
            self.on_rejected(_word(error, "object"), f"{digest}: {error}")
        except (OSError, ValueError) as error:
            self._failed(error)

    def lost(self, digest: str, why: str) -> None:
        """The link could not take an object that was asked for; it was too long, say."""
        if self.asked.pop(digest, None) is not None:
            self.forgo(digest)
            self.on_rejected("object", f"{digest}: {why}")

    def resume(self) -> None:
        """The link is back and knows nothing of what was asked for: ask again, without a pause."""
        self.asked.clear()
        self.resumed = True

    def drop(self) -> None:
        """Give up the list that is on its way, and the room that it has taken: others need it more.
        It is tried again after the long pause. Not to be called from within anything here.
        """
        if self.wanted is None:
            return
        self._stop()
        self.problem = "flash_full"
        try:
            self._begin()
            while self._following.revision.sweep():  # pyright: ignore[reportOptionalMemberAccess]
                pass
        except (OSError, MemoryError):
            pass  # what could not be removed goes later
        self._stop()
        self._rest(RETRY_MS)

    def tick(self, now_ms) -> bool:
        """One small piece of work at `now_ms` (ticks); True when there is more to do at once."""
        self.now_ms = now_ms
        try:
            if self._work is None:
                if not self._is_due():
                    return self._store.settle()
                self._begin()
            return next(self._work)  # pyright: ignore[reportArgumentType]
        except StopIteration:
            self._stop()
            if self._store.damaged is not None:  # there is no room to renew it
                self._rest(RETRY_MS)
        except (OSError, ValueError, MemoryError) as error:
            self._failed(error)
        return False

    def _is_due(self):
        """Whether there is something to be done, and now."""
        until_ms = self._rests_until_ms
        if until_ms is not None:
            if not self.resumed and ticks_diff(until_ms, self.now_ms) > 0:
                return False
            self._rests_until_ms = None
        store = self._store
        left_over = self.in_step and not store.swept
        return self.wanted is not None or left_over or store.damaged is not None

    def _begin(self):
        from firmware.allowlist.following import Following

        self._following = Following(self, self._store)
        self._work = self._following.turns()

    def _stop(self):
        """No more of it, and its memory back."""
        work, self._work = self._work, None
        following, self._following = self._following, None
        if work is not None:
            work.close()
        for digest in self.asked:
            self.forgo(digest)
        self.asked.clear()
        began = following is not None
        if began:
            following.revision.close()
            following = None
        forget("firmware.allowlist", _LOADED)
        if began:
            gc.collect()  # for `Store.settle`

    def _rest(self, ms):
        """Do nothing for so long, or until the link is back."""
        self.resumed = False
        self._rests_until_ms = ticks_add(self.now_ms, ms)

    def _failed(self, error):
        self._stop()
        word = _word(error)
        self._rest(_SOON_MS if word in ("flash", "memory") else RETRY_MS)
        if self.wanted:
            self.problem = word
        self.on_rejected(word, str(error))


def _word(error, otherwise="list"):
    if isinstance(error, OSError):
        return "flash_full" if error.errno == _FULL else "flash"
    return "memory" if isinstance(error, MemoryError) else otherwise
