"""The firmware's image into one slot of the board's ROM: only the blocks that differ, in as few
bytes as may be, and compared there afterwards as a whole.

What the running slot holds already is not sent again: a module that has not changed is taken from
there, even where it lies elsewhere in the new image.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from tools.installer.board import Board
from tools.installer.link import BoardError, Link, carried
from tools.installer.partitions import BLOCK_BYTES
from tools.installer.slots import SLOTS, State
from tools.portal.refusal import Refusal

Progress = Callable[[int, int], None]

_SUM_BYTES = 8  # of a block's SHA-256; the whole slot's is compared in full
_AGAIN = 2  # blocks that came out wrong are sent once more
_HASH_S = 30.0
_PIECE_BYTES = 512  # of what the other slot holds: the least that is found there again

_HELPERS = """
def _t_rom():
    import vfs
    return memoryview(vfs.rom_ioctl(2, 0))
def _t_whole(at, size):
    import hashlib
    from binascii import hexlify
    digest = hashlib.sha256()
    rom = _t_rom()
    for start in range(at, at + size, 4096):
        digest.update(rom[start : min(start + 4096, at + size)])
    return hexlify(digest.digest()).decode()
def _t_sums(at, size, step):
    import hashlib
    from binascii import hexlify
    rom = _t_rom()
    for start in range(at, at + size, step):
        print(hexlify(hashlib.sha256(rom[start : start + step]).digest()[:8]).decode())
def _t_put(block, parts):
    import esp32
    data = bytearray(4096)
    done = 0
    rom = _t_rom()
    for part in parts:
        if type(part) is tuple:
            part = rom[part[0] : part[0] + part[1]]
        data[done : done + len(part)] = part
        done += len(part)
    table = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="romfs")
    table[0].writeblocks(block, data)
"""


class Copied(NamedTuple):
    """What it took."""

    blocks: int  # of the slot that the image has
    written: int


class NotWritten(Refusal):
    """The flash does not take or keep what is written to it."""


def prepare(link: Link) -> None:
    link.helped(_HELPERS)


def whole(link: Link, board: Board, entries: list[State]) -> set[str]:
    """The slots that hold what their entries say."""
    found = set()
    for entry in entries:
        at, size = _at(board, entry["run"]), entry["bytes"]
        if size <= board.slot_bytes and _sum(link, at, size) == entry["sha256"]:
            found.add(entry["run"])
    return found


def copy(
    link: Link, board: Board, slot: str, image: bytes, known: State | None, tell: Progress
) -> Copied:
    """Bring the slot to hold the image. `known`: the entry of the other slot, if what it says is
    there. NotWritten if the slot does not hold the image in the end."""
    at = _at(board, slot)
    blocks = _blocks(image)
    written: set[int] = set()
    for _ in range(_AGAIN):
        held = link.run(f"_t_sums({at}, {len(blocks) * BLOCK_BYTES}, {BLOCK_BYTES})", _HASH_S)
        differs = zip(blocks, held.split(), strict=True)
        wrong = [n for n, (block, held) in enumerate(differs) if held != _short(block)]
        there = _found_again(link, board, known, b"".join(blocks)) if known and wrong else {}
        for done, n in enumerate(wrong):
            tell(done, len(wrong))
            _put(link, board, at // BLOCK_BYTES + n, _parts(blocks[n], n * BLOCK_BYTES, there))
        written.update(wrong)
        known = None  # whatever was wrong: the second time each byte comes from here
        if _sum(link, at, len(image)) == hashlib.sha256(image).hexdigest():
            return Copied(len(blocks), len(written))
    raise NotWritten(
        f"the flash of the board at {board.port} does not hold what was written to it: it is worn "
        "or damaged; take another board"
    )


def _found_again(link: Link, board: Board, known: State, image: bytes) -> dict[int, int]:
    """Which pieces of the other slot the image has, wherever they lie in it: their place in the
    image, and in the ROM. A module that has grown by a byte moves all that comes after it."""
    start = _at(board, known["run"])
    pieces = known["bytes"] // _PIECE_BYTES
    if not pieces:
        return {}
    sums = link.run(f"_t_sums({start}, {pieces * _PIECE_BYTES}, {_PIECE_BYTES})", _HASH_S).split()
    lies = {each: start + n * _PIECE_BYTES for n, each in enumerate(sums)}
    found: dict[int, int] = {}
    at = 0
    while at + _PIECE_BYTES <= len(image):
        place = lies.get(_short(image[at : at + _PIECE_BYTES]))
        if place is None:
            at += 1
        else:
            found[at] = place
            at += _PIECE_BYTES
    return found


def _parts(block: bytes, at: int, there: dict[int, int]) -> bytes:
    """The block as an expression for the board: what it takes from its ROM, and what is sent.
    `at`: its place in the image."""
    parts: list[tuple[int, int] | bytes] = []
    done = 0
    for piece in sorted(there):
        start, end = max(piece, at) - at, min(piece + _PIECE_BYTES, at + len(block)) - at
        if start >= end:
            continue
        if start > done:
            parts.append(block[done:start])
        place = there[piece] + max(piece, at) - piece
        last = parts[-1] if parts else None
        if isinstance(last, tuple) and last[0] + last[1] == place:
            parts[-1] = (last[0], last[1] + end - start)
        else:
            parts.append((place, end - start))
        done = end
    if done < len(block):
        parts.append(block[done:])
    return (
        b"["
        + b",".join(
            b"(%d,%d)" % each if isinstance(each, tuple) else carried(each) for each in parts
        )
        + b"]"
    )


def _put(link: Link, board: Board, block: int, parts: bytes) -> None:
    try:
        link.helped(b"_t_put(%d, " % block + parts + b")")
    except BoardError as error:
        raise NotWritten(
            f"the flash of the board at {board.port} takes nothing more ({error.last}): it is "
            "write-protected or worn; take another board"
        ) from None


def _sum(link: Link, at: int, size: int) -> str:
    return link.helped(f"print(repr(_t_whole({at}, {size})))", _HASH_S)


def _at(board: Board, slot: str) -> int:
    """Where the slot begins in its partition, in bytes."""
    return SLOTS.index(slot) * board.slot_bytes


def _blocks(image: bytes) -> list[bytes]:
    """The image in blocks, the last one filled up as empty flash is."""
    padded = image.ljust(-(-len(image) // BLOCK_BYTES) * BLOCK_BYTES, b"\xff")
    return [padded[start : start + BLOCK_BYTES] for start in range(0, len(padded), BLOCK_BYTES)]


def _short(block: bytes) -> str:
    return hashlib.sha256(block).hexdigest()[: 2 * _SUM_BYTES]
