"""A list of the full size on 2 MB: `at_size.py OBJECTS CARDS`, counted and printed as JSON.

OBJECTS: a file with the index and all shards, each behind its length in two bytes.
"""

import gc
import json
import os
import sys

sys.path.insert(0, "")

from host_tests.allowlist.programs.on_littlefs import Charger, formatted, report, used_blocks
from host_tests.pure.lists import digest, name

BLOCKS = 512
FIRMWARE_FILES = 60
ENTRY = 16
CHANGES = 40


def objects(path):
    with open(path, "rb") as file:
        while True:
            size = file.read(2)
            if not size:
                return
            yield file.read(size[0] << 8 | size[1])


def ref(index, version, cards):
    body = {"v": version, "t": version, "index": name(index), "cards": cards, "max_age_s": 0}
    return body, b"signed " + json.dumps(body).encode()


def firmware():
    """As many files and blocks as the firmware takes, beside the list."""
    os.mkdir("/flash/firmware")
    for number in range(FIRMWARE_FILES):
        with open(f"/flash/firmware/{number}.mpy", "wb") as file:
            file.write(bytes(3_500))


def main(path, cards):
    index, *shards = objects(path)
    flash = formatted(BLOCKS)
    import firmware.allowlist.following as code  # and its names: not what the list takes

    gc.collect()
    heap = gc.mem_alloc()
    charger = Charger(flash)
    firmware()
    before = used_blocks()
    charger.objects = {name(each): each for each in shards}
    charger.objects[name(index)] = index
    charger.follow(*ref(index, 1, cards))
    charger.tidy()
    blocks = used_blocks() - before
    first = charger.received
    assert charger.store.applied.cards == cards and not charger.rejected
    charger.objects = {}
    flash.count()  # forgets what it has counted
    gc.collect()
    heap = gc.mem_alloc() - heap
    del code
    charger.end()
    charger = Charger(flash)

    most_read = most_pieces = 0
    for shard in shards:
        token = shard[8:15]
        charger.store.lookup(token)  # opens the pack, once and for all
        flash.count()
        assert charger.store.lookup(token) is not None
        most_read = max(most_read, len(flash.read))
        most_pieces = max(most_pieces, flash.pieces)

    programmed = received = 0
    for change in range(CHANGES):
        place = (change * 37) % len(shards)
        shard = bytearray(shards[place])
        shard[8 + ENTRY * change + 15] ^= 4  # the flags of one card
        shards[place] = shard = bytes(shard)
        index = index[: 12 + 16 * place] + digest(shard) + index[28 + 16 * place :]
        charger.objects = {name(shard): shard, name(index): index}
        charger.received = 0
        flash.count()
        charger.follow(*ref(index, change + 2, cards))
        programmed = max(programmed, len(flash.programmed))
        received = max(received, charger.received)
        charger.tidy()
        assert charger.store.applied.version == change + 2 and not charger.rejected
    report(
        blocks=blocks,
        first_fetch_bytes=first,
        heap_bytes=heap,
        lookup_blocks_read=most_read,
        lookup_pieces_read=most_pieces,
        change_blocks_programmed=programmed,
        change_bytes_received=received,
        blocks_free=BLOCKS - used_blocks(),
    )
    charger.end()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
