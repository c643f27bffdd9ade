"""The 64-byte FIFO and its level alarms (data sheet 8.3)."""

SIZE = 64


class Fifo:
    """Bytes in order; a byte into a full buffer is lost and reported by `push`."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

    def push(self, value: int) -> bool:
        """Append one byte; False when the buffer was full."""
        if len(self._bytes) >= SIZE:
            return False
        self._bytes.append(value)
        return True

    def pop(self) -> int:
        """Take the oldest byte; an empty buffer gives zero."""
        return self._bytes.pop(0) if self._bytes else 0

    def take(self, count: int) -> bytes:
        """Take up to `count` of the oldest bytes."""
        taken = bytes(self._bytes[:count])
        del self._bytes[:count]
        return taken

    def flush(self) -> None:
        """Forget everything."""
        self._bytes.clear()

    def high(self, water_level: int) -> bool:
        """HiAlert: 64 - length <= WaterLevel (9.3.1.8)."""
        return SIZE - len(self._bytes) <= water_level

    def low(self, water_level: int) -> bool:
        """LoAlert: length <= WaterLevel (9.3.1.8)."""
        return len(self._bytes) <= water_level
