"""Tables from a real PostgreSQL server, scores written back to it, and a password that nothing repeats."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_project import Project, run
from made_result import made_result
from made_scores import scored
from made_server import PASSWORD, TELLING, Server, programs, running_server
from pydantic import SecretStr

from churn.config import Config, TableSource, parse_config
from churn.delivery.database import check_scores_table, write_scores_to
from churn.delivery.files import read_scores
from churn.delivery.tracking import track_run
from churn.errors import ChurnError, OutputError, TableError
from churn.tables.database import estimated_bytes, read_query
from churn.tables.sources import read_tables

pytest.importorskip("adbc_driver_postgresql", reason="needs the extra `postgres`: adbc-driver-postgresql")
pytestmark = pytest.mark.skipif(programs() is None, reason="needs a PostgreSQL server: initdb and pg_ctl")

TESTS = Path(__file__).parent
SELECT = "SELECT customer_id, time, amount FROM orders"
MANY = """SELECT 'C' || i % 5000 AS customer_id, timestamptz '2025-01-01Z' + i * interval '1 minute' AS time,
    i::numeric / 100 AS amount FROM generate_series(1, 200000) AS i"""
NOT_ONE_SELECT = "must be exactly one SELECT"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server() as made:
        made.run(
            "CREATE TABLE orders (customer_id text, time timestamptz, amount numeric)",
            "INSERT INTO orders VALUES ('007', '2025-01-01 10:00Z', 1.10), ('8', '2025-02-01 10:00Z', 2.20)",
            "GRANT SELECT ON orders TO analyst",
            "CREATE FUNCTION sneaky() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO orders(amount) VALUES (1) "
            "RETURNING 1'",
        )
        yield made


def source(server: Server, query: str, *, user: str = "owner", **settings: Any) -> TableSource:
    return TableSource(url=SecretStr(server.url(user)), query=query, **settings)


def configured(server: Server, home: Path, *, query: str = SELECT, user: str = "analyst", **settings: Any) -> Config:
    """A configuration as users write it: the password of `analyst` comes from the variable PW."""
    url = server.url(user).replace("analyst@", "analyst:${PW}@")
    table = {"query": query, "url": url, **settings}
    output = {"url": url, "table": "scores_of_analyst"}
    return parse_config({"tables": {"transactions": table}, "output": output}, directory=home)


def read_all(table: TableSource) -> pa.Table:
    with read_query(table) as reader:
        return reader.read_all()


# What is read.

TYPED = {
    "customer_id": ("uuid", ["0b5e9c8e-0000-4000-8000-00000000000a", "0b5e9c8e-0000-4000-8000-00000000000b"] * 3),
    "time": (
        "timestamptz",
        [f"2025-01-0{day}T23:30:00.123456+02:00" for day in (1, 2, 3, 4, 5)] + ["2025-02-01T00:00:00Z"],
    ),
    "amount": ("numeric(30,6)", ["1.005000", "-12.340000", "99999999999.990000", "0.000001", "NaN", "10.000000"]),
    "order_id": ("bigint", ["9007199254740993", "2", "3", "4", "", "6"]),
    "channel": ("varchar(10)", ["web", "", "store", "web", "Ünï", "a,b"]),
    "category": ("food", ["bread", "fish", "bread", "", "fish", "fish"]),
    "quantity": ("real", ["0.1", "2", "", "1e-3", "3", "4"]),
    "discount": ("money", ["0.50", "0", "", "1234.56", "0", "0"]),
    "is_return": ("boolean", ["true", "false", "", "true", "false", "false"]),
    "available_at": ("timestamp", [f"2025-03-30T0{hour}:30:00" for hour in (0, 1, 2, 3)] + ["", "2025-07-01T12:00:00"]),
}
"""Columns of `transactions`: the type in the database, and the values as text; empty ones are missing."""


def rows_of(columns: dict[str, tuple[str, list[str]]]) -> list[tuple[str, ...]]:
    return list(zip(*(values for _, values in columns.values()), strict=True))


def filled(server: Server, name: str, columns: dict[str, tuple[str, list[str]]]) -> None:
    made = ", ".join(f"{column} {kind}" for column, (kind, _) in columns.items())
    values = ", ".join(
        "(" + ", ".join(f"'{cell}'" if cell else "NULL" for cell in row) + ")" for row in rows_of(columns)
    )
    server.run(f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} ({made})", f"INSERT INTO {name} VALUES {values}")


def test_every_type_comes_out_as_from_an_equal_csv_file(server: Server, tmp_path: Path) -> None:
    server.run("CREATE TYPE food AS ENUM ('bread', 'fish')")
    filled(server, "typed", TYPED)
    with (tmp_path / "typed.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([tuple(TYPED), *rows_of(TYPED)])
    settings = {"timezone": "Europe/London"}
    database = {"query": "SELECT * FROM typed", "url": server.url()}
    read, found = read_tables(parse_config({**settings, "tables": {"transactions": database}}, directory=tmp_path))
    other = {"transactions": {"path": "typed.csv"}}
    expected, wanted = read_tables(parse_config({**settings, "tables": other}, directory=tmp_path))
    assert read["transactions"].schema == expected["transactions"].schema
    assert read["transactions"].to_pylist() == expected["transactions"].to_pylist()
    assert found == wanted
    assert 9999999999999 in read["transactions"]["amount"].to_pylist(), "money arrives to the cent"
    assert 123456 in read["transactions"]["discount"].to_pylist(), "of the type money too, which counts cents itself"
    assert "9007199254740993" in read["transactions"]["order_id"].to_pylist()


def test_a_comma_as_decimal_sign_is_for_texts_and_never_for_numbers(server: Server) -> None:
    table = read_all(source(server, "SELECT 1.234::numeric AS a, '1,5' AS b, 2 AS c", decimal=","))
    assert table.to_pylist() == [{"a": "1,234", "b": "1,5", "c": 2}]


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_a_time_without_end_is_missing(server: Server, kind: str) -> None:
    found = read_all(source(server, f"SELECT unnest('{{infinity,-infinity,2025-01-01}}'::{kind}[]) AS a"))["a"]
    assert found.null_count == 2
    assert str(found[2].as_py())[:10] == "2025-01-01"


def test_padding_and_spaces_of_char_do_not_make_another_id(server: Server) -> None:
    assert read_all(source(server, "SELECT 'A1'::char(6) AS id"))["id"].to_pylist() == ["A1"]


def test_the_servers_own_time_zone_and_date_style_change_nothing(server: Server) -> None:
    assert server.rows("SELECT current_setting('TimeZone')") == [("Asia/Tokyo",)]
    query = "SELECT '2025-02-01 00:00'::timestamptz AS a, timestamp '2025-02-01'::text AS b; "
    (row,) = read_all(source(server, query)).to_pylist()
    assert (row["a"].isoformat(), row["b"]) == ("2025-02-01T00:00:00+00:00", "2025-02-01 00:00:00")


@pytest.mark.parametrize(
    "query",
    [
        f"{SELECT} -- and a comment", f"{SELECT};", f" ({SELECT})", f"WITH o AS ({SELECT}) SELECT * FROM o",
        f"{SELECT} ORDER BY time DESC", f"{SELECT} UNION ALL {SELECT} LIMIT 2",
    ],
)  # fmt: skip
def test_a_select_may_be_written_in_any_way(server: Server, query: str) -> None:
    assert read_all(source(server, query)).num_rows == 2


def test_many_rows_arrive_in_batches_and_whole(server: Server, tmp_path: Path) -> None:
    with read_query(source(server, f"SELECT *, repeat('x', 300) AS note FROM ({MANY}) AS many")) as reader:
        first = reader.read_next_batch()
        rest = reader.read_all()
    assert 0 < first.num_rows < 200_000
    assert first.num_rows + rest.num_rows == 200_000
    tables, issues = read_tables(
        parse_config({"tables": {"transactions": {"query": MANY, "url": server.url()}}}, directory=tmp_path)
    )
    assert tables["transactions"].num_rows == 200_000
    assert sum(tables["transactions"]["amount"].to_pylist()) == 200_000 * 200_001 // 2
    assert issues == []


def test_a_reader_may_stop_early(server: Server) -> None:
    with read_query(source(server, MANY)) as reader:
        assert reader.read_next_batch().num_rows > 0
    assert read_all(source(server, SELECT)).num_rows == 2


def test_no_row_is_told(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", PASSWORD)
    with pytest.raises(TableError, match=r"^transactions: the query returns no row; mend its conditions"):
        read_tables(configured(server, tmp_path, query=f"{SELECT} WHERE false"))


# What is refused.


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("DELETE FROM orders", NOT_ONE_SELECT),
        ("INSERT INTO orders(amount) VALUES (1) RETURNING amount", NOT_ONE_SELECT),
        ("WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone", NOT_ONE_SELECT),
        (f"{SELECT}; DROP TABLE orders", NOT_ONE_SELECT),
        ("COMMIT", NOT_ONE_SELECT),
        ("SHOW ALL", NOT_ONE_SELECT),
        ("COPY orders TO PROGRAM 'cat'", NOT_ONE_SELECT),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", NOT_ONE_SELECT),
        ("", NOT_ONE_SELECT),
        ("SELECT 1) AS q) TO PROGRAM 'cat' --", "syntax error"),
        ("SELECT 1) AS q; DROP TABLE orders --", "must be exactly one SELECT|syntax error"),
        ("SELECT sneaky()", "must only read|failed on its data"),
        ("SELECT set_config('transaction_read_only', 'off', false), sneaky()", "failed on its data"),
        ("SELECT 1 AS a, 2 AS a", 'several columns called "a"; name them apart with AS'),
        ("SELECT * FROM ordres", 'the query cannot be run: relation "ordres" does not exist'),
        ("SELECT nobody FROM orders", 'the query cannot be run: column "nobody" does not exist'),
        ("SELEC 1", 'the query cannot be run: syntax error at or near "SELEC"'),
        ("SELECT 'anna@x.example'::int AS a", r"failed on its data \(SQLSTATE 22P02\)"),
        ("SELECT (customer_id || 'anna@x.example')::int AS a FROM orders", "failed on its data"),
    ],
)
def test_what_is_no_select_or_fails_is_told_and_changes_nothing(server: Server, query: str, words: str) -> None:
    with pytest.raises(TableError, match=words) as caught:
        read_all(source(server, query))
    assert "\n" not in str(caught.value)
    assert "anna" not in str(caught.value)
    assert server.rows("SELECT count(*) FROM orders") == [(2,)]


def test_the_size_of_a_query_is_asked_without_running_it(server: Server) -> None:
    small, large = (
        estimated_bytes(source(server, f"SELECT i::bigint FROM generate_series(1, {rows}) AS i, pg_sleep(1000)"))
        for rows in (10, 100_000)
    )
    assert small < large
    for query in (f"{SELECT}; COMMIT; DROP TABLE orders", "ANALYZE DELETE FROM orders"):
        with pytest.raises(TableError, match=f"{NOT_ONE_SELECT}|syntax error"):
            estimated_bytes(source(server, query))
    assert server.rows("SELECT count(*) FROM orders") == [(2,)]


def test_a_query_that_fails_late_is_told_as_the_query_and_not_as_its_reader(server: Server, tmp_path: Path) -> None:
    late = "SELECT *, CASE WHEN amount = 1999 THEN 1 / (amount - 1999) ELSE 1 END AS quantity"
    table = {"query": f"{late} FROM ({MANY}) AS many", "url": server.url()}
    with pytest.raises(TableError, match=r"^transactions: the query failed on its data; try it in psql$"):
        read_tables(parse_config({"tables": {"transactions": table}}, directory=tmp_path))


def test_a_table_that_may_not_be_read_is_told(server: Server) -> None:
    with pytest.raises(TableError, match="permission denied for table orders; ask for the right"):
        read_all(source(server, SELECT, user="reader"))


def test_a_server_that_goes_away_in_the_middle_is_told(server: Server) -> None:
    query = f"SELECT *, repeat('x', 500) AS wide, 'goes' AS away FROM ({MANY}) AS many"
    others = "FROM pg_stat_activity WHERE query LIKE '%away%' AND pid <> pg_backend_pid()"

    def interrupted() -> None:
        with read_query(source(server, query)) as reader:
            reader.read_next_batch()
            server.run(f"SELECT pg_terminate_backend(pid) {others}")
            reader.read_all()

    with pytest.raises(TableError, match="the connection to the database broke off; the query was not finished"):
        interrupted()


def test_a_missing_driver_is_told_with_its_remedy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    with pytest.raises(TableError, match=r"pip install 'silent-churn\[postgres\]'"):
        read_all(source(server, SELECT))


# The password.


@pytest.mark.parametrize("is_in_url", [True, False])
def test_a_password_comes_from_the_environment_whatever_is_in_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_in_url: bool
) -> None:
    monkeypatch.setenv("PW" if is_in_url else "PGPASSWORD", PASSWORD)
    if is_in_url:
        config = configured(server, tmp_path)
    else:
        table = {"query": SELECT, "url": server.url("analyst")}
        config = parse_config({"tables": {"transactions": table}}, directory=tmp_path)
    tables, _ = read_tables(config)
    assert tables["transactions"]["customer_id"].to_pylist() == ["007", "8"]
    assert tables["transactions"]["amount"].to_pylist() == [110, 220]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("postgres?", "postgres?"), "refuses the user or the password; set the password: export PGPASSWORD"),
        (("/postgres?", "/nowhere?"), 'refuses the user or the password|database "nowhere" does not exist'),
        (("127.0.0.1", "nowhere.invalid"), "no server answers at nowhere.invalid:"),
        (("PORT", "1"), "no server answers at 127.0.0.1:1; check host and port"),
        (("sslmode=disable", "sslmode=require"), "do not agree on encryption"),
        (("sslmode=disable", f"sslmood={TELLING}"), "the url is not understood"),
        (("PORT", TELLING), "the url is not understood"),
        (("analyst:", f"analyst:%zz{TELLING}"), "the url is not understood"),
        (("analyst:", f"analyst:{TELLING}@{TELLING}@"), "no server answers at the host of the url"),
    ],
)
def test_what_hinders_a_connection_is_told_without_the_password(
    server: Server, change: tuple[str, str], words: str
) -> None:
    url = f"postgresql://analyst:wrong-{TELLING}@127.0.0.1:PORT/postgres?sslmode=disable"
    url = url.replace(*change).replace("PORT", str(server.port))
    for refused in (
        lambda: read_all(TableSource(url=SecretStr(url), query=SELECT)),
        lambda: write_scores_to(scored(), url=url, table="nowhere"),
        lambda: check_scores_table(["customer_id"], url=url, table="nowhere"),
    ):
        with pytest.raises(ChurnError, match=words) as caught:
            refused()
        assert TELLING not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.__suppress_context__, "a traceback would show the driver's words"


def test_no_print_no_traceback_and_no_record_holds_the_password(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands with every detail switched on, that work and that fail, and the record of a training."""
    monkeypatch.setenv("CHURN_DEBUG", "1")
    monkeypatch.setenv("PW", PASSWORD)
    config, printed = configured(server, tmp_path), ""
    url = server.url("analyst").replace("analyst@", "analyst:${PW}@")
    for query in (SELECT, "SELECT nothing"):
        text = f'[tables.transactions]\nquery = "{query}"\nurl = "{url}"\n'
        (tmp_path / "churn.toml").write_text(text, encoding="utf-8")
        told = run(capfd, "check", "--config", str(tmp_path / "churn.toml"))
        printed += told.out + told.err
    (tmp_path / "bundle").mkdir()
    track_run(
        made_result(),
        config=config,
        bundle=tmp_path / "bundle",
        plots={},
        page="<p>",
        fingerprint={"transactions": "d"},
    )
    printed += "".join(capfd.readouterr())
    assert "cannot be run" in printed
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "mlflow.db" for path in kept)
    for telling in (PASSWORD, TELLING, repr(PASSWORD)):
        assert telling not in printed
        assert telling not in repr(config)
        assert [path for path in kept if telling.encode() in path.read_bytes()] == []


