"""main.py with stands in the place of the loader, of the firmware, and of the board's modules."""

import sys

from host_tests.pure.loading import Stand
from host_tests.pure.place import directory

_PATH = __file__[: -len("host_tests/pure/test_main.py")] + "main.py"

# main.py empties the loader, which only a real module bears.
_LOADER = "from bench import Incomplete, Trial, alarm, load\n"
_FOLDER = directory()
with open(_FOLDER + "loader.py", "w") as file:
    file.write(_LOADER)


class _Incomplete(Exception):
    pass


class _Board:
    """`state`: what the loader returns, or an exception that it raises. `ended_by`: what the
    firmware returns or raises, or None where there is none to import. `done`: what happened."""

    def __init__(self, state, ended_by=True, pause=lambda seconds: None):
        self.done = done = []
        self.said = []

        def load():
            if isinstance(state, BaseException):
                raise state
            return state

        def run(given):
            assert given is state
            done.append("loader" if "loader" in sys.modules else "runs")
            if isinstance(ended_by, BaseException):
                raise ended_by
            return ended_by

        def sleep(seconds):
            done.append("pause")
            pause(seconds)

        class Trial:
            def __init__(self, given):
                assert given is state
                done.append("trial")

            def end(self):
                done.append("trial ends")

        self._modules = {
            "bench": Stand(
                Incomplete=_Incomplete, Trial=Trial, load=load, alarm=lambda: done.append("red")
            ),
            "gc": Stand(threshold=lambda size: None),
            "machine": Stand(reset=lambda: done.append("reset")),
            "time": Stand(sleep=sleep),
            "firmware": Stand(start=Stand(run=run)) if ended_by is not None else Stand(),
        }

    def start(self):
        """Run main.py; what happened."""
        with open(_PATH) as file:
            source = file.read()
        names = {"print": lambda *words: self.said.append(" ".join(map(str, words)))}
        names["__name__"] = "__main__"
        before = {"loader": sys.modules.pop("loader", None)}
        for name in self._modules:
            before[name] = sys.modules.pop(name, None)
            sys.modules[name] = self._modules[name]
        sys.path.insert(0, _FOLDER)
        try:
            # Compiled first: CPython takes a KeyboardInterrupt out of a text that is executed for
            # one that nobody caught, and ends by SIGINT when all tests are over.
            exec(compile(source, "main.py", "exec"), names)
        finally:
            sys.path.remove(_FOLDER)
            for name in before:
                sys.modules.pop(name, None)
                if before[name] is not None:
                    sys.modules[name] = before[name]
        return self.done


def _state(proven=True, before=None):
    return {"proven": proven, "before": before}


def _on_trial():
    return _state(False, {"run": "a"})


def test_what_is_proven_runs_without_the_loader():
    assert _Board(_state()).start() == ["runs"]
    assert _Board(_state(True, {"run": "a"})).start() == ["runs"]
    assert _Board(_state(False)).start() == ["runs"]
    assert _Board({"proven": True}).start() == _Board({"proven": False}).start() == ["runs"]
    assert _Board(None).start() == ["runs"]


def test_the_loader_stays_for_a_trial_until_somebody_is_at_the_console():
    for ended_by in (True, KeyboardInterrupt()):
        assert _Board(_on_trial(), ended_by).start() == ["trial", "loader", "trial ends"]


def test_a_second_ctrl_c_ends_the_trial_as_well():
    def pressed_again(words):
        raise KeyboardInterrupt

    for ended_by in (KeyboardInterrupt(), ValueError()):
        board = _Board(_on_trial(), ended_by, pressed_again)
        board.said = Stand(append=pressed_again)
        try:
            board.start()
            raise AssertionError("not pressed")
        except KeyboardInterrupt:
            pass
        assert board.done[-1] == "trial ends"


def test_a_crash_is_said_and_the_board_starts_again():
    for error in (ValueError("broken"), SystemExit(), MemoryError()):
        assert _Board(_state(), error).start()[-2:] == ["pause", "reset"]
        assert _Board(_on_trial(), error).start()[1:4] == ["loader", "pause", "reset"]


def test_a_firmware_that_cannot_be_imported_is_a_crash():
    assert _Board(_state(), None).start() == ["pause", "reset"]


def test_ctrl_c_after_a_crash_leaves_the_board_to_its_console():
    def pressed(_):
        raise KeyboardInterrupt

    board = _Board(_on_trial(), ValueError(), pressed)
    assert board.start() == ["trial", "loader", "pause", "trial ends"]
    assert board.said == ["tapgate stopped by the console"]


def test_a_configuration_that_only_the_new_version_refuses_is_a_crash():
    assert _Board(_state(), False).start() == ["runs"]
    assert _Board(_on_trial(), False).start()[:4] == ["trial", "loader", "pause", "reset"]


def test_an_incomplete_board_says_what_is_missing_and_what_to_do():
    board = _Board(_Incomplete("firmware.json is missing"))
    assert board.start() == ["red"]
    said = "tapgate is incomplete: firmware.json is missing; run `tapgate provision` again"
    assert board.said == [said]


def test_whatever_else_goes_wrong_in_the_loader_ends_at_the_console_and_in_no_crash_loop():
    for error in (MemoryError(), OSError(5), ValueError("x"), ImportError("no module named 'x'")):
        board = _Board(error)
        assert board.start() == ["red"]
        assert board.said[0].startswith("tapgate is incomplete: " + repr(error)[:6])
