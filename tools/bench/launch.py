"""MicroPython as a CPython extension, with files mapped into its memory: `launch.py FILES …`.

FILES: paths, with commas between them. Flash that a chip maps into its address space is no heap.
Where the interpreter is not such an extension the files are read to the heap instead, and take the
collector's time there.
"""

import ctypes
import mmap
import sys

from micropython_unix import main

if __name__ == "__main__":
    places, kept = [], []
    for path in sys.argv[1].split(","):
        with open(path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        kept.append(mapped)
        places.append(f"{ctypes.addressof(ctypes.c_char.from_buffer(mapped))}:{len(mapped)}")
    sys.argv[:2] = ["micropython"]
    sys.argv += [",".join(places)]
    sys.exit(main())
