"""`tapgate serve` beside a test: in a thread of this process, or as a process to be killed."""

import asyncio
import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from host_tests.portal.conftest import process
from tools.portal import serving, signing
from tools.portal.duty import Duty

WITHIN_S = 20.0


def until(condition: Callable[[], Any], what: Any = "", within_s: float = WITHIN_S) -> Any:
    """The first true value of `condition()`."""
    end = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.01)
    return value


class Served:
    """Runs from the start of the block to its end. `lines`: what it said."""

    def __init__(self, home: Path, grace_s: int = 3_600, beside: Sequence[Duty] = ()):
        self.lines: list[str] = []
        self.done: Counter = Counter()
        self.error: BaseException | None = None
        self._home, self._grace_s, self._beside = home, grace_s, beside
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Served":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def ready(self) -> "Served":
        self.says("ready")
        return self

    def says(self, text: str, since: int = 0) -> str:
        """The first line with that text, from line `since` on."""
        return until(
            lambda: next((line for line in self.lines[since:] if text in line), None),
            lambda: f"never said {text!r}: {self.lines} {self.error!r}",
        )

    def stop(self) -> Counter:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.done

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self.done = self._loop.run_until_complete(
                serving.serve(
                    self._home,
                    grace_s=self._grace_s,
                    say=self.lines.append,
                    stop=self._stop,
                    beside=self._beside,
                )
            )
        except BaseException as error:
            self.error = error


class ServeProcess:
    """`tapgate serve` as its users run it."""

    def __init__(self, home: Path, *options: str):
        self.lines: list[str] = []
        self._news: queue.Queue[str | None] = queue.Queue()
        self.process = process("serve", "--home", str(home), *options)
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "ServeProcess":
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()

    def says(self, text: str, within_s: float = WITHIN_S) -> str:
        return until(
            lambda: next((line for line in self.lines if text in line), None),
            lambda: f"never said {text!r}: {self.lines}, exit status {self.process.poll()}",
            within_s,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


def event(
    key: bytes, n: int, name: str = "booted", charger: str = "garage", **fields: Any
) -> tuple[str, bytes]:
    """(topic, payload) of an event as that charger would send it."""
    topic = f"tapgate/home/{charger}/event"
    body = {"n": n, "boot": 1, "t": None, "up": n, "event": name, **fields}
    return topic, signing.sign(key, topic, body)


def state(due: dict[str, Any], **change: Any) -> str:
    """What a charger says that holds what it should."""
    held = {name: due[name] for name in ("version", "digest", "cards")}
    return json.dumps(
        {"online": True, "state": "available", "access": due["access"], "allowlist": held, **change}
    )