# What is written.


def stored(server: Server, table: str) -> list[tuple[Any, ...]]:
    return server.rows(f"SELECT customer_id, cutoff::text, p_leave, model_id FROM {table} ORDER BY 4, 2, 1")


def test_a_list_makes_its_table_and_keeps_ids_as_text(server: Server) -> None:
    given = scored(is_treated=pd.array([True, None, False], "boolean"))
    check_scores_table(list(given), url=server.url(), table="fresh")
    assert server.rows("SELECT to_regclass('fresh')::text") == [(None,)], "asking makes nothing"
    assert write_scores_to(given, url=server.url(), table="fresh") == 3
    check_scores_table(list(given), url=server.url(), table="public.fresh")
    kinds = dict(
        server.rows(
            "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute "
            "WHERE attrelid = 'fresh'::regclass AND attnum > 0"
        )
    )
    assert kinds == {
        "customer_id": "text", "cutoff": "timestamp with time zone", "status": "text", "why_not_scored": "text",
        "p_leave": "double precision", "p_silent": "double precision", "band": "text", "model_id": "text",
        "is_treated": "boolean", "warning": "text",
    }  # fmt: skip
    rows = server.rows(
        "SELECT customer_id, cutoff = timestamptz '2025-03-01Z', p_silent IS NULL, why_not_scored, is_treated "
        "FROM fresh ORDER BY 1"
    )
    assert rows == [
        ("007", True, True, None, True), ("8", True, True, None, None), ("9", True, True, None, False)
    ]  # fmt: skip


