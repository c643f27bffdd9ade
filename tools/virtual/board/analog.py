"""machine.PWM and machine.ADC."""

import claims
import line
import pin
import wire

_MAX_HZ = 40_000_000
_CHANNELS = 16  # LEDC channels of the ESP32: 8 high-speed, 8 low-speed
_pwms = {}


class PWM:
    def __new__(cls, dest, *arguments, **keywords):
        number = pin.number_of(dest)
        if number not in _pwms:
            _pwms[number] = object.__new__(cls)
        return _pwms[number]

    def __init__(self, dest, freq=None, duty=None, *, duty_u16=None, duty_ns=None, invert=None):
        number = pin.number_of(dest)
        claims.check_output(number)
        if claims.holder(number) != "PWM":
            if sum(1 for pwm in _pwms.values() if getattr(pwm, "_on", False)) >= _CHANNELS:
                raise RuntimeError("out of PWM channels:%d" % _CHANNELS)
            claims.claim(number, "PWM")
            self._n = number
            self._freq = 5000
            self._duty = 0x8000
            self._invert = False
            self._packet = bytearray(10)
            self._packet[0] = 8
            self._packet[2] = wire.PWM
            self._packet[3] = number
            self._on = True
        self._change(freq, duty, duty_u16, duty_ns, invert)

    def init(self, freq=None, duty=None, *, duty_u16=None, duty_ns=None, invert=None):
        claims.claim(self._n, "PWM")
        self._on = True
        self._change(freq, duty, duty_u16, duty_ns, invert)

    def _change(self, freq, duty, duty_u16, duty_ns, invert):
        if sum(1 for one in (duty, duty_u16, duty_ns) if one is not None) > 1:
            raise ValueError("only one of parameters 'duty', 'duty_u16' or 'duty_ns' is possible")
        if freq is not None:
            if not 0 < freq <= _MAX_HZ:
                raise ValueError("frequency must be from 1Hz to 40MHz")
            self._freq = freq
        if invert is not None:
            self._invert = bool(invert)
        if duty is not None:
            self._duty = _in_range("duty", duty, 1024) * 65536 // 1024
        elif duty_u16 is not None:
            self._duty = _in_range("duty_u16", duty_u16, 65536)
        elif duty_ns is not None:
            if not 0 <= duty_ns <= 1000000000 // self._freq:
                raise ValueError("duty_ns must be from 0 to %d ns" % (1000000000 // self._freq))
            self._duty = duty_ns * self._freq * 65536 // 1000000000
        self._send()

    def _send(self):
        if not self._on:
            raise RuntimeError("PWM is inactive")
        duty = min(self._duty, 65535)
        if self._invert:
            duty = 65535 - duty
        packet = self._packet
        packet[4] = duty & 255
        packet[5] = duty >> 8
        freq = self._freq
        packet[6] = freq & 255
        packet[7] = freq >> 8 & 255
        packet[8] = freq >> 16 & 255
        packet[9] = freq >> 24
        line.tell(packet, 10)

    def freq(self, value=None):
        if value is None:
            return self._freq
        self._change(value, None, None, None, None)
        return None

    def duty(self, value=None):
        if value is None:
            return self._duty * 1024 // 65536
        self._change(None, value, None, None, None)
        return None

    def duty_u16(self, value=None):
        if value is None:
            return min(self._duty, 65535)
        self._change(None, None, value, None, None)
        return None

    def duty_ns(self, value=None):
        if value is None:
            return self._duty * 1000000000 // (self._freq * 65536)
        self._change(None, None, None, value, None)
        return None

    def deinit(self):
        if self._on:
            self._on = False
            claims.release(self._n, "PWM")
            line.tell(bytes((4, 0, wire.MODE, self._n, wire.MODE_OFF, 0)), 6)

    def __repr__(self):
        return "PWM(Pin(%d), freq=%d, duty_u16=%d)" % (self._n, self._freq, self.duty_u16())


def _in_range(name, value, top):
    if not 0 <= value <= top:
        raise ValueError("%s must be from 0 to %d" % (name, top - 1))
    return value


_FULL_SCALE_UV = (950_000, 1_250_000, 1_750_000, 3_120_000)  # by attenuation
_USABLE_UV = (950_000, 1_250_000, 1_750_000, 3_100_000)
wifi_active = None  # set by `network`: the radio takes ADC2


class ADC:
    ATTN_0DB = 0
    ATTN_2_5DB = 1
    ATTN_6DB = 2
    ATTN_11DB = 3
    WIDTH_9BIT = 9
    WIDTH_10BIT = 10
    WIDTH_11BIT = 11
    WIDTH_12BIT = 12

    def __init__(self, dest, *, sample_ns=None, atten=None):
        number = pin.number_of(dest)
        if number not in claims.ADC1_PINS and number not in claims.ADC2_PINS:
            raise ValueError("invalid pin")
        claims.claim(number, "ADC")
        self._n = number
        self._atten = 0
        self._bits = 12
        self._packet = bytes((2, 0, wire.ADC, number))
        self._answer = bytearray(4)
        if atten is not None:
            self.atten(atten)

    def init(self, *, sample_ns=None, atten=None):
        if atten is not None:
            self.atten(atten)

    def atten(self, atten):
        if atten not in (0, 1, 2, 3):
            raise ValueError("invalid atten")
        self._atten = atten

    def width(self, bits):
        if bits not in (9, 10, 11, 12):
            raise ValueError("invalid bits")
        self._bits = bits

    def _microvolts(self):
        if self._n in claims.ADC2_PINS and wifi_active is not None and wifi_active():
            raise OSError(110, "GPIO%d is on ADC2, which Wi-Fi uses" % self._n)
        line.ask(self._packet, 4, self._answer, 4)
        return int.from_bytes(self._answer, "little")

    def read_uv(self):
        return min(self._microvolts(), _USABLE_UV[self._atten])

    def read_u16(self):
        raw = min(self._microvolts() * 4095 // _FULL_SCALE_UV[self._atten], 4095)
        return raw << 4 | raw >> 8

    def read(self):
        raw = min(self._microvolts() * 4095 // _FULL_SCALE_UV[self._atten], 4095)
        return raw >> (12 - self._bits)

    def deinit(self):
        claims.release(self._n, "ADC")
