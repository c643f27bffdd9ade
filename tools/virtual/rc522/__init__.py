"""An MFRC522 at register level, the field in front of it, and cards that are state machines."""

from tools.virtual.rc522.chip import Chip
from tools.virtual.rc522.classic import MifareClassic
from tools.virtual.rc522.field import Field
from tools.virtual.rc522.phone import Phone

__all__ = ["Chip", "Field", "MifareClassic", "Phone"]