def test_a_list_replaces_its_older_self_and_nothing_else(server: Server) -> None:
    url = server.url()
    for older in (scored(), scored(cutoff="2025-02-01"), scored(model_id="m0")):
        write_scores_to(older, url=url, table="replaced")
    write_scores_to(scored(["8", "10"], p_leave=0.9), url=url, table="replaced")
    of_m1 = [row for row in stored(server, "replaced") if row[3] == "m1"]
    assert [(row[0], row[2]) for row in of_m1] == [("007", 0.5), ("8", 0.5), ("9", 0.5), ("10", 0.9), ("8", 0.9)]
    assert len(stored(server, "replaced")) == 8


def test_a_list_of_some_replaces_only_their_rows(server: Server) -> None:
    write_scores_to(scored(), url=server.url(), table="those")
    write_scores_to(scored(["8", "10"], p_leave=0.9), url=server.url(), table="those", is_whole=False)
    assert [(row[0], row[2]) for row in stored(server, "those")] == [("007", 0.5), ("10", 0.9), ("8", 0.9), ("9", 0.5)]


def test_batches_are_written_as_they_come(server: Server) -> None:
    batches = [pa.RecordBatch.from_pandas(scored([f"{part}-{i}" for i in range(1000)])) for part in range(5)]
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, iter(batches))
    assert write_scores_to(reader, url=server.url(), table="batches") == 5000
    assert server.rows("SELECT count(*), count(DISTINCT customer_id) FROM batches") == [(5000, 5000)]


