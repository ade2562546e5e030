"""The fence: a user's query is one SELECT over the files that the configuration names, and can do nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from churn.config import Config, TableSource
from churn.errors import TableError, did_you_mean
from churn.tables.connection import connect
from churn.tables.files import READABLE, Relation, broken_files, exact_path, files_of, relation, select_all
from churn.tables.quoting import identifier, literal, literals
from churn.tables.server import Stream

_CSV_READERS = frozenset({"read_csv", "read_csv_auto"})
_READERS = _CSV_READERS | {"read_parquet", "parquet_scan"}
_TABLE_FUNCTIONS = _READERS | {"range", "generate_series", "unnest"}
_SELECTS = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_TYPED = frozenset({"all_varchar", "columns", "types", "dtypes", "column_types"})
# Words that need no parentheses and whose answer differs from run to run.
_CLOCK_WORDS = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "today"})

_ROWS_AT_ONCE = 131_072

Node = dict[str, Any]


@dataclass(slots=True)
class _Query:
    """A parsed query: the names it reads from, the path literals of its readers, and what it must not do."""

    tables: set[str] = field(default_factory=set)
    ctes: set[str] = field(default_factory=set)
    readers: list[Node] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


@contextmanager
def fenced(
    query: str, *, source: TableSource, config: Config, spill: Path | None = None, is_described: bool = False
) -> Iterator[pa.RecordBatchReader]:
    """Yields the rows of a user's query, in its order and with its types: to be read once, inside the block.

    The query may read `source.files` under their names, and files it names itself: `FROM 'reviews.csv'`,
    `read_csv('...')`, `read_parquet('...')`, relative to the folder of `churn.toml`. CSV comes as text, or ids would
    lose their zeros. The query is parsed first and must be one SELECT with no function whose answer changes from run
    to run. It then runs on a connection that can open these files only, whose settings are locked; what it cannot
    hold in memory goes to `spill`. Where only the columns are asked for (`is_described`) it has no row.

    Raises:
        TableError: the query isn't such a SELECT, or a file it names cannot be read; names every problem.
    """
    parsed = _parse(query)
    views, problems = _views(parsed, source, config)
    rewritten, paths = _with_files(query, parsed, config, problems)
    if problems:
        raise TableError(problems)
    relations = [found for members in views.values() for found in members]
    paths += [found.path for found in relations if found.path is not None]
    with connect(config, spill=spill) as connection:
        with _in_own_words(connection, relations):
            for name, members in views.items():
                connection.execute(
                    f"CREATE VIEW {identifier(name)} AS {' UNION ALL BY NAME '.join(map(select_all, members))}"
                )
            _close_fence(connection, paths)
            rows = connection.sql(rewritten)
            reader = (rows.limit(0) if is_described else rows).to_arrow_reader(_ROWS_AT_ONCE)
        stream = Stream(_each(reader, connection, relations), reader.schema)
        with closing(reader), closing(stream.reader), stream.own_error():
            yield stream.reader


def files_behind(query: str, *, source: TableSource, config: Config) -> list[Path]:
    """Returns the files that a user's query reads.

    Raises:
        TableError: as `fenced`, for a query that isn't a harmless SELECT and files that are not there.
    """
    parsed = _parse(query)
    views, problems = _views(parsed, source, config)
    _, paths = _with_files(query, parsed, config, problems)
    if problems:
        raise TableError(problems)
    return [*paths, *(found.path for members in views.values() for found in members if found.path is not None)]


def _each(
    reader: pa.RecordBatchReader, connection: duckdb.DuckDBPyConnection, relations: list[Relation]
) -> Iterator[pa.RecordBatch]:
    with _in_own_words(connection, relations):
        yield from reader


@contextmanager
def _in_own_words(connection: duckdb.DuckDBPyConnection, relations: list[Relation]) -> Iterator[None]:
    try:
        yield
    # What breaks while a stream is read comes as an error of the operating system, whatever it was.
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise TableError(_why_failed(connection, relations, error)) from None


def _close_fence(connection: duckdb.DuckDBPyConnection, paths: list[Path]) -> None:
    """From here on the connection opens `paths` and nothing else; `allowed_paths` alone would still let COPY write
    to them, so what is run behind the fence must have passed `_parse`."""
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    allowed = dict.fromkeys([*map(str, paths), *map(exact_path, paths)])
    connection.execute(f"SET allowed_paths = {literals(allowed)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _parse(query: str) -> _Query:
    """Reads a query's tree; raises TableError unless it is one harmless SELECT."""
    with duckdb.connect() as connection:
        text = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()[0][0]
        tree = json.loads(text)
        if tree["error"]:
            if tree["error_type"] == "parser":
                raise TableError(f"the query is no SQL: {_first_line(tree['error_message'])}")
            raise TableError(
                "the query must be one SELECT, and nothing that writes, sets, loads, attaches or pivots on its own"
            )
        if len(tree["statements"]) != 1:
            raise TableError(f"the query must be exactly one SELECT, not {len(tree['statements'])} statements")
        parsed = _Query()
        _walk(tree["statements"][0], parsed)
        parsed.problems += _unsteady(connection, parsed.functions)
    if parsed.problems:
        raise TableError(dict.fromkeys(parsed.problems))
    return parsed


