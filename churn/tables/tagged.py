"""Tagged rows: all tables of some customers as one, because a task on a cluster takes one table.

Each row has the tag of its table and the customer's id. The other columns are shared: the first text of a visit stands
where the first text of a contact does, so that the union is as wide as the widest table and not as all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.tables.contract import TIME

TAG = "tag"
_ID = "customer_id"


@dataclass(frozen=True, slots=True)
class _Kind:
    """How columns of an Arrow type travel: under which name, as which Arrow type and SQL type."""

    name: str
    arrow: pa.DataType
    sql: str


_TEXT, _WHOLE = _Kind("text", pa.string(), "STRING"), _Kind("whole", pa.int64(), "BIGINT")
_NUMBER, _FLAG = _Kind("number", pa.float64(), "DOUBLE"), _Kind("flag", pa.bool_(), "BOOLEAN")
# Times travel as microseconds, hashes as the 64 bits that they are: a cluster's own types have zones and signs.
_KINDS = {
    pa.string(): _TEXT, pa.int64(): _WHOLE, TIME: _WHOLE, pa.uint64(): _WHOLE, pa.float64(): _NUMBER, pa.bool_(): _FLAG
}  # fmt: skip
_BY_NAME = {str(arrow_type): arrow_type for arrow_type in _KINDS}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each column of each table stands in the union.

    Attributes:
        schemas: of the tables, in the order of their tags.
    """

    schemas: Mapping[str, pa.Schema]

    def to_dict(self) -> dict[str, Any]:
        """Returns the same as plain JSON data; `layout_of` reads it back."""
        return {
            name: [[field.name, str(field.type)] for field in schema] for name, schema in self.schemas.items()
        }  # fmt: skip

    def tag_of(self, table: str) -> int:
        """Returns the tag of a table's rows."""
        return list(self.schemas).index(table)

    def places(self, table: str) -> dict[str, str]:
        """Returns the union's column of each of the table's columns but the customer's id.

        >>> layout = Layout({"visits": pa.schema([("customer_id", pa.string()), ("time", TIME)])})
        >>> layout.places("visits")
        {'time': 'whole_0'}
        """
        counts: dict[str, int] = {}
        found = {}
        for field in self.schemas[table]:
            if field.name != _ID:
                kind = _KINDS[field.type].name
                found[field.name] = f"{kind}_{counts.setdefault(kind, 0)}"
                counts[kind] += 1
        return found

    @property
    def schema(self) -> pa.Schema:
        """The columns of the union."""
        return pa.schema([(TAG, pa.int8()), (_ID, pa.string()), *((name, kind.arrow) for name, kind in self._shared())])

    @property
    def sql(self) -> str:
        """The same as the columns of an SQL table."""
        return ", ".join([f"{TAG} TINYINT", f"{_ID} STRING", *(f"{name} {kind.sql}" for name, kind in self._shared())])

    def pack(self, rows: pa.Table, table: str) -> pa.Table:
        """Returns rows of a table as rows of the union."""
        arrays = {place: _packed(rows[name]) for name, place in self.places(table).items()}
        arrays |= {TAG: pa.repeat(pa.scalar(self.tag_of(table), pa.int8()), rows.num_rows), _ID: rows[_ID]}
        columns = [arrays.get(field.name, pa.nulls(rows.num_rows, field.type)) for field in self.schema]
        return pa.table(columns, schema=self.schema)

    def unpack(self, batches: Iterable[pa.RecordBatch]) -> dict[str, pa.Table]:
        """Returns every table of the layout with its rows among some of the union, in the order in which they came."""
        parts: dict[str, list[pa.RecordBatch]] = {name: [] for name in self.schemas}
        places = {name: self.places(name) for name in self.schemas}
        names = list(self.schemas)
        for batch in batches:
            tags = batch.column(TAG).to_numpy(zero_copy_only=False)
            for tag in np.flatnonzero(np.bincount(tags, minlength=len(names))):
                own = batch.select([_ID, *places[names[tag]].values()])
                is_alone = (tags == tag).all()
                parts[names[tag]].append(own if is_alone else own.filter(pa.array(tags == tag)))
        return {name: self._table(name, places[name], parts[name]) for name in names}

    def _table(self, name: str, places: Mapping[str, str], parts: list[pa.RecordBatch]) -> pa.Table:
        schema = self.schemas[name]
        if not parts:
            return schema.empty_table()
        packed = pa.Table.from_batches(parts)
        columns = [packed[places.get(field.name, _ID)] for field in schema]
        return pa.table(
            [_unpacked(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
        )

    def _shared(self) -> list[tuple[str, _Kind]]:
        widest: dict[str, _Kind] = {}
        for table, schema in self.schemas.items():
            for name, place in self.places(table).items():
                widest.setdefault(place, _KINDS[schema.field(name).type])
        return sorted(widest.items())


def layout_of(told: Mapping[str, Any]) -> Layout:
    """Returns what `Layout.to_dict` told of."""
    return Layout({
        name: pa.schema([(column, _BY_NAME[arrow_type]) for column, arrow_type in columns])
        for name, columns in told.items()
    })  # fmt: skip


def _packed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(column, _KINDS[column.type].arrow, safe=False)


def _unpacked(column: pa.ChunkedArray, arrow_type: pa.DataType) -> pa.ChunkedArray:
    return pc.cast(column, arrow_type, safe=False)
