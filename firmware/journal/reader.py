"""Goes through a segment's file from one good record to the next, a chunk at a time."""

from micropython import const

from firmware.journal import records

_CHUNK_BYTES = const(512)  # more than any record has
_CHUNK_COSTS = const(32)  # of a budget: as much as so many bytes that begin no record
_SLICE = const(512)  # of a budget: well below a second on a board


class Reader:
    """`n`, `record` (a memoryview) and `offset`: of the record that `next` has found, until it is
    called again. `base`: the `boot` of the file's first record, or None. `damaged`: something came
    before it that is no record. `budget`: how much may still be done until the caller is asked
    again. The file is opened for each chunk, so that it can be written to in between; `whole` goes
    through it in one go.
    """

    def __init__(self, files):
        self._files = files
        self._opened = None
        self.budget = 0
        self.rest()

    def rest(self) -> None:
        """Nothing is to be read, and no memory needed for it."""
        self.begin("")
        self._buffer = b""
        self._view = memoryview(self._buffer)

    def begin(self, path: str, offset: int = 0, base: int | None = None) -> None:
        """Go on in this file, from a record that begins at `offset`."""
        self._path = path
        self._start = offset  # of the chunk in the file
        self._at = self._held = self._length = 0
        self._no_more = self._torn = self.damaged = False
        self.base = base
        self.n = 0

    def whole(self, path: str, alive):
        """A generator that goes through all records of a file. Yields itself at each. `alive` is
        called now and then: bytes that are none take long.
        """
        self.begin(path)
        try:
            self._opened = self._files.open(path, "rb")
        except OSError:
            self.damaged = True
            return
        try:
            while True:
                found = self.next()
                if found > 0:
                    yield self
                elif not found:
                    return
                else:
                    alive()
                    self.budget = _SLICE
        finally:
            self._opened.close()
            self._opened = None

    def grown(self) -> None:
        """The file may have become longer."""
        self._no_more = False

    def next(self) -> int:
        """The length of the next good record; 0 at the end, -1 when the budget is used up."""
        self._at += self._length
        self._length = 0
        while True:
            size = records.size_at(self._view, self._at, self._held)
            if size > 0:
                if self._torn:  # it was not the end that was cut off
                    self.damaged, self._torn = True, False
                base = records.base_boot(self._buffer, self._at)
                if base is None:
                    self._length = size
                    self.n = records.number(self._buffer, self._at)
                    return size
                self.base = base
                self._at += size
            elif size < 0 and not self._no_more:
                if self.budget < _CHUNK_COSTS:
                    return -1
                self.budget -= _CHUNK_COSTS
                self._fill()
            elif self._at == self._held:
                return 0
            elif self.budget <= 0:
                return -1
            else:
                if size < 0:
                    self._torn = True
                else:
                    self.damaged = self.damaged or not self._torn
                self._at += 1  # the next good record may begin at any byte
                self.budget -= 1

    @property
    def record(self) -> memoryview:
        return self._view[self._at : self._at + self._length]

    @property
    def offset(self) -> int:
        return self._start + self._at

    def _fill(self):
        self._start += self._at
        self._at = self._held = 0
        if not self._buffer:
            self._buffer = bytearray(_CHUNK_BYTES)
            self._view = memoryview(self._buffer)
        try:
            if self._opened is not None:
                self._read(self._opened)
            else:
                with self._files.open(self._path, "rb") as file:
                    self._read(file)
        except OSError:
            self.damaged = True
        self._no_more = self._held < _CHUNK_BYTES

    def _read(self, file):
        file.seek(self._start)
        self._held = file.readinto(self._buffer) or 0
