"""Spark: real sessions on this machine; signals, scores, findings and the sample are those of the local engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from made_histories import table
from made_project import Project
from test_buckets import HEADER, messy_lines

from churn.config import Config, load_config, parse_config
from churn.delivery.files import plain_table
from churn.errors import ChurnError, TableError
from churn.jobs.learning import lesson_of
from churn.jobs.score import score
from churn.models.frame import learn_prior, rows
from churn.models.matrix import matrix_of
from churn.models.target import target_of
from churn.signals.bucket import Asked, bucket_signals
from churn.signals.catalogue import recipes_for
from churn.signals.spark import spark_signals
from churn.tables.history import DAY
from churn.tables.parcels import packed, schemas_of, schemas_text, unpacked
from churn.tables.session import kept_in, spark_problem, spark_session
from churn.tables.sources import read_tables
from churn.timeline.rhythm import Prior

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PROBLEM = spark_problem()
needs_spark = pytest.mark.skipif(PROBLEM is not None, reason=f"Spark cannot run here: {PROBLEM}")
pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
ODD_IDS = ["007", "7", "1e5", " spaced ", "Zoë-名前", "it's", "NA", "null", "a\nb", '"', "🛍", "x" * 300]
AT = [19_600 * DAY, 19_700 * DAY + 1, 19_754 * DAY]


def on_spark(config: Config, **engine: Any) -> Config:
    told = config.engine.model_copy(update={"kind": "spark", "master": "local[2]", **engine})
    return config.model_copy(update={"engine": told})


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One session for all tests: those that ask for one find it running."""
    home = tmp_path_factory.mktemp("spark")
    config = parse_config({"tables": {"transactions": {"path": "t.csv"}}}, directory=home)
    with spark_session(on_spark(config, memory_limit="2GB"), folder=home) as running:
        yield running


@pytest.fixture(params=["in files", "travelling"])
def way(session: SparkSession, request: pytest.FixtureRequest) -> Iterator[None]:
    """Bytes lie in files that all tasks see, or travel as on a cluster."""
    kept = kept_in(session)
    assert kept is not None
    if request.param == "travelling":
        session.conf.set("spark.churn.kept", "")
    before = set(Path(kept).iterdir())
    yield
    assert bool(set(Path(kept).iterdir()) - before) == (request.param == "in files")
    session.conf.set("spark.churn.kept", kept)


@pytest.fixture(scope="module")
def odd_tables(project: Project) -> dict[str, pa.Table]:
    """Every table; some customers have odd ids, and some rows became known long after they happened."""
    tables, _ = read_tables(load_config(project.config))
    ids = sorted(set(tables["transactions"]["customer_id"].to_pylist()))[: len(ODD_IDS)]
    odd = dict(zip(ids, ODD_IDS, strict=True))
    for name, given in tables.items():
        renamed = pa.array([odd.get(one, one) for one in given["customer_id"].to_pylist()], pa.string())
        tables[name] = given.set_column(0, "customer_id", renamed)
        if "available_at" in given.column_names:
            late = np.asarray(given["available_at"].cast(pa.int64())) + (np.arange(given.num_rows) % 7 == 3) * 40 * DAY
            place = given.column_names.index("available_at")
            known = pa.array(late).cast(given["available_at"].type)
            tables[name] = tables[name].set_column(place, "available_at", known)
    header = "customer_id start end plan amount ended_at ended_how"
    lines = ["007 2023-02-01 2024-02-01 basic 9.99 2023-12-01 cancel", "7 2023-02-01 2024-02-01 - - - -"]
    return {**tables, "subscriptions": table("subscriptions", header, *lines)}


@pytest.fixture(scope="module")
def asked(odd_tables: dict[str, pa.Table]) -> Asked:
    recipes = recipes_for(odd_tables, horizon_days=60, attributes=["region", "segment"], activity="purchases")
    covers = {AT[0]: {"transactions": 19_500 * DAY, "visits": 19_550 * DAY}}
    return Asked(tuple(recipes), Prior(1.5, 40.0), 60, 0, "Europe/Berlin", "purchases", covers)


