"""What was measured, by the names of INTERFACES section 1 and more, and its budgets."""

from __future__ import annotations

from typing import NamedTuple

from tools.bench.charger import Cost
from tools.bench.fleet import Times
from tools.bench.frames import Look
from tools.bench.growth import Figures
from tools.bench.taps import PARTS, Run

JOURNAL_SESSIONS = 10_000
CARDS = 50_000


class Measured(NamedTuple):
    """All of it. `looks`: nobody, 4 bytes, 7 bytes."""

    looks: tuple[Look, Look, Look]
    quiet: Run
    faulty: Run
    in_loop: Run  # counted by pystone in a loop
    per_second: float
    growth: list[Figures]
    cards: int
    journal_blocks: int
    journal_sessions: int
    journal_start_ms: float
    one_card: Cost
    heap_bytes: int
    mpy_bytes: int
    rom_bytes: int
    fleet: Times


class Row(NamedTuple):
    """A line of the budget table; `kept` None: there is no budget."""

    what: str
    measured: str
    budget: str
    least: str
    kept: bool | None = None


def flat(found: Measured) -> dict[str, float]:
    """For build/bench.json."""
    largest = found.growth[-1]
    received, blocks = found.one_card
    keys: dict[str, float] = {
        "tap_to_coil_ms_p50": found.quiet.ms(0.5),
        "tap_to_coil_ms_p99": found.quiet.ms(0.99),
        "tap_to_coil_faulty_link_ms_p50": found.faulty.ms(0.5),
        "tap_to_coil_faulty_link_ms_p99": found.faulty.ms(0.99),
        "tap_to_coil_in_loop_ms_p50": found.in_loop.ms(0.5),
        "tap_to_coil_in_loop_ms_p99": found.in_loop.ms(0.99),
        "spi_frames_empty_poll": found.looks[0].frames,
        "spi_frames_uid4": found.looks[1].frames,
        "spi_frames_uid7": found.looks[2].frames,
        "cards_on_2mb": found.cards,
        "lookup_reads_max": largest.file_reads,
        "lookup_files_opened": largest.files_opened,
        "lookup_ms_50k": largest.lookup_ms,
        "lookup_ms_50k_max": largest.lookup_max_ms,
        "lookup_flash_blocks": largest.lookup_blocks,
        "lookup_flash_blocks_max": largest.lookup_blocks_max,
        "one_card_bytes_received": max(received),
        "one_card_blocks_programmed": max(blocks),
        "journal_sessions": found.journal_sessions,
        "journal_blocks": found.journal_blocks,
        "journal_start_ms": found.journal_start_ms,
        "heap_used_kb_32bit": found.heap_bytes / 2 / 1024,
        "heap_used_kb_64bit": found.heap_bytes / 1024,
        "mpy_kb": found.mpy_bytes / 1024,
        "rom_image_kb": found.rom_bytes / 1024,
        "taps_per_second": found.per_second,
        "taps_measured": len(found.quiet.taps),
        "taps_measured_faulty_link": len(found.faulty.taps),
        "taps_lost": found.quiet.lost + found.faulty.lost,
        "connections_faulty_link": found.faulty.connections,
        "interpreter_busy_percent": 100 * found.quiet.busy,
        "pystones_per_second": found.quiet.in_place,
        "pystones_per_second_in_a_loop": found.quiet.pystones,
        "fleet_first_list_s": found.fleet.first,
        "fleet_change_held_s": found.fleet.change,
        "fleet_change_served_s": found.fleet.served,
    }
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        taps = found.quiet.around(share)
        for which in ("waited", "after"):
            for part, ms in zip(PARTS, found.quiet.parts(taps, which), strict=True):
                keys[f"tap_{name}_{which}_{part.lower().replace(' ', '_')}_ms"] = ms
    for each in found.growth:
        keys[f"lookup_ms_{each.cards}"] = each.lookup_ms
        keys[f"start_ms_{each.cards}"] = each.start_ms
        keys[f"change_ms_{each.cards}"] = each.change_ms
        keys[f"change_bytes_{each.cards}"] = max(each.change_received)
        keys[f"change_blocks_{each.cards}"] = max(each.change_blocks)
        keys[f"list_blocks_{each.cards}"] = each.blocks
    return {name: round(value, 3) for name, value in keys.items()}


def budgets(found: Measured) -> list[Row]:
    """DESIGN section 11, line by line."""
    keys = flat(found)
    p99, faulty = keys["tap_to_coil_ms_p99"], keys["tap_to_coil_faulty_link_ms_p99"]
    frames = [look.frames for look in found.looks]
    largest = found.growth[-1]
    heap = keys["heap_used_kb_32bit"]
    received, blocks = max(found.one_card.received), max(found.one_card.blocks)
    return [
        Row(
            "card in the field to coil, p99",
            f"{p99:.1f} ms",
            "40 ms",
            "7.4 ms",
            p99 <= 40,
        ),
        Row("  p50", f"{keys['tap_to_coil_ms_p50']:.1f} ms", "", "7.4 ms"),
        Row(
            "  while the broker stalls, splits, drops, floods, p99",
            f"{faulty:.1f} ms",
            "40 ms",
            "7.4 ms",
            faulty <= 40,
        ),
        Row(
            "  pystone in a loop as the yardstick (see below), p99",
            f"{keys['tap_to_coil_in_loop_ms_p99']:.1f} ms",
            "40 ms",
            "7.4 ms",
            keys["tap_to_coil_in_loop_ms_p99"] <= 40,
        ),
        Row(
            "SPI frames: nobody / 4-byte / 7-byte number",
            " / ".join(map(str, frames)),
            "7 / 26 / 43",
            "7 / 21 / 35",
            all(a <= b for a, b in zip(frames, (7, 26, 43), strict=True)),
        ),
        Row(
            "cards on 2 MB, beside 10,000 sessions",
            f"{found.cards:,}",
            f"{CARDS:,}",
            "",
            found.cards >= CARDS,
        ),
        Row(
            "look-up: files opened, reads of one",
            f"{largest.files_opened}, {largest.file_reads}",
            "1, 3",
            "0, 1",
            largest.files_opened <= 1 and largest.file_reads <= 3,
        ),
        Row("  flash blocks, typical / most", f"{largest.lookup_blocks} / "
            f"{largest.lookup_blocks_max}", "", "1"),
        Row("  time, typical / most", f"{largest.lookup_ms:.1f} / {largest.lookup_max_ms:.1f} ms",
            "", "1 ms"),
        Row(
            f"one card changed among {CARDS:,}: received",
            f"{received / 1024:.1f} KB",
            "9 KB",
            "",
            received <= 9 * 1024,
        ),
        Row("  blocks programmed", f"{blocks}", "6", "3", blocks <= 6),
        Row(
            "offline journal, beside 50,000 cards",
            f"{found.journal_sessions:,} sessions",
            f"{JOURNAL_SESSIONS:,}",
            "",
            found.journal_sessions >= JOURNAL_SESSIONS,
        ),
        Row(
            "heap in use, TLS link, counted on 64 bit and halved",
            f"{heap:.0f} KB",
            "64 KB",
            "",
            heap <= 64,
        ),
    ]  # fmt: skip
