"""The first file of every life of the virtual board: argv is the folder of this file, the five file
descriptors of the line to the world, and the address of the ROM if it is mapped into memory."""

import sys

sys.path.insert(0, sys.argv[1])
import rom

rom.live(globals(), [int(argument) for argument in sys.argv[2:]])
