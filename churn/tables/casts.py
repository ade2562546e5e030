"""Casts: how a column of any source becomes a column of the contract, as SQL expressions."""

from __future__ import annotations

from dataclasses import dataclass

from churn.tables.contract import Kind
from churn.tables.quoting import identifier, literal

NOT_FINITE = "NOT FINITE"
"""Marks NaN and infinite amounts among the problems; no shape of an unreadable value has capital letters."""

EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Microseconds per unit of the whole numbers that may stand for times."""

# Words are patterns and not lists: DuckDB turns a long list into a join, and a join forgets the order of the rows, by
# which findings name them.
_MISSING = literal(r"(null|none|na|n/a|nan|nat|\\n)?")
_INFINITE = literal(r"[-+]?inf(inity)?")
_YES = literal(r"true|t|yes|y|1|1\.0")
_NO = literal(r"false|f|no|n|0|0\.0")
_NUMBER = literal(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d{1,3})?")
_POINT_GROUPED = literal(r"[-+]?\d{1,3}(,\d{3})+\.\d+")
_COMMA_GROUPED = literal(r"[-+]?\d{1,3}(\.\d{3})+(,\d+)?")
_LOCAL = literal(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?")
_AWARE = literal(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[-+]\d{2}(:?\d{2})?)")
_FLOATS = frozenset({"DOUBLE", "FLOAT"})
_LAST_MICROSECOND = 10**16
# Six places keep every cent, drop the noise behind the 15 digits of a double, and fit a fast 64-bit decimal.
_DECIMAL = "DECIMAL(18,6)"


@dataclass(frozen=True, slots=True)
class Cast:
    """SQL expressions that read one column.

    Attributes:
        value: of the contract's type; null where missing or unreadable. Instants are timestamps in UTC.
        local: times without an offset, on the wall clock of the table's time zone; None for kinds that are no time.
        problems: what is wrong where both of them are null, as `(condition, text)` in the order they are asked: the
            text is `NOT_FINITE` or the shape of the unreadable value (digits 9, letters a). Empty: nothing can be.
    """

    value: str
    problems: tuple[tuple[str, str], ...] = ()
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
    if kind in ("money", "number"):
        is_money = kind == "money"
        if source_type == "VARCHAR":
            return _written_number(name, reading.decimal, is_money=is_money)
        return _typed_number(name, source_type, is_money=is_money)
    if kind == "flag":
        return _flag(name, source_type)
    return _id_of_double(name) if kind == "id" and source_type in _FLOATS else _words(name)


def _words(name: str) -> Cast:
    """Ids and words stay as they are; blank ones are missing."""
    text = f"CAST({name} AS VARCHAR)"
    return Cast(f"CASE WHEN trim({text}) <> '' THEN {text} END")


def _id_of_double(name: str) -> Cast:
    """Whole numbers that a tool turned into doubles lose their `.0`, or they would match no other table."""
    is_whole = f"isfinite({name}) AND {name} = trunc({name}) AND abs({name}) < 9007199254740992"
    value = f"CASE WHEN {is_whole} THEN CAST(CAST({name} AS BIGINT) AS VARCHAR) END"
    return Cast(value, ((f"NOT isnan({name})", _shape(name)),))


def _flag(name: str, source_type: str) -> Cast:
    if source_type == "BOOLEAN":
        return Cast(name)
    text = _plain(name)
    is_yes, is_no = f"regexp_full_match({text}, {_YES})", f"regexp_full_match({text}, {_NO})"
    value = f"CASE WHEN {is_yes} THEN true WHEN {is_no} THEN false END"
    return Cast(value, ((_is_given(text), _shape(name)),))


def _written_number(name: str, decimal: str, *, is_money: bool) -> Cast:
    text = _plain(name)
    # Thousands are set apart by the other sign. Without decimals behind it, `1,234` may be meant as 1.234: unreadable.
    grouping, grouped = (",", _POINT_GROUPED) if decimal == "." else (".", _COMMA_GROUPED)
    is_grouped = f"contains({text}, '{grouping}') AND regexp_full_match({text}, {grouped})"
    bare = f"replace({text}, '{grouping}', '')"
    if decimal == ".":
        plain = f"CASE WHEN {is_grouped} THEN {bare} ELSE {text} END"
    else:
        plain = f"CASE WHEN {is_grouped} OR NOT contains({text}, '.') THEN replace({bare}, ',', '.') END"
    read = _cents(plain) if is_money else f"TRY_CAST({plain} AS DOUBLE)"
    value = f"CASE WHEN regexp_full_match({plain}, {_NUMBER}) THEN {read} END"
    is_infinite = f"regexp_full_match({text}, {_INFINITE})" + (f" OR {text} = 'nan'" if is_money else "")
    return Cast(value, ((is_infinite, literal(NOT_FINITE)), (_is_given(text), _shape(name))))


def _typed_number(name: str, source_type: str, *, is_money: bool) -> Cast:
    if source_type not in _FLOATS:
        return Cast(
            _cents(name) if is_money else f"TRY_CAST({name} AS DOUBLE)", ((f"{name} IS NOT NULL", _shape(name)),)
        )
    value = _cents(name) if is_money else f"CASE WHEN isfinite({name}) THEN {name} END"
    is_infinite = f"isinf({name})" + (f" OR isnan({name})" if is_money else "")
    return Cast(
        value, ((is_infinite, literal(NOT_FINITE)), (f"{name} IS NOT NULL AND NOT isnan({name})", _shape(name)))
    )


def _cents(expression: str) -> str:
    """Money goes through DECIMAL, rounded half away from zero: 1.005 is 101 cents whether it came as text or double."""
    return f"TRY_CAST(round(TRY_CAST({expression} AS {_DECIMAL}), 2) * 100 AS BIGINT)"


def _time(name: str, source_type: str, reading: Reading) -> Cast:
    if source_type == "TIMESTAMP WITH TIME ZONE" or source_type.startswith("TIMESTAMPTZ"):
        return Cast(_from_microseconds(f"CAST({name} AS TIMESTAMPTZ)"), local="NULL::TIMESTAMP")
    if source_type.startswith("TIMESTAMP") or source_type == "DATE":
        return Cast("NULL::TIMESTAMP", local=_from_microseconds(f"CAST({name} AS TIMESTAMP)"))
    text = f"trim(CAST({name} AS VARCHAR))"
    instant, local = _read_time(text, reading.time_format)
    return Cast(instant, ((_is_given(f"lower({text})"), _shape(name)),), local)


def _read_time(text: str, time_format: str | None) -> tuple[str, str]:
    """The expressions for instants and for wall-clock times, of which one is null for each row."""
    if time_format in EPOCHS:
        # Tools write whole numbers beside a missing one as doubles: 1735689600000.0
        number = f"TRY_CAST(split_part({text}, '.', 1) AS BIGINT)"
        unit = EPOCHS[time_format]
        is_sane = rf"regexp_full_match({text}, '-?\d{{1,17}}(\.0)?') AND abs({number}) < {_LAST_MICROSECOND // unit}"
        return f"CASE WHEN {is_sane} THEN make_timestamp({number} * {unit}) END", "NULL::TIMESTAMP"
    if time_format is not None:
        read = f"try_strptime({text}, {literal(time_format)})"
        return (
            (_from_microseconds(read), "NULL::TIMESTAMP") if "%z" in time_format.lower() else ("NULL::TIMESTAMP", read)
        )
    # DuckDB casts a text with an offset to TIMESTAMP by forgetting the offset: the two must be told apart here.
    aware = _from_microseconds(f"TRY_CAST({text} AS TIMESTAMPTZ)")
    return (
        f"CASE WHEN regexp_full_match({text}, {_AWARE}) THEN {aware} END",
        f"CASE WHEN regexp_full_match({text}, {_LOCAL}) THEN TRY_CAST({text} AS TIMESTAMP) END",
    )


def _from_microseconds(instant: str) -> str:
    """The infinities that DuckDB knows as times have no microseconds; they are missing."""
    return f"CASE WHEN isfinite({instant}) THEN make_timestamp(epoch_us({instant})) END"


def _plain(name: str) -> str:
    return f"lower(trim(CAST({name} AS VARCHAR)))"


def _is_given(text: str) -> str:
    return f"{text} IS NOT NULL AND NOT regexp_full_match({text}, {_MISSING})"


def _shape(name: str) -> str:
    """The shape of a value tells its format without telling the value."""
    return rf"left(regexp_replace(regexp_replace(CAST({name} AS VARCHAR), '\pL', 'a', 'g'), '\pN', '9', 'g'), 40)"
