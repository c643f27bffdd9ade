// MicroPython for a Tapgate charger: a plain ESP32 with 4 MB of flash. See docs/micropython.md.

#define MICROPY_HW_BOARD_NAME "ESP32 for Tapgate"
#define MICROPY_HW_MCU_NAME "ESP32"

// The firmware runs from ROMFS, where its bytecode takes no memory. MICROPY_VFS_ROM_IOCTL follows.
#define MICROPY_VFS_ROM (1)

// Not used. Without it the app leaves room for the firmware's two slots.
#define MICROPY_PY_BLUETOOTH (0)
