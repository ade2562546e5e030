"""What can be seen in tables once they are read: one finding each, counted."""

import datetime as dt
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from churn.config import Config, parse_config
from churn.tables.contract import CONTRACT
from churn.tables.findings import Code, Issue
from churn.tables.shape import shape_of, together
from churn.tables.shape_findings import shape_issues

START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


def table(name: str, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """A table of the contract; `day` stands for a time, and rows are known a day later unless they say otherwise."""
    made = []
    for row in rows:
        given = dict(row)
        if "day" in given:
            given["time"] = START + dt.timedelta(days=given.pop("day"))
            given.setdefault("available_at", given["time"] + dt.timedelta(days=1))
        made.append(given)
    schema = pa.schema(
        [(column.name, column.arrow_type) for column in CONTRACT[name].columns if column.name in made[0]]
    )
    return pa.Table.from_pylist(made, schema=schema)


def sales(*days: int, customer: str = "a", **more: Any) -> pa.Table:
    return table("transactions", [{"customer_id": customer, "day": day, "amount": 100 + day, **more} for day in days])


def config(*names: str) -> Config:
    return parse_config(
        {"tables": {name: {"path": f"{name}.csv"} for name in ("transactions", *names)}}, directory=Path()
    )


def found(tables: dict[str, pa.Table], code: str) -> list[Issue]:
    return [issue for issue in shape_issues(shape_of(tables), config(*tables)) if issue.code == code]


def test_an_ordinary_table_has_only_its_summary() -> None:
    (issue,) = shape_issues(shape_of({"transactions": sales(0, 1, 2)}), config())
    assert (issue.code, issue.severity, issue.count) == ("table_summary", "info", 3)
    assert issue.message == "3 rows, 1 customer, from 2025-01-01 to 2025-01-03 (UTC)."


def test_columns_that_tell_nothing() -> None:
    tables = {"transactions": sales(0, 1, channel=None, category="x")}
    assert [issue.column for issue in found(tables, "empty_column")] == ["channel"]
    assert [issue.column for issue in found(tables, "constant_column")] == ["category"]
    varied = table(
        "transactions",
        [{"customer_id": "a", "day": 0, "amount": len(word or ""), "channel": word} for word in ("x", None)],
    )
    assert found({"transactions": varied}, "constant_column") == []


def test_a_constant_that_says_how_to_read_a_row_is_no_finding() -> None:
    reviews = [{"customer_id": "a", "day": day, "kind": "review", "score_max": 5.0, "topic": "price"} for day in (0, 1)]
    tables = {"transactions": sales(0, 1), "feedback": table("feedback", reviews)}
    assert [issue.column for issue in found(tables, "constant_column")] == ["topic"]


def test_late_rows_cannot_be_seen_without_available_at() -> None:
    blind = sales(0, 1).set_column(3, "available_at", sales(0, 1)["time"])
    (issue,) = found({"transactions": blind}, "late_rows_unseen")
    assert issue.severity == "info"
    assert "cannot see late rows" in issue.message
    assert found({"transactions": sales(0, 1)}, "late_rows_unseen") == []


def test_gaps_are_far_longer_than_usual() -> None:
    (issue,) = found({"transactions": sales(*range(10), *range(30, 40))}, "gap_in_time")
    assert "between 2025-01-10 and 2025-01-31 (21 days; usual are 1)" in issue.message
    assert found({"transactions": sales(*range(0, 200, 14))}, "gap_in_time") == []
    assert found({"transactions": sales(*range(10), *range(17, 30))}, "gap_in_time") == []


def test_a_table_that_ends_long_before_the_others_is_stale() -> None:
    visits = table("visits", [{"customer_id": "a", "day": day} for day in range(60)])
    (issue,) = found({"transactions": sales(*range(100)), "visits": visits}, "stale_table")
    assert (issue.table, issue.count) == ("visits", 40)
    assert found({"transactions": sales(*range(80)), "visits": visits}, "stale_table") == []


def test_rows_of_unknown_customers_are_counted() -> None:
    contacts = table("contacts", [{"customer_id": name, "day": 0} for name in ("a", "x", "x", "y")])
    (issue,) = found({"transactions": sales(0), "contacts": contacts}, "unknown_customers")
    assert (issue.table, issue.count) == ("contacts", 3)
    assert "2 customers not in `transactions` or `visits`" in issue.message


def test_the_customers_table_decides_who_is_known() -> None:
    people = table("customers", [{"customer_id": "a"}, {"customer_id": "b"}, {"customer_id": "b"}])
    tables = {"transactions": pa.concat_tables([sales(0), sales(0, customer="z")]), "customers": people}
    assert [(issue.table, issue.count) for issue in found(tables, "unknown_customers")] == [("transactions", 1)]
    assert [issue.count for issue in found(tables, "duplicate_customers")] == [1]
    assert [issue.count for issue in found(tables, "customers_without_events")] == [1]


def test_negative_amounts_are_returns_unless_marked_otherwise() -> None:
    plain = table("transactions", [{"customer_id": "a", "day": 0, "amount": amount} for amount in (-5, 7)])
    marks = [(-5, True), (-6, False), (7, False)]
    marked = table(
        "transactions", [{"customer_id": "a", "day": 0, "amount": amount, "is_return": mark} for amount, mark in marks]
    )
    assert [(issue.severity, issue.count) for issue in found({"transactions": plain}, "negative_amounts")] == [
        ("info", 1)
    ]
    assert [(issue.severity, issue.count) for issue in found({"transactions": marked}, "negative_amounts")] == [
        ("warning", 1)
    ]


def test_orders_at_several_times_are_counted() -> None:
    rows = [("o1", 0), ("o1", 1), ("o2", 2), ("o2", 2), (None, 3), (None, 4)]
    lines = table(
        "transactions", [{"customer_id": "a", "day": day, "amount": 1, "order_id": order} for order, day in rows]
    )
    assert [issue.count for issue in found({"transactions": lines}, "several_rows_per_order")] == [1]


def test_lines_of_orders_that_nothing_holds_together_are_counted() -> None:
    rows = [{"customer_id": "a", "day": day, "amount": 1} for day in (0, 0, 1, 1, 1, 2)]
    assert [issue.count for issue in found({"transactions": table("transactions", rows)}, "rows_without_order")] == [3]
    held = [{**row, "order_id": f"o{row['day']}"} for row in rows]
    assert not found({"transactions": table("transactions", held)}, "rows_without_order")


def test_words_without_a_meaning_are_counted_and_not_shown() -> None:
    words = ("nps", "reviw", "canary@example.org")
    feedback = table("feedback", [{"customer_id": "a", "day": 0, "kind": word} for word in words])
    (issue,) = found({"transactions": sales(0), "feedback": feedback}, "unknown_kind")
    assert (issue.count, issue.column) == (2, "kind")
    assert "canary" not in str(issue)


def test_one_customer_with_one_row_is_no_trouble() -> None:
    tables = {"transactions": sales(0), "customers": table("customers", [{"customer_id": "a"}])}
    assert {issue.code for issue in shape_issues(shape_of(tables), config("customers"))} == {"table_summary"}


def test_any_buckets_of_customers_have_the_findings_of_everybody() -> None:
    """Whoever stands in which bucket, and where some buckets hold no row of a table, too."""
    ids = [f"c{number}" for number in range(9)]
    orders = [
        {"customer_id": who, "day": day, "amount": 4 - day, "is_return": day == 6, "order_id": f"o{day // 2}",
         "channel": None, "category": "x"}
        for day, who in enumerate(ids[:7])
    ]  # fmt: skip
    feedback = [
        {"customer_id": who, "day": 90 * place, "kind": kind, "score": 3.0, "available_at": None}
        for place, (who, kind) in enumerate(zip(ids[5:], ("nps", "tale", "fable", "nps"), strict=True))
    ]
    tables = {
        "transactions": table("transactions", [*orders, *({**one, "day": 40} for one in orders[:3])]),
        "feedback": table("feedback", feedback),
        "customers": table("customers", [{"customer_id": who} for who in (*ids[2:8], ids[3])]),
    }
    late = tables["feedback"].column_names.index("available_at")
    tables["feedback"] = tables["feedback"].set_column(late, "available_at", tables["feedback"]["time"])
    settings, whole = config("feedback", "customers"), shape_of(tables)
    buckets = [ids[0::3], ids[1::3], ids[2::3], ["nobody"]]
    parts = [
        shape_of({name: rows.filter(pc.is_in(rows["customer_id"], pa.array(few))) for name, rows in tables.items()})
        for few in buckets
    ]
    assert shape_issues(together(parts), settings) == shape_issues(whole, settings)
    assert {issue.code for issue in shape_issues(whole, settings)} == {
        "table_summary", "constant_column", "duplicate_customers", "empty_column", "gap_in_time", "late_rows_unseen",
        "negative_amounts", "several_rows_per_order", "stale_table", "unknown_customers", "unknown_kind",
    }  # fmt: skip


def test_a_finding_is_plain_data_and_one_sentence() -> None:
    issue = Issue(
        "warning",
        "missing_id",
        "visits",
        "5 rows without a customer id; dropped.",
        "customer_id",
        5,
        (1, 2, 3),
        "Mend them.",
    )
    assert str(issue) == "visits.customer_id: 5 rows without a customer id; dropped. (rows 1, 2, 3, ...) Mend them."
    assert issue.to_dict() == {
        "severity": "warning", "code": "missing_id", "table": "visits", "column": "customer_id",
        "message": "5 rows without a customer id; dropped.", "count": 5, "rows": [1, 2, 3], "fix": "Mend them.",
    }  # fmt: skip


def test_every_code_is_explained() -> None:
    page = (Path(__file__).parent.parent / "docs" / "findings.md").read_text(encoding="utf-8")
    explained = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert explained == set(typing.get_args(Code))
