"""The MFRC522's digital self-test (data sheet, section 16.1.1): loaded for as long as it runs.

It says that the chip's logic works, of its antenna and receiver nothing. The chip is to be set up
anew afterwards. Register numbers and frames as in mfrc522.py.
"""

from binascii import unhexlify

from micropython import const

_FIFO_LEVEL = const(0x0A)
_AUTO_TEST = const(0x36)
_VERSION = const(0x37)
_SELF_TEST = const(0x09)
_RESULT_BYTES = const(64)

_IDLE = const(b"\x02\x00")
_MEM = const(b"\x02\x01")  # 25 bytes from the FIFO to the chip's own memory
_CALC_CRC = const(b"\x02\x03")
_FLUSH = const(b"\x14\x80")
_CLEAR = b"\x12" + b"\x00" * 25  # for the FIFO
_ZERO = const(b"\x12\x00")
_READ_FIFO = const(b"\x92")

_WAKE_STEPS = const(10)
_STEPS = const(10)  # until the result is there: the chip takes a millisecond
_STEP_MS = const(5)
_TRIES = const(2)  # a good chip may fail once just after it was switched on

# VersionReg: what chip that is. 91 and 92 are the data sheet's (9.3.4.8), 90 its predecessor.
_NAMES = {
    0x12: "a clone",
    0x82: "a clone",
    0x88: "FM17522, a clone",
    0x89: "FM17522E, a clone",
    0x90: "MFRC522 version 0.0",
    0x91: "MFRC522 version 1.0",
    0x92: "MFRC522 version 2.0",
    0xB2: "FM17522, a clone",
}
# Section 16.1.1, by version. Of clones no such bytes are published that hold for all of them.
_EXPECTED = {
    0x91: "00c637d532b7575cc2d87c4dd970c77310e6d2aa5ea13e5a14af3061c970db2e"
    "642272b5bd65f4ec22bcd37235cdaa411fa7f35314de7e02d90fb55e251d2979",
    0x92: "00eb66ba57bf2395d0e30d3d27895cde9d3ba700215b8982513aeb020ca50049"
    "7c844db3ccd21b815d4876d5716121a986968338cf9d5b6ddc15ba3e7d953b2f",
}


async def run(chip, pause) -> tuple:
    """(passed, what was found, version), of a chip (`MFRC522`) that nobody else uses meanwhile.
    `await pause(ms)` lets the others have their turn."""
    chip.reset()
    for _ in range(_WAKE_STEPS):
        await pause(_STEP_MS)
        if chip.awake():
            break
    else:
        return False, "no chip answers: " + (chip.configure() or "it does not wake"), None
    version = chip._get(_VERSION)
    name = "{} ({:02x})".format(_NAMES.get(version, "a clone"), version)
    expected = _EXPECTED.get(version)
    wrong = ""
    for _ in range(_TRIES):
        result = await _result(chip, pause)
        if result is None:
            wrong = "its self-test does not end"
        elif expected is None:
            return True, name + ", its self-test ran", version
        else:
            wrong = _differing(result, unhexlify(expected))
            if not wrong:
                return True, name + ", its self-test is right", version
            wrong = "{} of 64 bytes of its self-test are wrong".format(wrong)
        chip.reset()
        await pause(_WAKE_STEPS * _STEP_MS)
    return False, "{}, {}".format(name, wrong), version


async def _result(chip, pause):
    """The 64 bytes; None where they do not come."""
    frame = chip._frame
    frame(_IDLE)
    frame(_FLUSH)
    frame(_CLEAR)
    frame(_MEM)
    await pause(_STEP_MS)
    frame(_FLUSH)
    chip._put(_AUTO_TEST, _SELF_TEST)
    frame(_ZERO)
    frame(_CALC_CRC)
    for _ in range(_STEPS):
        await pause(_STEP_MS)
        if chip._get(_FIFO_LEVEL) >= _RESULT_BYTES:
            break
    else:
        return None
    result = bytearray(1 + _RESULT_BYTES)
    chip._cs(0)
    chip._exchange_bytes(_READ_FIFO * _RESULT_BYTES + b"\x00", result)
    chip._cs(1)
    frame(_IDLE)
    return result[1:]


def _differing(found, expected):
    return sum([1 for at in range(_RESULT_BYTES) if found[at] != expected[at]])
