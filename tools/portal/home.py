"""The directory in which an installation's data lie, for nobody else to read."""

import fcntl
import os
import secrets
from pathlib import Path

from tools.portal.refusal import Refusal

DATABASE = "tapgate.db"

_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600


def default() -> Path:
    """Where data of this user belongs (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_DATA_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "share"
    return root / "tapgate"


def database(home: Path) -> Path:
    return home / DATABASE


def require(home: Path) -> Path:
    """The database file of an installation that is there."""
    if not database(home).is_file():
        raise not_set_up(home)
    return database(home)


def not_set_up(home: Path) -> Refusal:
    return Refusal(
        f"no installation in {home}; run 'tapgate init' first, or say where it is with --home"
    )


def prepare(home: Path) -> None:
    """Make the directory and an empty database file, closed to others. What exists is kept."""
    if not home.exists():
        home.mkdir(mode=_DIRECTORY_MODE, parents=True)
    if home.is_dir() and not any(home.iterdir()):
        home.chmod(_DIRECTORY_MODE)
    os.close(os.open(database(home), os.O_RDWR | os.O_CREAT, _FILE_MODE))


def write_secret(path: Path, text: str) -> None:
    """Put a file that holds secrets in place in one step, for its owner alone."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise Refusal(f"{path} is not a file that can be replaced; name another")
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    except OSError as error:
        raise Refusal(f"{path}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def open_lock(home: Path, name: str) -> int:
    """The file whose lock is the turn of that name."""
    return os.open(home / f"{name}.lock", os.O_RDWR | os.O_CREAT, _FILE_MODE)


def taken(descriptor: int) -> bool:
    """Whether the lock on that file is ours now; it ends when the file is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
