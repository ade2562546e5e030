"""Atomic files: whole or not there; written beside their place, synced to disk, then moved in one step.

A writer that is killed leaves `.churn-tmp-*` beside the target; the next write into that folder removes it. Whether its
writer still lives is asked of a file lock, which the operating system gives back at any death, in any container.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from churn.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows has no fcntl: leftovers stay there, which is untidy and safe.
    fcntl = None  # type: ignore[assignment]
CAN_LOCK = fcntl is not None

LEFTOVER = ".churn-tmp-"
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "it grew over the allowed file size",
}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file whole or not at all; whatever stood at `path` stays until the new content is safely on disk.

    Args:
        path: the target. Its folder must exist. A link is refused: it would send the content to a place the caller
            did not name, or be replaced by a plain file without a word.
        write: is given a path in the same folder, with the same suffix, and writes the content there.

    Raises:
        OutputError: the target is a folder, a link or a device, its folder is missing or read-only, or the disk is
            full. Nothing is left behind.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "page.html"
    >>> write_atomically(target, lambda new: new.write_text("whole"))
    >>> target.read_text()
    'whole'
    """
    with replacing(path) as temporary:
        write(temporary)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path that takes the place of `path` when the block ends well; see `write_atomically`."""
    with in_plain_words(path):
        _check_target(path)
        remove_leftovers(path.parent)
        temporary, held = _fresh_file(path)
    try:
        with in_plain_words(path):
            yield temporary
            _sync(temporary)
            with contextlib.suppress(FileNotFoundError):
                temporary.chmod(path.stat().st_mode & 0o7777)
            temporary.replace(path)
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        release(held)


@contextlib.contextmanager
def alone_at(path: Path | None) -> Iterator[None]:
    """Keeps every other run from writing to `path` until the block ends or this process dies; None keeps nothing.

    Raises:
        OutputError: another run is about to write there.
    """
    if path is None:
        yield
        return
    lock = path.with_name(f"{LEFTOVER}{path.name}.lock")
    held = _claimed_in_place(lock)
    if held is None:
        who = holder_of(lock)
        raise OutputError(f"{path} is being made by another run{who}: wait for it, or choose another name")
    try:
        sign(held)
        yield
    finally:
        lock.unlink(missing_ok=True)
        release(held)


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files of writers in `folder` that no longer live."""
    for leftover in folder.glob(f"{LEFTOVER}*"):
        if CAN_LOCK and (held := claim(leftover)) is not None:
            leftover.unlink(missing_ok=True)
            release(held)


def claim(path: Path, *, wait: bool = False) -> int | None:
    """Returns a handle that locks the file at `path` (made if absent) until `release` or death; None if others hold it.

    A lock whose holder was killed is free again at once. On Windows nothing is locked.

    Args:
        path: the file.
        wait: whether to wait until others give it back.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        if CAN_LOCK:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(handle)
        return None
    return handle


def _claimed_in_place(path: Path) -> int | None:
    """As `claim`, but never a file that its last holder removed between our opening and our locking it."""
    while (held := claim(path)) is not None and CAN_LOCK and not os.fstat(held).st_nlink:
        release(held)
    return held


def sign(handle: int | None) -> None:
    """Writes into a claimed file which process has it, for `holder_of`."""
    if handle is not None:
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)


def holder_of(path: Path) -> str:
    """Returns who has signed the lock at `path`, as ` (process 4711)`; an empty text where nobody has."""
    try:
        told = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
    return f" (process {told})" if told.isdigit() else ""


def release(handle: int | None) -> None:
    """Gives back what `claim` returned."""
    if handle is not None:
        os.close(handle)


def check_path(path: Path) -> None:
    """Refuses at once what `write_atomically` would refuse after the work.

    Raises:
        OutputError: as `write_atomically`, but for a disk that fills up meanwhile.
    """
    with in_plain_words(path):
        _check_target(path)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _fresh_file(target: Path) -> tuple[Path, int | None]:
    """Returns a new empty file beside `target`, and its lock."""
    while True:
        temporary = target.parent / f"{LEFTOVER}{secrets.token_hex(8)}{target.suffix[:20]}"
        held = claim(temporary)
        if not CAN_LOCK:
            release(held)
            return temporary, None
        # Between its making and its locking another writer may take the file for a leftover, and remove it.
        if held is not None and os.fstat(held).st_nlink:
            return temporary, held
        release(held)


def _check_target(path: Path) -> None:
    parent = path.parent
    if "\0" in str(path):
        raise OutputError("the path to write to contains a NUL character; choose another name")
    if path.is_symlink():
        raise OutputError(f"{path} is a link; name the file it points to instead")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it, such as {path / 'scores.parquet'}")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is no regular file; name a file on disk")
    if not parent.exists():
        raise OutputError(f"the folder {parent} does not exist; make it first: mkdir -p {parent}")
    if not parent.is_dir():
        raise OutputError(f"{path} cannot be written: {parent} is a file, not a folder; choose another folder")


@contextlib.contextmanager
def in_plain_words(path: Path) -> Iterator[None]:
    """Turns an error of the operating system about `path` into a sentence with its fix; raises OutputError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = f"{path} was not written: {_FULL[error.errno]}; free some space or write elsewhere"
        elif error.errno in _READ_ONLY:
            message = f"{path} cannot be written: {path.parent} is read-only for you; choose another folder"
        else:
            message = f"{path} cannot be written: {error.strerror or error}"
        raise OutputError(message) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Makes the move itself outlive a power cut, where the system can open folders (Windows cannot)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
