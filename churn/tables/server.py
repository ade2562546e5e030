"""The server: one transaction on a PostgreSQL database, and its errors in words that hold no credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from churn.errors import ChurnError, TableError

Wrong = Callable[[str], ChurnError]
"""Makes the error to raise of its words."""

_SECONDS_TO_CONNECT = 10
_UNNAMED = "the host of the url"
_NONE: Mapping[str, str] = MappingProxyType({})
NOT_A_SELECT = "the query must be exactly one SELECT, which starts with SELECT or WITH and writes nothing"
_REFUSED = ("password authentication failed", "no password supplied", "no pg_hba.conf entry", "authentication failed")
_LOST = ("server closed the connection", "terminating connection", "connection not open", "SSL connection has been")
_ABSENT = ("Connection refused", "could not translate host name", "timeout expired", "No such file", "unreachable")


class Stream:
    """Batches on their way to a reader, and what went wrong at their source: the reader would make another error of it.

    Attributes:
        reader: hands the batches on; it can be read once.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> None:
        # The reader must not lead back to this object: Python cannot see through it, and would keep both for ever.
        self._noted: list[BaseException] = []
        self.reader = pa.RecordBatchReader.from_batches(schema, _noting(batches, self._noted))

    @property
    def error(self) -> BaseException | None:
        """What ended the batches early, if anything did."""
        return self._noted[0] if self._noted else None

    @contextmanager
    def own_error(self) -> Iterator[None]:
        """Raises the error of the source in place of the one that came of it."""
        try:
            yield
        except Exception:
            if self.error is not None:
                raise self.error from None
            raise


def _noting(batches: Iterator[pa.RecordBatch], noted: list[BaseException]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except GeneratorExit:
        raise
    except BaseException as error:
        noted.append(error)
        raise


@contextmanager
def transaction(url: str, *, wrong: Wrong = TableError, is_kept: bool = False) -> Iterator[Any]:
    """Yields a cursor in a transaction that ends with the block: rolled back, or kept if asked and the block ends well.

    Raises:
        ChurnError: as `wrong` makes it: there is no driver, no server, or the server lets nobody in.
    """
    try:
        from adbc_driver_postgresql import dbapi
    except ImportError:
        raise wrong(
            "databases need a driver that is not installed; install it: pip install 'silent-churn[postgres]'"
        ) from None
    try:
        connection = dbapi.connect(_patient(url))
    except dbapi.Error as error:
        raise wrong(_why_no_connection(str(error), url)) from None
    try:
        cursor = connection.cursor()
        try:
            yield cursor
            if is_kept:
                with told("the transaction", wrong=wrong):
                    connection.commit()
        finally:
            with suppress(dbapi.Error):
                cursor.close()
    finally:
        with suppress(dbapi.Error):
            connection.close()


@contextmanager
def told(what: str, *, wrong: Wrong = TableError, known: Mapping[str, str] = _NONE) -> Iterator[None]:
    """Turns an error of the driver into one line about `what` that quotes no credentials and no value of the data.

    Args:
        what: the subject of the line.
        wrong: makes the error of the line.
        known: lines for errors of these SQLSTATEs.

    Raises:
        ChurnError: as `wrong` makes it, instead of the driver's error.
    """
    from adbc_driver_manager import Error

    try:
        yield
    except (Error, pa.ArrowException, OSError) as error:
        state = getattr(error, "sqlstate", None) or ""
        raise wrong(known.get(state) or _why_failed(what, str(error), state)) from None


def each_told(batches: Iterator[pa.RecordBatch], what: str) -> Iterator[pa.RecordBatch]:
    """Yields the batches of a server; raises TableError where it breaks off."""
    with told(what):
        yield from batches


def _patient(url: str) -> str:
    """The address with a limit for the time to connect, unless it or the environment sets one."""
    if "connect_timeout" in url or "PGCONNECT_TIMEOUT" in os.environ:
        return url
    return f"{url}{'&' if '?' in url else '?'}connect_timeout={_SECONDS_TO_CONNECT}"


def _why_no_connection(text: str, url: str) -> str:
    """Libpq quotes what it cannot read of an address, which may be the password: only known words are passed on."""
    if any(words in text for words in _REFUSED):
        return (
            f"{_server(url)} refuses the user or the password; set the password: export PGPASSWORD=..., and write it "
            "in the url as ${PGPASSWORD} or leave it out there"
        )
    if said := re.search(r'FATAL:  ((?:database|role) "[^"]*" does not exist|too many \w+.*)', text):
        return f"{_server(url)} says: {said[1]}; check the url"
    if "SSL" in text:
        return f"{_server(url)} and the url do not agree on encryption; check sslmode in the url"
    if any(words in text for words in _ABSENT):
        return f"no server answers at {_server(url)}; check host and port of the url, and that the server runs"
    return (
        "the url is not understood; write it as postgresql://user:${PGPASSWORD}@host:5432/database, and %-escape "
        "special signs in a url that comes from the environment as a whole"
    )


def _server(url: str) -> str:
    """Host and port of an address, where nothing else can be mistaken for them."""
    try:
        parts = urlsplit(url)
        shown = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return _UNNAMED
    is_plain = parts.netloc.count("@") <= 1 and "@" not in parts.path and re.fullmatch(r"[\w.:-]+", shown)
    return shown if is_plain else _UNNAMED


def _why_failed(what: str, text: str, state: str) -> str:
    said = re.search(r"ERROR:  (.*)", text)
    if any(words in text for words in _LOST) or state.startswith(("08", "57P")):
        return f"the connection to the database broke off; {what} was not finished: run the same command again"
    if "multiple commands" in text or "Must SetSqlQuery" in text:
        return NOT_A_SELECT
    if state == "57014":
        return f"the server cancelled {what}; it may take too long for its statement_timeout"
    if state == "25006":
        return f"{what} must only read: {said[1] if said else 'it writes'}"
    # These classes speak of names and of what is written in the query; every other one may quote a cell.
    if state.startswith(("42", "3F")) and said:
        grant = "; ask for the right to do so (GRANT)" if state == "42501" else ""
        return f"{what} cannot be run: {said[1]}{grant}"
    code = f" (SQLSTATE {state})" if state else ""
    return f"{what} failed on its data{code}; try it in psql"
