"""The fingerprint: the same for the same content, another for any other."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pyarrow as pa
import pytest
from made_histories import purchases, table

from churn.models.fingerprint import digests, fingerprint

FEEDBACK = table(
    "feedback", "customer_id time kind score higher_is_better text",
    "ana 2024-01-01 nps 9 yes fine", "bea 2024-01-02 nps - - -", "客户 2024-01-03 csat 1.5 no größer",
)  # fmt: skip


def of(made: pa.Table) -> str:
    return fingerprint({"feedback": made})["feedback"]


def test_every_table_has_sixteen_digits_in_the_order_of_names() -> None:
    found = fingerprint({"transactions": purchases(ana="2024-01-01"), "feedback": FEEDBACK})
    assert list(found) == ["feedback", "transactions"]
    assert all(len(digits) == 16 and int(digits, 16) >= 0 for digits in found.values())
    assert fingerprint({}) == {}
    assert len(of(FEEDBACK.slice(0, 0))) == 16


def test_how_the_rows_lie_in_memory_does_not_matter() -> None:
    pieces = pa.concat_tables([FEEDBACK.slice(0, 1), FEEDBACK.slice(1, 2)])
    longer = pa.concat_tables([FEEDBACK, FEEDBACK, FEEDBACK]).combine_chunks().slice(3, 3)
    assert of(FEEDBACK) == of(pieces) == of(longer)


def test_what_lies_under_a_null_does_not_matter() -> None:
    def scores(under: float) -> pa.Table:
        values = pa.py_buffer(np.array([9.0, under, 1.5]).tobytes())
        column = pa.Array.from_buffers(pa.float64(), 3, [pa.py_buffer(bytes([0b11111101])), values])
        return FEEDBACK.set_column(FEEDBACK.column_names.index("score"), "score", column)

    assert scores(7.0)["score"].to_pylist() == [9.0, None, 1.5]
    assert of(scores(7.0)) == of(scores(-1.0)) == of(FEEDBACK)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("score", [9.0, 0.0, 1.5]),  # a zero is no null
        ("score", [9.0, None, 1.6]),
        ("text", ["fine", "", "größer"]),  # an empty text is no null
        ("text", ["finegrö", None, "ßer"]),  # the same letters, cut elsewhere
        ("higher_is_better", [True, False, False]),
        ("customer_id", ["ana", "bea", "bea"]),
    ],
)
def test_any_other_content_has_another_fingerprint(column: str, values: list[object]) -> None:
    position = FEEDBACK.column_names.index(column)
    changed = FEEDBACK.set_column(position, column, pa.array(values, FEEDBACK.schema.field(column).type))
    assert of(changed) != of(FEEDBACK)


def test_names_types_and_the_number_of_rows_count() -> None:
    as_words = FEEDBACK.set_column(3, "score", FEEDBACK["score"].cast(pa.string()))
    renamed = FEEDBACK.rename_columns(
        ["customer_id", "time", "kind", "rating", "higher_is_better", "text", "available_at"]
    )
    assert (
        len({of(FEEDBACK), of(as_words), of(renamed), of(FEEDBACK.slice(0, 2)), of(FEEDBACK.drop_columns(["text"]))})
        == 5
    )


def test_rows_in_any_order_and_in_pieces_add_up_to_the_same() -> None:
    shuffled = FEEDBACK.take([2, 0, 1])
    pieces = [FEEDBACK.slice(0, 1), FEEDBACK.slice(1, 0), FEEDBACK.slice(1, 2)]
    summed = reduce(add, (digests({"feedback": piece})["feedback"] for piece in pieces))
    assert of(FEEDBACK) == of(shuffled) == str(summed)
    assert of(pa.concat_tables([FEEDBACK, FEEDBACK])) != of(FEEDBACK)
    swapped = FEEDBACK.set_column(0, "customer_id", FEEDBACK["text"]).set_column(5, "text", FEEDBACK["customer_id"])
    assert of(swapped) != of(FEEDBACK)