def _walk(node: Any, parsed: _Query) -> None:
    if isinstance(node, list):
        for item in node:
            _walk(item, parsed)
    elif isinstance(node, dict):
        _visit(node, parsed)
        for item in node.values():
            _walk(item, parsed)


def _visit(node: Node, parsed: _Query) -> None:
    kind = node.get("type", "")
    if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _SELECTS:
        parsed.problems.append("the query must only read: there is a statement in it that writes")
    elif kind == "SHOW_REF":
        parsed.problems.append("the query must be a SELECT, not DESCRIBE, SHOW or SUMMARIZE")
    elif kind == "VALUE_PARAMETER":
        parsed.problems.append("the query takes no parameters")
    elif kind == "BASE_TABLE":
        _visit_table(node, parsed)
    elif kind == "TABLE_FUNCTION":
        function = node["function"]["function_name"].lower()
        if function not in _TABLE_FUNCTIONS:
            parsed.problems.append(f"the query must not call {function}(); it may read CSV and Parquet files")
        elif function in _READERS:
            parsed.readers.append(node["function"])
    elif node.get("class") in ("FUNCTION", "WINDOW") and "function_name" in node:
        parsed.functions.add(node["function_name"].lower())
    elif kind == "COLUMN_REF" and len(node["column_names"]) == 1 and node["column_names"][0].lower() in _CLOCK_WORDS:
        parsed.functions.add(node["column_names"][0].lower())
    if "cte_map" in node:
        parsed.ctes |= {str(entry["key"]).lower() for entry in node["cte_map"]["map"]}
    if kind in ("RECURSIVE_CTE_NODE", "CTE_NODE"):
        parsed.ctes.add(str(node.get("cte_name", "")).lower())


def _visit_table(node: Node, parsed: _Query) -> None:
    if node["schema_name"] or node["catalog_name"]:
        parsed.problems.append(
            f'the query must not read "{node["schema_name"] or node["catalog_name"]}.{node["table_name"]}"'
        )
    else:
        parsed.tables.add(node["table_name"])


def _unsteady(connection: duckdb.DuckDBPyConnection, functions: set[str]) -> list[str]:
    """The functions whose answer depends on more than their arguments, by DuckDB's own catalogue."""
    rows = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE coalesce(stability, 'CONSISTENT') <> 'CONSISTENT'"
    ).fetchall()
    unsteady = {str(name) for (name,) in rows} | _CLOCK_WORDS | {"getenv"}
    return [
        f"the query must not call {name}(): its answer depends on when or where it runs"
        for name in sorted(functions & unsteady)
    ]


