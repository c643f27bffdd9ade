"""`esp` of the virtual board: the flash chip as a whole, by addresses from its beginning."""

import partition as _partition

LOG_NONE, LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_VERBOSE = range(6)

_flash_bytes = 0
_user_start = 0


def flash_size():
    return _flash_bytes


def flash_user_start():
    return _user_start


def flash_read(byte_offset, buf):
    _check(byte_offset, len(buf))
    _partition.read(byte_offset, buf)


def flash_write(byte_offset, buf):
    _check(byte_offset, len(buf))
    try:
        _partition.program(byte_offset, buf)
    except OSError:
        raise OSError(5) from None


def flash_erase(sector_no):
    at = sector_no * _partition.BLOCK_BYTES
    _check(at, _partition.BLOCK_BYTES)
    try:
        _partition.erase(at, _partition.BLOCK_BYTES)
    except OSError:
        raise OSError(5) from None


def osdebug(uart_no, level=LOG_INFO):
    return None


def gpio_matrix_in(pin, signal, invert):
    return None


def gpio_matrix_out(pin, signal, out_invert, enable_invert):
    return None


def _check(at, size):
    if not 0 <= at <= _flash_bytes - size:
        raise OSError(5)
