"""Reading tables: read right, or refused by name with every problem at once."""

import datetime as dt
import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.config import load_config, parse_config
from churn.errors import ConfigError, TableError
from churn.tables.findings import Issue
from churn.tables.sources import read_tables

SALES = "customer_id,time,amount\n007,2025-01-01,10\n1e5,2025-01-02T03:04:05Z,2.50\n"


def read(folder: Path, *, tables: dict[str, Any], **settings: Any) -> tuple[dict[str, pa.Table], list[Issue]]:
    return read_tables(parse_config({**settings, "tables": tables}, directory=folder))


def sales(folder: Path, text: str | bytes, **settings: Any) -> tuple[pa.Table, list[Issue]]:
    """Reads one file of transactions."""
    content = text.encode() if isinstance(text, str) else text
    (folder / "sales.csv").write_bytes(content)
    tables, issues = read(folder, tables={"transactions": {"path": "sales.csv", **settings}})
    return tables["transactions"], issues


def problems(folder: Path, text: str | bytes, **settings: Any) -> str:
    with pytest.raises(TableError, match="transactions: ") as caught:
        sales(folder, text, **settings)
    return str(caught.value)


def codes(issues: list[Issue]) -> dict[str, Issue]:
    return {issue.code: issue for issue in issues}


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc,arg-type]


# Shape of the result


def test_a_table_has_the_types_and_order_of_the_contract(tmp_path: Path) -> None:
    table, issues = sales(tmp_path, "amount,junk,time,customer_id\n-1.005,x,2025-01-02,b\n3,y,2025-01-01,a\n")
    assert issues == []
    assert table.schema == pa.schema(
        {
            "customer_id": pa.string(),
            "time": pa.timestamp("us", "UTC"),
            "amount": pa.int64(),
            "available_at": pa.timestamp("us", "UTC"),
        }
    )
    assert table.to_pylist()[1] == {
        "customer_id": "b", "time": utc(2025, 1, 2), "amount": -101, "available_at": utc(2025, 1, 2),
    }  # fmt: skip


def test_rows_and_columns_in_another_order_make_the_same_table(tmp_path: Path) -> None:
    lines = [f"{row % 7},2025-01-{1 + row % 3:02d},{row}.5,o{row % 5}" for row in range(60)]
    whole, _ = sales(tmp_path, "customer_id,time,amount,order_id\n" + "\n".join(lines))
    turned, _ = sales(tmp_path, "customer_id,time,amount,order_id\n" + "\n".join(reversed(lines)))
    swapped = [",".join(line.split(",")[::-1]) for line in lines]
    other, _ = sales(tmp_path, "order_id,amount,time,customer_id\n" + "\n".join(swapped))
    assert whole.equals(turned)
    assert whole.equals(other)


def test_one_or_several_threads_make_the_same_table(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(
        "customer_id,time,amount\n" + "".join(f"{i % 99},2025-01-01,{i}\n" for i in range(5000))
    )
    made = [read(tmp_path, tables={"transactions": {"path": "sales.csv"}}, engine={"threads": n})[0] for n in (1, 4)]
    assert made[0]["transactions"].equals(made[1]["transactions"])


# Ids


def test_ids_stay_as_they_are(tmp_path: Path) -> None:
    ids = ["00123", "1e5", "9007199254740993", " spaced ", "Zoë-名前", "NA", "null", "12.0"]
    table, _ = sales(tmp_path, "customer_id,time,amount\n" + "".join(f"{i},2025-01-01,1\n" for i in ids))
    assert sorted(table["customer_id"].to_pylist()) == sorted(ids)


def test_rows_without_an_id_are_counted_and_dropped(tmp_path: Path) -> None:
    table, issues = sales(
        tmp_path, 'customer_id,time,amount\na,2025-01-01,1\n,2025-01-01,1\n" ",2025-01-02,1\n"",2025-01-03,1\n'
    )
    assert table.num_rows == 1
    found = codes(issues)["missing_id"]
    assert (found.count, found.rows, found.column) == (3, (2, 3, 4), "customer_id")


def test_whole_numbers_that_became_doubles_match_their_text(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"customer_id": [12345.0, None, 7.0], "time": [dt.date(2025, 1, 1)] * 3, "amount": [1.0] * 3}),
        tmp_path / "s.parquet",
    )
    tables, _ = read(tmp_path, tables={"transactions": {"path": "s.parquet"}})
    assert tables["transactions"]["customer_id"].to_pylist() == ["12345", "7"]