def test_an_error_in_the_middle_leaves_the_old_rows(server: Server) -> None:
    write_scores_to(scored(), url=server.url(), table="halfway")
    before = stored(server, "halfway")
    batch = pa.RecordBatch.from_pandas(scored([f"new-{i}" for i in range(1000)]))

    def failing() -> Iterator[pa.RecordBatch]:
        yield batch
        raise ZeroDivisionError("in the middle")

    with pytest.raises(ZeroDivisionError, match="in the middle"):
        write_scores_to(pa.RecordBatchReader.from_batches(batch.schema, failing()), url=server.url(), table="halfway")
    with pytest.raises(OutputError, match="writing the scores failed on its data"):
        write_scores_to(scored(["with \0 in it"]), url=server.url(), table="halfway")
    assert stored(server, "halfway") == before


KILLED = """
import sys, time
import pyarrow as pa
import pyarrow.parquet as pq
from churn.delivery.database import write_scores_to
from made_scores import scored

batch = pa.RecordBatch.from_pandas(scored([f"new-{i}" for i in range(50_000)]))

def slow():
    for part in range(1000):
        yield batch
        print(part, flush=True)
        time.sleep(0.02)

write_scores_to(pa.RecordBatchReader.from_batches(batch.schema, slow()), url=sys.argv[1], table="killed")
"""


