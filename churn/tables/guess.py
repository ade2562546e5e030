"""Guesses: a commented `churn.toml` for the files of a folder, or one with placeholders where there is no data."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from churn.config import TABLE_NAMES
from churn.errors import TableError
from churn.tables.contract import CONTRACT, Kind
from churn.tables.files import READABLE
from churn.tables.glimpse import Glimpse, glimpse
from churn.tables.quoting import identifier, literal
from churn.tables.synonyms import COLUMN_WORDS, SENSITIVE_WORDS, TABLE_WORDS, UNIT_PRICES, plain_name, words_of
from churn.tables.template import PLACEHOLDERS, SETTINGS, placeholder

NOT_READ = "# Not read: "
"""How a line of the guessed `churn.toml` begins that names a file which is no table's, and why."""
_LEAST_SCORE = 3
_TELLING = {
    "transactions": ("amount", "quantity", "order_id"),
    "visits": ("duration_seconds",),
    "contacts": ("case_id", "agent_id", "wait_seconds", "resolved_at"),
    "incidents": ("severity", "kind"),
    "feedback": ("score", "text"),
    "invitations": ("answered_at",),
    "customers": ("since", "is_contactable", "opted_out_at"),
    "subscriptions": ("start", "end"),
    "treatments": ("is_control",),
}
_KIND_WORDS = {
    "feedback": {
        "nps": "nps", "csat": "csat", "ces": "ces", "complaint": "complaint", "mention": "mention", "": "review",
    },
    "incidents": {"delay": "late_delivery", "outage": "outage", "failure": "failure", "": "incident"},
    "treatments": {"": "treatment"},
}  # fmt: skip
_LEAST_ROWS_FOR_UNIQUE = 20


@dataclass(slots=True)
class _Guess:
    """One file taken for one table: which columns it has for us, how sure we are, and what the user should know."""

    table: str
    look: Glimpse
    score: int
    mapping: dict[str, str]
    added: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    time_format: str | None = None
    decimal: str = "."


def guess_config(directory: Path, *, relative_to: Path | None = None) -> str:
    """Returns the text of a commented `churn.toml` that reads the CSV and Parquet files of `directory`.

    Tables are told by file names, column names and values; columns by what other systems call them. A date that could
    be day-first or month-first is not guessed: the text asks. Files that could also be a table are named in comments.

    Args:
        directory: the folder with the data.
        relative_to: the folder the `churn.toml` will lie in; paths are written as seen from it. Default: `directory`.

    Raises:
        TableError: the folder does not exist.
    """
    if not directory.is_dir():
        raise TableError(f"{directory} is no folder; give the folder that holds your CSV or Parquet files")
    looks: list[Glimpse] = []
    unread: list[str] = []
    for path in sorted(child for child in directory.iterdir() if child.name.lower().endswith(READABLE)):
        try:
            looks.append(glimpse(path))
        except TableError as error:
            unread.extend(error.problems)
    chosen, others, unknown = _assign(looks)
    parts = [SETTINGS]
    for table in TABLE_NAMES:
        if table in chosen:
            parts.append(_section(chosen[table], others[table], relative_to or directory))
    if "transactions" not in chosen:
        parts.append("# No file looks like transactions (customer, time and amount in one). Fill this in:\n"
                     + placeholder("transactions"))  # fmt: skip
    parts.append(_remarks(unknown, unread, [table for table in TABLE_NAMES if table not in chosen]))
    return "\n".join(part for part in parts if part)


def template_config() -> str:
    """Returns the text of a commented `churn.toml` with placeholder paths, for when there is no data to look at."""
    return "\n".join([SETTINGS, *(placeholder(table) for table in PLACEHOLDERS)])


def _assign(looks: Sequence[Glimpse]) -> tuple[dict[str, _Guess], dict[str, list[str]], list[str]]:
    """Each file goes to the table it fits best, each table takes its best file."""
    chosen: dict[str, _Guess] = {}
    others: dict[str, list[str]] = {table: [] for table in TABLE_NAMES}
    unknown: list[str] = []
    fits = [(look, max(_guesses(look), key=lambda guess: guess.score, default=None)) for look in looks]
    for look, guess in fits:
        if guess is None or guess.score < _LEAST_SCORE:
            unknown.append(f"{look.path.name} ({_why_unknown(look)})")
            continue
        rival = chosen.get(guess.table)
        if rival is None or guess.score > rival.score:
            chosen[guess.table] = guess
        if rival is not None:
            others[guess.table].append((rival if guess.score > rival.score else guess).look.path.name)
    return chosen, others, unknown


