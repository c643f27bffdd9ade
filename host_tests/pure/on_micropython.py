"""Runs one file of plain tests under MicroPython: `micropython on_micropython.py test_token`.

Prints a line per test, `ok NAME` or `FAILED NAME` with the traceback after it, and last `ran N`.
"""

import sys


def main(module_name: str) -> int:
    sys.path.insert(0, "")
    module = __import__("host_tests.pure." + module_name, None, None, ("*",))
    ran = failed = 0
    for name in sorted(dir(module)):
        if not name.startswith("test_"):
            continue
        ran += 1
        try:
            getattr(module, name)()
            print("ok", name)
        except Exception as error:
            failed += 1
            print("FAILED", name)
            sys.print_exception(error, sys.stdout)
    print("ran", ran)
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
