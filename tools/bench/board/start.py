"""The first file of every life of the modelled board: argv is the job (JSON) and, with a comma
between them, where two ROMs are: the stand-ins and the firmware. ADDRESS:SIZE in memory, or a path.
"""

import sys

import uctypes
import vfs


def rom(where):
    place, _, size = where.partition(":")
    if size:
        return uctypes.bytearray_at(int(place), int(size))
    with open(place, "rb") as file:
        return file.read()


stand_ins, firmware = [rom(where) for where in sys.argv[2].split(",")]
vfs.mount(vfs.VfsRom(stand_ins), "/stand-ins")
sys.path.insert(0, "/stand-ins")
__import__("becoming").run(sys.argv[1], firmware)