def test_ids_that_lost_digits_are_refused(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"customer_id": [2.0**60], "time": [dt.date(2025, 1, 1)], "amount": [1]}), tmp_path / "s.parquet"
    )
    with pytest.raises(TableError, match="lost digits"):
        read(tmp_path, tables={"transactions": {"path": "s.parquet"}})


# Money and numbers


@pytest.mark.parametrize(
    ("written", "cents"),
    [
        ("1.005", 101),
        ("-1.005", -101),
        ("0.1", 10),
        ("1e2", 10000),
        (" 7 ", 700),
        ("2.675", 268),
        ("99999999.99", 9999999999),
        ("0", 0),
    ],
)
def test_money_is_cents_rounded_half_away_from_zero(tmp_path: Path, written: str, cents: int) -> None:
    table, _ = sales(tmp_path, f"customer_id,time,amount\na,2025-01-01,{written}\n")
    assert table["amount"].to_pylist() == [cents]


@pytest.mark.parametrize("amount", [1.005, 0.1 + 0.2, 123456.785, -2.675, 19.99])
def test_money_is_the_same_from_text_and_from_doubles(tmp_path: Path, amount: float) -> None:
    pq.write_table(
        pa.table({"customer_id": ["a"], "time": [dt.date(2025, 1, 1)], "amount": [amount]}), tmp_path / "s.parquet"
    )
    tables, _ = read(tmp_path, tables={"transactions": {"path": "s.parquet"}})
    table, _ = sales(tmp_path, f"customer_id,time,amount\na,2025-01-01,{amount!r}\n")
    assert tables["transactions"].equals(table)


def test_a_decimal_comma_is_honoured(tmp_path: Path) -> None:
    table, _ = sales(tmp_path, "customer_id;time;amount\na;2025-01-01;1234,50\n", decimal=",")
    assert table["amount"].to_pylist() == [123450]
    assert 'decimal = ","' in problems(tmp_path, "customer_id;time;amount\na;2025-01-01;1234,50\n")


@pytest.mark.parametrize(
    ("written", "decimal", "cents"),
    [("1.234,50", ",", 123450), ("-1.234.567,8", ",", -123456780), ("1.234", ",", 123400), ('"1,234.50"', ".", 123450)],
)
def test_thousands_may_be_set_apart(tmp_path: Path, written: str, decimal: str, cents: int) -> None:
    table, _ = sales(tmp_path, f"customer_id;time;amount\na;2025-01-01;{written}\n", decimal=decimal)
    assert table["amount"].to_pylist() == [cents]


@pytest.mark.parametrize(("written", "decimal"), [("1,234", "."), ("12.34,5", ","), ("1.5", ",")])
def test_a_sign_that_could_be_either_is_not_guessed(tmp_path: Path, written: str, decimal: str) -> None:
    assert "no readable amount" in problems(
        tmp_path, f"customer_id;time;amount\na;2025-01-01;{written}\n", decimal=decimal
    )


def test_amounts_that_are_no_finite_number_are_one_finding(tmp_path: Path) -> None:
    rows = "".join(f"a,2025-01-0{day},{amount}\n" for day, amount in enumerate(["1", "NaN", "inf", "", "-5"], start=1))
    table, issues = sales(tmp_path, "customer_id,time,amount\n" + rows)
    assert table["amount"].to_pylist() == [100, -500]
    assert [(issue.code, issue.count, issue.rows) for issue in issues] == [("missing_amount", 3, (2, 3, 4))]


