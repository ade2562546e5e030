"""A PostgreSQL server of the tests' own: in a temporary folder, on a free port of 127.0.0.1, and gone after them."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSWORD = "pw-c4n4ry/@:%?#&"
"""Of the user who needs one; every sign that divides an address is in it, and no message may hold any part of it."""
TELLING = "c4n4ry"
_ACCOUNTS = """\
CREATE ROLE analyst LOGIN PASSWORD '{password}';
CREATE ROLE reader LOGIN;
GRANT ALL ON SCHEMA public TO analyst;
"""
# Trust comes first and for two names only: whoever else comes must give her password.
_ACCESS = "host all owner,reader 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
_SETTINGS = (
    "fsync=off", "listen_addresses='127.0.0.1'", "unix_socket_directories=''", "shared_buffers=16MB",
    "max_connections=20", "datestyle='German, DMY'", "timezone='Asia/Tokyo'",
)  # fmt: skip
"""The odd date style and time zone are those a server may have, and must change nothing."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server with the users `owner` (all rights), `reader` (none) and `analyst` (with `PASSWORD`)."""

    port: int

    def url(self, user: str = "owner") -> str:
        """The address of its database, without a password."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/postgres"

    def run(self, *statements: str) -> None:
        """Runs statements as `owner`, each in a transaction of its own."""
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self.url(), autocommit=True) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query, as `owner` sees them."""
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self.url()) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())


def programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, or None where no server is installed."""
    found = shutil.which("initdb")
    homes = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return homes[-1] if homes and (homes[-1] / "pg_ctl").exists() else None


@contextmanager
def running_server() -> Iterator[Server]:
    """Yields a fresh server; `programs` must have found it."""
    home = Path(tempfile.mkdtemp(prefix="churn-server-"))
    user = _allowed_user()
    if user is not None:
        shutil.chown(home, user)
    data, port = home / "data", _free_port()
    try:
        _call(["initdb", "-D", str(data), "-U", "owner", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"], user, home)
        (data / "pg_hba.conf").write_text(_ACCESS, encoding="utf-8")
        with (data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write("\n".join([*_SETTINGS, f"port={port}", ""]))
        _call(["pg_ctl", "-D", str(data), "-l", str(home / "log"), "-w", "start"], user, home)
        try:
            server = Server(port)
            server.run(*filter(str.strip, _ACCOUNTS.format(password=PASSWORD).split(";")))
            yield server
        finally:
            _call(["pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop"], user, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _call(words: list[str], user: str | None, home: Path) -> None:
    folder = programs()
    assert folder is not None
    # No pipes: the server would keep them open, and we would wait for it to end.
    with (home / "called").open("w") as printed:
        done = subprocess.run(
            [str(folder / words[0]), *words[1:]], user=user, cwd=home, stdout=printed, stderr=printed, check=False
        )
    assert done.returncode == 0, (home / "called").read_text(encoding="utf-8")


def _allowed_user() -> str | None:
    """PostgreSQL refuses to run as root: a user of the system that may do nothing else runs it then."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
