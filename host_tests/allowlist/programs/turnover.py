"""Every card replaced by another on 2 MB: `turnover.py OBJECTS OTHERS CARDS LEFT`, told as JSON.

OBJECTS, OTHERS: as at_size.py takes them. LEFT: blocks that are free once the first is in force.
"""

import sys

sys.path.insert(0, "")

from host_tests.allowlist.programs.at_size import BLOCKS, objects, ref
from host_tests.allowlist.programs.on_littlefs import (
    BLOCK_BYTES,
    Charger,
    formatted,
    report,
    used_blocks,
)
from host_tests.pure.lists import digest, name

NOBODY = b"TGS1\x00\x00\x00\x00"
RETRY_MS = 600_000


def holds(charger, shards, others):
    """Whether the first card of each shard of `shards` is there, and of `others` none."""
    lookup = charger.store.lookup
    return all(lookup(each[8:15]) for each in shards) and not any(
        lookup(each[8:15]) for each in others
    )


def known(charger, path):
    charger.objects = {name(each): each for each in objects(path)}
    index, *shards = objects(path)
    return index, shards


def main(path, other_path, cards, left):
    charger = Charger(formatted(BLOCKS))
    old_index, old = known(charger, path)
    charger.follow(*ref(old_index, 1, cards))
    charger.tidy()
    with open("/flash/else", "wb") as file:
        file.write(bytes(BLOCK_BYTES * (BLOCKS - used_blocks() - left)))
    index, new = known(charger, other_path)
    charger.sync.offer(*ref(index, 2, cards))
    turns = 0
    while charger.sync.busy and not charger.rejected:
        assert turns % 200 or holds(charger, old, new)
        charger.turn()
        turns += 1
    at_once = not charger.sync.busy
    rejected = [why for why, _ in charger.rejected]
    if not at_once:
        assert holds(charger, old, new)
        charger.rejected.clear()
        charger._now_ms += RETRY_MS
        while charger.sync.busy and not charger.rejected:
            charger.turn()
        assert charger.sync.busy and holds(charger, old, new)
        # The way out: a list of nobody in between.
        nobody = b"TGI1" + bytes(8) + digest(NOBODY)
        charger.objects[name(nobody)] = nobody
        charger.follow(*ref(nobody, 3, 0))
        charger.tidy()
        assert not any(charger.store.lookup(each[8:15]) for each in old + new)
        charger.follow(*ref(index, 4, cards))
    charger.tidy()
    assert holds(charger, new, old)
    report(at_once=at_once, rejected=rejected, blocks_free=BLOCKS - used_blocks())
    charger.end()


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
