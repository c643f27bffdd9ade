"""The watchdog timer, fed only while every task is alive."""

from time import ticks_diff


class Watchdog:
    """Feeds `wdt` as long as each task has beaten within its own limit.

    Once a task is late the feeding stops for good unless the task beats again; the timer then
    resets the board, and `boot.py` opens the contactor.
    """

    def __init__(self, wdt):
        self._wdt = wdt
        self._tasks = []

    def task(self, name: str, limit_ms: int):
        """Register a task; return the function that it calls while it is alive.

        The limit is counted from the first `feed` after this. The function allocates nothing and
        may be called from anywhere.
        """
        task = _Task(name, limit_ms)
        self._tasks.append(task)
        return task.beat

    def starting(self) -> None:
        """Feed although no task runs yet: the start goes on."""
        self._wdt.feed()

    def forget(self) -> None:
        """No task runs any more, so none can be late: for somebody at the console."""
        self._tasks = []

    def feed(self, now_ms: int) -> bool:
        """Feed if nobody is late; call it several times within the timer's period."""
        alive = True
        for task in self._tasks:
            if task.beaten:
                task.beaten = False
                task.seen_ms = now_ms
                task.overdue = False
            elif task.overdue or ticks_diff(now_ms, task.seen_ms) > task.limit_ms:
                task.overdue = True  # kept: the ticks wrap, a task that is gone stays gone
                alive = False
        if alive:
            self._wdt.feed()
        return alive

    def late(self, now_ms: int) -> list:
        """The names of the tasks that keep the watchdog hungry."""
        return [
            task.name
            for task in self._tasks
            if not task.beaten
            and (task.overdue or ticks_diff(now_ms, task.seen_ms) > task.limit_ms)
        ]


class _Task:
    def __init__(self, name, limit_ms):
        self.name = name
        self.limit_ms = limit_ms
        self.beaten = True
        self.overdue = False
        self.seen_ms = 0

    def beat(self):
        self.beaten = True
