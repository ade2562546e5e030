"""A guessed `churn.toml` loads, reads, and asks where it cannot know."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.config import TABLE_NAMES, load_config
from churn.errors import TableError
from churn.tables.contract import CONTRACT
from churn.tables.glimpse import time_formats
from churn.tables.guess import guess_config, template_config
from churn.tables.sources import read_tables
from churn.tables.synonyms import COLUMN_WORDS, TABLE_WORDS
from churn.tables.template import PLACEHOLDERS

ORDERS = "Customer ID,OrderDate,Total Price,Order No\n" + "".join(
    f"00{row % 30},2024-{1 + row % 12:02d}-{1 + row % 28:02d},{row}.50,o{row}\n" for row in range(60)
)


def guessed(data: Path) -> tuple[str, dict[str, pa.Table]]:
    """Writes the guess beside the data, loads it and reads by it."""
    text = guess_config(data)
    (data / "churn.toml").write_text(text, encoding="utf-8")
    tables, _ = read_tables(load_config(data / "churn.toml"))
    return text, tables


def put(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def test_a_folder_of_exports_is_mapped_and_read(tmp_path: Path) -> None:
    put(
        tmp_path,
        Orders=ORDERS,
        web_sessions="user_id;started_at;device;duration\n001;2024-01-01 10:00;app;30\n002;2024-01-02 11:00;web;40\n",
        support_tickets="ticket_id,client,opened_at,topic,closed_at\n1,001,2024-01-01,bill,2024-01-03\n2,001,2024-02-01,bill,\n",
        delays="customer_id,date,severity\n001,2024-01-01,2\n001,2024-02-01,3\n",
        nps_responses="cust_id,submitted_at,rating,comment\n001,2024-01-01,9,fine\n001,2024-03-01,3,bad\n",
        surveys_sent="cust_id,sent_at,responded_at\n001,2024-01-01,2024-01-02\n001,2024-03-01,\n",
        contracts="account_id,start_date,end_date,fee\n001,2024-01-01,2024-12-31,120\n001,2025-01-01,2025-12-31,120\n",
        members="member_id,joined_at,gender,region\n" + "".join(f"{row:03d},2023-01-01,f,North\n" for row in range(40)),
    )
    text, tables = guessed(tmp_path)
    assert set(tables) == set(TABLE_NAMES) - {"treatments"}
    assert tables["transactions"].column_names == ["customer_id", "time", "amount", "order_id", "available_at"]
    assert tables["visits"]["duration_seconds"].to_pylist() == [30.0, 40.0]
    assert tables["contacts"]["resolved_at"].null_count == 1
    assert tables["incidents"]["kind"].unique().to_pylist() == ["late_delivery"]
    assert tables["feedback"]["kind"].unique().to_pylist() == ["nps"]
    assert tables["invitations"]["answered_at"].null_count == 1
    assert tables["subscriptions"]["amount"].to_pylist() == [12000, 12000]
    assert tables["customers"].column_names == ["customer_id", "since"]
    assert 'sensitive = ["gender"]' in text
    assert '# attributes = { "region" = "static" }' in text
    assert "No file found for: treatments" in text


@pytest.mark.parametrize(
    ("values", "formats"),
    [
        (["2024-01-31 10:00:00", "2024-02-01"], [None]),
        (["31/01/2024", "01/02/2024"], ["%d/%m/%Y"]),
        (["01/31/2024 10:05", "02/01/2024 23:59"], ["%m/%d/%Y %H:%M"]),
        (["01/02/2024", "03/04/2024"], ["%d/%m/%Y", "%m/%d/%Y"]),
        (["31.12.24"], ["%d.%m.%y"]),
        (["5 Jan 2024", "12 Dec 2024"], ["%d %b %Y"]),
        (["1735689600"], ["epoch_s"]),
        (["1735689600000"], ["epoch_ms"]),
        (["20240131"], ["%Y%m%d"]),
        (["12", "7"], []),
        (["red", "blue"], []),
        ([], []),
    ],
)
def test_time_formats_are_those_that_fit_every_value(values: list[str], formats: list[str | None]) -> None:
    assert time_formats(values) == formats


def test_a_format_that_is_certain_is_written(tmp_path: Path) -> None:
    put(tmp_path, orders="customer_id;date;amount\na;31/01/2024;1,50\nb;01/02/2024;2,25\n")
    text, tables = guessed(tmp_path)
    assert 'time_format = "%d/%m/%Y"' in text
    assert 'decimal = ","' in text
    assert 'delimiter = ";"' in text
    assert tables["transactions"]["amount"].to_pylist() == [150, 225]
    assert tables["transactions"]["time"].to_pylist()[0] == dt.datetime(2024, 1, 31, tzinfo=dt.UTC)


def test_a_german_export_is_mapped_and_read(tmp_path: Path) -> None:
    rows = "".join(f"{row % 30:05d};{13 + row % 9}.02.2024;1.{row:03d},50;B\u00fccher\r\n" for row in range(60))
    (tmp_path / "sales.csv").write_bytes(f"Customer No;Date;Amount;Category\r\n{rows}".encode("latin-1"))
    _, tables = guessed(tmp_path)
    assert sum(tables["transactions"]["amount"].to_pylist()) == sum(100_050 + 100 * row for row in range(60))
    assert tables["transactions"]["customer_id"][0].as_py() == "00000"


def test_a_broken_file_is_told_by_what_is_broken(tmp_path: Path) -> None:
    rows = "a;2024-01-01;1,50;B\u00fccher\r\n" * 3
    (tmp_path / "sales.csv").write_bytes(f"Customer No;Date;Amount;Category\n{rows}".encode("latin-1"))
    assert "breaks the rules of CSV" in guess_config(tmp_path)


def test_day_or_month_first_is_asked_and_never_guessed(tmp_path: Path) -> None:
    put(tmp_path, orders="customer_id,date,amount\na,01/02/2024,1\nb,03/04/2024,2\n")
    text = guess_config(tmp_path)
    assert "# Day first or month first?" in text
    assert '"%d/%m/%Y" or "%m/%d/%Y"' in text
    with pytest.raises(TableError, match=r"set tables\.transactions\.time_format"):
        guessed(tmp_path)


def test_an_amount_is_price_times_quantity(tmp_path: Path) -> None:
    lines = "Invoice,CustomerID,InvoiceDate,Quantity,UnitPrice\n1,7,2024-01-01,3,2.50\n2,8,2024-01-02,-1,1.25\n"
    put(tmp_path, invoices=lines)
    text, tables = guessed(tmp_path)
    assert "the amount is price times quantity" in text
    assert tables["transactions"]["amount"].to_pylist() == [750, -125]


def test_other_candidates_and_unknown_files_are_named(tmp_path: Path) -> None:
    put(
        tmp_path,
        orders_2024=ORDERS,
        pos_sales="customer,date,amount\na,2024-01-01,1\na,2024-01-02,1\n",
        products="sku,price\n1,2\n",
    )
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "latin_visits.csv").write_bytes(
        "customer_id,time,channel\na,2024-01-01,Café\na,2024-01-02,Bar\n".encode("latin-1")
    )
    text, tables = guessed(tmp_path)
    assert "look like transactions too, and are not read: pos_sales.csv" in text
    assert "# Not read: products.csv" in text
    assert "# Not read: empty.csv is empty" in text
    assert 'encoding = "latin-1"' in text
    assert tables["visits"]["channel"].to_pylist() == ["Café", "Bar"]


def test_without_transactions_the_place_to_fill_in_is_shown(tmp_path: Path) -> None:
    put(tmp_path, visits="customer_id,time\na,2024-01-01\na,2024-01-02\n")
    (tmp_path / "churn.toml").write_text(guess_config(tmp_path))
    assert set(load_config(tmp_path / "churn.toml").tables) == {"transactions", "visits"}


def test_paths_are_seen_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    put(tmp_path / "data", orders=ORDERS)
    text = guess_config(tmp_path / "data", relative_to=tmp_path)
    assert 'path = "data/orders.csv"' in text
    (tmp_path / "churn.toml").write_text(text)
    assert read_tables(load_config(tmp_path / "churn.toml"))[0]["transactions"].num_rows == 60


def test_typed_parquet_needs_no_format(tmp_path: Path) -> None:
    pq.write_table(
        pa.table(
            {
                "CustomerKey": [1, 2],
                "Client ID": [1, 1],
                "PurchasedOn": [dt.date(2024, 1, 1), dt.date(2024, 2, 1)],
                "TotalPrice": [1.0, 2.0],
            }
        ),
        tmp_path / "purchases.parquet",
    )
    text, tables = guessed(tmp_path)
    assert "\ntime_format" not in text
    assert tables["transactions"]["customer_id"].to_pylist() == ["1", "1"]


@pytest.mark.parametrize("name", ['cus"tomer_id', "customer id\\", "Customer'ID"])
def test_odd_column_names_are_written_as_toml(tmp_path: Path, name: str) -> None:
    header = name.replace('"', '""')
    put(tmp_path, orders=f'"{header}",date,amount,x\na,2024-01-01,1,2\n')
    text = guess_config(tmp_path)
    (tmp_path / "churn.toml").write_text(text, encoding="utf-8")
    load_config(tmp_path / "churn.toml")


def test_the_guess_is_the_same_every_time(tmp_path: Path) -> None:
    put(tmp_path, orders=ORDERS)
    assert guess_config(tmp_path) == guess_config(tmp_path)


def test_an_empty_or_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "churn.toml").write_text(guess_config(tmp_path))
    load_config(tmp_path / "churn.toml")
    with pytest.raises(TableError, match="is no folder"):
        guess_config(tmp_path / "nowhere")


def test_the_template_loads_and_speaks_of_every_table(tmp_path: Path) -> None:
    text = template_config()
    (tmp_path / "churn.toml").write_text(text)
    assert set(load_config(tmp_path / "churn.toml").tables) == {"transactions"}
    assert all(f"[tables.{name}]" in text for name in TABLE_NAMES)


def test_the_template_works_when_every_comment_is_taken_away(tmp_path: Path) -> None:
    lines = template_config().split("[tables.transactions]")[1].splitlines()
    kept = [line.removeprefix("# ") for line in lines if "=" in line or line.startswith("# [")]
    (tmp_path / "churn.toml").write_text("[tables.transactions]\n" + "\n".join(kept))
    assert set(load_config(tmp_path / "churn.toml").tables) == set(TABLE_NAMES)


def test_synonyms_and_placeholders_use_the_words_of_the_contract() -> None:
    assert set(TABLE_WORDS) == set(COLUMN_WORDS) == set(PLACEHOLDERS) == set(CONTRACT)
    for table, words in COLUMN_WORDS.items():
        assert set(words) <= set(CONTRACT[table].names)
        assert set(CONTRACT[table].required) <= set(words)
        assert PLACEHOLDERS[table].required == CONTRACT[table].required
        assert set(PLACEHOLDERS[table].optional) <= set(CONTRACT[table].names)
