"""`esp32.Partition` and the flash chip below it: each read, program and erase happens in the world.

The class: https://docs.micropython.org/en/latest/library/esp32.html#flash-partitions and
ports/esp32/esp32_partition.c; what is refused, with which error: ESP-IDF, esp_partition.
"""

import line
import uctypes
import wire

BLOCK_BYTES = 4096
ANY = 0xFF  # subtype

# errors of the ESP-IDF: what an OSError has as its number, and its text
INVALID_ARG = -0x102, "ESP_ERR_INVALID_ARG"
INVALID_SIZE = -0x104, "ESP_ERR_INVALID_SIZE"
NOT_FOUND = -0x105, "ESP_ERR_NOT_FOUND"
NOT_SUPPORTED = 95, "ESP_ERR_NOT_SUPPORTED"
OTA_PARTITION_CONFLICT = -0x1501, "ESP_ERR_OTA_PARTITION_CONFLICT"
_FLASH = {
    wire.BLOCK_PROTECTED: (-0x6006, "ESP_ERR_FLASH_PROTECTED"),
    wire.BLOCK_FAILED: (-0x6001, "ESP_ERR_FLASH_OP_FAIL"),
}
_APP, _DATA = 0, 1
_table = ()  # of (type, subtype, address, size, label)
_rom = None  # the romfs partition as a Partition that is mapped into memory
_copy = None  # its bytes, where the interpreter cannot map them and has them in its heap
_head = bytearray(15)
_outcome = bytearray(1)


def power_up(table, address):
    """The table, and where in memory the romfs partition lies; 0: nowhere yet."""
    global _table, _rom, _copy
    _table = tuple([tuple(row) for row in table])
    for row in _table:
        if row[4] == "romfs":
            if address:
                memory = uctypes.bytearray_at(address, row[3])
            else:
                memory = _copy = bytearray(row[3])
                read(row[2], memory)
            _rom = _Mapped(row, memory)


# --- the chip: addresses count from its beginning -------------------------------------------


def _address(op, size, at, count):
    head = _head
    block = at // BLOCK_BYTES
    head[0] = size & 255
    head[1] = size >> 8
    head[2] = op
    head[3] = block & 255
    head[4] = block >> 8
    head[7] = at & 255
    head[8] = at >> 8 & 15
    head[11] = count & 255
    head[12] = count >> 8


def read(at, buf):
    for done in range(0, len(buf), wire.BLOCK_CHUNK):
        part = min(wire.BLOCK_CHUNK, len(buf) - done)
        _address(wire.BLOCK_READ, 13, at + done, part)
        into = buf if part == len(buf) else memoryview(buf)[done : done + part]
        line.ask(_head, 15, into, part)


def program(at, buf):
    """Bits only go from 1 to 0."""
    for done in range(0, len(buf), wire.BLOCK_CHUNK):
        part = min(wire.BLOCK_CHUNK, len(buf) - done)
        _address(wire.BLOCK_PROGRAM, 11 + part, at + done, part)
        packet = bytes(_head[:13]) + bytes(memoryview(buf)[done : done + part])
        _write(packet, at + done, part)