def test_a_process_killed_in_the_middle_leaves_the_old_rows(server: Server) -> None:
    write_scores_to(scored(), url=server.url(), table="killed")
    before = stored(server, "killed")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    words = [sys.executable, "-c", KILLED, server.url()]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) as writing:
        assert writing.stdout is not None
        while writing.stdout.readline().strip() != b"5":
            assert writing.poll() is None
        writing.send_signal(signal.SIGKILL)
    assert writing.returncode == -signal.SIGKILL
    assert stored(server, "killed") == before
    write_scores_to(scored(p_leave=0.7), url=server.url(), table="killed")
    assert {row[2] for row in stored(server, "killed")} == {0.7}, "the dead writer holds no lock"


def test_readers_see_the_old_rows_until_all_the_new_ones_are_there(server: Server) -> None:
    write_scores_to(scored(), url=server.url(), table="watched")
    seen: list[set[float]] = []
    batch = pa.RecordBatch.from_pandas(scored([f"new-{i}" for i in range(1000)], p_leave=0.9))

    def watching() -> Iterator[pa.RecordBatch]:
        for _ in range(3):
            yield batch
            seen.append({row[2] for row in stored(server, "watched")})

    write_scores_to(pa.RecordBatchReader.from_batches(batch.schema, watching()), url=server.url(), table="watched")
    assert seen == [{0.5}] * 3
    assert {row[2] for row in stored(server, "watched")} == {0.9}


