"""Cut the supply at every single block write of an update: `power_cuts.py CASE`.

Prints how many cuts there were, and after how many of them the old and the new list was in force.
"""

import gc
import sys

sys.path.insert(0, "")

from host_tests.allowlist.programs.on_littlefs import Charger, Flash, formatted, report
from host_tests.pure.lists import List, people, token

BLOCKS = 64
STRANGERS = [token(number) for number in range(1_000, 1_010)]


def changed(built, bits, *numbers):
    return List(built.cards | people(numbers, group=77), bits)


def holds(charger, built):
    lookup = charger.store.lookup
    for each in built.cards:
        if lookup(each) != built.cards[each]:
            return False
    return not any(lookup(each) for each in STRANGERS)


def follow(charger, built, version):
    charger.objects.update(built.objects)
    charger.follow(*built.ref(version))
    charger.tidy()


def cut_everywhere(before, after):
    charger = Charger(formatted(BLOCKS))
    for version, built in enumerate(before):
        follow(charger, built, version + 1)
        assert holds(charger, built)
    charger.end()
    image = bytes(charger.flash.data)
    version = len(before) + 1
    old = new = 0
    while True:
        charger = Charger(Flash(BLOCKS, image))
        charger.flash.cut_at = old + new
        follow(charger, after, version)
        charger.end()
        if not charger.flash.off:
            break
        flash = Flash(BLOCKS, charger.flash.data)
        charger = Charger(flash)
        assert charger.damage is None
        applied = charger.store.applied
        if applied is not None and applied.version == version:
            assert holds(charger, after)
            new += 1
        else:
            assert holds(charger, before[-1]) if before else applied is None
            old += 1
        charger.tidy()
        follow(charger, after, version)
        assert holds(charger, after) and not charger.rejected
        charger.end()
        charger = Charger(flash)
        assert charger.damage is None and holds(charger, after)
        charger.end()
        gc.collect()
    report(cuts=old + new, old=old, new=new)


def main(case):
    small = List(people(range(70)), 5)
    if case == "first list":
        cut_everywhere([], List(people(range(40)), 4))
    elif case == "cards changed":
        cut_everywhere([small], changed(small, 5, 3, 30, 60))
    elif case == "other shards":
        cut_everywhere([small], List(people(range(30, 80)), 2))
    elif case == "nobody":
        cut_everywhere([small], List({}, 0))
    elif case == "pack copied":
        large = List(people(range(220)), 0)
        each = [changed(large, 0, *range(number)) for number in range(6)]
        cut_everywhere(each[:5], each[5])


main(sys.argv[1])
