"""A charger's life as its journal sees it, cut short anywhere, and what must be true afterwards."""

from firmware.journal.head import STOPS_MOST
from firmware.journal.journal import Journal

T = 1_800_000_000
TOKEN = "0123456789abcd"
HOLDER = {"token": TOKEN, "role": "user", "by": "card"}


def started(**more) -> dict:
    return dict(HOLDER, group=7) | more


def ended(n, wh=0, end=None, **more) -> dict:
    return dict(HOLDER, session=n, start=T, end=end, wh=wh, reason="card") | more


class Life:
    """Goes through `steps` with a journal in `folder`. `cut()`: whether the supply is gone.

    `added`: n -> event, all there ever were. `safe`: the numbers of those that the journal had all
    its time to store. `arrived`: n -> event, what the portal has. `opens`: the number of the
    session that runs, or None, as it may be on the flash: as of the last time all was stored, and
    each change since.
    """

    def __init__(self, folder, files, cut=lambda: False):
        self.cut = cut
        self.added = {}
        self.safe = set()
        self.arrived = {}
        self.acknowledged = set()
        self.numbers = []
        self.opens = [None]
        self.found_running = False
        self._now_ms = 0
        self._packet = 0
        self.journal = Journal(folder, files)

    def load(self):
        found = self.journal.load()
        left = self.journal.open
        self.opens = [left.n if left else None]
        return found

    def add(self, event, fields, t=None):
        n = self.journal.add(event, fields, t, self._now_ms // 1_000)
        if self.cut():
            return n  # it never was
        self.numbers.append(n)
        self.added[n] = (event, fields)
        left = self.journal.open
        self.opens.append(left.n if left else None)
        return n

    def ask(self):
        n = self.journal.header(T, 1)["n"]
        if not self.cut():
            self.numbers.append(n)

    def settle(self, ms=200):
        """Time enough for the journal to store all it has."""
        for _ in range(0, ms, 50):
            self._now_ms += 50
            self.journal.flush(self._now_ms)
        if not self.cut() and self.journal.stored:
            self.safe = set(self.added)
            self.opens = self.opens[-1:]

    def wait(self, seconds):
        self._now_ms += 1_000 * seconds
        self.settle()

    def deliver(self, most=1 << 30, acknowledged=True):
        """Up to four are on their way at once, and arrive; whether they are acknowledged."""
        journal = self.journal
        while most > 0 and not self.cut():
            batch = []
            while len(batch) < min(4, most):
                body = journal.unsent()
                if body is None:
                    break
                self._packet += 1
                batch.append((self._packet, body["n"]))
                journal.sent(body["n"], self._packet)
                self.arrived[body["n"]] = body
            if not batch:
                return
            if acknowledged:
                for packet, n in reversed(batch):
                    journal.acknowledged(packet)
                    self.acknowledged.add(n)
            most -= len(batch)
            self.settle(50)


def steps(life):
    """A life with everything in it: online, offline, full heads, segments that come and go."""
    life.add("booted", {"cause": "power"})
    life.settle()
    yield
    n = life.add("session_started", started(), T)
    life.settle()
    yield
    life.deliver()
    for wh in (5, 10):
        life.journal.reading(wh * 1_000, T + wh, wh)
        life.settle()
        yield
    life.ask()
    life.add("session_ended", ended(n, 12, T + 60), T + 60)
    life.add("list_applied", {"v": 3, "digest": "00112233445566778899aabbccddeeff", "cards": 9})
    life.settle()
    yield
    life.deliver(1)
    life.wait(61)
    yield
    for i in range(16):
        n = life.add("session_started", started(group=i))
        if i % 3 == 0:
            life.settle()
            yield
        life.journal.reading(i * 1_000, None, i)
        life.add("card_refused", {"verdict": "Unknown", "token": TOKEN, "i": i}, T + i)
        life.settle()
        life.add("session_ended", ended(n, i), T + i)
        life.settle()
        yield
    life.deliver(20)
    yield
    life.deliver(4, False)
    life.journal.link_lost()
    life.deliver()
    life.wait(61)
    yield
    n = life.add("session_started", started(token=None, role=None, by="open", group=0), T + 99)
    life.settle()
    life.journal.reading(70_000, T + 100, 200)
    life.settle()
    yield


def check(before, after, torn=False):
    """`after`: a new life on what the flash holds once `before` was cut. `torn`: a head may be, as
    littlefs leaves none."""
    damage = after.load()
    left = after.journal.open
    assert damage is None or (torn and damage in ("head a", "head b")), damage
    assert damage is None or left is None or left.stops == STOPS_MOST
    after.found_running = left is not None
    assert (left.n if left else None) in before.opens, (left, before.opens)
    assert left is None or left.last_boot <= after.journal.boot
    pending = after.journal.pending
    for n in before.numbers:  # not even one that a question has used
        assert after.journal.header(None, 0)["n"] > n
    after.deliver()
    assert len(after.arrived) == pending, (len(after.arrived), pending)
    if left:
        fields = ended(left.n, left.mwh // 1_000, reason="power_loss")
        fields.update({"last_boot": left.last_boot, "last_up": left.last_up})
        after.add("session_ended", fields)
    after.add("booted", {"cause": "power"})
    after.settle()
    after.deliver()
    numbers = list(after.arrived)
    assert len(numbers) == len(set(numbers))
    together = dict(before.arrived)
    for n, body in after.arrived.items():
        assert together.get(n, body) == body, (together[n], body)
        together[n] = body
    assert not before.safe - set(together), before.safe - set(together)
    for n, body in together.items():
        event, fields = before.added.get(n) or after.added[n]
        assert body["event"] == event
        for name in fields:
            assert body[name] == fields[name], (body, fields)
    ends = [each["session"] for each in together.values() if each["event"] == "session_ended"]
    starts = [n for n, each in together.items() if each["event"] == "session_started"]
    assert sorted(ends) == sorted(starts), (starts, ends)
    assert after.journal.pending == 0 and after.journal.open is None
