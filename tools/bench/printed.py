"""The figures as tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tools.bench import model
from tools.bench.figures import Measured, Row, budgets, flat
from tools.bench.taps import PARTS, Run, Tap

# What of a tap's time nothing can take away, for a 4-byte number: 21 frames, their bits, what is on
# the air, one block of flash. The rest is up to us.
_LEAST_MS = (0.84, 0.1, 2.2, 1.0, 0.0, 0.0)


def show(found: Measured, console: Console) -> None:
    """All of it."""
    console.print(_budgets(budgets(found)))
    console.print(_tap(found))
    console.print(_growth(found))
    console.print(_rest(found))
    console.print(Text(_how(found), "dim"))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for at, column in enumerate(columns):
        table.add_column(column, justify="left" if at == 0 else "right")
    return table


def _budgets(rows: list[Row]) -> Table:
    table = _table(
        "Budgets (DESIGN section 11), in board time", "what", "measured", "budget", "", "least"
    )
    for row in rows:
        verdict = {None: Text(""), True: Text("kept", "green"), False: Text("MISSED", "bold red")}
        table.add_row(row.what, row.measured, row.budget, verdict[row.kept], row.least)
    return table


def _tap(found: Measured) -> Table:
    quiet, faulty = found.quiet, found.faulty
    table = _table(
        "Where a tap's milliseconds go (mean of the taps around)",
        "",
        "median",
        "p99",
        "median, bad link",
        "p99, bad link",
        "least",
    )
    groups = [(run, run.around(share)) for run in (quiet, faulty) for share in (0.5, 0.99)]
    waited = [run.parts(taps, "waited") for run, taps in groups]
    after = [run.parts(taps, "after") for run, taps in groups]
    busy = [sum(each[:-1]) for each in waited]
    table.add_row("nothing to do until the next look", *(f"{each[-1]:.1f}" for each in waited), "0")
    table.add_row("other work, and the look's first call", *(f"{each:.1f}" for each in busy), "0")
    for at, part in enumerate(PARTS[:-1]):
        least = _LEAST_MS[at]
        table.add_row(
            part, *(f"{each[at]:.1f}" for each in after), f"{least:.1f}" if least else "0"
        )
    table.add_section()
    table.add_row(
        "together",
        *(f"{sum(a) + sum(b):.1f}" for a, b in zip(waited, after, strict=True)),
        "7.4",
    )
    for size in (4, 7):
        row = [
            f"{percentile:.1f}"
            for run in (quiet, faulty)
            for percentile in _of_size(run, size)
        ]  # fmt: skip
        table.add_row(f"cards with {size} bytes", *row, "")
    return table


def _of_size(run: Run, size: int) -> tuple[float, float]:
    def fits(tap: Tap) -> bool:
        return len(tap.uid) == 2 * size

    some = run._replace(taps=[tap for tap in run.taps if fits(tap)])
    return some.ms(0.5), some.ms(0.99)


def _growth(found: Measured) -> Table:
    table = _table(
        "From 100 to 50,000 cards",
        "cards",
        "look-up",
        "its blocks",
        "change, in force after",
        "received",
        "programmed",
        "start",
        "blocks of 512",
    )
    for each in found.growth:
        table.add_row(
            f"{each.cards:,}",
            f"{each.lookup_ms:.1f} ms",
            f"{each.lookup_blocks}",
            f"{each.change_ms:.0f} ms",
            f"{max(each.change_received) / 1024:.1f} KB",
            f"{min(each.change_blocks)} to {max(each.change_blocks)}",
            f"{each.start_ms:.0f} ms",
            f"{each.blocks}",
        )
    return table


def _rest(found: Measured) -> Table:
    keys = flat(found)
    fleet = found.fleet
    table = _table("Beside that", "what", "measured")
    for what, measured in (
        ("taps per second, cards one after the other", f"{found.per_second:.1f}"),
        ("share of its time in which the board works", f"{keys['interpreter_busy_percent']:.0f} %"),
        ("start with a full journal: reading it", f"{found.journal_start_ms / 1_000:.1f} s"),
        ("firmware as .mpy / as the ROM's image", f"{keys['mpy_kb']:.0f} / "
         f"{keys['rom_image_kb']:.0f} KB"),
        ("200 light chargers: all hold their first list", f"{fleet.first:.1f} s"),
        ("  one card blocked: all hold that", f"{fleet.change:.1f} s"),
        ("  and `tapgate status` says so", f"{fleet.served:.1f} s"),
    ):  # fmt: skip
        table.add_row(what, measured)
    return table


def _how(found: Measured) -> str:
    quiet, faulty = found.quiet, found.faulty
    pystones = quiet.in_place
    return (
        f"Board time: {model.FRAME_US} us per SPI frame + bits at {model.SPI_HZ // 10**6} MHz "
        f"+ air + {model.BLOCK_READ_MS} ms per flash block read + {model.BLOCK_WRITTEN_MS} ms per "
        f"block erased and programmed + interpreter x {pystones / model.PYSTONES_ESP32:.0f} "
        f"({pystones:,.0f} pystones per second here / {model.PYSTONES_ESP32:,}).\n"
        f"Pystone is run between the firmware's own work, 8 at a time: the same "
        f"caches, the same neighbours. In a loop there are {quiet.pystones:,.0f} per second; lists "
        "and journal, measured in loops, go by that.\n"
        f"{len(quiet.taps)} + {len(faulty.taps)} taps; {quiet.disturbed + faulty.disturbed} more "
        "in which this computer had other things to do are left out; "
        f"{quiet.lost + faulty.lost} led to nothing; {faulty.connections} connections on the bad "
        "link.\nA card needs 0.3 to 5 ms in the field before it answers (ISO 14443-3). A look "
        "comes every 6 ms while a card is awaited.\nNothing here was taken on an ESP32."
    )