def erase(at, size):
    for block in range(at // BLOCK_BYTES, (at + size) // BLOCK_BYTES):
        packet = bytes((5, 0, wire.BLOCK_ERASE, block & 255, block >> 8, 0, 0))
        _write(packet, block * BLOCK_BYTES, BLOCK_BYTES)


def _write(packet, at, size):
    line.ask(packet, len(packet), _outcome, 1)
    if _outcome[0] != wire.BLOCK_DONE:
        raise OSError(*_FLASH[_outcome[0]])
    if _copy is not None:
        start = at - _rom._row[2]
        if 0 <= start < len(_copy):
            read(at, memoryview(_copy)[start : start + size])


# --- the class ------------------------------------------------------------------------------


class Partition:
    BOOT = 0
    RUNNING = 1
    TYPE_APP = _APP
    TYPE_DATA = _DATA

    def __init__(self, id, block_size=BLOCK_BYTES):
        if isinstance(id, tuple):  # a row of the table; a program has no such thing
            self._row = id
        elif isinstance(id, int):
            if id not in (Partition.BOOT, Partition.RUNNING):
                raise ValueError
            self._row = _rows(_APP, ANY, None)[0]
        elif isinstance(id, str):
            rows = _rows(_APP, ANY, id) or _rows(_DATA, ANY, id)
            if not rows:
                raise OSError(2)
            self._row = rows[0]
        else:
            raise TypeError("can't convert '%s' object to str implicitly" % type(id).__name__)
        self._size = block_size
        self._cache = bytearray(BLOCK_BYTES) if block_size < BLOCK_BYTES else None

    @staticmethod
    def find(type=_APP, subtype=ANY, label=None, block_size=BLOCK_BYTES):
        return [Partition(row, block_size) for row in _rows(type, subtype, label)]

    def __repr__(self):
        return "<Partition type=%u, subtype=%u, address=%u, size=%u, label=%s, encrypted=0>" % (
            self._row
        )

    def info(self):
        return self._row + (False,)

    def readblocks(self, block_num, buf, offset=0):
        at = block_num * self._size + offset
        self._inside(at, len(buf))
        read(self._row[2] + at, buf)

    def writeblocks(self, block_num, buf, offset=None):
        at = block_num * self._size
        if offset is not None:
            at += offset
        elif self._cache is None:
            self._erase(at, len(buf))
        else:
            self._make_room(at, len(buf))
        self._inside(at, len(buf))
        program(self._row[2] + at, buf)

    def ioctl(self, op, arg):
        if op in (1, 2, 3):  # init, deinit, sync
            return 0
        if op == 4:
            return self._row[3] // self._size
        if op == 5:
            return self._size
        if op == 6:
            if self._size != BLOCK_BYTES:
                return -22
            self._erase(arg * BLOCK_BYTES, BLOCK_BYTES)
            return 0
        return None

    def set_boot(self):
        if self._row[0] != _APP:
            raise OSError(*INVALID_ARG)
        # There is one application and no `otadata` that could choose between two.
        raise OSError(*NOT_FOUND)

    def get_next_update(self):
        raise OSError(2)

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        raise OSError(*NOT_FOUND)

    def _inside(self, at, size):
        if not 0 <= at <= self._row[3]:
            raise OSError(*INVALID_ARG)
        if size > self._row[3] - at:
            raise OSError(*INVALID_SIZE)

    def _erase(self, at, size):
        self._inside(at, size)
        if size % BLOCK_BYTES:
            raise OSError(*INVALID_SIZE)
        if at % BLOCK_BYTES:
            raise OSError(*INVALID_ARG)
        erase(self._row[2] + at, size)

    def _make_room(self, at, size):
        """Erase for small blocks: what shares a block of the chip with them is put back."""
        first, end = at // BLOCK_BYTES * BLOCK_BYTES, at + size
        while first < end:
            before, after = max(0, at - first), max(0, first + BLOCK_BYTES - end)
            if before or after:
                self._inside(first, BLOCK_BYTES)
                read(self._row[2] + first, self._cache)
            self._erase(first, BLOCK_BYTES)
            kept = memoryview(self._cache)
            if before:
                program(self._row[2] + first, kept[:before])
            if after:
                program(self._row[2] + end, kept[BLOCK_BYTES - after :])
            first += BLOCK_BYTES


class _Mapped(memoryview, Partition):
    """The romfs partition, as `vfs.rom_ioctl` gives it: alone of all it is a buffer, too."""

    def __init__(self, row, memory):
        super().__init__(memory)
        Partition.__init__(self, row)


def _rows(type, subtype, label):
    return [
        row
        for row in _table
        if row[0] == type and subtype in (ANY, row[1]) and label in (None, row[4])
    ]


def rom_ioctl(op, *arguments):
    """`vfs.rom_ioctl`: the number of ROM partitions, and the one there is; it is written through
    its own methods."""
    if op == 1:
        return 0 if _rom is None else 1
    return -22 if op != 2 or _rom is None else _rom