@pytest.fixture(scope="module")
def wanted(odd_tables: dict[str, pa.Table]) -> pa.Table:
    """Everybody and a stranger, at three cutoffs."""
    ids = sorted({*odd_tables["transactions"]["customer_id"].to_pylist(), "stranger"})
    return pa.table({
        "customer_id": pa.array([one for one in ids for _ in AT], pa.string()), "at": pa.array(AT * len(ids)),
    })  # fmt: skip


@needs_spark
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("buckets", [1, 5])
def test_signals_of_every_table_are_the_local_ones_to_the_bit(
    session: SparkSession, odd_tables: dict[str, pa.Table], asked: Asked, wanted: pa.Table, buckets: int
) -> None:
    local = matrix_of(bucket_signals(odd_tables, wanted, asked), asked.recipes)
    assert {recipe.signal for recipe in asked.recipes} >= {"spend", "visits", "service", "feedback", "profile"}
    tables = {name: session.createDataFrame(given) for name, given in odd_tables.items()}
    made = spark_signals(session, tables, session.createDataFrame(wanted), asked, buckets=buckets)
    found = made.toArrow().sort_by([("customer_id", "ascending"), ("at", "ascending")])
    assert found["customer_id"].to_pylist() == wanted["customer_id"].to_pylist()
    assert found["at"].to_pylist() == wanted["at"].to_pylist()
    for name in local.columns:
        assert np.asarray(found[name], np.float32).tobytes() == local[name].to_numpy().tobytes(), name