def _views(parsed: _Query, source: TableSource, config: Config) -> tuple[dict[str, list[Relation]], list[str]]:
    """The relations behind every name that the query reads from, and the names that stand for nothing."""
    views: dict[str, list[Relation]] = {}
    problems: list[str] = []
    named = {name.lower(): path for name, path in source.files.items()}
    for table in sorted(parsed.tables):
        if table.lower() in parsed.ctes:
            continue
        path = named.get(table.lower())
        if path is None and table.lower().endswith(READABLE):
            path = table
        if path is None:
            hint = did_you_mean(table, list(source.files))
            problems.append(f'the query reads from "{table}", which is none of its `files`{hint}; add it to `files`')
            continue
        try:
            views[table] = [relation(file, source=source) for file in files_of(config, path)]
        except TableError as error:
            problems.extend(error.problems)
    return views, problems


def _with_files(query: str, parsed: _Query, config: Config, problems: list[str]) -> tuple[str, list[Path]]:
    """The query with the path literals of its readers made absolute, globs spelt out, and CSV read as text."""
    text = query.encode()
    paths: list[Path] = []
    edits: list[tuple[int, int, str]] = []
    for reader in parsed.readers:
        constants = list(_path_constants(reader))
        if not constants:
            problems.append(f"{reader['function_name']}() in the query must be given its path as a plain string")
        for constant, is_alone in constants:
            try:
                found = files_of(config, constant["literal"]["text"])
            except TableError as error:
                problems.extend(error.problems)
                continue
            paths.extend(found)
            listed = ", ".join(literal(exact_path(path)) for path in found)
            edits.append(
                (constant["query_location"], constant["query_location_length"], f"[{listed}]" if is_alone else listed)
            )
        edits += _text_options(reader, constants)
    for start, length, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement.encode() + text[start + length :]
    return text.decode(), paths


def _path_constants(reader: Node) -> Iterator[tuple[Node, bool]]:
    """The string constants of a reader's first argument, and whether each stands alone instead of in a list."""
    arguments = reader["arguments"]
    first = arguments[0]["expression"] if arguments else {}
    if _is_string(first):
        yield first, True
    elif first.get("function_name") == "list_value":
        members = [member["expression"] for member in first["arguments"]]
        if all(map(_is_string, members)):
            yield from ((member, False) for member in members)


def _is_string(node: Mapping[str, Any]) -> bool:
    return node.get("type") == "VALUE_CONSTANT" and node["literal"].get("kind") == "STRING"


def _text_options(reader: Node, constants: list[tuple[Node, bool]]) -> list[tuple[int, int, str]]:
    """Makes `read_csv` read text under the names of the first line, unless the query says how to read."""
    if reader["function_name"].lower() not in _CSV_READERS or not constants:
        return []
    given = {
        argument["expression"].get("left", {}).get("column_names", [""])[0].lower()
        for argument in reader["arguments"]
        if argument["expression"].get("type") == "COMPARE_EQUAL"
    }
    options = ("" if given & _TYPED else ", all_varchar = true") + ("" if "header" in given else ", header = true")
    first = reader["arguments"][0]["expression"]
    return [(first["query_location"] + first["query_location_length"], 0, options)] if options else []


def _why_failed(connection: duckdb.DuckDBPyConnection, relations: list[Relation], error: Exception) -> list[str]:
    """What went wrong in a query: DuckDB's own words only where they cannot quote a cell."""
    if isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException):
        return [f"the query cannot be run: {_first_line(str(error))}"]
    kind = str(error).partition(" Error")[0]  # the rest of the words may quote a cell
    return broken_files(connection, relations) or [
        f"the query failed on its data ({kind[:40]}); try it on a few rows, and use TRY_CAST"
    ]


def _first_line(message: str) -> str:
    return message.strip().splitlines()[0]
