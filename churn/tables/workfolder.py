"""The work folder: where a run too large for memory keeps what it has finished, so that a rerun goes on from there.

Each run has a folder of its own under `.churn-work`, named by a key of all it depends on and locked by the living
process. A run that is killed, interrupted or hindered (by a full disk, say) leaves its folder: the next run with the
same key goes on in it, any other removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from churn.errors import ConfigError, OutputError, TableError
from churn.tables.atomic import CAN_LOCK, claim, holder_of, in_plain_words, release, sign

WORK = ".churn-work"
_LOCK = "lock"
_GONE = "gone-"


def key_of(told: object) -> str:
    """Returns a short name of plain JSON data: the same data, the same name."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


@contextlib.contextmanager
def work_folder(home: Path, *, key: str | None) -> Iterator[Path]:
    """Yields the folder `home/key`, which this process alone may use until the block ends; then it is removed.

    An interruption (Ctrl-C, SIGTERM, a kill) or an error leaves it, unless the inputs are to blame. Folders of runs
    that no longer live are removed first, but for the one with this key, which may hold what such a run has finished.

    Args:
        home: where it is made.
        key: names all that the folder's content depends on; None where nothing can: the folder is never left.

    Raises:
        OutputError: another living process has the folder, or it cannot be made.
    """
    folder = home / (key or secrets.token_hex(8))
    with in_plain_words(folder):
        _remove_dead(home, but=folder)
        held = _claimed(folder)
    if held is None:
        who = holder_of(folder / _LOCK)
        raise OutputError(f"another run of churn{who} is at work on the same tables ({folder}); wait until it ends")
    is_left = False
    try:
        sign(held)
        yield folder
    except BaseException as error:
        is_left = key is not None and not isinstance(error, (TableError, ConfigError))
        raise
    finally:
        if not CAN_LOCK:  # Windows moves no folder in which a file is open; nothing is locked there anyway
            release(held)
            held = None
        if not is_left:
            _remove(folder)
        release(held)
        with contextlib.suppress(OSError):
            home.rmdir()  # unless another run's folder is in it


def _claimed(folder: Path) -> int | None:
    """The lock of the folder, made if absent; None if another process holds it."""
    while True:
        # Nobody else should read it: customers' rows will stand in it.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            held = claim(folder / _LOCK)
        except FileNotFoundError:  # removed in between by the run that had it
            continue
        if held is None or not CAN_LOCK:
            return held
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(held), (folder / _LOCK).stat()):
                return held
        release(held)


def _remove_dead(home: Path, *, but: Path) -> None:
    """Removes the folders of runs that no longer live. On Windows nothing tells who lives: they stay."""
    if not CAN_LOCK or not home.is_dir():
        return
    for folder in sorted(home.iterdir()):
        if folder != but and folder.is_dir() and not folder.is_symlink():
            with contextlib.suppress(FileNotFoundError):
                held = claim(folder / _LOCK)
                if held is not None:
                    _remove(folder)
                    release(held)


def _remove(folder: Path) -> None:
    """Takes the folder away in one step, so that nobody finds a part of it, and then its content."""
    gone = folder.with_name(f"{_GONE}{secrets.token_hex(8)}")
    with contextlib.suppress(OSError):
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
