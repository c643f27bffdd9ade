"""The chip's digital part: the register file, the command unit, and the order of events.

Nothing happens by itself: `settle` brings everything up to a moment, event after event in the
order of their times, and each access from outside settles first.
"""

import random

from tools.virtual.rc522 import registers as reg
from tools.virtual.rc522.air import ETU_CYCLES, Frame, ns
from tools.virtual.rc522.authent import PARAMETERS, Authentication
from tools.virtual.rc522.coprocessor import Coprocessor
from tools.virtual.rc522.crypto1 import Crypto1
from tools.virtual.rc522.field import Field
from tools.virtual.rc522.fifo import Fifo
from tools.virtual.rc522.receiver import LISTENING, RECEIVING, Receiver
from tools.virtual.rc522.timer import Timer
from tools.virtual.rc522.transmitter import SENDING, WAITING, Transmitter

BUFFER_SIZE = 25  # internal buffer of the Mem command (10.3.1.2)
RANDOM_SIZE = 10  # of which GenerateRandomID overwrites these (10.3.1.3)
# Crystal start (typical for 27.12 MHz) and the 1,024 clocks that the chip then counts (8.8.2)
OSCILLATOR_START_NS = 150_000
START_UP_NS = OSCILLATOR_START_NS + 37_760


class Core:
    """Registers and what they drive. Times are nanoseconds on the caller's clock."""

    def __init__(self, field: Field, version: int, rng: random.Random, now_ns: int):
        self.field = field
        self.rng = rng
        self.version = version
        self.now_ns = now_ns
        self.deaf = False
        self.noise = False
        self.wedged = False
        self.buffer = bytes(BUFFER_SIZE)
        self.fifo = Fifo()
        self.timer = Timer()
        self.r = bytearray(reg.RESET)
        self.receiver = Receiver(self)
        self.transmitter = Transmitter(self)
        self.coprocessor = Coprocessor(self)
        self.running = False
        self.reset(now_ns)

    # Life: reset, power-down, start-up

    def hold(self, at_ns: int) -> None:
        """NRSTPD low or supply gone: everything stands, the field is off."""
        self.running = False
        self._halt_units(at_ns)
        self._starts_ns = None
        self._drive_antenna(at_ns)

    def reset(self, at_ns: int, start_up_ns: int = 0) -> None:
        """Registers to their reset values (9.2); ready after `start_up_ns`. The buffer is kept."""
        self._halt_units(at_ns)
        self.r[:] = reg.RESET
        self.r[reg.VERSION] = self.version
        self.command = reg.IDLE
        self.cipher: Crypto1 | None = None
        self.wedged = False
        self.fifo.flush()
        self.com_irq = reg.IDLE_IRQ | reg.LO_ALERT_IRQ
        self.div_irq = 0
        self._asleep = False
        self.running = start_up_ns == 0
        self._starts_ns: int | None = at_ns + start_up_ns if start_up_ns else None
        self._drive_antenna(at_ns)

    def _halt_units(self, at_ns: int) -> None:
        self.transmitter.stop(at_ns)
        self.receiver.stop()
        self.timer.stop(at_ns)
        self._authentication: Authentication | None = None
        self.coprocessor.stop()

    def _sleep(self, at_ns: int) -> None:
        """Soft power-down: registers and FIFO are kept, clock and field are off (8.6.2)."""
        self._asleep = True
        self.running = False
        self._halt_units(at_ns)
        self.command = reg.IDLE
        self._starts_ns = None
        self._drive_antenna(at_ns)

    def _wake(self, at_ns: int) -> None:
        self._asleep = False
        self._starts_ns = at_ns + START_UP_NS

    def _started(self, at_ns: int) -> None:
        self._starts_ns = None
        self.running = True
        self._drive_antenna(at_ns)

    def _drive_antenna(self, at_ns: int) -> None:
        on = self.running and bool(self.r[reg.TX_CONTROL] & reg.TX_RF_EN)
        self.field.switch_carrier(on, at_ns)
        if on:
            self.transmitter.carrier_on(at_ns)

    # Time

    def settle(self, now_ns: int) -> None:
        """Let everything happen that is due by `now_ns`, in order."""
        while True:
            due, step = self._next_event()
            if due is None or due > now_ns or step is None:
                break
            self.now_ns = max(due, self.now_ns)
            step(self.now_ns)
        if now_ns > self.now_ns:
            self.now_ns = now_ns

    @property
    def next_event_ns(self) -> int | None:
        """When something next happens inside, if nobody writes."""
        return self._next_event()[0]

    def _next_event(self):
        due, step = self.timer.due, self._timer_expires
        other = self.receiver.due
        if other is not None and (due is None or other < due):
            due, step = other, self.receiver.run
        other = self.transmitter.due
        if other is not None and (due is None or other < due):
            due, step = other, self.transmitter.run
        other = self.coprocessor.due
        if other is not None and (due is None or other < due):
            due, step = other, self.coprocessor.run
        other = self._starts_ns
        if other is not None and (due is None or other < due):
            due, step = other, self._started
        return due, step

    # Requests and errors

    def request(self, bits: int) -> None:
        """Set bits of ComIrqReg."""
        self.com_irq |= bits

    def error(self, bits: int) -> None:
        """Set bits of ErrorReg, and ErrIRq."""
        self.r[reg.ERROR] |= bits
        self.com_irq |= reg.ERR_IRQ

    def clear_errors(self, bits: int) -> None:
        """Clear bits of ErrorReg."""
        self.r[reg.ERROR] &= ~bits & 0xFF

    @property
    def interrupt(self) -> bool:
        """Status1Reg IRq: any request whose enable bit is set."""
        com = self.com_irq & self.r[reg.COM_IEN] & 0x7F
        return bool(com or self.div_irq & self.r[reg.DIV_IEN] & (reg.MFIN_IRQ | reg.CRC_IRQ))

    def fifo_changed(self) -> None:
        """The level alarms request for as long as they hold (9.3.1.5)."""
        water = self.r[reg.WATER_LEVEL]
        if self.fifo.high(water):
            self.com_irq |= reg.HI_ALERT_IRQ
        if self.fifo.low(water):
            self.com_irq |= reg.LO_ALERT_IRQ

    # What the radio asks and tells

    def modulates(self) -> bool:
        """Whether a card sees the modulation: type A needs 100 % ASK, from the chip's own coder."""
        r = self.r
        full_depth = r[reg.TX_ASK] & reg.FORCE_100_ASK or not r[reg.MOD_GS_P]
        own_coder = r[reg.TX_SEL] >> 4 & 3 == 1
        return bool(full_depth and own_coder and not r[reg.TX_MODE] & 0x70)

    def receives(self) -> bool:
        """Whether the receiver can make anything of an answer."""
        r = self.r
        off = r[reg.COMMAND] & reg.RCV_OFF or r[reg.RX_MODE] & 0x70
        return not (off or self.deaf or self.wedged or r[reg.RX_SEL] >> 6 != 2)

    def sent(self, at_ns: int, anything: bool) -> None:
        """The transmitter has sent the last bit."""
        if self.command == reg.MF_AUTHENT:
            self._start_timer_after_sending(at_ns)
            self._listen(at_ns, to_fifo=False)
            return
        if anything:
            self.request(reg.TX_IRQ)
            self._start_timer_after_sending(at_ns)
        if self.command == reg.TRANSMIT:
            self._command_ends()
        elif self.command == reg.TRANSCEIVE and anything:
            self._listen(at_ns)

    def receive_byte(self, value: int) -> None:
        """The receiver has a byte for the FIFO."""
        if not self.fifo.push(value):
            self.error(reg.BUFFER_OVFL)
        self.fifo_changed()

    def received(self, at_ns: int, frame: Frame) -> None:
        """The receiver has seen the end of a frame."""
        if self._authentication is not None:
            self._authentication.received(at_ns, frame)
            return
        if not self.r[reg.RX_MODE] & reg.RX_NO_ERR or len(self.fifo):
            self.request(reg.RX_IRQ)
        if self.r[reg.RX_MODE] & reg.RX_MULTIPLE:
            self.receive_byte(self.r[reg.ERROR])
            self.receiver.listen(at_ns)
        elif self.command == reg.RECEIVE:
            self._command_ends()

    def stop_timer_on_reception(self, at_ns: int) -> None:
        """The fifth bit has come in (9.3.3.10, TAuto)."""
        if self.r[reg.T_MODE] & reg.T_AUTO and not self.r[reg.RX_MODE] & reg.RX_MULTIPLE:
            self.timer.stop(at_ns)

    def finish_authentication(self, cipher: Crypto1 | None, errors: int) -> None:
        """MFAuthent ends itself, with the cipher on or with an error."""
        self._authentication = None
        self.cipher = cipher
        self.receiver.stop()
        if errors:
            self.error(errors)
        self._command_ends()

    def _listen(self, at_ns: int, to_fifo: bool = True) -> None:
        rx_wait = self.r[reg.RX_SEL] & 0x3F
        self.receiver.listen(at_ns + ns(rx_wait * ETU_CYCLES), to_fifo)

    # Timer

    def _start_timer_after_sending(self, at_ns: int) -> None:
        if self.r[reg.T_MODE] & reg.T_AUTO:
            self._start_timer(at_ns)

    def _start_timer(self, at_ns: int) -> None:
        r = self.r
        prescaler = (r[reg.T_MODE] & 0x0F) << 8 | r[reg.T_PRESCALER]
        even = self.version >= 0x92 and r[reg.DEMOD] & reg.T_PRESCAL_EVEN
        reload = r[reg.T_RELOAD_H] << 8 | r[reg.T_RELOAD_L]
        self.timer.start(at_ns, 2 * prescaler + (2 if even else 1), reload)

    def _timer_expires(self, at_ns: int) -> None:
        self.timer.expire()
        self.request(reg.TIMER_IRQ)
        if self.r[reg.T_MODE] & reg.T_AUTO_RESTART:
            self._start_timer(at_ns)

    # Commands (chapter 10)

    def _command_ends(self) -> None:
        self.command = reg.IDLE
        self.request(reg.IDLE_IRQ)

    def _begin(self, command: int, at_ns: int) -> None:
        if command == reg.NO_CMD_CHANGE:
            return
        self._cancel(at_ns)
        self.command = command
        if command == reg.IDLE:
            return
        self.r[reg.ERROR] = 0
        if command == reg.MEM:
            self._mem()
        elif command == reg.RANDOM_ID:
            self.buffer = self.rng.randbytes(RANDOM_SIZE) + self.buffer[RANDOM_SIZE:]
            self._command_ends()
        elif command == reg.CALC_CRC:
            self.coprocessor.start(at_ns)
        elif command == reg.TRANSMIT:
            self.transmitter.start(at_ns)
        elif command == reg.RECEIVE:
            self.receiver.listen(at_ns)
        elif command == reg.MF_AUTHENT:
            self._authenticate(at_ns)
        elif command != reg.TRANSCEIVE:
            self._command_ends()

    def _cancel(self, at_ns: int) -> None:
        self.transmitter.stop(at_ns)
        self.receiver.stop()
        self._authentication = None
        self.coprocessor.stop()

    def _authenticate(self, at_ns: int) -> None:
        parameters = self.fifo.take(PARAMETERS)
        self.fifo_changed()
        if len(parameters) < PARAMETERS:
            self.finish_authentication(None, reg.PROTOCOL_ERR)
            return
        self._authentication = Authentication(self, parameters)
        self._authentication.start(at_ns)

    def _mem(self) -> None:
        if len(self.fifo):
            taken = self.fifo.take(BUFFER_SIZE)
            self.buffer = taken + self.buffer[len(taken) :]
        else:
            for value in self.buffer:
                self.fifo.push(value)
        self.fifo_changed()
        self._command_ends()

    # Register access

    def read(self, address: int) -> int:
        """What the host sees at `address` now."""
        if address == reg.FIFO_DATA:
            return self._read_fifo()
        if address == reg.COM_IRQ:
            return self.com_irq
        if address == reg.FIFO_LEVEL:
            return len(self.fifo)
        if address == reg.COMMAND:
            down = self._asleep or self._starts_ns is not None
            return self.r[reg.COMMAND] | (reg.POWER_DOWN if down else 0) | self.command
        if address == reg.DIV_IRQ:
            return self.div_irq
        if address == reg.STATUS1:
            return self._status1()
        if address == reg.STATUS2:
            crypto = reg.CRYPTO1_ON if self.cipher is not None or self.wedged else 0
            return self.r[reg.STATUS2] | crypto | self._modem_state()
        if address == reg.T_COUNTER_H:
            return self.timer.value(self.now_ns) >> 8
        if address == reg.T_COUNTER_L:
            return self.timer.value(self.now_ns) & 0xFF
        return self.r[address]

    def write(self, address: int, value: int) -> None:
        """The host writes `value` to `address` now."""
        if self._starts_ns is not None:
            return  # no clock yet: the write is lost (8.8.2)
        at_ns = self.now_ns
        mask = reg.WRITABLE[address]
        if mask:
            self.r[address] = self.r[address] & ~mask & 0xFF | value & mask
        if address == reg.FIFO_DATA:
            self._write_fifo(value)
        elif address == reg.COMMAND:
            self._write_command(value, at_ns)
        elif address == reg.COM_IRQ:
            self._mark(value)
        elif address == reg.BIT_FRAMING:
            if value & reg.START_SEND:
                self._start_send(at_ns)
        elif address == reg.FIFO_LEVEL:
            if value & reg.FLUSH:
                self.fifo.flush()
                self.clear_errors(reg.BUFFER_OVFL)
                self.fifo_changed()
        elif address == reg.DIV_IRQ:
            bits = value & (reg.MFIN_IRQ | reg.CRC_IRQ)
            self.div_irq = self.div_irq | bits if value & reg.SET2 else self.div_irq & ~bits
        elif address == reg.CONTROL:
            if value & reg.T_STOP_NOW:
                self.timer.stop(at_ns)
            if value & reg.T_START_NOW and self.running:
                self._start_timer(at_ns)
        elif address == reg.STATUS2:
            if not value & reg.CRYPTO1_ON:
                self.cipher = None
        elif address == reg.TX_CONTROL:
            self._drive_antenna(at_ns)
        elif address == reg.WATER_LEVEL:
            self.fifo_changed()

    def _read_fifo(self) -> int:
        if self.command == reg.MF_AUTHENT:
            self.error(reg.WR_ERR)
            return 0
        value = self.fifo.pop()
        self.fifo_changed()
        return value

    def _write_fifo(self, value: int) -> None:
        if self.command == reg.MF_AUTHENT:
            self.error(reg.WR_ERR)
            return
        if self.receiver.state in (LISTENING, RECEIVING):
            self.error(reg.WR_ERR)
        if not self.fifo.push(value):
            self.error(reg.BUFFER_OVFL)
        self.fifo_changed()
        if self.command == reg.CALC_CRC:
            self.coprocessor.feed(self.now_ns)

    def _write_command(self, value: int, at_ns: int) -> None:
        command = value & 0x0F
        if command == reg.SOFT_RESET:
            asleep = self._asleep
            self.reset(at_ns, START_UP_NS if asleep else 0)
            return
        self.r[reg.COMMAND] = value & reg.RCV_OFF
        if value & reg.POWER_DOWN:
            if not self._asleep:
                self._sleep(at_ns)
            return
        if self._asleep:
            self._wake(at_ns)
            return
        self._begin(command, at_ns)

    def _mark(self, value: int) -> None:
        if value & reg.SET1:
            self.com_irq |= value & 0x7F
        else:
            self.com_irq &= ~value & 0x7F
        self.fifo_changed()

    def _start_send(self, at_ns: int) -> None:
        busy = self.transmitter.state in (WAITING, SENDING)
        if self.command != reg.TRANSCEIVE or busy or not len(self.fifo):
            return
        self.receiver.stop()
        self.transmitter.start(at_ns)

    def _status1(self) -> int:
        water = self.r[reg.WATER_LEVEL]
        return (
            self.r[reg.STATUS1] & (reg.CRC_OK | reg.CRC_READY)
            | (reg.IRQ_BIT if self.interrupt else 0)
            | (reg.T_RUNNING if self.timer.running else 0)
            | (reg.HI_ALERT if self.fifo.high(water) else 0)
            | (reg.LO_ALERT if self.fifo.low(water) else 0)
        )

    def _modem_state(self) -> int:
        """Status2Reg ModemState (9.3.1.9)."""
        if self.transmitter.state == SENDING:
            return 3
        if self.transmitter.state == WAITING:
            return 2
        if self.receiver.state == RECEIVING:
            return 6
        if self.receiver.state == LISTENING:
            return 4 if self.now_ns < self.receiver.opens_ns else 5
        return 1 if self.command == reg.TRANSCEIVE else 0