def _guesses(look: Glimpse) -> Iterator[_Guess]:
    """The tables this file could be: those whose required columns it has or can be given."""
    for table in TABLE_NAMES:
        guess = _Guess(table, look, 0, _mapping(table, look))
        _add_missing(guess)
        if all(name in guess.mapping or name in guess.added for name in CONTRACT[table].required):
            guess.score = _score(guess)
            _set_reading(guess)
            yield guess


def _mapping(table: str, look: Glimpse) -> dict[str, str]:
    """Our columns and the source's column for each: the most telling name wins; a column serves once."""
    mapping: dict[str, str] = {}
    for ours, candidates in _named(table, look).items():
        kind = CONTRACT[table].column(ours).kind
        fitting = [column for column in candidates if column not in mapping.values() and _fits(look, column, kind)]
        if fitting:
            mapping[ours] = fitting[0]
    return mapping


def _named(table: str, look: Glimpse) -> dict[str, list[str]]:
    """The source's columns that are called what each of ours may be called, the most telling name first."""
    plain: dict[str, str] = {}
    for column in look.columns:
        plain.setdefault(plain_name(column), column)
    words = COLUMN_WORDS[table].items()
    return {ours: [plain[name] for name in dict.fromkeys((ours, *names)) if name in plain] for ours, names in words}


def _why_unknown(look: Glimpse) -> str:
    """What keeps a file from being the first table that it has the names for."""
    for table in TABLE_NAMES:
        contract, named = CONTRACT[table], _named(table, look)
        if all(named[ours] for ours in contract.required):
            for ours in contract.required:
                kind = contract.column(ours).kind
                if not any(_fits(look, column, kind) for column in named[ours]):
                    what = "times that are all written in one way" if kind == "time" else "numbers"
                    return f'looks like {table}, but its column "{named[ours][0]}" does not hold {what}'
    return "no table's columns are in it, or not under names that are known here"


def _fits(look: Glimpse, column: str, kind: Kind) -> bool:
    if kind in ("time", "clock"):
        return bool(look.time_formats(column))
    return look.is_number(column) if kind in ("money", "number") else True


def _add_missing(guess: _Guess) -> None:
    """Columns that can be worked out: the kind from the file's name, the amount from price and quantity."""
    words = words_of(guess.look.path.name)
    if guess.table in _KIND_WORDS and "kind" not in guess.mapping:
        kinds = _KIND_WORDS[guess.table]
        kind = next((kinds[word] for word in kinds if word in words), kinds[""])
        guess.added["kind"] = literal(kind)
        guess.notes.append(f"The file has no column for the kind of {guess.table}; every row is taken as {kind!r}.")
    if guess.table != "transactions" or "amount" in guess.mapping:
        return
    price = next(
        (name for name in guess.look.columns if plain_name(name) in UNIT_PRICES and guess.look.is_number(name)), None
    )
    if price is None:
        return
    quantity = guess.mapping.get("quantity")
    if quantity is None or guess.look.has_decimal_comma(price):
        guess.mapping["amount"] = price
        guess.notes.append(f'Check that "{price}" is the whole amount of the row, not the price of one piece.')
        return
    factors = (f"TRY_CAST({identifier(name)} AS DECIMAL(18, 4))" for name in (price, quantity))
    guess.added["amount"] = " * ".join(factors)
    guess.notes.append(f'"{price}" looks like the price of one piece: the amount is price times quantity.')


def _score(guess: _Guess) -> int:
    words = words_of(guess.look.path.name)
    names = TABLE_WORDS[guess.table]
    score = 3 * any(word in words for word in names)
    score += 2 * any(column in guess.mapping or column in guess.added for column in _TELLING[guess.table][:1])
    score += sum(column in guess.mapping for column in _TELLING[guess.table])
    if guess.table == "invitations" and words & {"sent", "invitation", "invite"}:
        score += 1  # "surveys_sent" is no survey
    ids = guess.look.sample[guess.mapping["customer_id"]]
    is_one_each = len(ids) >= _LEAST_ROWS_FOR_UNIQUE and len(set(ids)) == len(ids)
    if guess.table == "customers":
        return score + (2 if is_one_each else -3)
    return score - (3 if is_one_each else 0)


