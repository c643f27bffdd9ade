"""The firmware's `flash` without a file system: quick, and nothing is left behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import ClassVar

import pytest


class FlashInMemory:
    """`files`: path -> content."""

    current: ClassVar["FlashInMemory"]

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        FlashInMemory.current = self

    @classmethod
    @contextmanager
    def in_place_of(cls, module: ModuleType) -> Iterator["FlashInMemory"]:
        found = cls()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "read", found.read)
            patch.setattr(module, "replace", found.replace)
            yield found

    def read(self, path: str, limit: int) -> bytes | None:
        content = self.files.get(path)
        return content if content is None or len(content) <= limit else None

    def replace(self, path: str, *parts: bytes) -> None:
        self.files[path] = b"".join(bytes(part) for part in parts)