@needs_spark
@pytest.mark.usefixtures("way")
def test_tasks_read_canonical_files_themselves(
    session: SparkSession, odd_tables: dict[str, pa.Table], asked: Asked, wanted: pa.Table, tmp_path: Path
) -> None:
    """A row of which a file doesn't say when it became known was known when it happened."""
    few = Asked(asked.recipes[:12], asked.prior, 60, 0, "UTC", "purchases", {})
    tables = {name: odd_tables[name] for name in ("transactions", "visits")}
    timely = {name: one.set_column(one.column_names.index("available_at"), "available_at", one["time"])
              for name, one in tables.items()}  # fmt: skip
    files: dict[str, list[Path]] = {}
    for name, one in {**tables, "rows": wanted}.items():
        files[name] = [tmp_path / f"{name}-{part}.parquet" for part in range(2)]
        for part, path in enumerate(files[name]):
            half = one.slice(part * (one.num_rows // 2), one.num_rows // 2 + part)
            pq.write_table(half.drop_columns("available_at") if name != "rows" else half, path)
    rows = files.pop("rows")
    local = bucket_signals(timely, wanted, few)
    found = spark_signals(session, files, rows, few, buckets=3).toArrow()
    found = found.sort_by([("customer_id", "ascending"), ("at", "ascending")])
    assert found["customer_id"].to_pylist() == wanted["customer_id"].to_pylist()
    for name in local.columns:
        assert np.asarray(found[name], np.float32).tobytes() == local[name].to_numpy().tobytes(), name


@needs_spark
def test_the_session_is_quiet_and_on_the_loopback(session: SparkSession) -> None:
    told = dict(session.sparkContext.getConf().getAll())
    assert told["spark.ui.enabled"] == "false"
    assert told["spark.driver.host"] == told["spark.driver.bindAddress"] == "127.0.0.1"
    assert told["spark.sql.catalogImplementation"] == "in-memory"


@needs_spark
@pytest.mark.usefixtures("way")
def test_a_written_list_has_the_same_bytes(session: SparkSession, project: Project, tmp_path: Path) -> None:
    config = load_config(project.config)
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    local, found = score(config, out=here), score(on_spark(config, buckets=7), out=there)
    assert found.warnings == local.warnings
    assert found.tally == local.tally
    assert there.read_bytes() == here.read_bytes()
    assert not (project.directory / ".churn-work").exists()


@needs_spark
def test_a_list_keeps_its_order_its_repeats_and_its_strangers(session: SparkSession, project: Project) -> None:
    config = load_config(project.config)
    listed = ["nobody", "C000017", "C000400", "C000017", " C000400"]
    local, found = score(config, customers=listed), score(on_spark(config, buckets=3), customers=listed)
    assert found.warnings == local.warnings
    assert found.scores is not None
    assert local.scores is not None
    pd.testing.assert_frame_equal(found.scores, local.scores, check_exact=True)


@needs_spark
def test_tables_of_spark_are_read_as_files_are(session: SparkSession, project: Project) -> None:
    config = load_config(project.config)
    session.read.parquet(str(project.directory / "visits.parquet")).repartition(3).createOrReplaceTempView("came")
    source = config.tables["visits"].model_copy(update={"path": None, "spark_table": "came"})
    other = on_spark(config.model_copy(update={"tables": {**config.tables, "visits": source}}), buckets=2)
    listed = ["C000017", "C000400"]
    local, found = score(config, customers=listed), score(other, customers=listed)
    assert plain_table(found.scores).equals(plain_table(local.scores))
    gone = source.model_copy(update={"spark_table": "nowhere.at_all"})
    absent = other.model_copy(update={"tables": {**config.tables, "visits": gone}})
    with pytest.raises(TableError, match=r"visits: spark_table = 'nowhere.at_all' is not there"):
        score(absent)


@pytest.fixture
def messy(tmp_path: Path) -> Config:
    """Sales in two files with every flaw that is tolerated, and visits as typed Parquet."""
    lines = messy_lines(seed=3)
    (tmp_path / "sales-1.csv").write_text("\n".join([HEADER, *lines[:1000]]), encoding="utf-8")
    (tmp_path / "sales-2.csv").write_text("\n".join([HEADER, *lines[1000:]]), encoding="utf-8")
    ids = [None if n % 97 == 0 else f"c{n % 130}" for n in range(2000)]
    times = pa.array([(20_100 * 1440 + n % 700) * 60_000_000 for n in range(2000)]).cast(pa.timestamp("us"))
    pq.write_table(pa.table({"customer_id": ids, "time": times}), tmp_path / "visits.parquet")
    visits = {"path": "visits.parquet", "duplicates": "keep"}
    tables = {"transactions": {"path": "sales-*.csv"}, "visits": visits}
    return parse_config({"timezone": "Europe/Berlin", "tables": tables, "horizon_days": 28}, directory=tmp_path)


@needs_spark
def test_messy_files_give_the_same_tables_findings_and_signals(session: SparkSession, messy: Config) -> None:
    with lesson_of(messy, progress=lambda _: None) as local:
        pass
    with lesson_of(on_spark(messy, buckets=3), progress=lambda _: None) as found:
        assert found.issues == local.issues
        assert {issue.code for issue in found.issues} >= {"duplicate_rows", "unreadable_values", "missing_id"}
        assert dict(found.known.tables) == dict(local.known.tables)
        target = target_of(messy, horizon_days=28)
        prior = learn_prior(local.known, local.known.ends)
        moments = [target.cutoff(local.known.ends - days * DAY) for days in (0, -1)]
        frame = rows(local.known, target, moments, prior=prior)
        assert frame["at"].nunique() == len(moments)
        recipes = recipes_for(local.known.tables, horizon_days=28, activity="purchases")
        theirs = found.signals(found.known, frame, recipes, target, prior)
    ours = local.signals(local.known, frame, recipes, target, prior)
    pd.testing.assert_frame_equal(theirs, ours, check_exact=True)


@needs_spark
def test_the_sample_is_the_same_there_and_is_told(session: SparkSession, project: Project) -> None:
    config = load_config(project.config)
    few = config.model_copy(update={"engine": config.engine.model_copy(update={"training_customers": 300})})
    with lesson_of(few, progress=lambda _: None) as local:
        assert local.sample == {"customers": 300, "of_customers": 1200}
        assert local.notes == ["trained on 300 of 1,200 customers, a sample of every stratum"]
    with lesson_of(on_spark(few, buckets=3), progress=lambda _: None) as found:
        assert (found.sample, found.notes) == (local.sample, local.notes)
        assert dict(found.known.tables) == dict(local.known.tables)
        assert found.known.base.to_dict() == local.known.base.to_dict()


@needs_spark
def test_what_is_wrong_with_a_file_is_told_as_locally(session: SparkSession, messy: Config) -> None:
    lines = [HEADER, *[f"c{row},soon,1,web,1,,0" for row in range(50)]]
    (messy.directory / "sales-3.csv").write_text("\n".join(lines), encoding="utf-8")
    (messy.directory / "visits.parquet").write_bytes(b"PAR1 and nothing more")
    told = []
    for config in (messy, on_spark(messy, buckets=2)):
        with pytest.raises(TableError, match=r"visits: .* is no readable Parquet file") as refused:
            lesson_of(config, progress=lambda _: None).__enter__()
        told.append(refused.value.problems)
    session.catalog.clearCache()
    (messy.directory / "visits.parquet").unlink()
    only = messy.model_copy(update={"tables": {"transactions": messy.tables["transactions"]}})
    for config in (only, on_spark(only, buckets=2)):
        with pytest.raises(TableError, match="hold no readable time") as refused:
            lesson_of(config, progress=lambda _: None).__enter__()
        told.append(refused.value.problems)
    assert told[2] == told[3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": {"master": "local[2]"}}, '`master` goes with `kind = "spark"`'),
        ({"tables": {"transactions": {"spark_table": "shop.sales"}}}, "needs .engine. kind"),
        (
            {
                "engine": {"kind": "spark"},
                "tables": {"transactions": {"url": "postgresql://localhost/shop", "query": "SELECT 1"}},
            },
            "Spark's tasks are given no credentials",
        ),
        ({"tables": {"transactions": {"path": "a", "spark_table": "b"}}}, "give either `path` or `query`"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ChurnError, match=message):
        parse_config({"tables": {"transactions": {"path": "t.csv"}}} | settings, directory=tmp_path)


def test_a_table_of_spark_is_no_file(tmp_path: Path) -> None:
    settings = {"engine": {"kind": "spark"}, "tables": {"transactions": {"spark_table": "shop.sales"}}}
    with pytest.raises(TableError, match=r"transactions: shop.sales is a table of Spark, which only churn train"):
        read_tables(parse_config(settings, directory=tmp_path))


def test_without_java_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    problem = spark_problem()
    assert problem is not None
    assert "there is no Java; install Java 17 or later, or set JAVA_HOME" in problem


@pytest.mark.parametrize("is_kept", [False, True])
def test_parcels_hold_all_rows_and_each_customer_goes_to_one_bucket(
    odd_tables: dict[str, pa.Table], is_kept: bool, tmp_path: Path
) -> None:
    folder = str(tmp_path) if is_kept else None
    batches = [
        batch
        for name, one in odd_tables.items()
        for batch in packed(one_by_one(one), tag=name, buckets=5, folder=folder)
    ]
    assert any(tmp_path.iterdir()) == is_kept
    schemas = schemas_of(schemas_text({name: one.schema for name, one in odd_tables.items()}))
    seen: set[str] = set()
    counts = dict.fromkeys(odd_tables, 0)
    for bucket in range(5):
        own = [batch.filter(pc.equal(batch.column("bucket"), bucket)) for batch in batches]
        tables = unpacked(own, schemas)
        ids = {one for name in odd_tables for one in tables[name]["customer_id"].to_pylist()}
        assert ids
        assert not ids & seen
        seen |= ids
        for name, found in tables.items():
            expected = odd_tables[name].filter(
                pc.is_in(odd_tables[name]["customer_id"], value_set=pa.array(sorted(ids)))
            )
            assert found.equals(expected), name
            counts[name] += found.num_rows
    assert counts == {name: one.num_rows for name, one in odd_tables.items()}


def one_by_one(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows in pieces, as they come from a source."""
    yield from (rows.slice(start, 1000) for start in range(0, rows.num_rows, 1000))
