"""`make bench`: measures everything, prints it, writes build/bench.json."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tools.bench import charger, fleet, frames, growth, lists
from tools.bench.figures import JOURNAL_SESSIONS, Measured, flat
from tools.bench.printed import show
from tools.bench.running import BenchError, board
from tools.bench.taps import Charger
from tools.broker import BrokerError
from tools.virtual.client import VirtualError
from tools.virtual.power import PowerError

ROOT = Path(__file__).parents[2]
OUT = ROOT / "build/bench.json"
TAPS = 1_000
SIZES = (100, 1_000, 10_000, lists.LARGE)
_JOURNAL_MOST = 40_000
_CARDS_MOST = 110_000  # beyond what an index of 512 shards can hold
_SEED = 1


def measured(folder: Path, taps: int, say) -> Measured:
    """All figures; `taps` of each kind."""
    say("SPI frames on the chip model")
    looks = (frames.look(None), frames.look("04a1b2c3"), frames.look("04a1b2c3d4e5f6"))
    say("lists from 100 to 50,000 cards")
    sizes = [growth.measured(folder, cards) for cards in SIZES]
    say("a charger with 50,000 cards")
    made = Charger(folder)
    say(f"{taps} taps")
    quiet = made.taps(taps, _SEED)
    say(f"{taps} taps with a link that goes wrong")
    faulty = made.taps(taps, _SEED + 1, faults=True)
    say("some of them by the other yardstick")
    in_loop = made.taps(max(1, taps * 3 // 10), _SEED, in_loop=True)
    say("taps per second")
    per_second = made.per_second()
    say("sessions without a link")
    at_full, kept = _journal(folder, made)
    say("the most cards beside them")
    cards = growth.most_cards(folder, at_full["blocks"], lists.LARGE, _CARDS_MOST)
    say("memory, over TLS")
    heap = charger.heap_bytes(folder, made)
    say("one card changed, over MQTT")
    one_card = charger.one_card(folder, made)
    say("a fleet of 200")
    times = fleet.measured(folder)
    return Measured(
        looks,
        quiet,
        faulty,
        in_loop,
        per_second,
        sizes,
        cards,
        at_full["blocks"],
        kept["kept"],
        at_full["load"]["ms"],
        one_card,
        heap,
        *charger.compiled_bytes(),
        times,
    )


def _journal(folder: Path, made: Charger) -> tuple[dict, dict]:
    image = folder / "journal.img"
    image.write_bytes(made.image.read_bytes())
    job = {"most": _JOURNAL_MOST, "wanted": JOURNAL_SESSIONS}
    with board(folder, "journal", image, job) as lines:
        found = list(lines)
    if len(found) == 1:  # it was full before
        return {"blocks": 0, "load": {"ms": 0.0}}, found[0]
    return found[0], found[1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--taps", type=int, default=TAPS, help=f"of each kind; {TAPS}")
    parser.add_argument("--out", type=Path, default=OUT, help="the flat JSON object")
    options = parser.parse_args()
    with contextlib.suppress(OSError):
        os.nice(-10)  # where that is allowed: who shares the processor disturbs less
    said = Console(stderr=True)
    try:
        with tempfile.TemporaryDirectory(prefix="tapgate-bench-") as folder:
            found = measured(Path(folder), options.taps, lambda text: said.print(text, style="dim"))
    except (BenchError, BrokerError, PowerError, VirtualError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(flat(found), indent=1) + "\n")
    show(found, Console(width=None if sys.stdout.isatty() else 118))
    print(f"written: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
