"""`make soak`: chargers for a simulated week; prints what they were like day by day, writes
build/soak.json, and fails where the end is worse than the beginning."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.bench.running import BenchError
from tools.soak.charger import COARSE_MS
from tools.soak.week import BLOCKS, FILES, HEAP_BYTES, P99_MS, Found, Plan, lived

ROOT = Path(__file__).parents[2]
OUT = ROOT / "build/soak.json"
DAYS = 7
_CHARGERS = (("steady", 1_000, False), ("cut-off", 5_000, True))


def plans(days: int, seed: int) -> list[Plan]:
    return [Plan(name, cards, resets, seed, days=days) for name, cards, resets in _CHARGERS]


def _lived(plan: Plan) -> Found | str:
    try:
        return lived(plan, lambda text: print(text, file=sys.stderr, flush=True))
    except BenchError as error:
        return f"{plan.name}: {error}"


def counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def show(found: Found, out: Console) -> None:
    plan = found.plan
    life = "several lives" if plan.resets else "one life"
    out.print(f"\n{plan.name}: {plan.cards:,} cards, {life}; seed {plan.seed}", highlight=False)
    table = Table()
    for name in ("day", "heap", "largest piece", "blocks", "files", "taps", "p50 / p99 ms",
                 "computer", "visits", "sessions", "connections", "changes", "events",
                 "starts"):  # fmt: skip
        table.add_column(name, justify="right")
    for number, day in enumerate(found.days, 1):
        table.add_row(
            f"{number}", f"{day.heap_bytes:,}", f"{day.largest_bytes:,}", f"{day.blocks}",
            f"{day.files}", f"{day.taps}", f"{day.p50_ms:.1f} / {day.p99_ms:.1f}",
            f"{day.us} us", f"{day.visits}", f"{day.sessions}", f"{day.connections}",
            f"{day.changes}", f"{day.events}", f"{day.resets}",
        )  # fmt: skip
    out.print(table)
    hours = found.simulated_s / 3_600
    faults = ", ".join(f"{name} {count}" for name, count in sorted(found.faults.items()))
    out.print(
        f"{hours:.1f} h simulated in {found.took_s:.0f} s, {found.simulated_s / found.took_s:.0f} "
        f"times as fast as real time. {counted(found.sessions, 'session', 'sessions')}, "
        f"{found.wh / 1_000:.1f} kWh. "
        f"{counted(found.lives, 'life', 'lives')} of the board; its milliseconds have wrapped in "
        f"{found.wraps}.\n"
        f"Faults: {faults}.",
        soft_wrap=True,
    )
    for wrong in found.wrong:
        out.print(f"WRONG: {wrong}", style="red", markup=False, soft_wrap=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--days", type=int, default=DAYS, help=f"{DAYS}")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    seed = int(os.environ.get("TAPGATE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
    out = Console(width=None if sys.stdout.isatty() else 150)
    out.print(
        f"TAPGATE_SEED={seed}; {counted(options.days, 'day', 'days')} of two chargers, on the "
        "modelled board's clock. Where nothing goes on, the firmware gets a turn every "
        f"{COARSE_MS} ms and not every 10; a driver, a card, a message and a fault find it at its "
        "full pace.",
        soft_wrap=True,
    )
    began = time.monotonic()
    with multiprocessing.Pool(len(_CHARGERS), maxtasksperchild=1) as pool:
        ended = pool.map(_lived, plans(options.days, seed), chunksize=1)
    took_s = time.monotonic() - began
    failed = [each for each in ended if isinstance(each, str)]
    weeks = [each for each in ended if isinstance(each, Found)]
    for found in weeks:
        show(found, out)
    for why in failed:
        out.print(f"WRONG: {why}", style="red", markup=False, soft_wrap=True)
    passed = not failed and not any(found.wrong for found in weeks)
    out.print(
        f"Allowed from the first day to the last: heap {HEAP_BYTES:,} bytes of this 64-bit "
        f"MicroPython, {BLOCKS} blocks, {FILES} files, p99 {P99_MS:g} ms. The times are of frames, "
        "air and flash, without the interpreter's: `make bench` has that.\n"
        f"{'Passed' if passed else 'FAILED'} after {took_s / 60:.1f} minutes.",
        soft_wrap=True,
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    summary = {
        "seed": seed,
        "passed": passed,
        "took_s": round(took_s, 1),
        "failed": failed,
        "chargers": [found.flat() for found in weeks],
    }
    options.out.write_text(json.dumps(summary, indent=1) + "\n")
    print(f"written: {options.out}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
