"""What the digital self-test leaves in the FIFO, by version (data sheet 16.1.1)."""

VERSION_1 = bytes.fromhex(
    "00c637d532b7575cc2d87c4dd970c77310e6d2aa5ea13e5a14af3061c970db2e"
    "642272b5bd65f4ec22bcd37235cdaa411fa7f35314de7e02d90fb55e251d2979"
)
VERSION_2 = bytes.fromhex(
    "00eb66ba57bf2395d0e30d3d27895cde9d3ba700215b8982513aeb020ca50049"
    "7c844db3ccd21b815d4876d5716121a986968338cf9d5b6ddc15ba3e7d953b2f"
)
VECTORS = {0x91: VERSION_1, 0x92: VERSION_2}
DURATION_NS = 500_000
SELF_TEST = 0x09  # AutoTestReg SelfTest


def result(version: int, buffer: bytes) -> bytes:
    """The 64 bytes; published for an internal buffer of zeros, and some others with any other.

    A version that the data sheet does not know gives no known bytes either, as clones do.
    """
    vector = VECTORS.get(version)
    if vector is not None and not any(buffer):
        return vector
    seed = (vector or bytes([version]) * 64)[1:] + b"\x00"
    return bytes(v ^ buffer[n % len(buffer)] ^ n for n, v in enumerate(seed))
