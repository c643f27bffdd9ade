"""One stream of records, oldest first, in files that only grow: the sessions, or all the rest.

A file is named after its kind and the number of its first record: `s0a1b2c3d`. It begins with a
record that holds the whole `boot` (records.py) and is removed when all it holds is acknowledged, or
when the room is needed. Only the newest file is written to. Where a write may have been torn, what
has a good CRC counts, and new records go into a new file.
"""

from micropython import const

from firmware.journal import records
from firmware.journal.reader import Reader

_BUDGET = const(96)  # of the reader in one call, three chunks: the caller has other things to do
_NAME_LENGTH = const(9)
_NO_ROOM = const(28)  # ENOSPC


class Segments:
    """`files`: see files.py. `letter`: what the names begin with. `most_files`,
    `file_bytes`: the room for this stream.

    `last`: the number of the newest record, 0 where there is none. `n`: that of the record at the
    cursor, 0 where it is not known yet. `at_end`: there is none. `damaged`: how often the cursor
    has come past something that is no record; whoever has counted it sets it to 0.
    """

    def __init__(self, files, folder: str, letter: str, most_files: int, file_bytes: int):
        self._files = files
        self._folder = folder
        self._letter = letter
        self._most_files = most_files
        self._file_bytes = file_bytes
        self._firsts = []  # of the files, oldest first
        self._size = 0  # of the newest
        self._sealed = False  # the newest takes no more
        self._out = []  # (n, file, offset, base) of what is on its way
        self._given_up = None  # goes through the oldest file, to count what is lost with it
        self._lost = 0
        self._reader = Reader(files)
        self._damaged_at = 0  # the number behind the damage that was counted last
        self.damaged = 0
        self.last = 0
        self._go_to(0)

    def load(self, names, each, alive) -> str | None:
        """Find the files of this stream; which is damaged, or None. `each(record, boot)` is called
        for each record of the newest file; `boot`: of its start, or None where that is lost.
        `alive()` is called all the time."""
        wrong = []
        self._firsts = sorted([first for first in map(self._first_of, names) if first])
        while self._firsts:
            newest = self._firsts[-1]
            if self._read_through(newest, each, alive):
                wrong.append(self._name(newest))
            if self.last:
                break
            self._remove(self._firsts.pop())  # empty, or nothing that is ours
        self._go_to(self._firsts[0] if self._firsts else 0)
        return " and ".join(wrong) or None

    def __len__(self) -> int:
        """How many files there are."""
        return len(self._firsts)

    @property
    def bytes(self) -> int:
        """How much of its room the stream takes."""
        return max(0, len(self._firsts) - 1) * self._file_bytes + self._size

    def begins_file(self, batch: list) -> bool:
        """Whether these records would go into a new file."""
        size = self._size
        for record in batch:
            size += len(record)
        return not self._firsts or self._sealed or size > self._file_bytes

    @property
    def overfull(self) -> bool:
        """Whether the newest file has taken the room of the oldest."""
        return len(self._firsts) > self._most_files

    def append(self, batch: list, boot: int) -> None:
        """Write these records, in order of their numbers. After an error none of them counts.
        `boot`: of the present start; the first of them may be from an earlier one."""
        begins = self.begins_file(batch)
        file = records.number(batch[0]) if begins else self._firsts[-1]
        size = 0 if begins else self._size
        try:
            with self._files.open(self._path(file), "wb" if begins else "r+b") as opened:
                if begins:
                    first = records.first(file, records.boot_until(boot, batch[0]))
                    opened.write(first)
                    size = len(first)
                else:
                    opened.seek(size)
                for record in batch:
                    opened.write(record)
                    size += len(record)
        except (OSError, MemoryError) as error:
            self._not_appended(begins, file, getattr(error, "errno", 0))
            raise
        self._size = size
        self.last = records.number(batch[-1])
        if begins:
            self._firsts.append(file)
            self._sealed = False
            if self.at_end:
                self._go_to(file)
        elif self._file == file:
            self.at_end = False
            self._reader.grown()

    # Reading.

    def peek(self, after: int, acknowledged: int):
        """The oldest record above `after`, as a memoryview that holds until the next call. None:
        there is none (`at_end`), or it has not been found yet, and the next call goes on. What lies
        between `acknowledged` and `after` is on its way.
        """
        reader = self._reader
        reader.budget = _BUDGET
        while not self.at_end:
            if self.n > after:
                return reader.record
            if self.n:
                self.take(acknowledged)
            found = reader.next()
            if found < 0:
                return None
            if found:
                self.n = reader.n
                self._count_damage(reader.n)
            else:
                self._next_file()
        return None

    @property
    def base(self) -> int | None:
        """The `boot` in which the file at the cursor was begun, or None."""
        return self._reader.base

    def take(self, acknowledged: int) -> None:
        """The record at the cursor is on its way, or was: the cursor goes on."""
        if self.n > acknowledged:
            reader = self._reader
            self._out.append((self.n, self._file, reader.offset, reader.base))
        self.n = 0

    def forget(self, acknowledged: int) -> None:
        """All records up to this number have arrived."""
        while self._out and self._out[0][0] <= acknowledged:
            self._out.pop(0)

    def rewind(self) -> None:
        """What is on its way is handed out again."""
        if self._out:
            _, file, offset, base = self._out[0]
            self._out = []
            self._go_to(file, offset, base)

    def start_after(self, acknowledged: int, alive) -> None:
        """The cursor goes to the first record above this number."""
        start = 0
        for first in self._firsts:
            if not start or first <= acknowledged + 1:
                start = first
        self._go_to(start)
        while not self.at_end and self.peek(acknowledged, acknowledged) is None:
            alive()

    # Making room.

    def done_with(self, acknowledged: int) -> bool:
        """Whether nothing in the oldest file is needed any more."""
        firsts = self._firsts
        if not firsts:
            return False
        newest_of_it = firsts[1] - 1 if len(firsts) > 1 else self.last
        return acknowledged >= newest_of_it

    def remove_oldest(self) -> None:
        first = self._firsts.pop(0)
        self._remove(first)
        self._out = [each for each in self._out if each[1] != first]
        self._given_up = None
        if not self._firsts:
            self._size = self.last = 0
            self._sealed = False
        if self._file == first:
            self._go_to(self._firsts[0] if self._firsts else 0)

    def drop_oldest(self, acknowledged: int) -> int | None:
        """Give the oldest file up; how many records in it were not acknowledged. None: they are
        still being counted, and the next call goes on."""
        reader = self._given_up
        if reader is None:
            reader = Reader(self._files)
            reader.begin(self._path(self._firsts[0]))
            self._given_up = reader
            self._lost = 0
        reader.budget = _BUDGET
        found = reader.next()
        while found > 0:
            if reader.n > acknowledged:
                self._lost += 1
            found = reader.next()
        if found < 0:
            return None
        self.remove_oldest()
        return self._lost

    # --- files ------------------------------------------------------------------------------------

    def _name(self, first):
        return "%s%08x" % (self._letter, first)

    def _path(self, first):
        return self._folder + "/" + self._name(first)

    def _first_of(self, name):
        """The number that a file of this stream is named after; 0 for any other name."""
        if len(name) != _NAME_LENGTH or name[0] != self._letter:
            return 0
        try:
            first = int(name[1:], 16)
        except ValueError:
            return 0
        return first if self._name(first) == name else 0

    def _read_through(self, file, each, alive):
        """Find the newest record and the end of what is good; whether something is damaged."""
        self.last = 0
        reader = Reader(self._files)
        end = 0
        for _ in reader.whole(self._path(file), alive):
            if reader.n >= file and reader.n > self.last:
                self.last = reader.n
                base = reader.base
                record = reader.record
                each(record, None if base is None else records.boot_since(base, record))
            end = reader.offset + len(reader.record)
        try:
            self._size = self._files.size(self._path(file))
        except OSError:
            self._size = end
        self._sealed = reader.damaged or self._size != end
        return reader.damaged

    def _remove(self, first):
        try:
            self._files.remove(self._path(first))
        except OSError:
            pass  # the next start finds it

    def _not_appended(self, begins, file, why):
        if begins:
            self._remove(file)
            return
        try:
            as_before = self._files.size(self._path(file)) == self._size
        except OSError:
            as_before = False
        self._sealed = why != _NO_ROOM or not as_before

    # --- the cursor -------------------------------------------------------------------------------

    def _go_to(self, file, offset=0, base=None):
        self._file = file
        self.n = 0
        self.at_end = not file
        if file:
            self._reader.begin(self._path(file), offset, base)
        else:
            self._reader.rest()

    def _next_file(self):
        for first in self._firsts:
            if first > self._file:
                self._count_damage(first)
                return self._go_to(first)
        self._count_damage(self.last + 1)
        self.at_end = True
        return None

    def _count_damage(self, behind):
        if self._reader.damaged:
            self._reader.damaged = False
            if behind > self._damaged_at:
                self._damaged_at = behind
                self.damaged += 1
