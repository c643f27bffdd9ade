"""Modules that are loaded for one piece of work, and given back after it."""

import sys


def forget(package: str, modules: str) -> None:
    """Give the memory of a package's `modules`, spaces between them, back; also of one that was not
    loaded to its end, or not at all.

    They are overwritten first: MicroPython leaves in its place what is deleted from a dict, where
    the collector finds it.
    """
    folder = sys.modules.get(package)
    for module in modules.split():
        name = package + "." + module
        if name in sys.modules:
            sys.modules[name] = None  # pyright: ignore[reportArgumentType]
            del sys.modules[name]
        if hasattr(folder, module):
            setattr(folder, module, None)
            delattr(folder, module)
