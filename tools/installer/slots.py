"""Which of the two places in the ROM an update goes to, and what /firmware.json says of it: pure.

The loader reads that file at each start; replacing it is the one step in which an update happens.
"""

import hashlib
import json
from collections.abc import Collection
from typing import Any, NamedTuple

SLOTS = ("a", "b")

State = dict[str, Any]


class Wanted(NamedTuple):
    """A firmware: its ROMFS image and what it calls itself."""

    image: bytes
    version: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.image).hexdigest()

    def entry(self, slot: str) -> State:
        return {
            "run": slot,
            "sha256": self.sha256,
            "bytes": len(self.image),
            "version": self.version,
        }


class Plan(NamedTuple):
    """`slot`: where the image goes; None where it runs already. `first`: what /firmware.json has
    to say before anything is written there. `after`: what it says at the end."""

    slot: str | None
    first: State | None
    after: State


def plan(wanted: Wanted, state: State | None, whole: set[str]) -> Plan:
    """`state`: /firmware.json as it is. `whole`: the slots whose bytes are what it says of them."""
    state = state or {}
    runs, before = _entry(state, whole), _entry(state.get("before"), whole)
    proven = state.get("proven") is True
    first = None
    if runs and runs["sha256"] == wanted.sha256:
        return Plan(None, None, state)
    if before and not (runs and proven):
        # One of the two is known to work, and the other one's place is to be had. Going back comes
        # first, so that what works is what runs as long as this takes.
        first = _state(before, proven=True, before=None)
        runs, proven = before, True
        if runs["sha256"] == wanted.sha256:
            return Plan(None, first, first)
    slot = SLOTS[1 - SLOTS.index(runs["run"])] if runs else SLOTS[0]
    after = _state(wanted.entry(slot), proven=False, before=runs if proven else None)
    return Plan(slot, first, after)


def alone(wanted: Wanted, slot: str = SLOTS[0]) -> bytes:
    """What /firmware.json says where one version runs, on no trial."""
    return text(_state(wanted.entry(slot), proven=True, before=None))


def named(state: State | None) -> list[State]:
    """The entries that /firmware.json has: what runs, and what ran before."""
    found = [_entry(state), _entry((state or {}).get("before"))]
    return [each for each in found if each]


def given_up(state: State | None) -> State | None:
    """{"version", "why", "sha256"} of the last version that gave way on this board, if any since
    another one was put there; the last is None of what an older loader has noted."""
    for name in ("gave_up", "failed"):
        found = (state or {}).get(name)
        if isinstance(found, dict) and found.get("why"):
            return {each: found.get(each) for each in ("version", "why", "sha256")}
    return None


def text(state: State) -> bytes:
    return json.dumps(state).encode()


def _state(entry: State, *, proven: bool, before: State | None) -> State:
    return {**entry, "proven": proven, "starts": 0, "before": before, "gave_up": None}


def _entry(found: Any, among: Collection[str] = SLOTS) -> State | None:
    """A slot's description, if that is what it is, and the slot one of these."""
    if not isinstance(found, dict) or found.get("run") not in SLOTS:
        return None
    if found["run"] not in among:
        return None
    entry = {name: found.get(name) for name in ("run", "sha256", "bytes", "version")}
    size, digest = entry["bytes"], entry["sha256"]
    if type(size) is not int or size <= 0 or not isinstance(digest, str):
        return None
    return entry
