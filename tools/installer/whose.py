"""Whose board is on the cable: before anything on it is changed for good."""

import json
import zlib
from typing import Any, NamedTuple

from tools.installer.link import BoardError, Link
from tools.portal.refusal import Refusal

_CONFIG = "config.json"
# All that a board has which holds nothing of anybody's.
_BARE = frozenset({"boot.py"})

# A wipe that was interrupted leaves nothing in the file system to tell the board by, so its name is
# kept apart, as a number, for as long as the wipe lasts.
_SPACE, _ENTRY = "tapgate", "wiping"

_READ_MARK = f"""
import esp32
try:
    print(esp32.NVS("{_SPACE}").get_i32("{_ENTRY}"))
except OSError:
    print(0)
"""
_SET_MARK = f"""
import esp32
_space = esp32.NVS("{_SPACE}")
_space.set_i32("{_ENTRY}", %d)
_space.commit()
"""
_FILES = """
import json, os
try:
    print(json.dumps(os.listdir("/")))
except OSError:
    print("[]")
"""


class Owner(NamedTuple):
    """A charger as its board must know it."""

    installation: str
    charger: str
    card_key: str  # of the installation: two of the same name are still two


def config(link: Link) -> dict[str, Any] | None:
    """The board's config.json, not checked; None where it has none that can be read."""
    try:
        found = json.loads(link.read(_CONFIG) or b"")
    except (ValueError, BoardError):  # the second: no file system, in the middle of a wipe
        return None
    return found if isinstance(found, dict) else None


def require(found: dict[str, Any], owner: Owner) -> None:
    """Refusal if that configuration is another charger's."""
    name, site = found.get("charger"), found.get("installation")
    if (name, site) != (owner.charger, owner.installation):
        raise Refusal(
            f"that board is {_name(name)} of {_name(site)}, not '{owner.charger}' of "
            f"'{owner.installation}'; put the right one on the cable"
        )
    if str(found.get("card_key")).lower() != owner.card_key.lower():
        raise Refusal(
            f"that board is '{owner.charger}' of another installation that is called "
            f"'{owner.installation}', too; put the right one on the cable"
        )


def wipe_begun(link: Link, owner: Owner, *, whatever_it_is: bool) -> bool:
    """Of a board without a configuration, which a wipe has begun with: whether it is that charger's
    own, or of one that had its name before. Refusal where no wipe has begun, unless
    `whatever_it_is`: it counts as its own then."""
    found = int(link.run(_READ_MARK) or 0)
    for own in (True, False):
        if found == _mark(owner, own):
            return own
    if whatever_it_is:
        return True
    files = [each for each in json.loads(link.run(_FILES)) if each != "rom"]
    there = "is bare" if _BARE.issuperset(files) else f"holds {', '.join(sorted(files)[:4])}"
    raise Refusal(
        f"that board has no config.json that says it is '{owner.charger}', and {there}; with --yes "
        "it is taken for it and wiped"
    )


def mark(link: Link, owner: Owner, own: bool) -> None:
    """From now on until its NVS is erased it is known as that charger's, with the key that it has
    now or with another."""
    link.run(_SET_MARK % _mark(owner, own))


def _mark(owner: Owner, own: bool) -> int:
    return zlib.crc32(f"{owner.installation}/{owner.charger}".encode()) & 0x3FFF_FFFE | own


def _name(found: Any) -> str:
    text = found if isinstance(found, str) else ""
    return f"'{text[:32]}'" if text and text.isprintable() else "nobody known"
