"""What may go onto a board and what may not is said from the file alone."""

import io
import logging
import random

import pytest
from esptool.bin_image import ESP32FirmwareImage
from mp_image_tool_esp32.partition_table import PartitionTable

from host_tests.installer import images
from tools import mpy
from tools.installer import micropython_image, partitions
from tools.portal.refusal import Refusal


@pytest.fixture
def read(tmp_path):
    def read(data: bytes):
        file = tmp_path / "firmware.bin"
        file.write_bytes(data)
        return micropython_image.read(file)

    return read


def with_bit_wrong(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


APP_IN_FILE = partitions.FACTORY.at - 0x1000


def test_the_images_of_these_tests_are_what_esptool_takes_for_images():
    whole = images.image()
    for start in (0, APP_IN_FILE):
        found = ESP32FirmwareImage(io.BytesIO(whole[start:]))
        found.verify()
        assert found.chip_id == 0 and found.stored_digest == found.calc_digest


def test_an_image_with_romfs_is_taken(read):
    found = read(images.image())
    assert (found.version, found.built, found.flash_mb) == ("v1.29.0", "2026-08-20", 4)


def test_an_image_from_the_flashs_beginning_is_the_same(read):
    a, b = read(images.image()), read(b"\xff" * 0x1000 + images.image())
    assert a.pieces == b.pieces


def test_an_image_whose_app_lies_in_an_update_slot_is_taken(read):
    slots = (
        partitions.Partition("nvs", partitions.DATA, 2, 0x9000, 0x4000),
        partitions.Partition("otadata", partitions.DATA, 0, 0xD000, 0x2000),
        partitions.Partition("ota_0", partitions.APP, 0x10, 0x10000, 0x180000),
        partitions.Partition("ota_1", partitions.APP, 0x11, 0x190000, 0x180000),
    )
    assert read(images.image(table=partitions.table(slots))).app == read(images.image()).app


def test_what_is_written_is_the_images_own_with_tapgates_partition_table(read):
    image = images.image()
    (_, first, boot_loader), (_, second, table), (_, third, app) = read(image).pieces
    assert (first, second, third) == (0x1000, 0x8000, 0x10000)
    assert image.startswith(boot_loader)
    assert set(image[len(boot_loader) : 0x7000]) == {0xFF}
    assert app == image[APP_IN_FILE:]
    assert partitions.read(table) == partitions.TAPGATE


@pytest.mark.parametrize(
    "version", ["v1.27.0", "v1.27.0-dirty", "v1.28.1-preview.3.g1234567", "1.30", "v2.0.0"]
)
def test_versions_from_1_27_on_are_taken(read, version):
    banner = f"MicroPython {version} on 2026-01-02\0".encode()
    assert read(images.image(text=banner + images.ROMFS)).version == version


def refused(read, data: bytes) -> str:
    with pytest.raises(Refusal) as why:
        read(data)
    text = str(why.value)
    assert "\n" not in text and "firmware.bin" in text
    return text


def test_without_romfs_it_is_refused_with_why_and_what_to_take(read):
    why = refused(read, images.image(text=images.BANNER))
    assert "without ROMFS" in why and "no VfsRom and no rom_ioctl" in why
    assert "MICROPY_VFS_ROM=1" in why and "docs/micropython.md" in why


def test_romfs_that_the_firmware_cannot_reach_is_none(read):
    why = refused(read, images.image(text=images.BANNER + b"VfsRom\0"))
    assert "(no rom_ioctl)" in why


@pytest.mark.parametrize(
    ("banner", "why"),
    [
        (
            b"MicroPython v1.26.1 on 2025-09-11\0",
            "MicroPython v1.26.1; Tapgate needs 1.27 or later",
        ),
        (b"MicroPython v1.27.0-preview.5.gabc on 2025-11-01\0", "needs 1.27 or later"),
        (b"MicroPython 9458e3a23f on 2026-07-05\0", "does not know its version (9458e3a23f)"),
        (b"Arduino\0", "but not MicroPython"),
    ],
)
def test_another_program_or_version_is_refused(read, banner, why):
    assert why in refused(read, images.image(text=banner + images.ROMFS))


@pytest.mark.parametrize(
    ("chip", "name"), [(2, "ESP32-S2"), (5, "ESP32-C3"), (9, "ESP32-S3"), (777, "chip number 777")]
)
def test_an_image_for_another_chip_is_refused_by_that_chips_name(read, chip, name):
    assert f"is for the {name};" in refused(read, images.image(chip=chip))


def test_an_image_of_a_chip_that_starts_from_0x0_is_refused_by_that_chips_name(read):
    assert "is for the ESP32-S3;" in refused(read, images.image(chip=9, starts_at=0))


def test_an_app_alone_is_refused_and_the_right_file_named(read):
    assert "take the file firmware.bin" in refused(read, images.image()[APP_IN_FILE:])


def test_an_app_that_does_not_fit_is_refused_with_both_sizes(read):
    whole = images.image(app_bytes=partitions.FACTORY.size)
    size = len(whole) - APP_IN_FILE
    why = refused(read, whole)
    assert f"{size} bytes, and 1703936 fit" in why and "without Bluetooth" in why


def test_an_app_that_just_fits_is_taken(read):
    around = len(images.image(app_bytes=0)) - APP_IN_FILE
    just = images.image(app_bytes=partitions.FACTORY.size - around)
    assert len(read(just).app) == partitions.FACTORY.size


def test_an_image_for_less_flash_is_refused(read):
    assert "built for 2 MB of flash, Tapgate needs 4 MB" in refused(read, images.image(flash=1))


IN_BOOT_LOADER, IN_APP = (0, 0x18, 0x800), (APP_IN_FILE, APP_IN_FILE + 60, -40, -1)


@pytest.mark.parametrize("at", IN_BOOT_LOADER + IN_APP)
def test_one_bit_wrong_is_refused(read, at):
    image = images.image()
    refused(read, with_bit_wrong(image, at % len(image)))


def test_one_bit_wrong_is_refused_by_the_checksum_where_there_is_no_hash(read):
    image = images.image(hashed=False)
    assert read(image).version == "v1.29.0"
    for at in (0x40, APP_IN_FILE + 60):
        assert "checksum" in refused(read, with_bit_wrong(image, at))


@pytest.mark.parametrize("length", [20, 3000, APP_IN_FILE, APP_IN_FILE + 30, APP_IN_FILE + 9000])
def test_half_a_download_is_refused(read, length):
    refused(read, images.image()[:length])


@pytest.mark.parametrize(
    "data", [b"", b"\xe9", b"<!DOCTYPE html>", b"UF2\n" * 300, b"\xff" * 9000, b"\0" * 9000]
)
def test_what_is_no_image_is_refused(read, data):
    refused(read, data)


def test_a_partition_table_without_an_app_is_refused(read):
    why = refused(read, images.image(table=partitions.table((partitions.NVS, partitions.VFS))))
    assert "no app in its partition table" in why


def test_whatever_a_file_holds_it_ends_in_one_line(read):
    chance = random.Random(5)
    whole = images.image(app_bytes=500)
    for _ in range(300):
        data = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.3 else whole)
        for _ in range(chance.randrange(1, 6)):
            if data:
                data[
                    chance.choice((chance.randrange(len(data)), chance.randrange(64) % len(data)))
                ] = chance.randrange(256)
        try:
            read(bytes(data))
        except Refusal as why:
            assert "\n" not in str(why)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    for file in (tmp_path / "none.bin", tmp_path):
        with pytest.raises(Refusal, match=str(file)):
            micropython_image.read(file)


