"""Casts: how a column of any source becomes a column of the contract, as SQL expressions."""

from __future__ import annotations

from dataclasses import dataclass

from churn.tables.contract import Kind
from churn.tables.quoting import identifier, literal, literals

NOT_FINITE = "NOT FINITE"
"""Marks NaN and infinite amounts among the problems; no shape of an unreadable value has capital letters."""

EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Microseconds per unit of the whole numbers that may stand for times."""

_MISSING = literals(["", "null", "none", "na", "n/a", "nan", "nat", "\\n"])
_INFINITE = literals(["inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"])
_YES = literals(["true", "t", "yes", "y", "1", "1.0"])
_NO = literals(["false", "f", "no", "n", "0", "0.0"])
_NUMBER = literal(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?")
_LOCAL = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?"
_AWARE = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[-+]\d{2}(:?\d{2})?)"
_WHOLE = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"}
)
_EXACT = "DECIMAL(38,12)"
# A binary double holds about 15 digits: six places keep every cent and drop the noise behind them.
_FROM_DOUBLE = "DECIMAL(18,6)"


@dataclass(frozen=True, slots=True)
class Cast:
    """SQL expressions that read one column.

    Attributes:
        value: of the contract's type; null where missing or unreadable. Times are timestamps in UTC.
        problem: null where nothing is wrong, else `NOT_FINITE` or the shape of the unreadable value (digits 9, letters a).
        local: times without an offset, still on the wall clock of the table's time zone; None for other kinds.
    """

    value: str
    problem: str
    local: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How the values of a table are written: decimal sign, and the format of its times (None: ISO 8601)."""

    decimal: str = "."
    time_format: str | None = None


def cast(column: str, *, source_type: str, kind: Kind, reading: Reading) -> Cast:
    """Returns the SQL that reads the source's `column` of DuckDB type `source_type` as a column of `kind`."""
    name = identifier(column)
    if kind in ("time", "clock"):
        return _time(name, source_type, reading)
    if kind == "money":
        return _number(name, source_type, reading, is_money=True)
    if kind == "number":
        return _number(name, source_type, reading, is_money=False)
    if kind == "flag":
        return _flag(name, source_type)
    return _id(name, source_type) if kind == "id" else _words(name)


def _id(name: str, source_type: str) -> Cast:
    """Ids stay as they are. Whole numbers that a tool turned into doubles lose their `.0`, or match no other table."""
    if source_type in ("DOUBLE", "FLOAT"):
        is_whole = f"isfinite({name}) AND {name} = trunc({name}) AND abs({name}) < 9007199254740992"
        value = f"CASE WHEN {is_whole} THEN CAST(CAST({name} AS BIGINT) AS VARCHAR) END"
        is_given = f"{name} IS NOT NULL AND NOT isnan({name})"
        return Cast(value, _shape_where(f"{is_given} AND NOT ({is_whole})", name))
    text = f"CAST({name} AS VARCHAR)"
    return Cast(f"CASE WHEN trim({text}) <> '' THEN {text} END", "NULL")


def _words(name: str) -> Cast:
    text = f"CAST({name} AS VARCHAR)"
    return Cast(f"CASE WHEN trim({text}) <> '' THEN {text} END", "NULL")


def _flag(name: str, source_type: str) -> Cast:
    if source_type == "BOOLEAN":
        return Cast(name, "NULL")
    text = _plain(name)
    is_yes, is_no = f"list_contains({_YES}, {text})", f"list_contains({_NO}, {text})"
    value = f"CASE WHEN {is_yes} THEN true WHEN {is_no} THEN false END"
    return Cast(value, _shape_where(f"NOT ({_is_missing(text)} OR {is_yes} OR {is_no})", name))


