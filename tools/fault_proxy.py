"""A TCP relay between a charger and its broker that goes wrong on demand."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable

_PIECE_S = 0.0005  # between two bytes while splitting
_LOOK_S = 0.01


class FaultProxy:
    """Relays 127.0.0.1:`port` to 127.0.0.1:`target`; may be changed at any time from any thread.

    down, up: what happens to bytes towards the charger and towards the broker: "pass", "stall"
    (held back), "split" (one byte at a time). `down_limit`: how many more bytes pass towards the
    charger before they stall, None for no limit. `deaf`: nothing is read from the charger. `mute`:
    new connections are taken and never answered. `rewrite`: changes each piece towards the charger.
    """

    def __init__(self, target: int):
        self.target = target
        self.port = 0
        self.down = self.up = "pass"
        self.down_limit: int | None = None
        self.deaf = self.mute = False
        self.rewrite: Callable[[bytes], bytes] = lambda data: data
        self.connections = 0
        self._clients: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def heal(self) -> None:
        """Everything passes again."""
        self.down = self.up = "pass"
        self.down_limit = None
        self.deaf = self.mute = False
        self.rewrite = lambda data: data

    def inject(self, data: bytes) -> None:
        """Send the charger bytes of one's own, in between two pieces from the broker."""
        self._call(self._inject(data))

    def drop(self) -> None:
        """Reset every connection to the charger."""
        self._call(self._drop())

    def half_close(self) -> None:
        """End what is sent to the charger, and go on reading from it."""
        self._call(self._half_close())

    def _call(self, coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _listen(self) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that `deaf` is soon felt
        sock.bind(("127.0.0.1", self.port))
        self.port = sock.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=sock)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._clients.append(writer)
        try:
            if self.mute:
                await asyncio.Event().wait()
            above_reader, above_writer = await asyncio.open_connection("127.0.0.1", self.target)
            try:
                await self._both(reader, writer, above_reader, above_writer)
            finally:
                above_writer.close()
        except (OSError, asyncio.CancelledError):
            pass  # the broker or the test is over: so is the connection
        finally:
            self._clients.remove(writer)
            writer.close()

    async def _both(self, reader, writer, above_reader, above_writer) -> None:
        pumps = (self._pump(above_reader, writer, True), self._pump(reader, above_writer, False))
        tasks = [asyncio.ensure_future(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _pump(self, reader, writer, downwards: bool) -> None:
        while True:
            while self.deaf and not downwards:
                await asyncio.sleep(_LOOK_S)
            data = await reader.read(4096 if downwards else 65536)
            if not data:
                return
            if downwards:
                data = self.rewrite(data)
            while data:
                mode = self.down if downwards else self.up
                most = 1 if mode == "split" else len(data)
                if downwards and self.down_limit is not None:
                    most = min(most, self.down_limit)
                if mode == "stall" or most == 0:
                    await asyncio.sleep(_LOOK_S)
                    continue
                piece, data = data[:most], data[most:]
                if downwards and self.down_limit is not None:
                    self.down_limit -= most
                writer.write(piece)
                await writer.drain()
                if mode == "split":
                    await asyncio.sleep(_PIECE_S)

    async def _inject(self, data: bytes) -> None:
        for writer in self._clients:
            writer.write(data)
            await asyncio.wait_for(writer.drain(), 15)

    async def _drop(self) -> None:
        for writer in list(self._clients):
            linger = struct.pack("ii", 1, 0)  # on, 0 s: the close is a reset
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    async def _half_close(self) -> None:
        for writer in self._clients:
            writer.write_eof()

    async def _end(self) -> None:
        self._server.close()
        await self._drop()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()
        await asyncio.sleep(0)
