"""What board time is made of (DESIGN section 11)."""

FRAME_US = 40  # one SPI frame, whatever is in it
SPI_HZ = 5_000_000  # firmware/hardware/board.py
BLOCK_READ_MS = 1
BLOCK_WRITTEN_MS = 60  # erased and programmed
PYSTONES_ESP32 = 1_732
