"""MFAuthent: the reader's side of the MIFARE Classic authentication (data sheet 10.3.1.9)."""

from typing import TYPE_CHECKING

from tools.virtual.rc522 import registers as reg
from tools.virtual.rc522.air import Frame, standard_frame, take_apart
from tools.virtual.rc522.crc import crc_a
from tools.virtual.rc522.crypto1 import Crypto1, successor

if TYPE_CHECKING:
    from tools.virtual.rc522.core import Core

PARAMETERS = 12  # code, block, key[6], number[4]


class Authentication:
    """One run of the command; ends itself when the card has proved its key, or at an error."""

    def __init__(self, core: "Core", parameters: bytes):
        self._core = core
        self._command = parameters[:2]
        self._cipher = Crypto1(parameters[2:8])
        self._number = parameters[8:]
        self._nested = core.cipher is not None
        self._awaiting_nonce = True
        self._proof = b""

    def start(self, at_ns: int) -> None:
        """Send the first frame, under the old cipher if there is one."""
        core = self._core
        command = self._command + crc_a(self._command)
        old, core.cipher = core.cipher, None
        frame = standard_frame(command) if old is None else old.encrypt(command)
        core.transmitter.start(at_ns, frame)

    def received(self, at_ns: int, frame: Frame) -> None:
        """The card's nonce, or its proof."""
        core, cipher = self._core, self._cipher
        plain_nonce = self._awaiting_nonce and not self._nested
        if frame.length != 36 or (plain_nonce and not take_apart(frame).intact):
            core.finish_authentication(None, reg.PROTOCOL_ERR)
        elif self._awaiting_nonce:
            self._awaiting_nonce = False
            core.transmitter.start(at_ns, self._answer(cipher, frame))
        else:
            answer, intact = cipher.decrypt(frame)
            if intact and answer == self._proof:
                core.finish_authentication(cipher, 0)
            else:
                core.finish_authentication(None, reg.PROTOCOL_ERR)

    def _answer(self, cipher: Crypto1, frame: Frame) -> Frame:
        """{nR}{aR} for the nonce in `frame`."""
        if self._nested:
            hidden = take_apart(frame).data
            nonce = bytes(
                value ^ cipher.stream(value ^ uid, encrypted=True)
                for value, uid in zip(hidden, self._number, strict=True)
            )
        else:
            nonce = take_apart(frame).data
            for uid, value in zip(self._number, nonce, strict=True):
                cipher.stream(uid ^ value)
        challenge = self._core.rng.randbytes(4)
        first = cipher.encrypt(challenge, feed=True)
        second = cipher.encrypt(successor(nonce, 64))
        self._proof = successor(nonce, 96)
        return Frame(first.bits | second.bits << first.length, first.length + second.length)
