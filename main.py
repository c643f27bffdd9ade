"""Runs the firmware that the loader has chosen (firmware/loader.py), and starts the board anew when
it crashes."""

import gc
import sys
import time

import machine

# Collecting rarely would leave garbage between what stays, and no large piece free for a buffer.
gc.threshold(8_192)

_CRASH_PAUSE_S = 2  # long enough to read what went wrong, and to press Ctrl-C

state = trial = loader = None
try:
    import loader

    state = loader.load()
    if state is not None and state.get("before") and not state["proven"]:
        trial = loader.Trial(state)
except Exception as error:
    known = loader is not None and isinstance(error, loader.Incomplete)
    said = error if known else repr(error)
    print("tapgate is incomplete: {}; run `tapgate provision` again".format(said))
    if loader is not None:
        loader.alarm()
else:
    if trial is None:
        # Its memory is given back: emptied, as one forgotten word on the stack keeps a module; and
        # overwritten, as MicroPython leaves in its place what is deleted from a dict.
        loader.__dict__.clear()
        sys.modules["loader"] = loader = None  # pyright: ignore[reportArgumentType]
        del sys.modules["loader"]
    try:
        from firmware import start

        if not start.run(state) and trial is not None:
            raise RuntimeError("it does not start with this config.json")
    except KeyboardInterrupt:
        print("tapgate stopped by the console")
    except BaseException as error:
        try:
            sys.print_exception(error)
            time.sleep(_CRASH_PAUSE_S)
            machine.reset()
        except KeyboardInterrupt:
            print("tapgate stopped by the console")
    finally:
        if trial is not None:  # whatever else Ctrl-C has cut short: it must reset nobody's board
            trial.end()