def test_two_writers_at_once_leave_the_rows_of_one(server: Server) -> None:
    lists = [scored([f"{i}" for i in range(2000)], p_leave=value) for value in (0.1, 0.2, 0.3, 0.4)]
    writers = [
        threading.Thread(target=write_scores_to, args=(each,), kwargs={"url": server.url(), "table": "raced"})
        for each in lists
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rows = server.rows("SELECT count(*), count(DISTINCT p_leave) FROM raced")
    assert rows == [(2000, 1)]


@pytest.mark.parametrize(
    ("table", "prepare", "user", "words"),
    [
        ("lacking", "CREATE TABLE lacking (customer_id text, cutoff timestamptz, model_id text)", "owner",
         'lacks columns of the scores; add them: ALTER TABLE "lacking" ADD COLUMN "status" text'),
        ("dated", "ALTER TABLE dated ALTER cutoff TYPE date", "owner",
         "has a cutoff of type date, not timestamp with time zone"),
        ("refused", "SELECT 1", "reader", "permission denied for schema public"),
        ("seen", "SELECT 1", "reader",
         "you may not write to the table seen; ask for: GRANT INSERT, DELETE, SELECT ON seen"),
        ("nowhere.scores", "SELECT 1", "owner", 'schema "nowhere" does not exist'),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_written_is_told_before_the_work(
    server: Server, table: str, prepare: str, user: str, words: str
) -> None:
    server.run("DROP TABLE IF EXISTS dated")
    for made in ("seen", "dated"):
        write_scores_to(scored(), url=server.url(), table=made)
    server.run(prepare)
    with pytest.raises(OutputError) as caught:
        check_scores_table(list(scored()), url=server.url(user), table=table)
    assert words in str(caught.value)
    with pytest.raises(OutputError):
        write_scores_to(scored(), url=server.url(user), table=table)


def test_the_whole_way_from_a_database_and_back(
    server: Server,
    project: Project,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A project whose purchases lie in the database scores as one whose purchases lie in a file."""
    from adbc_driver_postgresql import dbapi

    monkeypatch.setenv("PW", PASSWORD)
    copy = project.copied(tmp_path / "shop")
    with dbapi.connect(server.url()) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("purchases", pq.read_table(copy.directory / "transactions.parquet"))
        cursor.execute("GRANT SELECT ON purchases TO analyst")
        connection.commit()
    expected = tmp_path / "file.parquet"
    told = run(capsys, "score", "--out", str(expected), "--config", str(copy.config))
    assert told.code == 0
    url = server.url("analyst").replace("analyst@", "analyst:${PW}@")
    text = copy.config.read_text(encoding="utf-8")
    assert 'path = "transactions.parquet"' in text
    text = text.replace('path = "transactions.parquet"', f'query = "SELECT * FROM purchases"\nurl = "{url}"')
    copy.config.write_text(f'{text}\n[output]\nurl = "{url}"\n', encoding="utf-8")
    given = tmp_path / "database.parquet"
    told = run(capsys, "score", "--out", str(given), "--to-database", "--config", str(copy.config))
    assert told.code == 0
    assert f"wrote {given} and the table churn_scores: " in told.out
    assert TELLING not in told.out + told.err
    assert given.read_bytes() == expected.read_bytes()
    scores = read_scores(given)
    rows = server.rows("SELECT customer_id, p_leave, p_silent, band, reason_1 FROM churn_scores")
    columns = ["customer_id", "p_leave", "p_silent", "band", "reason_1"]
    wanted = [tuple(None if pd.isna(cell) else cell for cell in row) for row in scores[columns].to_numpy(object)]
    assert sorted(rows) == sorted(wanted)
    only = run(capsys, "score", "--to-database", "--config", str(copy.config), "--json")
    assert (only.code, only.json["out"], only.json["table"]) == (0, None, "churn_scores")
    assert server.rows("SELECT count(*) FROM churn_scores") == [(len(scores),)]
    monkeypatch.setattr("churn.jobs.opened.GOLDEN_TOLERANCE", -1.0)
    server.run("DELETE FROM churn_scores")
    strange = run(capsys, "score", "--to-database", "--config", str(copy.config))
    assert (strange.code, server.rows("SELECT count(*) FROM churn_scores")) == (2, [(0,)])
    assert "nothing is written to the database: this machine's libraries give other predictions" in strange.err


def test_writing_without_a_place_is_told(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "score", "--to-database", "--config", str(project.config))
    assert (told.code, told.out) == (2, "")
    assert "churn.toml names no table to write scores to; add a section [output]" in told.err
