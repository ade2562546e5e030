"""Mapping: which of a source's columns is which column of the contract, and what is left over."""

from __future__ import annotations

from collections.abc import Sequence

from churn.config import Config, TableSource
from churn.errors import TableError, did_you_mean
from churn.tables.contract import CONTRACT, Column
from churn.tables.files import Relation
from churn.tables.findings import Issue

_STATIC = "static"
_VALID_FROM = "__valid_from"


def columns_of(name: str, config: Config, found: Relation) -> tuple[list[Column], dict[str, str]]:
    """Returns the columns to read, in the order of the contract, and the source's column behind each.

    Raises:
        TableError: a column is not there, not known, or sensitive; names every such.
    """
    source = config.tables[name]
    wanted = [*CONTRACT[name].columns, *_attributes(name, source)]
    known = [column.name for column in wanted]
    origin: dict[str, str] = {}
    problems = [
        f"tables.{name}.{key} is no column of {name}{did_you_mean(key, known)}{_line(config, name, key)}"
        for key in source.columns
        if key not in known
    ]
    for column in wanted:
        given = source.columns.get(column.name, _default_origin(column.name, source))
        is_wished = column.name in source.columns or column.is_required
        if given in source.sensitive:
            if is_wished:
                problems.append(f'column "{given}" is sensitive, and read as {column.name}; take one of both back')
        elif given in found.columns:
            origin[column.name] = given
        elif is_wished:
            problems.append(_absent(name, column.name, given, config, found))
    problems += [
        f'attribute "{column}" is a column of {name} already; take it out of attributes'
        for column in source.attributes
        if known.count(column) > 1
    ]
    if problems:
        raise TableError(problems)
    return [column for column in wanted if column.name in origin], origin


def _attributes(name: str, source: TableSource) -> list[Column]:
    """Attributes are categories; one that changes carries the clock from which its value holds."""
    if name != "customers":
        return []
    columns: list[Column] = []
    for attribute, clock in source.attributes.items():
        columns.append(Column(attribute, "category", is_required=True))
        if clock != _STATIC:
            columns.append(Column(attribute + _VALID_FROM, "clock", is_required=True))
    return columns


def _default_origin(column: str, source: TableSource) -> str:
    return source.attributes[column.removesuffix(_VALID_FROM)] if column.endswith(_VALID_FROM) else column


def _absent(name: str, column: str, given: str, config: Config, found: Relation) -> str:
    hint = did_you_mean(given, list(found.columns))
    return (
        f'column "{given}" is not in {found.name}{hint or "."} Set tables.{name}.{column}{_line(config, name, column)}.'
    )


def _line(config: Config, *keys: str) -> str:
    line = config.line_of("tables", *keys)
    return " in churn.toml" + (f" (line {line})" if line else "")


def mapping_issues(
    name: str, source: TableSource, relations: Sequence[Relation], origin: dict[str, str]
) -> list[Issue]:
    """Returns what is noticeable about a source before its rows are read: its delimiter, and columns left over."""
    return [*_dialect_issues(name, source, relations), *_left_out(name, source, relations[0], origin)]


def _dialect_issues(name: str, source: TableSource, relations: Sequence[Relation]) -> list[Issue]:
    issues: list[Issue] = []
    for found in relations:
        if found.dialect is not None and source.delimiter not in (None, found.dialect.delimiter):
            message = (
                f"{found.name} is split at {found.dialect.delimiter!r}, not at {source.delimiter!r} as configured."
            )
            issues.append(Issue("warning", "wrong_delimiter", name, message, fix=f"Set tables.{name}.delimiter."))
    return issues


def _left_out(name: str, source: TableSource, found: Relation, origin: dict[str, str]) -> list[Issue]:
    if name != "customers":
        return []
    spare = [column for column in found.columns if column and column not in {*origin.values(), *source.sensitive}]
    return [
        Issue(
            "info",
            "attribute_left_out",
            name,
            "in the source, but neither an attribute nor sensitive; left out.",
            column,
            fix=f'To use it, add it to tables.customers.attributes: "{column}" = "static", or the name of the column '
            "that says since when its value holds.",
        )
        for column in spare
    ]
