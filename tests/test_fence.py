"""The fence: exactly one SELECT over the files the configuration names, and nothing else."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.config import TableSource, parse_config
from churn.errors import TableError
from churn.tables.fence import fenced

PEOPLE = "id;x\n001;é\n002;3\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.csv").write_text("id,x\n003,5\n")
    (tmp_path / "in" / "2.csv").write_text("id,x\n004,6\n")
    pq.write_table(pa.table({"id": ["005"], "n": [5]}), tmp_path / "more.parquet")
    (tmp_path / "secret.txt").write_text("canary@example.org\n")
    return tmp_path


def run(folder: Path, query: str, **files: str) -> list[dict[str, Any]]:
    source = TableSource.model_validate({"query": query, "files": files or {"people": "people.csv"}})
    config = parse_config({"tables": {"transactions": {"path": "unused.csv"}}}, directory=folder)
    with fenced(query, source=source, config=config) as reader:
        rows: list[dict[str, Any]] = reader.read_all().to_pylist()
    return rows


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("SELECT id FROM people", ["001", "002"]),
        ("SELECT id FROM People WHERE x = 'é' -- a comment; with a semicolon", ["001"]),
        ("SELECT id FROM 'people.csv' ORDER BY id DESC", ["002", "001"]),
        ("SELECT 'éé' AS k, id FROM read_csv('in/*.csv') ORDER BY id", ["003", "004"]),
        ("SELECT id FROM read_csv(['in/1.csv', 'in/2.csv'], delim = ',') ORDER BY id", ["003", "004"]),
        ("SELECT id FROM read_parquet('more.parquet') WHERE n = 5", ["005"]),
        ("WITH p AS (SELECT * FROM people) SELECT id FROM P", ["001", "002"]),
        (
            "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i::TEXT AS id FROM n",
            ["1", "2", "3"],
        ),
        ("SELECT id FROM people UNION ALL SELECT id FROM 'in/1.csv'", ["001", "002", "003"]),
        (
            "SELECT id, row_number() OVER (ORDER BY id) AS n, sum(TRY_CAST(x AS INT)) OVER () FROM people ORDER BY id",
            ["001", "002"],
        ),
        ("SELECT id FROM people;", ["001", "002"]),
    ],
)
def test_one_select_over_named_files_is_read_as_text(folder: Path, query: str, ids: list[str]) -> None:
    assert [row["id"] for row in run(folder, query)] == ids


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO 'people.csv'",
        "COPY people TO 'people.csv' (USE_TMP_FILE false)",
        "WITH w AS (COPY (SELECT 1) TO 'people.csv' (USE_TMP_FILE false)) SELECT * FROM w",
        "SELECT * FROM (WITH w AS (COPY (SELECT 1) TO 'people.csv') SELECT * FROM w)",
        "WITH w AS (INSERT INTO people VALUES ('9', '9') RETURNING *) SELECT * FROM w",
        "WITH w AS (DELETE FROM people RETURNING *) SELECT * FROM w",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY (SELECT 1) TO 'people.csv'",
        "ATTACH 'x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA version",
        "CALL pragma_version()",
        "SET enable_external_access = true",
        "RESET enable_external_access",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW people",
        "EXPLAIN SELECT 1",
        "DESCRIBE people",
        "SELECT * FROM (SUMMARIZE people)",
        "SHOW TABLES",
        "EXPORT DATABASE 'out'",
        "BEGIN",
        "EXECUTE p",
        "SELECT ?",
        "",
        ";",
    ],
)
def test_anything_else_than_one_select_is_refused(folder: Path, query: str) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(TableError, match=r"the query (must|takes)"):
        run(folder, query)
    assert (folder / "people.csv").read_text(encoding="utf-8") == PEOPLE
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT getenv('HOME')", r"must not call getenv\(\)"),
        ("SELECT now()", r"must not call now\(\)"),
        ("SELECT current_date", r"must not call current_date\(\)"),
        ("SELECT random() FROM people", r"must not call random\(\)"),
        ("SELECT uuid() FROM people", r"must not call uuid\(\)"),
        ("SELECT current_setting('threads')", r"must not call current_setting\(\)"),
        ("SELECT * FROM glob('*')", r"must not call glob\(\)"),
        ("SELECT * FROM read_text('secret.txt')", r"must not call read_text\(\)"),
        ("SELECT * FROM read_blob('people.csv')", r"must not call read_blob\(\)"),
        ("SELECT (SELECT content FROM read_text('secret.txt'))", r"must not call read_text\(\)"),
        ("SELECT * FROM query('SELECT 1')", r"must not call query\(\)"),
        ("SELECT * FROM query_table('people')", r"must not call query_table\(\)"),
        ("SELECT * FROM sniff_csv('secret.txt')", r"must not call sniff_csv\(\)"),
        ("SELECT * FROM duckdb_settings()", r"must not call duckdb_settings\(\)"),
        ("SELECT * FROM json_execute_serialized_sql('{}')", r"must not call json_execute_serialized_sql\(\)"),
        ("SELECT * FROM information_schema.tables", r"must not read"),
        ("SELECT * FROM sqlite_master", r"none of its `files`"),
        ("SELECT * FROM peeple", r'did you mean "people"'),
        ("SELECT * FROM '/etc/passwd'", r"none of its `files`"),
        ("SELECT * FROM 'nope.csv'", r'nope\.csv does not exist; did you mean "people\.csv"'),
        ("SELECT * FROM read_csv('https://example.org/x.csv')", r"does not exist"),
        ("SELECT * FROM read_csv('in/' || '1.csv')", r"path as a plain string"),
        ("SELECT * FROM read_csv(['in/1.csv', getenv('HOME')])", r"path as a plain string|must not call getenv"),
        ("SELEC 1", r"the query is no SQL"),
        ("SELECT nope FROM people", r'the query cannot be run: Binder Error: Referenced column "nope"'),
    ],
)
def test_reading_elsewhere_and_answers_that_change_are_refused(folder: Path, query: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        run(folder, query)


def test_python_variables_are_out_of_reach(folder: Path) -> None:
    secret = pa.table({"id": ["canary"]})
    with pytest.raises(TableError, match="none of its `files`"):
        run(folder, "SELECT * FROM secret")
    assert secret.num_rows == 1


def test_a_name_taken_from_an_inner_query_opens_nothing(folder: Path) -> None:
    (folder / "b.csv").write_text("canary\n1\n")
    path = folder / "b.csv"
    with pytest.raises(TableError, match="the query") as caught:
        run(folder, f"SELECT * FROM '{path}', (WITH \"{path}\" AS (SELECT 1) SELECT 1)")
    assert "canary" not in str(caught.value)


def test_all_problems_of_a_query_are_named_at_once(folder: Path) -> None:
    with pytest.raises(TableError, match="the query") as caught:
        run(folder, "SELECT now(), ? FROM glob('*'), (DESCRIBE people)")
    assert len(caught.value.problems) == 4


def test_a_failing_query_shows_no_cell(folder: Path) -> None:
    (folder / "people.csv").write_text("id,x\ncanary@example.org,1\n")
    with pytest.raises(TableError, match="failed on its data") as caught:
        run(folder, "SELECT CAST(id AS INT) FROM people")
    assert "canary" not in str(caught.value)


def test_a_broken_file_behind_a_query_is_named(folder: Path) -> None:
    (folder / "people.csv").write_text("id,x\na,1\nb\n")
    with pytest.raises(TableError, match=r"people\.csv has 1 row without the 2 fields of its header \(rows 2\)"):
        run(folder, "SELECT * FROM people")


def test_globs_of_files_with_odd_names_stand_behind_one_name(folder: Path) -> None:
    (folder / "in" / "it's [1].csv").write_text("x,id\n7,000\n")
    rows = run(folder, "SELECT id, x FROM parts ORDER BY id", parts="in/*.csv")
    assert rows == [{"id": "000", "x": "7"}, {"id": "003", "x": "5"}, {"id": "004", "x": "6"}]


def test_files_beside_the_folder_are_found(folder: Path) -> None:
    assert len(run(folder / "in", "SELECT * FROM p, read_csv('../in/1.csv')", p="../people.csv")) == 2


@pytest.mark.parametrize("name", ['we"ird', "x; DROP VIEW y", "select"])
def test_names_of_files_are_only_names(folder: Path, name: str) -> None:
    quoted = name.replace('"', '""')
    assert len(run(folder, f'SELECT * FROM "{quoted}"', **{name: "people.csv"})) == 2
