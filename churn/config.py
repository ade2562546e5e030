"""`churn.toml`: everything a user decides, checked once, with the line to mend when something is off."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from churn.address import expand, problem_of, scheme_problem
from churn.errors import ConfigError, did_you_mean

TABLE_NAMES = (
    "transactions", "visits", "contacts", "incidents", "feedback", "invitations", "customers", "subscriptions",
    "treatments",
)  # fmt: skip
RHYTHM_POPULATION = "rhythm"
CONTRACT_POPULATION = "contract"
_POPULATION = re.compile(r"active:(?P<days>[1-9]\d*)(:(?P<orders>[1-9]\d*))?")
_DATA = (".csv", ".tsv", ".txt", ".parquet", ".xlsx")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def _dated(value: object) -> object:
    """A date or time, in quotes or not: TOML has its own, and who knows others quotes them."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return dt.date.fromisoformat(value)
        with contextlib.suppress(ValueError):
            return dt.datetime.fromisoformat(value)
    if not isinstance(value, dt.date):
        raise ValueError(f"{value!r} is no date or time: write it like 2024-04-02 or 2024-04-02T09:30:00")
    return value


Moment = Annotated[dt.date | dt.datetime, BeforeValidator(_dated)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class TableSource(_Section):
    """Where one table comes from and how its columns are called there."""

    path: str | None = None
    query: str | None = None
    url: SecretStr | None = None
    spark_table: str | None = None
    files: dict[str, str] = {}
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    decimal: Literal[".", ","] = "."
    time_format: str | None = None
    timezone: str | None = None
    covers_from: Moment | None = None
    duplicates: Literal["drop", "keep"] = "drop"
    attributes: dict[str, str] = {}
    sensitive: list[str] = []
    columns: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_columns(cls, given: Any) -> Any:
        """Every key that is no setting maps a column: `score = "rating"` reads our `score` from the user's `rating`."""
        if not isinstance(given, dict):
            return given
        settings = {key: value for key, value in given.items() if key in cls.model_fields}
        mapping = {key: value for key, value in given.items() if key not in cls.model_fields}
        return {**settings, "columns": {**settings.get("columns", {}), **mapping}}

    @model_validator(mode="after")
    def _one_source(self) -> TableSource:
        if self.url is not None and (self.query is None or self.path is not None or self.files):
            raise ValueError("a database's `url` goes with a `query`, and with neither `path` nor `files`")
        if [self.path, self.query, self.spark_table].count(None) != 2:
            raise ValueError("give either `path` or `query`, or with Spark `spark_table`")
        if self.files and self.query is None:
            raise ValueError("`files` names the inputs of a `query`")
        return self

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        return zone if zone is None else _checked_zone(zone)

    @field_validator("url")
    @classmethod
    def _known_database(cls, url: SecretStr | None) -> SecretStr | None:
        return url if url is None else _checked_address(url)


class Contact(_Section):
    """What a call costs and brings, for the gain at the contact budget."""

    budget: Annotated[int, Field(gt=0)] | None = None
    cost: Annotated[float, Field(ge=0)] = 5.0
    success_rate: Annotated[float, Field(ge=0, le=1)] = 0.2


class Bands(_Section):
    """Names for ranges of p_leave's percentile against the training population."""

    names: list[str] = ["low", "medium", "high", "very high"]
    edges: list[float] = [50.0, 80.0, 95.0]

    @model_validator(mode="after")
    def _one_more_name_than_edges(self) -> Bands:
        if len(self.names) != len(self.edges) + 1 or sorted(self.edges) != self.edges:
            raise ValueError("`edges` must rise, and there must be one more name than edges")
        return self


class Tracking(_Section):
    """Where MLflow keeps the experiments."""

    uri: str | None = None
    experiment: str = "churn"


class Output(_Section):
    """The table of a database that `churn score --to-database` writes to."""

    url: SecretStr
    table: Annotated[str, Field(pattern=r"^([A-Za-z_]\w{0,62}\.)?[A-Za-z_]\w{0,62}$")] = "churn_scores"

    @field_validator("url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        return _checked_address(url)


class Engine(_Section):
    """Where the work is done, and how much of the machine may be used."""

    kind: Literal["local", "spark"] = "local"
    master: str | None = None
    memory_limit: str = "4GB"
    threads: Annotated[int, Field(gt=0)] | None = None
    buckets: Annotated[int, Field(gt=0, le=4096)] | None = None
    training_customers: Annotated[int, Field(gt=0)] = 200_000  # more teach hardly more

    @model_validator(mode="after")
    def _master_of_spark(self) -> Engine:
        if self.master is not None and self.kind != "spark":
            raise ValueError('`master` goes with `kind = "spark"`')
        return self

    @property
    def thread_count(self) -> int:
        """The threads to use: the configured ones, else all of the machine's."""
        return self.threads or os.cpu_count() or 1


class Config(_Section):
    """The whole of `churn.toml`. Paths in it are relative to `directory`, the folder the file lies in."""

    directory: Path = Path()
    source: str = ""
    timezone: str = "UTC"
    currency: str = "EUR"
    activity: Literal["purchases", "visits"] = "purchases"
    leave: Literal["hard", "hard+partial"] = "hard"
    horizon_days: Annotated[int, Field(gt=0)] | None = None
    gap_days: Annotated[int, Field(ge=0)] = 0
    population: str = RHYTHM_POPULATION
    test_cutoffs: list[Moment] = []
    train_every_days: Annotated[int, Field(gt=0)] | None = None
    leave_out_treated: bool = False
    missing_table: Literal["refuse", "warn"] = "refuse"
    seed: int = 7
    models: str = "models"
    tables: dict[str, TableSource]
    contact: Contact = Contact()
    bands: Bands = Bands()
    owners: dict[str, str] = {}
    tracking: Tracking = Tracking()
    output: Output | None = None
    engine: Engine = Engine()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        return _checked_zone(zone)

    @field_validator("population")
    @classmethod
    def _known_population(cls, population: str) -> str:
        named = (RHYTHM_POPULATION, CONTRACT_POPULATION)
        if population not in named and not _POPULATION.fullmatch(population):
            raise ValueError('must be "rhythm", "contract" or "active:<days>[:<min_orders>]", such as "active:180"')
        return population

    @field_validator("tables")
    @classmethod
    def _known_tables(cls, tables: dict[str, TableSource]) -> dict[str, TableSource]:
        unknown = [
            f'"{name}" is no table{did_you_mean(name, TABLE_NAMES)}' for name in tables if name not in TABLE_NAMES
        ]
        if unknown:
            raise ValueError("; ".join(unknown) + f" (tables: {', '.join(TABLE_NAMES)})")
        if "transactions" not in tables:
            raise ValueError("the table `transactions` is required: add [tables.transactions] with a `path`")
        return tables

    @model_validator(mode="after")
    def _sources_of_the_engine(self) -> Config:
        is_spark = self.engine.kind == "spark"
        for name, source in self.tables.items():
            if source.spark_table is not None and not is_spark:
                raise ValueError(f'tables.{name}.spark_table needs [engine] kind = "spark"')
            if source.url is not None and is_spark:
                raise ValueError(
                    f"tables.{name}.url: Spark's tasks are given no credentials; write the query's result to Parquet, "
                    'or take [engine] kind = "local"'
                )
        return self

    @property
    def active_within(self) -> tuple[int, int] | None:
        """Days and least orders of `population = "active:<days>[:<min_orders>]"`, or None for the rhythm rules."""
        match = _POPULATION.fullmatch(self.population)
        return (int(match["days"]), int(match["orders"] or 1)) if match else None

    @property
    def signal_attributes(self) -> list[str]:
        """Attributes of customers that may be signals: those listed and not sensitive."""
        source = self.tables.get("customers")
        return [name for name in source.attributes if name not in source.sensitive] if source else []

    def resolve(self, path: str) -> Path:
        """Returns `path` as seen from the folder of `churn.toml`."""
        return (self.directory / Path(path).expanduser()).absolute()

    def line_of(self, *keys: str) -> int | None:
        """Returns the line of `churn.toml` where a setting stands, for messages; None when it isn't there."""
        return line_of(self.source, *keys)


def load_config(path: Path) -> Config:
    """Returns the checked configuration in the file at `path`, `${VARIABLES}` expanded from the environment.

    Raises:
        ConfigError: naming every problem with its line and fix.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name the file in it: --config {path / 'churn.toml'}")
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; write one with: churn init {path.parent} --from DIR")
    try:
        source = path.read_text(encoding="utf-8-sig")
        given = tomllib.loads(source)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        if path.suffix.lower() in _DATA:
            fix = f"the churn.toml that says how to read it is written by: churn init --from {path.parent}"
            raise ConfigError(f"--config {path} is a file of data; {fix}") from None
        raise ConfigError(f"{path} is not readable as TOML: {error}; mend it there") from None
    return parse_config(given, directory=path.parent, source=source, name=path.name)


def parse_config(given: dict[str, Any], *, directory: Path, source: str = "", name: str = "churn.toml") -> Config:
    """Returns the configuration that a mapping (the content of a `churn.toml`) describes.

    Raises:
        ConfigError: naming every problem with its line and fix.
    """
    secrets = _addresses_with_secrets(given, name, source)
    if secrets:
        raise ConfigError(secrets)
    unset: list[str] = []
    expanded = _expand(given, unset)
    if unset:
        names = sorted(set(unset))
        raise ConfigError(f"{name} uses ${{{n}}}, which is not set; set it: export {n}=..." for n in names)
    try:
        return Config.model_validate({**expanded, "directory": directory, "source": source})
    except ValidationError as error:
        raise ConfigError(_problem(detail, name, source) for detail in error.errors()) from None


def line_of(source: str, *keys: str) -> int | None:
    """Returns the 1-based line of a TOML text where the dotted `keys` are set.

    >>> line_of("seed = 1\\n[tables.feedback]\\nscore = 'x'", "tables", "feedback", "score")
    3
    """
    section: tuple[str, ...] = ()
    best: tuple[int, int] | None = None
    for number, line in enumerate(source.splitlines(), start=1):
        text = line.strip()
        if header := re.match(r"\[+\s*([^\]]+?)\s*\]+", text):
            section = tuple(part.strip().strip('"') for part in header[1].split("."))
            found = section
        elif assigned := re.match(r'"?([\w.\-]+)"?\s*=', text):
            found = (*section, *assigned[1].split("."))
        else:
            continue
        if found and found == keys[: len(found)] and (best is None or len(found) > best[0]):
            best = (len(found), number)
    return best[1] if best else None


def _expand(value: Any, unset: list[str]) -> Any:
    if isinstance(value, str):
        for name in _VARIABLE.findall(value):
            if name not in os.environ:
                unset.append(name)
        return _VARIABLE.sub(lambda match: os.environ.get(match[1], ""), value)
    if isinstance(value, dict):
        return {key: _expand_setting(key, item, unset) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, unset) for item in value]
    return value


def _expand_setting(key: str, value: Any, unset: list[str]) -> Any:
    expanded = _expand(value, unset)
    return expand(value, os.environ) if key == "url" and isinstance(value, str) else expanded


def _addresses_with_secrets(given: Mapping[str, Any], name: str, source: str) -> list[str]:
    """What is wrong with the databases' addresses as they are written, before any variable is put in."""
    tables = given.get("tables")
    sections: dict[tuple[str, ...], Any] = {("output",): given.get("output")}
    if isinstance(tables, dict):
        sections |= {("tables", table): section for table, section in tables.items()}
    problems: list[str] = []
    for keys, section in sections.items():
        url = section.get("url") if isinstance(section, dict) else None
        problem = problem_of(url) if isinstance(url, str) else None
        if problem is not None:
            line = line_of(source, *keys, "url")
            problems.append(f"{name}{f' (line {line})' if line else ''}: {'.'.join(keys)}.url: {problem}")
    return problems


def _problem(detail: Any, name: str, source: str) -> str:
    keys = tuple(str(part) for part in detail["loc"] if part not in ("date", "datetime", "columns"))
    line = line_of(source, *keys)
    where = f"{name} (line {line})" if line else name
    setting = ".".join(keys) or "the file"
    if detail["type"] == "extra_forbidden":
        known = _section_fields(keys[0] if len(keys) > 1 else "")
        return f'{where}: "{setting}" is no setting{did_you_mean(keys[-1], known)} (known: {", ".join(known)})'
    if detail["type"] == "missing":
        example = ": add [tables.transactions] with a `path`" if keys == ("tables",) else ""
        return f"{where}: {setting} is required{example}"
    if detail["type"] == "model_type":
        return f"{where}: {setting} holds several settings: write them under a line [{setting}]"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{where}: {setting}: {message}"


def _section_fields(section: str) -> list[str]:
    models: dict[str, type[_Section]] = {
        "contact": Contact, "bands": Bands, "tracking": Tracking, "engine": Engine, "output": Output,
        "tables": TableSource,
    }  # fmt: skip
    fields = models[section].model_fields if section in models else Config.model_fields
    return [field for field in fields if field not in ("directory", "source")]


def _checked_address(url: SecretStr) -> SecretStr:
    problem = scheme_problem(url.get_secret_value())
    if problem is not None:
        raise ValueError(problem)
    return url


def _checked_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f'"{zone}" is no time zone; use a name such as "Europe/London" or "UTC"') from None
    return zone
