"""How much of the board's memory the firmware takes once it runs and is in step."""

from pathlib import Path

import pytest

from host_tests.end_to_end.conftest import Site
from tools.broker import Broker

# Bytes in use of the 2 x 110 KB that a virtual board has; the rest is for what comes and goes: a
# TLS handshake, a message, an object of a list. Its MicroPython has 64 bits: there what is a
# pointer takes twice what it takes on an ESP32; buffers and text take the same. A list of 50,000
# cards takes 14 KB more (`make bench`); so do names beyond some 50 more, as their table then grows.
MOST = 119_000
LOOKS = 8


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_heap_in_use_after_the_start_stays_within_its_budget(tmp_path: Path, tls: bool):
    with Broker(tls=tls) as broker:
        site = Site(tmp_path, broker)
        site.add("c")
        with site.charger("c") as charger:
            site.wait_in_step("c")
            # Each look follows a collection; a message in the making may be there once, not always.
            assert min(charger.status()["heap_used"] for _ in range(LOOKS)) <= MOST


def test_the_firmware_runs_from_rom_and_not_from_the_heap(tmp_path: Path):
    with Broker() as broker:
        site = Site(tmp_path, broker)
        site.add("c")
        with site.charger("c"):
            site.wait_in_step("c")
        assert sorted(path.name for path in (site.home / "c-flash").iterdir()) == [
            "allowlist",
            "boot.py",
            "config.json",
            "firmware.json",
            "journal",
            "loader.mpy",
            "main.py",
            "state",
        ]
