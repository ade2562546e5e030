"""The contract: which tables and columns there are, and what each column is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Kind = Literal["id", "time", "clock", "money", "number", "flag", "text", "category"]

TIME = pa.timestamp("us", tz="UTC")
_ARROW: dict[str, pa.DataType] = {
    "id": pa.string(), "time": TIME, "clock": TIME, "money": pa.int64(), "number": pa.float64(),
    "flag": pa.bool_(), "text": pa.string(), "category": pa.string(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Kinds: `id` text that names something; `time` when the row happened; `clock` when a value of the row became known
    later than the row itself; `money` integer cents inside; `number`; `flag`; `category` short text; `text` prose.
    """

    name: str
    kind: Kind
    is_required: bool = False

    @property
    def arrow_type(self) -> pa.DataType:
        """The column's type once it is read."""
        return _ARROW[self.kind]


@dataclass(frozen=True, slots=True)
class TableContract:
    """One table: its columns in their fixed order. An event table has rows that happen at `time_column`."""

    name: str
    columns: tuple[Column, ...]
    time_column: str | None

    def column(self, name: str) -> Column:
        """Returns the column called `name`; raises KeyError when the table has none such."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the columns a source must have."""
        return tuple(column.name for column in self.columns if column.is_required)


def _table(name: str, time_column: str | None, columns: str) -> TableContract:
    """Reads `"customer_id:id! time:time! amount:money"`, where `!` marks a required column."""
    parsed = []
    for word in columns.split():
        column, kind = word.rstrip("!").split(":")
        parsed.append(Column(column, kind, is_required=word.endswith("!")))  # type: ignore[arg-type]
    if time_column is not None:
        parsed.append(Column("available_at", "clock"))
    return TableContract(name, tuple(parsed), time_column)


CONTRACT: dict[str, TableContract] = {
    table.name: table
    for table in (
        _table("transactions", "time", "customer_id:id! time:time! amount:money! order_id:id channel:category "
               "category:category quantity:number discount:money is_return:flag"),
        _table("visits", "time", "customer_id:id! time:time! channel:category duration_seconds:number"),
        _table("contacts", "time", "customer_id:id! time:time! case_id:id channel:category topic:category agent_id:id "
               "wait_seconds:number handle_seconds:number resolved_at:clock is_complaint:flag text:text"),
        _table("incidents", "time", "customer_id:id! time:time! kind:category! severity:number order_id:id"),
        _table("feedback", "time", "customer_id:id! time:time! kind:category! author:category score:number "
               "score_min:number score_max:number higher_is_better:flag channel:category topic:category text:text"),
        _table("invitations", "time", "customer_id:id! time:time! channel:category answered_at:clock"),
        _table("customers", None, "customer_id:id! since:time closed_at:clock opted_out_at:clock is_contactable:flag"),
        _table("subscriptions", "start", "customer_id:id! start:time! end:time! plan:category amount:money "
               "ended_at:clock ended_how:category ended_reason:text"),
        _table("treatments", "time", "customer_id:id! time:time! kind:category! is_control:flag"),
    )
}  # fmt: skip
"""Every table by name. Attributes of `customers` come beside its contract columns, as the configuration lists them."""
