"""machine.SPI and machine.SoftSPI, wired to the reader as the world says.

A transfer takes as long as on the board: drivers of others rely on that without knowing, where they
talk to a chip that is still waking up.
"""

from time import sleep_us, ticks_us

import claims
import line
import pin
from pin import Pin
from wire import SPI_CHUNK

wiring = {}  # sck, mosi, miso, cs: pin numbers of the reader
_DEFAULTS = {1: (14, 13, 12), 2: (18, 23, 19)}
_READER_HZ = 10_000_000  # MFRC522 data sheet 8.1.2: SPI up to 10 Mbit/s
_buses = {}

# One call of an ESP32's spi_device_transmit, without its bits; a call of the bit-banging loop.
_HARD_CALL_US = 26
_SOFT_CALL_US = 8
_SLEEP_US = 100  # what a sleep may be late; less than that is waited for awake


class _Bus:
    MSB = 0
    LSB = 1

    def _set_up(self, name, baudrate, polarity, phase, bits, firstbit, pins):
        if baudrate <= 0:
            raise ValueError("baudrate out of range: %d" % baudrate)
        if polarity not in (0, 1) or phase not in (0, 1):
            raise ValueError("polarity and phase must be 0 or 1")
        if bits != 8:
            raise ValueError("bits must be 8")
        if firstbit not in (0, 1):
            raise ValueError("firstbit must be SPI.MSB or SPI.LSB")
        sck, mosi, miso = pins
        if len({sck, mosi, miso}) < 3:
            raise ValueError("sck, mosi and miso must be three pins")
        claims.check_output(sck)
        claims.check_output(mosi)
        for number in self._pins:
            claims.release(number, self._name)
        self._name = name
        for number in pins:
            claims.claim(number, name, self)
        self._pins = pins
        self._lost = None
        self._baudrate = baudrate
        self._call_us = _SOFT_CALL_US if name == "SoftSPI" else _HARD_CALL_US
        self._byte_ns = 8_000_000_000 // baudrate
        self._form = (polarity, phase, firstbit)
        self._on = True
        self._wired = pins == (wiring["sck"], wiring["mosi"], wiring["miso"])
        self._select = Pin(wiring["cs"])

    def deinit(self):
        self._on = False
        for number in self._pins:
            claims.release(number, self._name)

    def lost(self, number):
        """A plain Pin was made of one of the lines. Bit-banging does not mind."""
        if self._call_us == _HARD_CALL_US:
            self._lost = number

    def _check(self):
        """True: the reader is at the other end. What a board would fail in silence is an error."""
        if not self._on:
            raise OSError("%s: deinitialised" % self._name)
        if self._lost is not None:
            raise RuntimeError("GPIO%d was taken from %s by a Pin" % (self._lost, self._name))
        if not self._wired:
            return False
        if self._select._latch or self._select._mode != 3:
            raise RuntimeError(
                "SPI transfer while the reader's chip-select GPIO%d is high" % self._select._n
            )
        if self._form != (0, 0, 0):
            raise RuntimeError(
                "the reader needs SPI mode 0, MSB first; found polarity %d, phase %d, firstbit %d"
                % self._form
            )
        if self._baudrate > _READER_HZ:
            raise RuntimeError("the reader takes 10 MHz at most, found %d" % self._baudrate)
        return True

    def _transfer(self, out, fixed, into):
        start_us = ticks_us()
        count = len(into) if out is None else len(out)
        if not self._check():
            if into is not None:
                for i in range(count):
                    into[i] = 0
        elif count <= SPI_CHUNK:
            line.spi(out, 0, count, into, fixed)
        else:
            for at in range(0, count, SPI_CHUNK):
                part = min(SPI_CHUNK, count - at)
                line.spi(out, at, part, into and memoryview(into)[at : at + part], fixed)
        end_us = start_us + self._call_us + count * self._byte_ns // 1000
        if end_us - ticks_us() > 2 * _SLEEP_US:
            sleep_us(end_us - ticks_us() - _SLEEP_US)
        while ticks_us() < end_us:
            pass

    def write(self, buf):
        self._transfer(buf if isinstance(buf, (bytes, bytearray)) else memoryview(buf), 0, None)

    def read(self, nbytes, write=0):
        into = bytearray(nbytes)
        self._transfer(None, write & 255, into)
        return bytes(into)

    def readinto(self, buf, write=0):
        self._transfer(None, write & 255, buf)

    def write_readinto(self, write_buf, read_buf):
        if len(write_buf) != len(read_buf):
            raise ValueError("buffers must be the same length")
        self._transfer(write_buf, 0, read_buf)

    def __repr__(self):
        return "%s(baudrate=%d, polarity=%d, phase=%d, sck=%d, mosi=%d, miso=%d)" % (
            (self._name, self._baudrate) + self._form[:2] + self._pins
        )


class SPI(_Bus):
    def __new__(cls, id=-1, *arguments, **keywords):
        if id == -1:
            print("Warning: SPI(-1, ...) is deprecated, use SoftSPI(...) instead")
            return SoftSPI(*arguments, **keywords)
        if id not in _DEFAULTS:
            raise ValueError("SPI(%s) doesn't exist" % id)
        if id not in _buses:
            _buses[id] = object.__new__(cls)
            _buses[id]._pins = ()
            _buses[id]._name = "SPI(%d)" % id
        return _buses[id]

    def __init__(
        self,
        id,
        baudrate=500000,
        *,
        polarity=0,
        phase=0,
        bits=8,
        firstbit=0,
        sck=None,
        mosi=None,
        miso=None,
    ):
        given = (sck, mosi, miso)
        self._id = id
        numbers = tuple(
            default if one is None else pin.number_of(one)
            for one, default in zip(given, _DEFAULTS[id])
        )
        self._set_up("SPI(%d)" % id, baudrate, polarity, phase, bits, firstbit, numbers)

    def init(
        self,
        baudrate=None,
        *,
        polarity=None,
        phase=None,
        bits=8,
        firstbit=None,
        sck=None,
        mosi=None,
        miso=None,
    ):
        _again(self, baudrate, polarity, phase, bits, firstbit, (sck, mosi, miso))


class SoftSPI(_Bus):
    def __init__(
        self,
        baudrate=500000,
        *,
        polarity=0,
        phase=0,
        bits=8,
        firstbit=0,
        sck=None,
        mosi=None,
        miso=None,
    ):
        given = (sck, mosi, miso)
        if None in given:
            raise ValueError("must specify all of sck/mosi/miso")
        self._pins = ()
        self._name = "SoftSPI"
        numbers = tuple(pin.number_of(one) for one in given)
        self._set_up("SoftSPI", baudrate, polarity, phase, bits, firstbit, numbers)

    def init(
        self,
        baudrate=None,
        *,
        polarity=None,
        phase=None,
        bits=8,
        firstbit=None,
        sck=None,
        mosi=None,
        miso=None,
    ):
        _again(self, baudrate, polarity, phase, bits, firstbit, (sck, mosi, miso))


def _again(bus, baudrate, polarity, phase, bits, firstbit, given):
    polarity0, phase0, firstbit0 = bus._form
    bus._set_up(
        bus._name,
        bus._baudrate if baudrate is None else baudrate,
        polarity0 if polarity is None else polarity,
        phase0 if phase is None else phase,
        bits,
        firstbit0 if firstbit is None else firstbit,
        tuple(
            before if one is None else pin.number_of(one) for one, before in zip(given, bus._pins)
        ),
    )