def _set_reading(guess: _Guess) -> None:
    """Time format and decimal sign; columns that are written otherwise are left out, with a note."""
    contract = CONTRACT[guess.table]
    clocks = [name for name in guess.mapping if contract.column(name).kind in ("time", "clock")]
    if clocks:
        formats = guess.look.time_formats(guess.mapping[clocks[0]])
        guess.time_format = formats[0] if len(formats) == 1 else "?" + " or ".join(f'"{each}"' for each in formats)
        for name in clocks[1:]:
            if not guess.look.is_typed_time(guess.mapping[name]) and not set(formats) & set(
                guess.look.time_formats(guess.mapping[name])
            ):
                guess.notes.append(
                    f'"{guess.mapping[name]}" (our {name}) writes its times in another format; left out.'
                )
                del guess.mapping[name]
    numbers = [column for name, column in guess.mapping.items() if contract.column(name).kind in ("money", "number")]
    if any(guess.look.has_decimal_comma(column) for column in numbers):
        guess.decimal = ","


def _section(guess: _Guess, others: Sequence[str], relative_to: Path) -> str:
    path = Path(os.path.relpath(guess.look.path.absolute(), relative_to.absolute())).as_posix()
    lines = [f"# {PLACEHOLDERS[guess.table].about}"]
    lines += [f"# {note}" for note in guess.notes]
    if others:
        lines.append(f"# These files look like {guess.table} too, and are not read: {', '.join(others)}")
    lines.append(f"[tables.{guess.table}]")
    if guess.added:
        added = ", ".join(f"{expression} AS {name}" for name, expression in guess.added.items())
        lines += [f"query = {_toml(f'SELECT *, {added} FROM data')}", f"files = {{ data = {_toml(path)} }}"]
    else:
        lines.append(f"path = {_toml(path)}")
    lines += _reading_lines(guess)
    lines += [f"{name} = {_toml(column)}" for name, column in guess.mapping.items()]
    if guess.table == "customers":
        lines += _attribute_lines(guess)
    return "\n".join(lines) + "\n"


def _reading_lines(guess: _Guess) -> list[str]:
    lines: list[str] = []
    if guess.look.source.encoding != "utf-8":
        lines.append(f"encoding = {_toml(guess.look.source.encoding)}")
    if guess.look.found.dialect is not None and guess.look.found.dialect.delimiter != ",":
        lines.append(f"delimiter = {_toml(guess.look.found.dialect.delimiter)}")
    if guess.decimal != ".":
        lines.append(f"decimal = {_toml(guess.decimal)}")
    if guess.time_format is not None and guess.time_format.startswith("?"):
        lines.append(f"# Day first or month first? The values fit both. Say which: {guess.time_format[1:]}")
        lines.append("# time_format = ")
    elif guess.time_format is not None:
        lines.append(f"time_format = {_toml(guess.time_format)}")
    return lines


def _attribute_lines(guess: _Guess) -> list[str]:
    """What else is known of customers is offered, never claimed: only the user knows what never changes."""
    spare = [column for column in guess.look.columns if column not in guess.mapping.values()]
    sensitive = [column for column in spare if words_of(column) & SENSITIVE_WORDS]
    lines = [f"sensitive = [{', '.join(map(_toml, sensitive))}]  # never features"] if sensitive else []
    offered = [column for column in spare if column not in sensitive]
    if offered:
        listed = ", ".join(f'{_toml(column)} = "static"' for column in offered)
        lines += [
            '# Attributes are "static" (true of her since ever) or name the column that says since when they hold:',
            f"# attributes = {{ {listed} }}",
        ]
    return lines


def _remarks(unknown: Sequence[str], unread: Sequence[str], absent: Sequence[str]) -> str:
    lines = [NOT_READ + problem for problem in (*unknown, *unread)]
    if absent:
        lines.append(f"# No file found for: {', '.join(absent)}. A table that is absent switches its signals off.")
    return "\n".join(lines) + "\n" if lines else ""


def _toml(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