def test_infinite_doubles_are_found_too(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"customer_id": ["a"] * 3, "time": [dt.date(2025, 1, 1)] * 3,
                  "amount": [1.0, float("inf"), float("nan")],
                  "quantity": [float("-inf"), 1.0, float("nan")]}),
        tmp_path / "s.parquet",
    )  # fmt: skip
    tables, issues = read(tmp_path, tables={"transactions": {"path": "s.parquet"}})
    assert tables["transactions"].select(["amount", "quantity"]).to_pylist() == [{"amount": 100, "quantity": None}]
    assert {(issue.code, issue.column, issue.count) for issue in issues} == {
        ("missing_amount", "amount", 2), ("not_finite", "quantity", 1),
    }  # fmt: skip


def test_flags_and_numbers_are_read_from_words(tmp_path: Path) -> None:
    table, _ = sales(
        tmp_path,
        "customer_id,time,amount,is_return,quantity\na,2025-01-01,1,Yes,2\nb,2025-01-01,1,0,NA\nc,2025-01-01,1,,3.5\n",
    )
    assert table["is_return"].to_pylist() == [True, False, None]
    assert table["quantity"].to_pylist() == [2.0, None, 3.5]


# Times


def test_naive_times_are_local_and_offsets_win(tmp_path: Path) -> None:
    times = ["2025-07-01 12:00", "2025-07-01T12:00:00+05:30", "2025-07-01", "2025-07-01T12:00:00.25Z"]
    rows = "".join(f"c{place},{time},1\n" for place, time in enumerate(times))
    table, _ = sales(tmp_path, "customer_id,time,amount\n" + rows, timezone="Europe/Berlin")
    assert table["time"].to_pylist() == [
        utc(2025, 7, 1, 10), utc(2025, 7, 1, 6, 30), utc(2025, 6, 30, 22), utc(2025, 7, 1, 12, 0, 0, 250000),
    ]  # fmt: skip


def test_the_nights_when_clocks_change_follow_a_rule_with_a_finding(tmp_path: Path) -> None:
    times = ["2025-03-30 02:30", "2025-10-26 02:30", "2025-10-26T02:30:00+02:00", "2025-10-26 03:00"]
    rows = "".join(f"c{place},{time},1\n" for place, time in enumerate(times))
    table, issues = sales(tmp_path, "customer_id,time,amount\n" + rows, timezone="Europe/Berlin")
    assert table["time"].to_pylist() == [
        utc(2025, 3, 30, 1), utc(2025, 10, 26, 1, 30), utc(2025, 10, 26, 0, 30), utc(2025, 10, 26, 2),
    ]  # fmt: skip
    assert {code: found.rows for code, found in codes(issues).items()} == {
        "nonexistent_times": (1,),
        "ambiguous_times": (2,),
    }


def test_a_date_that_fits_two_countries_needs_its_format(tmp_path: Path) -> None:
    text = "customer_id,time,amount\na,01/02/2025,1\n"
    message = problems(tmp_path, text)
    assert "set tables.transactions.time_format" in message
    assert "written like 99/99/9999" in message
    day_first, _ = sales(tmp_path, text, time_format="%d/%m/%Y")
    month_first, _ = sales(tmp_path, text, time_format="%m/%d/%Y")
    assert day_first["time"].to_pylist() == [utc(2025, 2, 1)]
    assert month_first["time"].to_pylist() == [utc(2025, 1, 2)]


@pytest.mark.parametrize(
    ("written", "unit"), [("1735689600", "epoch_s"), ("1735689600000", "epoch_ms"), ("1735689600000.0", "epoch_ms")]
)
def test_epochs_need_their_unit(tmp_path: Path, written: str, unit: str) -> None:
    text = f"customer_id,time,amount\na,{written},1\n"
    assert f'set tables.transactions.time_format = "{unit}"' in problems(tmp_path, text)
    table, _ = sales(tmp_path, text, time_format=unit)
    assert table["time"].to_pylist() == [utc(2025, 1, 1)]


