"""Addresses of databases: which can be read, and where a password may stand. A password is only ever a variable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from churn.errors import did_you_mean

SCHEMES = ("postgresql", "postgres")
_FILES = ("sqlite", "duckdb")
_SHOWN_SCHEMES = ("postgresql", "postgres", "mysql", "mssql", "oracle")
_VARIABLE = re.compile(r"\$\{\w+\}")
_ONLY_VARIABLES = re.compile(r"(\$\{\w+\})*")
# What stands in an address before it is expanded: a variable's name has none of the signs that divide it.
_WRITTEN = re.compile(r"(?P<scheme>[^/?#]*?://)(?P<user>[^@/?#]*@)?(?P<rest>[^?#]*)(?P<settings>.*)", re.DOTALL)
_SECRET = re.compile(r"(?:^|[?&])(?:ssl)?password=([^&#]*)", re.IGNORECASE)


def problem_of(written: str) -> str | None:
    """Returns why a database's address cannot stand in `churn.toml` as it is written there, or None; quotes no part.

    >>> problem_of("postgresql://anna:${PGPASSWORD}@localhost/shop")
    >>> problem_of("postgresql://anna:secret@localhost/shop")[:35]
    'holds a password in plain text; put'
    """
    if _ONLY_VARIABLES.fullmatch(written):
        return None  # the whole address comes from the environment
    parts = _WRITTEN.fullmatch(written)
    if parts is None:
        return 'must be an address such as "postgresql://user:${PGPASSWORD}@host/database"'
    password = (parts["user"] or "").removesuffix("@").partition(":")[2]
    passwords = [password, *_SECRET.findall(unquote(parts["settings"]))]
    # A second @, or one behind ? or #, ends a password that itself holds such signs.
    if not all(map(_ONLY_VARIABLES.fullmatch, passwords)) or "@" in parts["rest"] + parts["settings"]:
        return (
            "holds a password in plain text; put it into the environment (export PGPASSWORD=...) and write "
            "${PGPASSWORD} in its place"
        )
    return scheme_problem(written)


def scheme_problem(address: str) -> str | None:
    """Returns why no database can be read at an address, or None; names the scheme and nothing else of it.

    >>> scheme_problem("mysql://localhost/shop")
    'mysql:// cannot be read; databases that work: postgresql:// (or postgres://)'
    """
    scheme, divider, _ = address.partition("://")
    if not divider or not re.fullmatch(r"[\w+.:-]{1,30}", scheme):
        return 'must be an address such as "postgresql://user:${PGPASSWORD}@host/database"'
    if scheme in SCHEMES:
        return None
    works = "databases that work: postgresql:// (or postgres://)"
    kind = scheme.removeprefix("jdbc:").partition("+")[0].lower()
    if kind in SCHEMES:
        return f"{scheme}:// names a driver or is written otherwise; write postgresql://"
    if kind in _FILES:
        return (
            f"{scheme}:// is a file, not a server; export it to Parquet and give its `path`, such as with DuckDB: "
            f"COPY (SELECT ...) TO 'orders.parquet' ({works})"
        )
    hint = "" if kind in _SHOWN_SCHEMES else did_you_mean(kind, _SHOWN_SCHEMES[:2])
    return f"{scheme}:// cannot be read{hint}; {works}"


def expand(written: str, values: Mapping[str, str]) -> str:
    """Returns an address with its variables put in; user, password and settings as an address must write them.

    A password is given as it is: `${PGPASSWORD}` may hold `@`, `/` or `:`. A variable that is the whole address, or
    its host or database, stands for itself.

    >>> expand("postgresql://anna:${PW}@${HOST}/shop", {"PW": "a@b/c", "HOST": "db.example"})
    'postgresql://anna:a%40b%2Fc@db.example/shop'
    """
    parts = _WRITTEN.fullmatch(written)
    if parts is None:
        return _filled(written, values, is_quoted=False)
    return (
        parts["scheme"]
        + _filled(parts["user"] or "", values, is_quoted=True)
        + _filled(parts["rest"], values, is_quoted=False)
        + _filled(parts["settings"], values, is_quoted=True)
    )


def _filled(text: str, values: Mapping[str, str], *, is_quoted: bool) -> str:
    def value(match: re.Match[str]) -> str:
        found = values.get(match[0][2:-1], "")
        return quote(found, safe="") if is_quoted else found

    return _VARIABLE.sub(value, text)
