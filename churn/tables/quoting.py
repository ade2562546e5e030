"""Quoting: the one place where names and values become SQL text."""

from __future__ import annotations

from collections.abc import Iterable


def identifier(name: str) -> str:
    """Returns `name` as a quoted SQL identifier.

    >>> identifier('a"; drop table b')
    '"a""; drop table b"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Returns `value` as a quoted SQL string.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def literals(values: Iterable[str]) -> str:
    """Returns `values` as a SQL list of quoted strings.

    >>> literals(["a", "b"])
    "['a', 'b']"
    """
    return "[" + ", ".join(literal(value) for value in values) + "]"