def test_integers_in_parquet_are_no_times_either(tmp_path: Path) -> None:
    pq.write_table(pa.table({"customer_id": ["a"], "time": [1735689600000], "amount": [1]}), tmp_path / "s.parquet")
    with pytest.raises(TableError, match="epoch_ms"):
        read(tmp_path, tables={"transactions": {"path": "s.parquet"}})
    tables, _ = read(tmp_path, tables={"transactions": {"path": "s.parquet", "time_format": "epoch_ms"}})
    assert tables["transactions"]["time"].to_pylist() == [utc(2025, 1, 1)]


def test_the_wrong_unit_lands_in_no_possible_year(tmp_path: Path) -> None:
    assert "before 1990 or after 2099" in problems(
        tmp_path, "customer_id,time,amount\na,1735689600,1\n", time_format="epoch_ms"
    )


def test_impossible_years_are_listed(tmp_path: Path) -> None:
    rows = "".join(f"c{row},2025-01-01,1\n" for row in range(400))
    table, issues = sales(tmp_path, f"customer_id,time,amount\nold,1900-01-01,1\n{rows}new,2999-01-01,1\n")
    assert table.num_rows == 400
    found = codes(issues)["time_out_of_range"]
    assert (found.count, found.rows) == (2, (1, 402))


def test_a_far_future_that_means_never_is_missing(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text(
        "customer_id,time,resolved_at\na,2025-01-01,9999-12-31\nb,2025-01-01,2025-01-03\n"
    )
    (tmp_path / "sales.csv").write_text(SALES)
    tables, issues = read(tmp_path, tables={"transactions": {"path": "sales.csv"}, "contacts": {"path": "calls.csv"}})
    assert tables["contacts"]["resolved_at"].to_pylist() == [None, utc(2025, 1, 3)]
    assert codes(issues)["time_out_of_range"].column == "resolved_at"


def test_a_row_that_does_not_say_when_it_became_known_is_a_finding(tmp_path: Path) -> None:
    rows = "a,2025-01-01,1,2025-01-02\na,2025-01-03,1,\n"
    table, issues = sales(tmp_path, "customer_id,time,amount,available_at\n" + rows)
    assert table["available_at"].to_pylist() == [utc(2025, 1, 2), utc(2025, 1, 3)]
    assert codes(issues)["missing_available_at"].rows == (2,)


def test_a_few_unreadable_times_are_dropped_and_many_refuse_the_table(tmp_path: Path) -> None:
    rows = "".join(f"c{row},2025-01-01,1\n" for row in range(200))
    table, issues = sales(tmp_path, f"customer_id,time,amount\nx,yesterday,1\ny,,1\n{rows}")
    assert table.num_rows == 200
    assert {code: found.rows for code, found in codes(issues).items()} == {
        "unreadable_values": (1,),
        "missing_time": (1, 2),
    }
    message = problems(tmp_path, "customer_id,time,amount\n" + "x,yesterday,1\n" * 4 + rows)
    assert "4 rows of 204 hold no readable time (rows 1, 2, 3, ...; written like aaaaaaaaa)" in message


def test_an_unknown_time_format_is_named(tmp_path: Path) -> None:
    assert 'time_format = "%Q" is no time format' in problems(tmp_path, SALES, time_format="%Q")


def test_available_at_is_never_before_the_row(tmp_path: Path) -> None:
    text = "customer_id,time,amount,loaded\na,2025-01-05,1,2025-01-01\nb,2025-01-05,1,2025-01-09\nc,2025-01-05,1,\n"
    table, issues = sales(tmp_path, text, available_at="loaded")
    assert table["available_at"].to_pylist() == [utc(2025, 1, 5), utc(2025, 1, 9), utc(2025, 1, 5)]
    assert codes(issues)["known_before_time"].rows == (1,)


def test_row_numbers_are_those_of_the_source_in_a_large_file_too(tmp_path: Path) -> None:
    rows, wrong = 400_000, [150_001, 300_002, 399_999]
    times = ["2025-01-01"] * rows
    amounts, flags = ["1"] * rows, ["yes"] * rows
    for number in wrong:
        times[number - 1], amounts[number - 1], flags[number - 1] = "2999-01-01", "inf", "?"
    ids = pa.array(range(rows)).cast(pa.string())
    sold = pa.table({"customer_id": ids, "time": times, "amount": amounts, "is_return": flags})
    pq.write_table(sold, tmp_path / "s.parquet", row_group_size=20_000)
    _, issues = read(tmp_path, tables={"transactions": {"path": "s.parquet"}}, engine={"threads": 4})
    assert {issue.code: issue.rows for issue in issues} == {
        "time_out_of_range": tuple(wrong), "unreadable_values": tuple(wrong),
    }  # fmt: skip


# Duplicates


def test_the_same_file_exported_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(SALES)
    (tmp_path / "b.csv").write_text(SALES)
    once, _ = read(tmp_path, tables={"transactions": {"path": "a.csv"}})
    twice, issues = read(tmp_path, tables={"transactions": {"path": "?.csv"}})
    assert once["transactions"].equals(twice["transactions"])
    found = codes(issues)["duplicate_rows"]
    assert (found.severity, found.count, found.rows) == ("warning", 2, (3, 4))
    kept, issues = read(tmp_path, tables={"transactions": {"path": "?.csv", "duplicates": "keep"}})
    assert kept["transactions"].num_rows == 4
    assert (codes(issues)["duplicate_rows"].severity, codes(issues)["duplicate_rows"].count) == ("info", 2)


def test_rows_that_differ_in_a_column_we_do_not_read_are_no_duplicates(tmp_path: Path) -> None:
    table, issues = sales(tmp_path, "customer_id,time,amount,item\na,2025-01-01,5,pen\na,2025-01-01,5,cup\n")
    assert table.num_rows == 2
    assert issues == []


# Columns


def test_a_misspelt_column_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(SALES)
    (tmp_path / "reviews.csv").write_text("customer_id,time,kind,score\na,2025-01-01,nps,9\n")
    toml = '[tables.transactions]\npath = "sales.csv"\n\n[tables.feedback]\npath = "reviews.csv"\nscore = "scroe"\n'
    (tmp_path / "churn.toml").write_text(toml)
    with pytest.raises(TableError, match="feedback") as caught:
        read_tables(load_config(tmp_path / "churn.toml"))
    assert caught.value.problems == (
        'feedback: column "scroe" is not in reviews.csv; did you mean "score"? '
        "Set tables.feedback.score in churn.toml (line 6).",
    )  # fmt: skip


def test_all_problems_of_all_tables_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("customer,tme,amount\na,2025-01-01,1\n")
    with pytest.raises(TableError, match="transactions") as caught:
        read(
            tmp_path,
            tables={
                "transactions": {"path": "sales.csv", "amont": "amount"},
                "visits": {"path": "visit.csv"},
                "contacts": {"path": "no/x.csv"},
            },
        )
    assert len(caught.value.problems) == 5
    text = str(caught.value)
    assert 'tables.transactions.amont is no column of transactions; did you mean "amount"' in text
    assert 'column "customer_id" is not in sales.csv; did you mean "customer"?' in text
    assert 'column "time" is not in sales.csv; did you mean "tme"?' in text
    assert "visits: visit.csv does not exist" in text
    assert "sales.csv" in text.split("visits:")[1]
    assert "contacts: no/x.csv does not exist (neither does its folder no/)" in text


def test_columns_that_come_twice_are_refused(tmp_path: Path) -> None:
    assert 'several columns called "amount"' in problems(tmp_path, "customer_id,time,amount,amount\na,2025-01-01,1,2\n")


def test_a_column_without_a_name_does_no_harm(tmp_path: Path) -> None:
    table, _ = sales(tmp_path, ",customer_id,time,amount\n0,a,2025-01-01,1\n")
    assert table.num_rows == 1


@pytest.mark.parametrize(
    "name", ['amount"; DROP TABLE x; --', "a'mount", "amount) FROM x", "Größe (€)", "amount:problem"]
)
def test_sql_in_column_names_is_only_a_name(tmp_path: Path, name: str) -> None:
    header = name.replace('"', '""')
    table, _ = sales(tmp_path, f'customer_id,time,"{header}"\n"x\'; DROP TABLE y",2025-01-01,1\n', amount=name)
    assert table["amount"].to_pylist() == [100]
    assert table["customer_id"].to_pylist() == ["x'; DROP TABLE y"]
    pq.write_table(pa.table({"customer_id": ["a"], "time": [dt.date(2025, 1, 1)], name: [1]}), tmp_path / "s.parquet")
    tables, _ = read(tmp_path, tables={"transactions": {"path": "s.parquet", "amount": name}})
    assert tables["transactions"]["amount"].to_pylist() == [100]


# Files


def test_delimiters_are_found_out(tmp_path: Path) -> None:
    expected, _ = sales(tmp_path, SALES)
    for mark in (";", "\t", "|"):
        table, _ = sales(tmp_path, SALES.replace(",", mark))
        assert table.equals(expected)
    table, issues = sales(tmp_path, SALES.replace(",", ";"), delimiter="|")
    assert table.equals(expected)
    assert codes(issues)["wrong_delimiter"].severity == "warning"


def test_two_delimiters_that_fit_alike_are_refused(tmp_path: Path) -> None:
    assert "can be split at comma and semicolon alike" in problems(tmp_path, "a,b;c\n1,2;3\n")


def test_encodings_marks_and_line_ends_are_read_right(tmp_path: Path) -> None:
    text = SALES + "José,2025-01-03,1\n"
    expected, _ = sales(tmp_path, text)
    for content, settings in [
        (text.encode("utf-8-sig"), {}),
        (text.encode("utf-8-sig"), {"encoding": "latin-1"}),
        (text.replace("\n", "\r\n").encode(), {}),
        (text.encode("latin-1"), {"encoding": "latin-1"}),
        (text.encode("utf-16"), {}),
        (text.rstrip().encode(), {}),
        (text.encode() + b"\n\n", {}),
        (b"\n\n" + text.encode(), {}),
    ]:
        table, _ = sales(tmp_path, content, **settings)
        assert table.equals(expected)


def test_another_encoding_is_named(tmp_path: Path) -> None:
    assert 'is not utf-8; set its `encoding`, such as "latin-1"' in problems(
        tmp_path, (SALES + "José,2025-01-03,1\n").encode("latin-1")
    )


def test_nul_bytes_are_refused(tmp_path: Path) -> None:
    assert "NUL byte at byte 26" in problems(tmp_path, SALES.encode().replace(b"7,", b"\0,", 1))


def test_quoted_line_ends_and_delimiters_stay_in_their_cell(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(SALES)
    (tmp_path / "calls.csv").write_bytes(
        b'customer_id,time,text\na,2025-01-01,"one, two\r\nthree ""four"""\nb,2025-01-01,x\n'
    )
    tables, _ = read(tmp_path, tables={"transactions": {"path": "sales.csv"}, "contacts": {"path": "calls.csv"}})
    assert tables["contacts"]["text"].to_pylist() == ['one, two\r\nthree "four"', "x"]


def test_ragged_rows_are_refused_with_their_numbers(tmp_path: Path) -> None:
    rows = "a,2025-01-01,1\nb,2025-01-01\nc,2025-01-01,1,1\nd,2025-01-01,1\ne\nf,1\n"
    assert "4 rows without the 3 fields of its header (rows 2, 3, 5, ...)" in problems(
        tmp_path, "customer_id,time,amount\n" + rows
    )


def test_an_open_quote_is_refused(tmp_path: Path) -> None:
    message = problems(tmp_path, SALES + '"canary@example.org,2025-01-01,1\nx,2025-01-01,1\n')
    assert "quote" in message
    assert "canary" not in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\xff\xfe", "is empty"),
        (b"customer_id,time,amount\n", "no rows"),
        (b"\n\n\ncustomer_id,time,amount\n\n", "no rows"),
    ],
)
def test_files_without_rows_are_refused(tmp_path: Path, text: bytes, message: str) -> None:
    assert message in problems(tmp_path, text)


