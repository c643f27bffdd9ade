"""`python -m tools.virtual`: the simulator without the rest of the command line tool."""

import argparse

from tools.virtual.simulate import run

parser = argparse.ArgumentParser(prog="tapgate simulate", description=run.__doc__)
parser.add_argument("--config")
parser.add_argument("--flash")
parser.add_argument("--control", type=int, default=0)
parser.add_argument("--serial", action="store_true")
parser.add_argument("--main")
parser.add_argument("--path")
parser.add_argument("--heap", type=int)
parser.add_argument("--stdin", action="store_true")
parser.add_argument("--first", action="append", default=[], metavar="COMMAND")
parser.add_argument("--board", action="append", default=[], metavar="KEY=VALUE")
if __name__ == "__main__":
    raise SystemExit(run(**vars(parser.parse_args())))