def _number(name: str, source_type: str, reading: Reading, *, is_money: bool) -> Cast:
    """Money goes through DECIMAL: exact, and rounded to cents half away from zero. 1.005 is 101 cents, never 100."""
    if source_type == "VARCHAR":
        text = _plain(name)
        plain = text if reading.decimal == "." else f"replace({text}, ',', '.')"
        is_clean = "true" if reading.decimal == "." else f"NOT contains({text}, '.')"
        is_written = f"({is_clean} AND regexp_full_match({plain}, {_NUMBER}))"
        value = f"CASE WHEN {is_written} THEN {_cents(plain, _EXACT) if is_money else f'TRY_CAST({plain} AS DOUBLE)'} END"
        is_infinite = f"list_contains({_INFINITE}, {text})" + (f" OR {text} = 'nan'" if is_money else "")
        is_missing = _is_missing(text)
    else:
        value = _typed_number(name, source_type, is_money=is_money)
        is_float = source_type in ("DOUBLE", "FLOAT")
        is_infinite = f"isinf({name})" + (f" OR isnan({name})" if is_money else "") if is_float else "false"
        is_missing = f"({name} IS NULL" + (f" OR isnan({name}))" if is_float else ")")
    shape = _shape_where(f"NOT {is_missing} AND ({value}) IS NULL", name)
    problem = f"CASE WHEN {is_infinite} THEN {literal(NOT_FINITE)} ELSE {shape} END"
    return Cast(f"CASE WHEN NOT ({is_infinite}) THEN {value} END", problem)


def _typed_number(name: str, source_type: str, *, is_money: bool) -> str:
    if not is_money:
        number = f"TRY_CAST({name} AS DOUBLE)"
        return f"CASE WHEN isfinite({number}) THEN {number} END"
    if source_type in _WHOLE:
        return f"TRY_CAST(TRY_CAST({name} AS DECIMAL(36,0)) * 100 AS BIGINT)"
    return _cents(name, _FROM_DOUBLE if source_type in ("DOUBLE", "FLOAT") else _EXACT)


def _cents(expression: str, decimal: str) -> str:
    return f"TRY_CAST(round(TRY_CAST({expression} AS {decimal}), 2) * 100 AS BIGINT)"


def _time(name: str, source_type: str, reading: Reading) -> Cast:
    if source_type == "TIMESTAMP WITH TIME ZONE":
        return Cast(f"make_timestamp(epoch_us({name}))", "NULL", "NULL::TIMESTAMP")
    if source_type.startswith("TIMESTAMP") or source_type == "DATE":
        return Cast("NULL::TIMESTAMP", "NULL", f"make_timestamp(epoch_us({name}))")
    text = f"trim(CAST({name} AS VARCHAR))"
    aware, local = _read_time(text, reading.time_format)
    is_unread = f"NOT {_is_missing(f'lower({text})')} AND ({aware}) IS NULL AND ({local}) IS NULL"
    return Cast(aware, _shape_where(is_unread, name), local)


def _read_time(text: str, time_format: str | None) -> tuple[str, str]:
    """The expressions for instants and for wall-clock times, of which one is null for each row."""
    if time_format in EPOCHS:
        # pandas writes whole numbers beside a missing one as doubles: 1735689600000.0
        digits = rf"regexp_full_match({text}, '-?\d{{1,16}}(\.0)?')"
        number = f"TRY_CAST(split_part({text}, '.', 1) AS BIGINT)"
        limit = 4_000_000_000_000_000 // EPOCHS[time_format]
        is_sane = f"{digits} AND abs({number}) < {limit}"
        return f"CASE WHEN {is_sane} THEN make_timestamp({number} * {EPOCHS[time_format]}) END", "NULL::TIMESTAMP"
    if time_format is not None:
        read = f"try_strptime({text}, {literal(time_format)})"
        if "%z" in time_format.lower():
            return f"make_timestamp(epoch_us({read}))", "NULL::TIMESTAMP"
        return "NULL::TIMESTAMP", read
    # DuckDB casts a text with an offset to TIMESTAMP by forgetting the offset: the two kinds must be told apart here.
    aware = f"CASE WHEN regexp_full_match({text}, {literal(_AWARE)}) THEN make_timestamp(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ))) END"
    local = f"CASE WHEN regexp_full_match({text}, {literal(_LOCAL)}) THEN TRY_CAST({text} AS TIMESTAMP) END"
    return aware, local


def _plain(name: str) -> str:
    return f"lower(trim(CAST({name} AS VARCHAR)))"


def _is_missing(text: str) -> str:
    return f"({text} IS NULL OR list_contains({_MISSING}, {text}))"


def _shape_where(condition: str, name: str) -> str:
    """The shape of a value tells its format without telling the value."""
    shape = rf"regexp_replace(regexp_replace(CAST({name} AS VARCHAR), '\pL', 'a', 'g'), '\pN', '9', 'g')"
    return f"CASE WHEN {condition} THEN left({shape}, 40) END"
