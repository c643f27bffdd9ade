"""The allow-list on the modelled board's flash: made, loaded, looked up in, changed.

The job names its `steps`. Each prints JSON lines; one with `whole` false is the last.
"""

import gc
import json
import os
from hashlib import sha256

import clockwork

_MS = 1_000_000
_TURNS = 200_000
_ROUND_MS = 50  # between two turns of the housekeeping

_objects = None
_changes = ()


def prepare(job):
    """Opened while the computer's files are in sight."""
    global _objects, _changes
    if "objects" in job:
        _objects = _Objects(job["objects"])
    _changes = [
        (each["body"], each["raw"].encode(), _Objects(each["objects"])) for each in job["changes"]
    ]


class _Objects:
    """Objects in a file of the computer; where each of them is, by its name."""

    def __init__(self, path):
        self._file = open(path, "rb")
        self._places = {}
        at = 0
        while True:
            size = self._file.read(2)
            if not size:
                break
            size = size[0] << 8 | size[1]
            self._places[sha256(self._file.read(size)).digest()[:16]] = (at + 2, size)
            at += 2 + size

    def get(self, digest):
        at, size = self._places[bytes.fromhex(digest)]
        self._file.seek(at)
        return self._file.read(size)


class _Charger:
    """Store and sync as the app has them, and a link on which everything comes at once."""

    def __init__(self, job, files=None):
        from firmware.app import Store, Sync, verify

        key, topic = bytes.fromhex(job["key"]), job["topic"]
        self.received = 0
        self.rejected = []
        self.store = Store("allowlist", lambda raw: verify(key, topic, raw), files)
        began = clockwork.now_us()
        damage = self.store.load()
        self.load_ms = (clockwork.now_us() - began) / 1_000
        assert damage is None, damage
        self._asked = []
        self._now_ms = 0
        self.sync = Sync(
            self.store, self._fetch, lambda *_: None, lambda *why: self.rejected.append(why)
        )

    def _fetch(self, digest):
        self._asked.append(digest)
        return True

    def follow(self, body, raw, objects):
        """Whether the list is in force then."""
        self._objects = objects
        self.received = len(raw)
        self.sync.offer(body, raw)
        for _ in range(_TURNS):
            if not self.sync.busy or self.rejected:
                break
            self.turn()
        return not self.sync.busy and not self.rejected

    def turn(self):
        more = self.sync.tick(self._now_ms)
        self._now_ms += _ROUND_MS
        while self._asked:
            digest = self._asked.pop(0)
            data = self._objects.get(digest)
            self.received += len(data)
            self.sync.object(digest, data)
        return more

    def tidy(self):
        while self.turn():
            pass


class _Counted:
    """A file that counts its reads."""

    def __init__(self, files, file):
        self._files = files
        self._file = file
        self.seek, self.write = file.seek, file.write
        self.flush, self.close = file.flush, file.close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def read(self, *size):
        self._files.reads += 1
        return self._file.read(*size)

    def readinto(self, into):
        self._files.reads += 1
        return self._file.readinto(into)


def _counting():
    from firmware.app import Files

    class Counting(Files):
        opened = reads = 0

        def open(self, path, mode):
            self.opened += 1
            return _Counted(self, open(path, mode))

    return Counting()


class _Account:
    """What has been spent between its making and `taken`."""

    def __init__(self, chip):
        chip.count()
        gc.collect()
        self._chip = chip
        self._before = list(clockwork.total)
        self._ns = clockwork.now_ns
        clockwork.watch(clockwork.now_ns)
        clockwork.seen()
        clockwork.leave()

    def taken(self):
        clockwork.enter()
        chip = self._chip
        found = {
            "ms": (clockwork.now_ns - self._ns) / _MS,
            "parts": [(b - a) / _MS for a, b in zip(self._before, clockwork.total)],
            "quiet": clockwork.quiet(),
            "reads": chip.reads,
            "pieces": chip.pieces,
            "programmed": sum(chip.programmed),
            "erased": chip.erasures,
        }
        clockwork.watch(None)
        clockwork.leave()
        return found


def run(job, chip, speed):
    for step in job["steps"]:
        clockwork.adjust()
        for found in _STEPS[step](job, chip):
            found["step"] = step
            print(json.dumps(found))
            if not found.get("whole", True):
                return


def _fill(job, chip):
    """Something else on the flash, so many blocks of it."""
    with open("else", "wb") as file:
        for _ in range(job["fill"]):
            file.write(bytes(4096))
    yield {}


def _build(job, chip):
    before = _free()
    charger = _Charger(job)
    whole = charger.follow(job["body"], job["raw"].encode(), _objects)
    found = {"whole": whole, "why": [str(why) for why in charger.rejected[:1]]}
    if whole:
        charger.tidy()
    charger.sync.drop()
    charger.store.close()
    for name in job["files"]:
        with open(name, "w") as file:
            file.write(job["files"][name])
    found["free"] = _free()
    found["blocks"] = before - found["free"]
    yield found


def _free():
    return os.statvfs("/")[3]


def _load(job, chip):
    _Charger(job).store.close()  # its modules are there now
    account = _Account(chip)
    charger = _Charger(job)
    found = account.taken()
    charger.store.close()
    yield found


def _look_up(job, chip):
    """Twice for each token: the first time its pack may have to be opened."""
    store = _Charger(job).store
    for token in job["tokens"]:
        token = bytes.fromhex(token)
        for again in (False, True):
            account = _Account(chip)
            entry = store.lookup(token)
            found = account.taken()
            found["again"] = again
            yield found
            assert entry is not None
    store.close()


def _reads(job, chip):
    """What a look-up asks of the file system, in a pack that is open."""
    files = _counting()
    store = _Charger(job, files).store
    opened = reads = 0
    for token in job["tokens"]:
        token = bytes.fromhex(token)
        store.lookup(token)
        files.opened = files.reads = 0
        store.lookup(token)
        opened, reads = max(opened, files.opened), max(reads, files.reads)
    store.close()
    yield {"files_opened": opened, "file_reads": reads}


def _change(job, chip):
    """Until it is in force; what is put in order afterwards counts apart."""
    charger = _Charger(job)
    for body, raw, objects in _changes:
        account = _Account(chip)
        whole = charger.follow(body, raw, objects)
        found = account.taken()
        account = _Account(chip)
        charger.tidy()
        found["tidied"] = account.taken()["erased"]
        found["received"], found["whole"] = charger.received, whole
        yield found
    charger.store.close()


_STEPS = {
    "fill": _fill,
    "build": _build,
    "load": _load,
    "look up": _look_up,
    "reads": _reads,
    "change": _change,
}
