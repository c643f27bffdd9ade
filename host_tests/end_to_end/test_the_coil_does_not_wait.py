"""The coil at the hardware's own time stamps, while a charger without a link writes its journal."""

import random
import time

from host_tests.end_to_end.conftest import ANNA, STRANGER, Site
from host_tests.end_to_end.lives import config
from host_tests.end_to_end.seeing import coil, light, ms_from_card_to, plug_in, tap
from tools.virtual.client import VirtualCharger

ROUNDS = 25
TAP_TO_COIL_MS = 200
UNPLUG_TO_OPEN_MS = 100


def test_taps_and_unplugging_are_as_fast_while_the_journal_is_written(site: Site, name: str):
    site.add(name)
    chance = random.Random(5)
    closed, opened = [], []
    with VirtualCharger.start(config(site, name), site.home / f"{name}.img") as charger:
        site.wait_in_step(name)
        charger.do("link", up=False)
        before = charger.status()["flash_programs"]
        for turn in range(ROUNDS):
            plug_in(charger, "yellow")
            if turn % 5 == 0:  # one more record just before
                charger.wait_for(light("red"), 2, tap(charger, STRANGER))
                time.sleep(0.5)  # it is seen to be gone
            closed.append(ms_from_card_to(charger, coil(True), tap(charger, ANNA)))
            time.sleep(chance.uniform(0, 0.3))
            since = charger.mark()
            t_ms = charger.do("unplug")["t_ms"]
            opened.append(charger.wait_for(coil(False), 5, since)["t_ms"] - t_ms)
            time.sleep(0.1)
        assert charger.status()["flash_programs"] - before > 2 * ROUNDS
    # Once in so many rounds the computer may give its processor to others.
    assert sorted(closed)[-2] < TAP_TO_COIL_MS and max(closed) < 3 * TAP_TO_COIL_MS, sorted(closed)
    late = sorted(opened)
    assert late[-2] < UNPLUG_TO_OPEN_MS and late[-1] < 3 * UNPLUG_TO_OPEN_MS, late
