"""The fingerprint of data: a hash of every table's content, whatever the order of its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pyarrow as pa


def fingerprint(tables: Mapping[str, pa.Table]) -> dict[str, str]:
    """Returns a SHA-256 per table over its sorted rows as `read_tables` gives them, shortened to 16 digits."""
    return {name: _digest(table) for name, table in sorted(tables.items())}


def _digest(table: pa.Table) -> str:
    digest = hashlib.sha256()

    class _Sink:
        closed = False

        def write(self, content: bytes) -> int:
            digest.update(content)
            return len(content)

        def flush(self) -> None:
            """Nothing is held back."""

        def close(self) -> None:
            """Nothing to close."""

    with pa.ipc.new_stream(pa.PythonFile(_Sink(), mode="w"), table.schema) as stream:
        stream.write_table(table.combine_chunks(), max_chunksize=65_536)
    return digest.hexdigest()[:16]
