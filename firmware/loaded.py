"""Modules that are loaded for one piece of work, and given back after it."""

import sys


def forget(name: str) -> None:
    """Give the memory of a module back; also of one that was not loaded to its end, or not at all.

    It is overwritten first: MicroPython leaves in its place what is deleted from a dict, where the
    collector finds it.
    """
    package, _, module = name.rpartition(".")
    folder = sys.modules.get(package)
    if name in sys.modules:
        sys.modules[name] = None  # pyright: ignore[reportArgumentType]
        del sys.modules[name]
    if hasattr(folder, module):
        setattr(folder, module, None)
        delattr(folder, module)