def test_a_table_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    assert "no usable row left" in problems(tmp_path, "customer_id,time,amount\n,2025-01-01,1\n")


def test_broken_and_empty_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing of use PAR1")
    (tmp_path / "text.parquet").write_text(SALES)
    pq.write_table(pa.table({"customer_id": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    for name, message in [("broken", "no readable Parquet"), ("text", "no readable Parquet"), ("empty", "no rows")]:
        with pytest.raises(TableError, match=message):
            read(tmp_path, tables={"transactions": {"path": f"{name}.parquet"}})


def test_damaged_compressed_files_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress(SALES.encode() * 2000)
    for content in (whole[: len(whole) // 2], b"no gzip at all", whole[:40] + b"xxxxxx" + whole[46:]):
        (tmp_path / "sales.csv.gz").write_bytes(content)
        with pytest.raises(TableError, match=r"sales\.csv\.gz is damaged"):
            read(tmp_path, tables={"transactions": {"path": "sales.csv.gz"}})


def test_text_that_breaks_off_inside_a_character_is_refused(tmp_path: Path) -> None:
    assert "is not utf-16" in problems(tmp_path, SALES.encode("utf-16") + b"\x00")
    assert "is not utf-8" in problems(tmp_path, SALES.encode() + b"\xc3")


def test_folders_without_tables_say_so(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(TableError, match="in has no CSV or Parquet file in it"):
        read(tmp_path, tables={"transactions": {"path": "in"}})


def test_only_the_pattern_of_the_user_is_a_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "old [2024] *"
    folder.mkdir()
    (folder / "sales.csv").write_text(SALES)
    for path in ("sales.csv", "sal*.csv"):
        tables, _ = read(folder, tables={"transactions": {"path": path}})
        assert tables["transactions"].num_rows == 2


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_typed_times_of_every_unit_are_read(tmp_path: Path, unit: str) -> None:
    times = pa.array([utc(2025, 7, 1, 12).replace(tzinfo=None)]).cast(pa.timestamp(unit))
    aware = times.cast(pa.timestamp(unit, "America/New_York"))
    for written, hour in ((times, 10), (aware, 12)):
        pq.write_table(pa.table({"customer_id": ["a"], "time": written, "amount": [1]}), tmp_path / "s.parquet")
        tables, _ = read(tmp_path, tables={"transactions": {"path": "s.parquet"}}, timezone="Europe/Berlin")
        assert tables["transactions"]["time"].to_pylist() == [utc(2025, 7, 1, hour)]


def test_other_kinds_of_file_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "sales.xlsx").write_bytes(b"PK\x03\x04 whatever")
    with pytest.raises(TableError, match="save it as CSV"):
        read(tmp_path, tables={"transactions": {"path": "sales.xlsx"}})


def test_folders_globs_and_compressed_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    head, *rows = SALES.splitlines(keepends=True)
    (tmp_path / "in" / "a[1].csv").write_text(head + rows[0])
    with gzip.open(tmp_path / "in" / "b.csv.gz", "wb") as file:
        file.write(b"time,amount,customer_id\n2025-01-02T03:04:05Z,2.50,1e5\n")
    expected, _ = sales(tmp_path, SALES)
    for path in ("in", "in/*"):
        tables, _ = read(tmp_path, tables={"transactions": {"path": path}})
        assert tables["transactions"].equals(expected)
    tables, _ = read(tmp_path, tables={"transactions": {"path": "in/a[1].csv"}})
    assert tables["transactions"]["customer_id"].to_pylist() == ["007"]


def test_files_of_one_table_must_have_the_same_columns(tmp_path: Path) -> None:
    (tmp_path / "a1.csv").write_text(SALES)
    (tmp_path / "a2.csv").write_text(SALES.replace("amount", "total"))
    with pytest.raises(TableError, match=r'a2\.csv and a1\.csv differ in the columns "amount", "total"'):
        read(tmp_path, tables={"transactions": {"path": "a*.csv"}})


# Customers


def test_attributes_are_read_as_configured_and_sensitive_ones_never(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(SALES)
    (tmp_path / "people.csv").write_text(
        "customer_id,since,region,plan,plan_since,gender,shoe\n007,2024-01-01,North,gold,2025-01-01,f,38\n"
    )
    source = {"path": "people.csv", "attributes": {"region": "static", "plan": "plan_since"}, "sensitive": ["gender"]}
    tables, issues = read(tmp_path, tables={"transactions": {"path": "sales.csv"}, "customers": source})
    assert tables["customers"].to_pylist() == [
        {"customer_id": "007", "since": utc(2024, 1, 1), "region": "North", "plan": "gold",
         "plan__valid_from": utc(2025, 1, 1)}
    ]  # fmt: skip
    assert [(issue.code, issue.column) for issue in issues] == [("attribute_left_out", "shoe")]


def test_attributes_that_are_not_there_or_sensitive_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(SALES)
    (tmp_path / "people.csv").write_text("customer_id,region,gender\n007,North,f\n")
    source = {"path": "people.csv", "attributes": {"regoin": "static", "gender": "static"}, "sensitive": ["gender"]}
    with pytest.raises(TableError, match="customers") as caught:
        read(tmp_path, tables={"transactions": {"path": "sales.csv"}, "customers": source})
    assert 'column "regoin" is not in people.csv; did you mean "region"?' in str(caught.value)
    assert 'column "gender" is sensitive, and read as gender' in str(caught.value)
    source = {"path": "people.csv", "attributes": {"since": "static"}}
    with pytest.raises(TableError, match='attribute "since" is a column of customers already'):
        read(tmp_path, tables={"transactions": {"path": "sales.csv"}, "customers": source})


def test_a_sensitive_column_is_not_read_even_under_our_name(tmp_path: Path) -> None:
    table, _ = sales(tmp_path, "customer_id,time,amount,channel\na,2025-01-01,1,web\n", sensitive=["channel"])
    assert "channel" not in table.column_names


# Privacy and engine


def test_no_message_shows_what_stands_in_a_cell(tmp_path: Path) -> None:
    canary = "canary@example.org"
    rows = "".join(f"{canary},2025-01-01,1,{canary}\n" for _ in range(300))
    _, issues = sales(
        tmp_path,
        f"customer_id,time,amount,quantity\n{canary},{canary},{canary},\n" + rows.replace(f",{canary}\n", ",\n"),
    )
    refused = problems(tmp_path, f"customer_id,time,amount,quantity\n{rows}{canary},{canary},{canary},{canary}\n" * 1)
    assert issues
    for text in [refused, *map(str, issues), *(str(issue.to_dict()) for issue in issues)]:
        assert "canary" not in text


@pytest.mark.parametrize("limit", ["lots", "-1GB", "1B"])
def test_a_memory_limit_that_means_nothing_is_named(tmp_path: Path, limit: str) -> None:
    (tmp_path / "sales.csv").write_text(SALES)
    with pytest.raises(ConfigError, match=r"engine\.memory_limit"):
        read(tmp_path, tables={"transactions": {"path": "sales.csv"}}, engine={"memory_limit": limit})


def test_a_query_is_read_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(SALES)
    expected, _ = sales(tmp_path, SALES)
    source = {
        "query": "SELECT customer_id AS who, time, amount FROM s",
        "files": {"s": "sales.csv"},
        "customer_id": "who",
    }
    tables, _ = read(tmp_path, tables={"transactions": source})
    assert tables["transactions"].equals(expected)
    query = "SELECT customer_id AS who, time, amount FROM s WHERE amount = 'x'"
    with pytest.raises(TableError, match="the query returns no row"):
        read(tmp_path, tables={"transactions": {**source, "query": query}})
    with pytest.raises(TableError, match='column "who" is not in the query'):
        read(tmp_path, tables={"transactions": {**source, "query": "SELECT * FROM s"}})
