"""Keeps the list on flash in step with the ref that the portal has published (DESIGN section 6).

Driven from outside and without a wait of its own: refs and objects are handed in as they come, and
each `tick` does one small piece of work. At most four objects are asked for at a time, one is in
memory at a time, and each is written before the next is taken. What lies whole on flash is not
asked for again, whatever came between: a lost link, a newer ref, a power cut.
"""

import binascii
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from firmware.allowlist import index, ref
from firmware.allowlist.errors import ListError, ObjectError
from firmware.allowlist.packs import PACKS

OBJECTS_AT_ONCE = const(4)
ANSWER_MS = const(20_000)  # an object that has not come by then is asked for again later
PASSES = const(6)  # through all that is missing, before the long pause
_BACK_OFF_MS = const(2_000)  # after the first pass, doubled after each
RETRY_MS = const(600_000)  # the long pause, and the one after a failure

_NONE = const(-1)
_FULL = const(28)  # ENOSPC
_AT_ONCE = const(32)  # shards that one turn looks at
_ROOM_EVERY = const(16)  # shards, after which the room on flash is looked at again
_PLENTY_BYTES = const(131_072)  # of room: it need not be looked at again
_ROUNDING_BYTES = const(2_048)  # half a block, by which a pack grows more than its shards


class Sync:
    """`store`: see store.py, loaded. Callables handed in, none of which may raise or call back:

    `fetch(digest)`: ask the link for the object of that name, 32 hex digits; None when the link
    cannot take the question now.
    `release(digest)`: it is no longer waited for, because it came or because it did not.
    `on_applied(version, digest, cards)`: this list is in force now.
    `on_rejected(why, detail)`: why is "ref", "version", "object", "list", "missing", "flash_full",
    "flash" or "memory"; the list in force stays.

    `problem`: why the list that is wanted is not in force, in the words of `on_rejected`, or None.
    """

    def __init__(self, store, fetch, on_applied, on_rejected, release=lambda digest: None):
        self._store = store
        self._fetch = fetch
        self._release = release
        self._on_applied = on_applied
        self._on_rejected = on_rejected
        self._wanted = None  # (what the ref says, the ref as it came) until it is in force
        self._asked = {}  # digest: (function that takes the object, shard, since when)
        self._in_step = False
        self._resumed = False
        self._now_ms = ticks_ms()
        self._work = self._tidy()
        self.problem = None

    @property
    def busy(self) -> bool:
        """Whether a list is on its way."""
        return self._wanted is not None

    def offer(self, body: dict, raw: bytes) -> None:
        """A ref has come: `body` as verified, `raw` as it came, signature included."""
        try:
            offered = ref.check(body)
        except ListError as error:
            self._on_rejected("ref", str(error))
            return
        known = self._wanted[0] if self._wanted else self._store.applied
        if offered == known:
            self._in_step = self._wanted is None
        elif known and offered.version <= known.version:
            self._on_rejected("version", f"{offered.version} <= {known.version}")
        else:
            self._wanted = (offered, raw)
            self._in_step = False
            self.problem = None
            self._stop()
            self._work = self._follow(offered, raw)

    def object(self, digest: str, payload: bytes | memoryview) -> None:
        """An object has come. It is checked and written before this returns."""
        asked = self._asked.pop(digest, None)
        if asked is None:
            return
        self._release(digest)
        try:
            asked[0](asked[1], payload)
        except (ObjectError, MemoryError) as error:  # it stays missing, and is asked for again
            self._on_rejected(_word(error, "object"), f"{digest}: {error}")
        except (OSError, ValueError) as error:
            self._failed(error)

    def lost(self, digest: str, why: str) -> None:
        """The link could not take an object that was asked for; it was too long, say."""
        if self._asked.pop(digest, None) is not None:
            self._release(digest)
            self._on_rejected("object", f"{digest}: {why}")

    def resume(self) -> None:
        """The link is back and knows nothing of what was asked for: ask again, without a pause."""
        self._asked.clear()
        self._resumed = True

    def drop(self) -> None:
        """Give up the list that is on its way, and the room that it has taken: others need it more.
        It is tried again after the long pause. Not to be called from within anything here.
        """
        if self._wanted is None:
            return
        self._stop()
        self.problem = "flash_full"
        self._work = self._retry()
        try:
            while self._store.sweep():
                pass
        except OSError:
            pass  # what could not be removed goes later

    def tick(self, now_ms) -> bool:
        """One small piece of work at `now_ms` (ticks); True when there is more to do at once."""
        self._now_ms = now_ms
        try:
            return next(self._work)
        except StopIteration:  # there was no memory for what was to follow
            self._work = self._follow(*self._wanted) if self._wanted else self._tidy()
            return True
        except (OSError, ValueError, MemoryError) as error:
            self._failed(error)
            return False

    # Work: generators that yield after each piece, and say whether more can be done at once.

    def _stop(self):
        self._work.close()
        for digest in self._asked:
            self._release(digest)
        self._asked.clear()

    def _follow(self, offered, raw):
        store = self._store
        if store.applied and store.applied.index == offered.index:
            draft = store.redraft(raw, offered)
        else:
            draft = yield from self._drafted(offered, raw)
        try:
            yield from store.prepare(draft)
            room = store.room(draft) if draft.missing else 0
            fits = room >= min(draft.missing, PACKS) * _ROUNDING_BYTES
            if fits:
                yield from self._fetched(draft, room < _PLENTY_BYTES)
                store.commit(draft)
        finally:
            store.abandon(draft)
        if fits:
            self._wanted = self.problem = None
            self._in_step = True
            self._work = self._tidy()
            self._on_applied(offered.version, offered.index, offered.cards)
        else:
            pack = yield from self._to_clear(draft)
            draft = None  # gives its memory back
            if store.applied is None:
                store.drop(pack)
            else:
                yield from self._renewed(pack)
            self._work = self._follow(offered, raw)
        yield True

    def _tidy(self):
        store = self._store
        while True:
            damaged = store.damaged is not None
            # While out of step, what is left over may belong to the list that will be offered.
            left_over = self._in_step and not store.swept
            pack = store.to_renew() if damaged or left_over else _NONE
            if pack != _NONE:
                yield True
                yield from self._renewed(pack)
            elif left_over:
                yield store.sweep()
            elif damaged:
                yield from self._pause(RETRY_MS)
            else:
                yield False

    def _retry(self):
        yield from self._pause(RETRY_MS)
        self._work = self._follow(*self._wanted) if self._wanted else self._tidy()
        yield True

    # What these are made of.

    def _drafted(self, offered, raw):
        kept = yield from self._store.kept_index(offered)
        if kept is None:
            sought = _Sought(offered, self._store)
            yield from self._gather(sought, "index")
            kept = sought.kept
        yield True
        return self._store.draft(raw, offered, kept)

    def _fetched(self, draft, watched):
        looked_at = draft.missing
        for more in self._gather(draft, "shards"):
            if watched and looked_at - draft.missing >= _ROOM_EVERY:
                looked_at = draft.missing
                if self._store.room(draft) < 0:
                    raise OSError(_FULL, "no room")
            yield more

    def _to_clear(self, draft):
        """A pack that holds what nobody needs; OSError where there is none."""
        if self._store.may_copy():
            for pack in range(PACKS):
                yield True
                if self._store.to_clear(pack, draft):
                    return pack
        raise OSError(_FULL, "no room")

    def _renewed(self, pack):
        draft = self._store.renewal(pack)
        try:
            yield from self._store.prepare(draft)
            yield from self._gather(draft, "shards")
            self._store.commit(draft)
        finally:
            self._store.abandon(draft)
        yield True

    def _gather(self, draft, what):
        """Ask for all that is missing, again and again, until nothing is."""
        passes = 0
        while draft.missing:
            self._resumed = False
            yield from self._one_pass(draft)
            if self._resumed:
                passes = 0
            elif draft.missing:
                passes += 1
                if passes < PASSES:
                    yield from self._pause(_BACK_OFF_MS << passes - 1)
                else:
                    passes = 0
                    self.problem = "missing"
                    self._on_rejected("missing", f"{draft.missing} {what}, asked {PASSES} times")
                    yield from self._pause(RETRY_MS)

    def _one_pass(self, draft):
        for place in range(draft.total):
            if place % _AT_ONCE == _AT_ONCE - 1:
                yield True
            while draft.lacks(place) and not self._ask(draft, place):
                yield False
                if self._resumed:
                    return
        while self._asked and not self._resumed:
            yield False
            self._expire()

    def _ask(self, draft, place):
        """Whether that shard has been asked for."""
        self._expire()
        if len(self._asked) >= OBJECTS_AT_ONCE:
            return False
        digest = index.hex_of(draft.name(place))
        self._asked[digest] = (draft.put, place, self._now_ms)
        if self._fetch(digest) is None:
            del self._asked[digest]
            return False
        return True

    def _expire(self):
        for digest in list(self._asked):
            if ticks_diff(self._now_ms, self._asked[digest][2]) >= ANSWER_MS:
                del self._asked[digest]
                self._release(digest)

    def _pause(self, ms):
        """Wait, or until the link is back."""
        until_ms = ticks_add(self._now_ms, ms)
        self._resumed = False
        while not self._resumed and ticks_diff(until_ms, self._now_ms) > 0:
            yield False

    def _failed(self, error):
        self._stop()
        self._work = self._retry()
        word = _word(error)
        if self._wanted:
            self.problem = word
        self._on_rejected(word, str(error))


class _Sought:
    """The index, gathered the way shards are: the only one, and missing."""

    def __init__(self, offered, store):
        self._offered = offered
        self._store = store
        self.kept = None
        self.total = self.missing = 1

    def lacks(self, _place):
        return self.missing

    def name(self, _place):
        return binascii.unhexlify(self._offered.index)

    def put(self, _place, data):
        found = index.name_of(data)
        if found != self._offered.index:
            raise ObjectError(f"index is {found}, expected {self._offered.index}")
        self.kept = self._store.keep_index(self._offered, data)
        self.missing = 0


def _word(error, otherwise="list"):
    if isinstance(error, OSError):
        return "flash_full" if error.errno == _FULL else "flash"
    return "memory" if isinstance(error, MemoryError) else otherwise