# Partition tables


def test_a_row_of_the_table_is_as_the_esp_idf_writes_it():
    row = partitions.table()[64:96]
    assert row.hex(" ", -4) == (
        "aa500000 00000100 00001a00 66616374 6f727900 00000000 00000000 00000000"
    )


def test_mp_image_tool_esp32_reads_and_writes_the_same_table(caplog):
    ours = partitions.table()
    with caplog.at_level(logging.WARNING):
        theirs = PartitionTable.from_bytes(ours.ljust(0x1000, b"\xff"), 4 << 20)
    assert not caplog.records  # no gaps, no overlaps, ends where the flash ends
    assert theirs.to_bytes()[: len(ours)] == ours
    assert [(each.name, each.type, each.subtype, each.offset, each.size) for each in theirs] == [
        ("nvs", 1, 2, 0x9000, 0x6000),
        ("phy_init", 1, 1, 0xF000, 0x1000),
        ("factory", 0, 0, 0x10000, 0x1A0000),
        ("romfs", 1, 0x8F, 0x1B0000, 0x50000),
        ("vfs", 1, 0x81, 0x200000, 0x200000),
    ]


def test_a_damaged_table_is_none():
    with pytest.raises(partitions.PartitionError, match="MD5"):
        partitions.read(with_bit_wrong(partitions.table(), 70))
    with pytest.raises(partitions.PartitionError, match="empty"):
        partitions.read(b"\xff" * partitions.TABLE_BYTES)
    with pytest.raises(partitions.PartitionError, match="begins with 0000"):
        partitions.read(bytes(partitions.TABLE_BYTES))


def test_a_table_without_md5_is_read():
    rows = partitions.table()[: 32 * len(partitions.TAPGATE)]
    assert partitions.read(rows.ljust(partitions.TABLE_BYTES, b"\xff")) == partitions.TAPGATE


def test_each_of_the_two_slots_is_whole_blocks():
    assert (partitions.ROMFS.size // 2) % partitions.BLOCK_BYTES == 0


# docs/micropython.md


def test_the_page_names_the_table_and_the_limits_that_are_checked():
    page = (mpy.ROOT / "docs/micropython.md").read_text()
    for each in partitions.TAPGATE:
        assert f"| {each.name} | 0x{each.at:X} | {each.size >> 10:,} KB |" in page
    assert f"**{partitions.FACTORY.size:,} bytes** (0x{partitions.FACTORY.size:X})" in page
    assert "**{}.{} or later**".format(*micropython_image.LEAST_VERSION) in page


def test_the_pages_board_definition_is_there_and_has_romfs():
    board = mpy.ROOT / "tools/installer/TAPGATE_ESP32"
    assert (
        "$TAPGATE/tools/installer/TAPGATE_ESP32" in (mpy.ROOT / "docs/micropython.md").read_text()
    )
    assert "#define MICROPY_VFS_ROM (1)" in (board / "mpconfigboard.h").read_text()
    assert "sdkconfig.board" in (board / "mpconfigboard.cmake").read_text()
    assert "romfs.csv" in (board / "sdkconfig.board").read_text()
