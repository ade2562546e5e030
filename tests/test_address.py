"""A database's address: which can be read, and a password that stands nowhere but in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.address import expand, problem_of, scheme_problem
from churn.config import Config, parse_config
from churn.errors import ConfigError

QUERY = "SELECT customer_id, time, amount FROM orders"
LITERAL = (
    "postgresql://anna:hidden@db/shop", "postgresql://anna:hidden@db:5432/shop?sslmode=require",
    "postgresql://db/shop?user=anna&password=hidden", "postgresql://db/shop?sslpassword=hidden",
    "postgresql://anna:hidden${PW}@db/shop", "postgresql://anna:hid@den@db/shop", "postgresql://anna:hid/den@db/shop",
    "postgresql://anna:hidden?@db/shop", "postgresql://db/shop?PASSWORD=hidden", "postgresql://db/shop?passw%6Frd=hidden",
    "mysql://anna:hidden@db/shop", "postgresql://anna:hid#den@db/shop",
)  # fmt: skip


def configured(*, source: str = "", output: dict[str, Any] | None = None, **table: Any) -> Config:
    given: dict[str, Any] = {"tables": {"transactions": {"query": QUERY, **table}}}
    return parse_config(given | ({} if output is None else {"output": output}), directory=Path(), source=source)


@pytest.mark.parametrize("url", LITERAL)
def test_a_password_in_plain_text_is_refused_and_not_repeated(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "x")
    source = f'[tables.transactions]\nquery = "{QUERY}"\nurl = "{url}"\n'
    with pytest.raises(ConfigError, match=r"\(line 3\): tables\.transactions\.url: holds a password") as caught:
        configured(url=url, source=source)
    assert "${PGPASSWORD}" in str(caught.value)
    assert "hid" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"output\.url: holds a password in plain text"):
        configured(path="x.csv", query=None, output={"url": url})


def test_a_password_from_the_environment_stands_in_no_picture_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PW", "hidden")
    url = "postgresql://anna:${PW}@db/shop"
    config = configured(url=url, source=f'url = "{url}"', output={"url": url})
    source = config.tables["transactions"].url
    assert source is not None
    assert source.get_secret_value() == "postgresql://anna:hidden@db/shop"
    for shown in (repr(config), str(config), config.model_dump_json(), repr(config.model_dump())):
        assert "hidden" not in shown


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(ConfigError, match=r"uses \$\{NOT_SET\}, which is not set; set it: export NOT_SET="):
        configured(url="postgresql://anna:${NOT_SET}@db/shop")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_whatever_a_password_is_made_of_it_stays_one(password: str) -> None:
    parts = urlsplit(expand("postgresql://anna:${PW}@db:5432/shop?sslmode=require", {"PW": password}))
    assert unquote(parts.password or "") == password
    assert (parts.username, parts.hostname, parts.port, parts.path, parts.query) == (
        "anna", "db", 5432, "/shop", "sslmode=require",
    )  # fmt: skip


def test_a_whole_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "postgres://anna:a%40b@db/shop")
    source = configured(url="${SHOP}").tables["transactions"].url
    assert source is not None
    assert source.get_secret_value() == "postgres://anna:a%40b@db/shop"
    monkeypatch.setenv("SHOP", "anna:hidden@db")
    with pytest.raises(ConfigError, match=r"url: must be an address such as") as caught:
        configured(url="${SHOP}")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://db/shop", "mysql:// cannot be read; databases that work: postgresql:// (or postgres://)"),
        ("mssql+pyodbc://db/shop", "databases that work: postgresql://"),
        ("snowflake://db/shop", "databases that work: postgresql://"),
        ("sqlite:///shop.db", "export it to Parquet"),
        ("duckdb:///shop.duckdb", "export it to Parquet"),
        ("postgresql+psycopg2://db/shop", "write postgresql://"),
        ("jdbc:postgresql://db/shop", "write postgresql://"),
        ("postgressql://db/shop", 'did you mean "postgresql"?'),
        ("db/shop", "must be an address such as"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_can(url: str, words: str) -> None:
    assert words in (scheme_problem(url) or "")
    assert words in (problem_of(url) or "")
    with pytest.raises(ConfigError, match=r"tables\.transactions\.url: "):
        configured(url=url)


@pytest.mark.parametrize("url", ["postgresql://db/shop", "postgres:///shop", "postgresql://anna@[::1]:5432/shop"])
def test_what_can_be_read(url: str) -> None:
    assert problem_of(url) is None
    assert scheme_problem(url) is None


@pytest.mark.parametrize("beside", [{"query": None}, {"path": "a.csv"}, {"files": {"a": "a.csv"}}])
def test_an_address_goes_with_a_query_and_no_file(beside: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="`url` goes with a `query`, and with neither `path` nor `files`"):
        configured(url="postgresql://db/shop", **beside)


@pytest.mark.parametrize("table", ["a b", "", 'x"y', "a.b.c", "1st", "x" * 64])
def test_a_table_to_write_to_has_a_plain_name(table: str) -> None:
    with pytest.raises(ConfigError, match=r"output\.table"):
        configured(path="a.csv", query=None, output={"url": "postgresql://db/shop", "table": table})
