"""The papers under `docs/`: what can be drawn or listed from the firmware's own tables is, so that
it cannot drift. `python -m tools.papers` writes them, `--check` only compares.
"""
