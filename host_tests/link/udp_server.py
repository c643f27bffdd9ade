"""Somebody who answers over UDP, in a thread of its own."""

import socket
import threading
import time
from collections.abc import Callable, Iterable

# What is done with a question: datagrams, each with the seconds after which it is sent.
Answer = Callable[[bytes], Iterable[tuple[float, bytes]]]


class UdpServer:
    """On 127.0.0.1:`port`; `elsewhere`: answers come from another port. `questions`: as heard."""

    def __init__(self, answer: Answer, elsewhere: bool = False):
        self._answer = answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._other.bind(("127.0.0.1", 0))
        self._from = self._other if elsewhere else self._socket
        self.port = self._socket.getsockname()[1]
        self.questions: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "UdpServer":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(5)
        self._socket.close()
        self._other.close()

    def _serve(self) -> None:
        while True:
            question, asker = self._socket.recvfrom(512)
            if not question:
                return
            self.questions.append(question)
            for after_s, datagram in self._answer(question):
                time.sleep(after_s)
                self._from.sendto(datagram, asker)
