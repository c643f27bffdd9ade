"""What `Sync` does while the list on flash is not yet as it should be: the next list followed,
shard by shard, and what is left over put in order. Loaded for that, and given back after it."""

import binascii
from time import ticks_add, ticks_diff

from micropython import const

from firmware.allowlist.errors import ObjectError
from firmware.allowlist.index import hex_of, name_of
from firmware.allowlist.packs import PACKS
from firmware.allowlist.revision import Revision
from firmware.allowlist.sync import RETRY_MS

OBJECTS_AT_ONCE = const(4)
ANSWER_MS = const(20_000)  # an object that has not come by then is asked for again later
PASSES = const(6)  # through all that is missing, before the long pause
_BACK_OFF_MS = const(2_000)  # after the first pass, doubled after each

_NONE = const(-1)
_FULL = const(28)  # ENOSPC
_AT_ONCE = const(32)  # shards that one turn looks at
_ROOM_EVERY = const(16)  # shards, after which the room on flash is looked at again
_PLENTY_BYTES = const(131_072)  # of room: it need not be looked at again
_ROUNDING_BYTES = const(2_048)  # half a block, by which a pack grows more than its shards


class Following:
    """`sync`: whose work it is, and who knows what is wanted and what was asked for. `store`: its.

    What yields is a generator that does one small piece of work at each turn, and says whether more
    can be done at once. All raise OSError, ValueError and MemoryError.
    """

    def __init__(self, sync, store):
        self._sync = sync
        self._store = store
        self.revision = Revision(store)

    def turns(self):
        """All that can be done now: a list that is wanted first, then what is left over."""
        while self._sync.wanted is not None:
            yield from self._follow(*self._sync.wanted)
        yield from self._tidy()

    def _follow(self, offered, raw):
        sync, store, revision = self._sync, self._store, self.revision
        if store.applied and store.applied.index == offered.index:
            draft = revision.redraft(raw, offered)
        else:
            draft = yield from self._drafted(offered, raw)
        try:
            yield from revision.prepare(draft)
            room = revision.room(draft) if draft.missing else 0
            fits = room >= min(draft.missing, PACKS) * _ROUNDING_BYTES
            if fits:
                yield from self._fetched(draft, room < _PLENTY_BYTES)
                revision.commit(draft)
        finally:
            revision.abandon(draft)
        if fits:
            sync.wanted = sync.problem = None
            sync.in_step = True
            sync.on_applied(offered.version, offered.index, offered.cards)
        else:
            pack = yield from self._to_clear(draft)
            draft = None  # gives its memory back
            if store.applied is None:
                revision.drop(pack)
            else:
                yield from self._renewed(pack)
        yield True

    def _tidy(self):
        store, revision = self._store, self.revision
        while True:
            # While out of step, what is left over may belong to the list that will be offered.
            left_over = self._sync.in_step and not store.swept
            pack = _NONE
            if left_over or store.damaged is not None:
                pack = revision.to_renew()
            if pack != _NONE:
                yield True
                yield from self._renewed(pack)
            elif not left_over:
                return
            elif revision.sweep():
                yield True

    # What these are made of.

    def _drafted(self, offered, raw):
        kept = yield from self.revision.kept_index(offered)
        if kept is None:
            sought = _Sought(offered, self.revision)
            yield from self._gather(sought, "index")
            kept = sought.kept
        yield True
        return self.revision.draft(raw, offered, kept)  # pyright: ignore[reportArgumentType]

    def _fetched(self, draft, watched):
        looked_at = draft.missing
        for more in self._gather(draft, "shards"):
            if watched and looked_at - draft.missing >= _ROOM_EVERY:
                looked_at = draft.missing
                if self.revision.room(draft) < 0:
                    raise OSError(_FULL, "no room")
            yield more

    def _to_clear(self, draft):
        """A pack that holds what nobody needs; OSError where there is none."""
        if self.revision.may_copy():
            for pack in range(PACKS):
                yield True
                if self.revision.to_clear(pack, draft):
                    return pack
        raise OSError(_FULL, "no room")

    def _renewed(self, pack):
        revision = self.revision
        draft = revision.renewal(pack)
        try:
            yield from revision.prepare(draft)
            yield from self._gather(draft, "shards")
            revision.commit(draft)
        finally:
            revision.abandon(draft)
        yield True

    def _gather(self, draft, what):
        """Ask for all that is missing, again and again, until nothing is."""
        passes = 0
        while draft.missing:
            self._sync.resumed = False
            yield from self._one_pass(draft)
            if self._sync.resumed:
                passes = 0
            elif draft.missing:
                passes += 1
                if passes < PASSES:
                    yield from self._pause(_BACK_OFF_MS << passes - 1)
                else:
                    passes = 0
                    why = self._sync.problem = "missing"
                    said = "{} {}, asked {} times".format(draft.missing, what, PASSES)
                    self._sync.on_rejected(why, said)
                    yield from self._pause(RETRY_MS)

    def _one_pass(self, draft):
        for place in range(draft.total):
            if place % _AT_ONCE == _AT_ONCE - 1:
                yield True
            while draft.lacks(place) and not self._ask(draft, place):
                yield False
                if self._sync.resumed:
                    return
        while self._sync.asked and not self._sync.resumed:
            yield False
            self._expire()

    def _ask(self, draft, place):
        """Whether that shard has been asked for."""
        self._expire()
        asked = self._sync.asked
        if len(asked) >= OBJECTS_AT_ONCE:
            return False
        digest = hex_of(draft.name(place))
        asked[digest] = (draft.put, place, self._sync.now_ms)
        if self._sync.fetch(digest) is None:
            del asked[digest]
            return False
        return True

    def _expire(self):
        asked = self._sync.asked
        for digest in list(asked):
            if ticks_diff(self._sync.now_ms, asked[digest][2]) >= ANSWER_MS:
                del asked[digest]
                self._sync.forgo(digest)

    def _pause(self, ms):
        """Wait, or until the link is back."""
        sync = self._sync
        until_ms = ticks_add(sync.now_ms, ms)
        sync.resumed = False
        while not sync.resumed and ticks_diff(until_ms, sync.now_ms) > 0:
            yield False


class _Sought:
    """The index, gathered the way shards are: the only one, and missing."""

    def __init__(self, offered, revision):
        self._offered = offered
        self._revision = revision
        self.kept = None
        self.total = self.missing = 1

    def lacks(self, _place):
        return self.missing

    def name(self, _place):
        return binascii.unhexlify(self._offered.index)

    def put(self, _place, data):
        found = name_of(data)
        if found != self._offered.index:
            raise ObjectError(f"index is {found}, expected {self._offered.index}")
        self.kept = self._revision.keep_index(self._offered, data)
        self.missing = 0
