import sys

_PATH = __file__[: -len("host_tests/pure/test_main.py")] + "main.py"


class _Stand:
    """Stands for a module that main.py imports."""

    def __init__(self, **names):
        for name in names:
            setattr(self, name, names[name])


class _Board:
    """What main.py finds on a board, and what it did there, in order."""

    def __init__(self, ended_by):
        self.done = done = []

        class App:
            feed = "feed"

            def __init__(self, *_):
                pass

            def run(self):
                raise ended_by

            def open(self):
                done.append("opened")

        class Timer:
            def __init__(self, number):
                pass

            def init(self, period, callback):
                done.append("timer")

        board = _Stand(Board=lambda settings, machine: None)
        config = _Stand(load=lambda path: {"broker": {"tls": False}}, ConfigError=KeyError)
        self._modules = {
            "gc": _Stand(threshold=lambda size: None),
            "machine": _Stand(Timer=Timer, reset=lambda: done.append("reset")),
            "network": _Stand(),
            "time": _Stand(sleep=lambda seconds: done.append("pause")),
            "firmware": _Stand(config=config),
            "firmware.config": config,
            "firmware.app": _Stand(App=App),
            "firmware.hardware": _Stand(board=board),
            "firmware.hardware.board": board,
        }

    def start(self, say):
        """Run main.py; `say` is its `print`."""
        with open(_PATH) as file:
            source = file.read()
        before = {}
        for name in self._modules:
            before[name] = sys.modules.pop(name, None)
            sys.modules[name] = self._modules[name]
        try:
            # Compiled first: CPython takes a KeyboardInterrupt out of a text that is executed for
            # one that nobody caught, and ends by SIGINT when all tests are over.
            exec(compile(source, "main.py", "exec"), {"print": say, "__name__": "__main__"})
        finally:
            for name in before:
                sys.modules.pop(name, None)
                if before[name] is not None:
                    sys.modules[name] = before[name]
        return self.done


def test_ctrl_c_opens_the_contactor_and_leaves_the_board_fed():
    board = _Board(KeyboardInterrupt())
    assert board.start(lambda *_: board.done.append("said")) == ["opened", "timer", "said"]


def test_a_second_ctrl_c_finds_the_contactor_open():
    board = _Board(KeyboardInterrupt())

    def pressed_again(*_):
        raise KeyboardInterrupt

    try:
        board.start(pressed_again)
    except KeyboardInterrupt:
        pass
    assert board.done == ["opened", "timer"]
