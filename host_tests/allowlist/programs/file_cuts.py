"""Cut the supply at every block write of a small file's replacement: `file_cuts.py CASE`.

Prints after how many of the cuts the old and the new content was there.
"""

import json
import os
import sys

import vfs

sys.path.insert(0, "")

from firmware.clock import TimeFile
from firmware.commands import SwitchedOff
from firmware.link.messages import Versions
from firmware.settings import Settings
from host_tests.allowlist.programs.on_littlefs import Flash, formatted, report
from host_tests.pure.lists import verify

BLOCKS = 32
PATH = "/flash/state/file"
DEFAULTS = {"access": "restricted", "authority": "native", "offline": "deny"}
DEFAULTS.update(service_may_start=False, stop_on_withdrawal=True, resume_within_s=14_400)
WINDOWS = "".join([f"{hour:04x}{hour + 50:04x}" for hour in range(0, 10_000, 100)])


class OfSettings:
    def store(self, new):
        body = {"v": 9 if new else 3, "t": 1, "access": "open" if new else "restricted"}
        body["schedules"] = {"1": WINDOWS}  # more than fits into a directory's own block
        Settings(PATH, verify, DEFAULTS).offer(body, b"signed " + json.dumps(body).encode())

    def found(self):
        settings = Settings(PATH, verify, DEFAULTS)
        assert settings.load() is None
        return {(3, "restricted"): False, (9, "open"): True}[settings.version, settings["access"]]


class OfVersions:
    def store(self, new):
        Versions(PATH).store("command", 9 if new else 3)

    def found(self):
        versions = Versions(PATH)
        assert not versions.damaged
        return {3: False, 9: True}[versions.last("command")]


class OfClock:
    def store(self, new):
        TimeFile(PATH).save(1_800_000_600 if new else 1_800_000_000)

    def found(self):
        return {1_800_000_000: False, 1_800_000_600: True}[TimeFile(PATH).load()]


class OfSwitchedOff:
    def store(self, new):
        SwitchedOff(PATH).store(new)

    def found(self):
        return SwitchedOff(PATH).load()


CASES = {
    "settings": OfSettings,
    "versions": OfVersions,
    "clock": OfClock,
    "switched off": OfSwitchedOff,
}


def mounted(flash):
    vfs.mount(vfs.VfsLfs2(flash, readsize=128, lookahead=64, mtime=False), "/flash")
    return flash


def main(name):
    case = CASES[name]()
    flash = mounted(formatted(BLOCKS))
    os.mkdir("/flash/state")
    case.store(False)
    vfs.umount("/flash")
    image = bytes(flash.data)
    counted = [0, 0]
    while True:
        flash = mounted(Flash(BLOCKS, image))
        flash.cut_at = sum(counted)
        try:
            case.store(True)
        except OSError:
            assert flash.off  # what is written does not arrive any more, which littlefs notices
        vfs.umount("/flash")
        if not flash.off:
            break
        flash = mounted(Flash(BLOCKS, flash.data))
        after = case.found()
        counted[after] += 1
        case.store(True)
        assert case.found()
        vfs.umount("/flash")
        mounted(flash)
        assert case.found()
        vfs.umount("/flash")
    report(cuts=sum(counted), old=counted[0], new=counted[1])


main(sys.argv[1])
