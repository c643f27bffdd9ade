"""How look-up, change, start and the room on the flash go with the number of cards."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, NamedTuple

from tools.bench import lists
from tools.bench.running import BIG_HEAP, HEAP_BYTES, BenchError, blank, board
from tools.portal.refusal import Refusal
from tools.portal.token import token

CHANGES = 12
_CHANGES_OF_THE_LARGEST = 40  # so many that a pack of shards is copied on the way
_TOKENS = 64
_PROBE_STEP = 1_000
_VERSION = 1_000


class Figures(NamedTuple):
    """One size of list. Times are board time; `parts` those of a look-up (clockwork.PARTS)."""

    cards: int
    blocks: int
    start_ms: float
    lookup_ms: float
    lookup_max_ms: float
    lookup_parts: list[float]
    lookup_first_ms: float
    lookup_blocks: int
    lookup_blocks_max: int
    file_reads: int
    files_opened: int
    change_ms: float
    change_blocks: list[int]
    change_erased: list[int]
    change_received: list[int]


def measured(folder: Path, cards: int) -> Figures:
    """Of a list of so many cards, on a flash that nothing else is on."""
    known = lists.uids(min(cards, _TOKENS), 4, seed=cards)
    first = lists.of(cards, known)
    flash = blank(folder / "flash.img")
    (built,) = run(folder, flash, first, ["build"], big=True, format=True)["build"]
    if not built["whole"]:
        raise BenchError(f"{cards} cards: {built['why']}")
    tokens = [token(lists.CARD_KEY, bytes.fromhex(uid)) for uid in known]
    count = CHANGES if cards < lists.LARGE else _CHANGES_OF_THE_LARGEST
    changes = in_turn(folder, first, tokens, count)
    more = {"tokens": [each.hex() for each in tokens], "changes": changes}
    found = run(folder, flash, first, ["load", "look up", "reads", "change"], **more)
    every, of_changes = found["look up"], found["change"]
    (loaded,), (reads,) = found["load"], found["reads"]
    # One that the computer has disturbed says nothing, unless there is none other.
    calm = [each for each in every if each["quiet"]] or every
    again = [each for each in calm if each["again"]] or every
    fresh = [each for each in calm if not each["again"]] or every
    return Figures(
        cards,
        built["blocks"],
        loaded["ms"],
        statistics.median(each["ms"] for each in again),
        max(each["ms"] for each in again),
        [statistics.median(each["parts"][at] for each in again) for at in range(6)],
        max(each["ms"] for each in fresh),
        statistics.median_low(each["reads"] for each in again),
        max(each["reads"] for each in every if each["again"]),
        reads["file_reads"],
        reads["files_opened"],
        statistics.median(each["ms"] for each in of_changes),
        [each["programmed"] for each in of_changes],
        [each["erased"] + each["tidied"] for each in of_changes],
        [each["received"] for each in of_changes],
    )


def most_cards(folder: Path, other_blocks: int, least: int, most: int) -> int:
    """The largest list, to a thousand, that finds room beside so many blocks of other things, and
    in which a card can then be changed."""
    low, high = least // _PROBE_STEP, most // _PROBE_STEP
    if not _fits(folder, other_blocks, low * _PROBE_STEP):
        return 0
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(folder, other_blocks, middle * _PROBE_STEP):
            low = middle
        else:
            high = middle - 1
    return low * _PROBE_STEP


def _fits(folder: Path, other_blocks: int, cards: int) -> bool:
    known = lists.uids(1, 4)
    try:
        first = lists.of(cards, known)
    except Refusal:  # more than an index may have shards
        return False
    tokens = [token(lists.CARD_KEY, bytes.fromhex(known[0]))]
    changes = in_turn(folder, first, tokens, 1)
    steps = ["fill", "build", "change"]
    more: dict[str, Any] = {"fill": other_blocks, "changes": changes, "format": True, "big": True}
    found = run(folder, blank(folder / "flash.img"), first, steps, **more)
    return all(each["whole"] for step in ("build", "change") for each in found[step])


def in_turn(
    folder: Path, first: lists.List, tokens: list[bytes], count: int
) -> list[dict[str, Any]]:
    """One card after the other blocked: what each change brings that the one before had not."""
    found = []
    before = first
    for number in range(count):
        flags = lists.BLOCKED | lists.USER if number // len(tokens) % 2 == 0 else lists.USER
        after = before.changed(tokens[number % len(tokens)], flags)
        body, raw = after.ref(_VERSION + 1 + number)
        new = {name: after.made.objects[name] for name in after.made.objects.keys() - before.names}
        path = lists.write(folder / f"change{number}", new)
        found.append({"body": body, "raw": raw.decode(), "objects": path})
        before = after
    return found


def run(
    folder: Path,
    flash: Path,
    first: lists.List,
    steps: list[str],
    big: bool = False,
    files: dict[str, str] | None = None,
    **more: Any,
) -> dict[str, list[dict[str, Any]]]:
    """What each of the steps (board/lists.py) has found, in its order."""
    body, raw = first.ref(_VERSION)
    job = {
        "steps": steps,
        "key": lists.CHARGER_KEY.hex(),
        "topic": lists.TOPIC,
        "body": body,
        "raw": raw.decode(),
        "changes": [],
        "files": files or {},
        **more,
    }
    if "build" in steps:
        job["objects"] = lists.write(folder / "objects", first.made.objects)
    with board(folder, "lists", flash, job, BIG_HEAP if big else HEAP_BYTES) as lines:
        found: dict[str, list[dict[str, Any]]] = {step: [] for step in steps}
        for line in lines:
            found[line["step"]].append(line)
    return found
