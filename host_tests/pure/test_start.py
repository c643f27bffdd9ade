"""The start of a charger with stands in the place of its parts (firmware/start.py)."""

import sys

from host_tests.pure.loading import Stand

sys.modules["machine"] = Stand()  # pyright: ignore[reportArgumentType]
try:
    from firmware import start
finally:
    del sys.modules["machine"]


class _Board:
    """What start.py finds on a board, and what it did there, in order."""

    def __init__(self, ended_by, makes=None, guarded=True):
        self.done = done = []
        self.updates = updates = []

        class App:
            feed = "feed"

            def __init__(self, *parts):
                updates.append(parts[-1])
                if makes:
                    raise makes

            def run(self):
                if isinstance(ended_by, BaseException):
                    raise ended_by

            def open(self):
                done.append("opened")

        class Timer:
            def __init__(self, number):
                pass

            def init(self, period, callback):
                done.append("timer")
                if makes:
                    callback(None)

        fed = Stand(starting=lambda: done.append("fed"))
        made = Stand(guarded=fed if guarded else None)
        board = Stand(Board=lambda settings, machine: made, alarm=lambda lamp, machine: None)
        config = Stand(
            load=lambda path: {"broker": {"tls": False}},
            read=lambda path: {},
            lamp=lambda found: {},
            ConfigError=KeyError,
        )
        self.config = config
        self.machine = Stand(Timer=Timer, reset=lambda: done.append("reset"))
        self.sleep = lambda seconds: done.append("pause")
        self._modules = {
            "network": Stand(),
            "firmware": Stand(config=config),
            "firmware.config": config,
            "firmware.app": Stand(App=App),
            "firmware.hardware": Stand(board=board),
            "firmware.hardware.board": board,
            "firmware.update": Stand(Update=lambda state: ("update", state)),
        }

    def start(self, say=lambda *_: None, state=None):
        before = {}
        for name in self._modules:
            before[name] = sys.modules.pop(name, None)
            sys.modules[name] = self._modules[name]
        start.machine, start.print, start.time = self.machine, say, Stand(sleep=self.sleep)
        start.forget = lambda name: None  # only a real module can be emptied
        try:
            return start.run(state)
        finally:
            del start.print
            for name in before:
                sys.modules.pop(name, None)
                if before[name] is not None:
                    sys.modules[name] = before[name]


def test_ctrl_c_opens_the_contactor_and_leaves_the_board_fed():
    board = _Board(KeyboardInterrupt())
    assert board.start(lambda *_: board.done.append("said")) is True
    assert board.done == ["opened", "timer", "said"]


def test_ctrl_c_while_the_charger_is_being_made_leaves_the_board_fed():
    board = _Board(None, makes=KeyboardInterrupt())
    assert board.start() is True
    assert board.done == ["timer", "fed"]
    board = _Board(None, makes=KeyboardInterrupt(), guarded=False)
    assert board.start() is True
    assert board.done == [], "no watchdog runs yet"


def test_a_second_ctrl_c_finds_the_contactor_open():
    board = _Board(KeyboardInterrupt())

    def pressed_again(*_):
        raise KeyboardInterrupt

    try:
        board.start(pressed_again)
    except KeyboardInterrupt:
        pass
    assert board.done == ["opened", "timer"]


def test_a_charger_that_breaks_opens_the_contactor_and_starts_again():
    board = _Board(ValueError("broken"))
    board.start()
    assert board.done == ["opened", "pause", "reset"]


def test_what_breaks_before_there_is_a_charger_is_main_pys_to_say():
    board = _Board(None, makes=ValueError("broken"))
    try:
        board.start()
        raise AssertionError("not raised")
    except ValueError:
        pass
    assert board.done == []


def test_a_configuration_that_is_not_allowed_is_said_and_no_charger_is_made():
    board = _Board(None)

    def refused(path):
        raise KeyError("wifi.ssid")

    board.config.load = refused
    said = []
    assert board.start(lambda *words: said.append(words[0])) is False
    assert said == ["tapgate cannot start:"] and board.updates == []


def test_only_what_is_on_trial_or_has_something_to_tell_keeps_the_state_of_the_update():
    told = {"version": "0.2.0", "why": "3 crashes"}
    for state, kept in (
        (None, False),
        ({"proven": True, "gave_up": None}, False),
        ({"proven": True}, False),
        ({"proven": False}, True),
        ({"proven": True, "gave_up": told}, True),
    ):
        board = _Board(None)
        board.start(state=state)
        assert board.updates == [("update", state) if kept else None]
        assert state is None or bool(state) is kept


class _Chip:
    """Takes what it is told to, as the port's driver: it raises what goes wrong."""

    def __init__(self):
        self.broken = False
        self.readblocks = self.writeblocks

    def writeblocks(self, number, data, offset=0):
        if self.broken:
            raise OSError(-0x6001, "ESP_ERR_FLASH_OP_FAIL")

    def ioctl(self, what, argument):
        self.writeblocks(0, b"")
        return 512 if what == 4 else 0


def test_what_fails_at_the_flash_is_an_answer_first_of_a_bad_block_and_then_of_a_chip():
    chip = _Chip()
    blocks = start.Blocks(chip)
    assert blocks.readblocks == chip.readblocks
    assert (blocks.writeblocks(7, b"x", 32), blocks.ioctl(4, 0), blocks.ioctl(6, 7)) == (0, 512, 0)
    chip.broken = True
    bad_block, nothing = -84, -5  # littlefs: LFS_ERR_CORRUPT, LFS_ERR_IO
    answers = [blocks.writeblocks(7, b"x", 32) for _ in range(5)]
    answers += [blocks.ioctl(6, number) for number in range(5)]
    assert answers == [bad_block] * 8 + [nothing] * 2
    chip.broken = False
    blocks.ioctl(6, 7)
    chip.broken = True
    assert blocks.writeblocks(7, b"x", 32) == bad_block


def test_in_the_midst_of_a_write_nothing_else_has_its_turn():
    """A call that is due, or a Ctrl-C, would find littlefs half way through it."""
    if sys.implementation.name != "micropython":
        return
    import micropython

    ran = []

    def due(_):
        ran.append(1)

    def writes(*_):
        micropython.schedule(due, None)  # pyright: ignore[reportAttributeAccessIssue]
        return 0

    blocks = start.Blocks(Stand(readblocks=None, writeblocks=writes, ioctl=writes))
    blocks.writeblocks(7, b"x", 32)
    after_write = len(ran)
    blocks.ioctl(6, 7)
    after_erase = len(ran)
    for _ in range(3):
        pass
    assert (after_write, after_erase, len(ran)) == (0, 0, 2)
