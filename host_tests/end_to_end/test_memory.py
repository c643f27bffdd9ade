"""How much of the board's memory the firmware takes once it runs and is in step."""

from host_tests.end_to_end.conftest import Site
from tools.virtual.client import VirtualCharger

# Bytes in use of the 2 x 110 KB that a virtual board has. Its MicroPython has 64 bits: there what
# is a pointer takes twice what it takes on an ESP32; bytes, code and text take the same.
MOST = 210_000
LOOKS = 8


def test_the_heap_in_use_after_the_start_stays_within_its_budget(site: Site, name: str):
    site.add(name)
    with VirtualCharger.start(site.config(name), site.home / f"{name}-flash") as charger:
        site.wait_in_step(name)
        # Each look follows a collection; a message in the making may be there once, not each time.
        used = min(charger.status()["heap_used"] for _ in range(LOOKS))
        assert used <= MOST
