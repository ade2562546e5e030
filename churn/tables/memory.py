"""Memory: what was freed goes back to the system, where the C library is glibc; elsewhere nothing happens."""

from __future__ import annotations

import contextlib
import ctypes
import sys

_MMAP_THRESHOLD = -3
_LARGE = 1 << 22


def give_back() -> None:
    """Gives memory that was freed back to the system; called where a job has finished with large arrays.

    The library keeps what is freed below its highest block in use: a quarter of a GB after reading and computing the
    signals of 2.5 million transactions (measured).
    """
    _call("malloc_trim", 0)


def give_back_large_at_once() -> None:
    """Has arrays above 4 MB go back to the system as soon as they are freed, from now on and in the whole process.

    The library raises that limit by itself, to 32 MB, each time such an array is freed. It costs a tenth of the time of
    reading and saves a seventh of a GB at the peak of the same example.
    """
    _call("mallopt", _MMAP_THRESHOLD, _LARGE)


def _call(name: str, *arguments: int) -> None:
    if sys.platform == "linux":
        # musl has no such call, and a program linked statically opens no library at all.
        with contextlib.suppress(AttributeError, OSError):
            getattr(ctypes.CDLL(None), name)(*arguments)
