"""How much of the board's memory the firmware takes once it runs and is in step."""

from host_tests.end_to_end.conftest import Site
from tools.virtual.client import VirtualCharger

# Bytes of a 64-bit MicroPython, of the 2 x 110 KB that stand for a stock ESP32's 110 KB.
BOARD = 2 * 110 * 1024
MOST = 205_000
LOOKS = 8


def test_the_heap_in_use_after_the_start_stays_within_its_budget(site: Site, name: str):
    site.add(name)
    flash = site.home / f"{name}-flash"
    with VirtualCharger.start(site.config(name), flash) as charger:
        site.wait_in_step(name)
        # Each look is after a collection; a message in the making may be there once, not each time.
        used = min(charger.status()["heap_used"] for _ in range(LOOKS))
        print(used)
        assert used <= MOST < BOARD
