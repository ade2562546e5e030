"""`churn score`: every customer of a list gets a probability with its reasons, or the reason why she gets none."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from churn.config import Config
from churn.delivery.files import write_scores
from churn.delivery.gathered import Gathered
from churn.delivery.tally import Tally
from churn.drivers.contributions import explain
from churn.drivers.owners import owners_of
from churn.drivers.reasons import reasons
from churn.errors import BundleError, TableError
from churn.jobs.bucketwise import Scoring, key_of, score_buckets, survey
from churn.jobs.common import signals_of
from churn.jobs.lists import list_warnings
from churn.jobs.moments import cutoff_at
from churn.jobs.outputs import check_scores_database, check_scores_out, store_scores
from churn.jobs.unseen import unseen_warnings
from churn.models.bundle import GOLDEN_TOLERANCE, Bundle, load_bundle
from churn.models.champion import champion_of, newest_of
from churn.models.frame import rows_at, why_not
from churn.models.known import Known
from churn.tables.buckets import Buckets, open_buckets
from churn.tables.history import customers_of
from churn.tables.workfolder import WORK
from churn.timeline.cutoffs import Cutoff
from churn.timeline.population import ELIGIBLE

COLUMNS = (
    "customer_id", "cutoff", "status", "why_not_scored", "p_leave", "p_silent", "p_vocal", "voice_status",
    "percentile", "band", "p_no_visit_by_rhythm", "expected_spend", "value_at_risk", "driver_1", "driver_2", "driver_3",
    "reason_1", "reason_2", "reason_3", "owner_1", "owner_2", "owner_3", "model_id",
)  # fmt: skip
Progress = Callable[[str], None]


UNREAD = {"text", "ended_reason"}
"""Columns that no signal reads: a list is the same without them."""
_TEXTS = ("voice_status", "band", *(f"{what}_{rank}" for what in ("driver", "reason", "owner") for rank in (1, 2, 3)))
_NUMBERS = ("p_leave", "p_silent", "p_vocal", "percentile", "p_no_visit_by_rhythm", "expected_spend", "value_at_risk")
_NOBODY = pd.DataFrame({
    **dict.fromkeys(_NUMBERS, pd.Series(dtype=float)), **dict.fromkeys(_TEXTS, pd.Series(dtype=object)),
    "is_treated": pd.Series(dtype="boolean"),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle ready to be used.

    Attributes:
        home: its folder.
        model_id: of the bundle.
        bundle: the model.
        is_strange: whether it predicts otherwise here than where it was trained.
        warnings: what the user should know about it.
    """

    home: Path
    model_id: str
    bundle: Bundle
    is_strange: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored list.

    Attributes:
        scores: one row per customer of the list, the columns of `COLUMNS`; `warning` too where inputs are missing,
            and `is_treated` where there is a table of treatments. None for a list of several buckets that was written
            somewhere: it may be longer than memory.
        tally: what the list holds.
        model_id: of the bundle.
        bundle: its folder.
        cutoff: the moment of prediction.
        warnings: what the user should know before acting on the list.
    """

    scores: pd.DataFrame | None
    tally: Tally
    model_id: str
    bundle: Path
    cutoff: Cutoff
    warnings: tuple[str, ...]


def score(
    config: Config, *, out: Path | None = None, to_database: bool = False, customers: Sequence[str] | None = None,
    at: int | None = None, bundle: Path | None = None, progress: Progress = lambda _: None,
) -> Scored:  # fmt: skip
    """Returns the scores of `customers` in their order (default: everybody eligible first by risk), written to `out`.

    Args:
        config: the project.
        out: `.parquet`, `.csv` or `.jsonl`; nothing is written without it.
        to_database: whether they go to the table of `[output]` too.
        customers: ids; every one gets a row, scored or with the reason why not. Default: everybody in the tables.
        at: the cutoff, microseconds UTC; default the midnight after the last activity.
        bundle: a bundle's folder; default the champion, else the newest bundle.
        progress: told what goes on.

    Raises:
        ChurnError: no bundle, a damaged one, unusable tables, or an unwritable file.
    """
    if out is not None:
        check_scores_out(out, config=config)
    if to_database:
        check_scores_database(config, columns=COLUMNS)
    opened = open_bundle(config, bundle)
    warnings, model = list(opened.warnings), opened.bundle
    if opened.is_strange and out is not None and out.exists():
        raise BundleError(f"{out} is not overwritten: {warnings[-1]}")
    if opened.is_strange and to_database:  # a table has no place for the warning
        raise BundleError(f"nothing is written to the database: {warnings[-1]}")
    progress("reading tables")
    with open_buckets(config, work=config.directory / WORK, progress=progress) as buckets:
        without = missing_inputs(model, buckets.read(0), config)
        asked = survey(buckets, model, config=config)
        cutoff, doubts = cutoff_at(at, base=asked.base, target=model.target)
        progress(f"scoring at {cutoff.label}")
        gathered = score_buckets(
            buckets, asked.base, _scoring(opened, cutoff, without, config), config=config, customers=customers,
            columns=_columns(buckets, without), activity=model.target.activity, progress=progress,
            key=key_of(config, model_id=opened.model_id, cutoff=cutoff, customers=customers),
        )  # fmt: skip
        warnings += [*without, *doubts, *unseen_warnings(asked.unseen)]
        warnings += _list_warnings(gathered, customers, buckets)
        metadata = {"model_id": opened.model_id, "cutoff": cutoff.label, "warnings": "; ".join(warnings)}
        tally = _deliver(gathered, config, out=out, metadata=metadata)
        if to_database:
            store_scores(gathered.reader(), config, is_whole=customers is None)
        is_held = buckets.count == 1 or (out is None and not to_database)
        scores = pd.concat(gathered.frames(), ignore_index=True) if is_held else None
    return Scored(scores, tally, opened.model_id, opened.home, cutoff, tuple(warnings))


def _scoring(opened: Opened, cutoff: Cutoff, without: Sequence[str], config: Config) -> Scoring:
    """How one bucket is scored: the columns of the list, and those that only some lists have."""

    def scored(known: Known, customers: Sequence[str] | None) -> pd.DataFrame:
        told = score_known(known, opened.bundle, cutoff, customers=customers, config=config)
        told["is_treated"] = told["is_treated"].astype("boolean")
        return told.assign(model_id=opened.model_id, warning="; ".join(without))

    return scored


def _columns(buckets: Buckets, without: Sequence[str]) -> list[str]:
    """The columns of a list: `is_treated` with a table of treatments, `warning` where inputs are missing."""
    treated = ["is_treated"] if "treatments" in buckets.names else []
    return [*COLUMNS, *treated, *(["warning"] if without else [])]


def _deliver(gathered: Gathered, config: Config, *, out: Path | None, metadata: Mapping[str, str]) -> Tally:
    """Writes the list to `out`, if given, and returns what it holds."""
    tally = Tally()
    frames = tally.watch(gathered.frames())
    if out is not None:
        write_scores(frames, out, metadata=metadata)
    else:
        deque(frames, maxlen=0)
    return tally


def score_known(
    known: Known, bundle: Bundle, cutoff: Cutoff, *, customers: Sequence[str] | None, config: Config
) -> pd.DataFrame:
    """Returns the score columns (but `model_id`) of the listed customers in their order, or of everybody by risk."""
    ids = known.customers if customers is None else pa.array(list(customers), pa.string())
    codes = known.codes_of(ids)
    why = np.append(why_not(known, bundle.target, cutoff, prior=bundle.prior), "unknown")[codes]
    eligible = np.unique(codes[why == ELIGIBLE])
    scored = _scored_rows(known, bundle, cutoff, eligible, config) if len(eligible) else _NOBODY
    position = pd.Series(np.arange(len(eligible)), index=eligible).reindex(codes)
    listed = scored.take(position.fillna(0).to_numpy(np.int64)) if len(scored) else scored.reindex(range(len(codes)))
    listed = listed.reset_index(drop=True).mask(pd.Series(why != ELIGIBLE), other=None)
    listed.insert(0, "customer_id", ids.to_pylist())
    listed.insert(1, "cutoff", cutoff.label)
    listed.insert(2, "status", np.where(why == ELIGIBLE, "scored", "not_scored"))
    listed.insert(3, "why_not_scored", pd.Series(why).where(why != ELIGIBLE, None))
    if customers is None:
        listed = listed.sort_values(
            ["status", "percentile", "p_leave", "customer_id"], ascending=[False, False, False, True]
        )
    return listed.reset_index(drop=True)


def open_bundle(config: Config, bundle: Path | None) -> Opened:
    """Returns the bundle to use, checked and loaded: the given one, the champion, or the newest.

    Raises:
        BundleError: there is none, or it is damaged.
    """
    home, warnings = find_bundle(config, bundle)
    model_id, model, gap = load_bundle(home)
    is_strange = not gap <= GOLDEN_TOLERANCE
    if is_strange:
        warnings.append(
            f"this machine's libraries give other predictions than the training's (difference {gap:.1e}); "
            "train again: churn train"
        )
    return Opened(home, model_id, model, is_strange, tuple(warnings))


def find_bundle(config: Config, bundle: Path | None) -> tuple[Path, list[str]]:
    """Returns the folder of the bundle to use and what to warn of: the given one, the champion, or the newest.

    Raises:
        BundleError: there is none.
    """
    if bundle is not None:
        return bundle, []
    models = config.resolve(config.models)
    champion = champion_of(models)
    if champion is not None:
        return champion, []
    newest = newest_of(models)
    if newest is None:
        raise BundleError(f"no model in {models}; train one first: churn train")
    doubt = "no model has been promoted (none was better than the simple rules): this is the newest one"
    return newest, [doubt]


def missing_inputs(bundle: Bundle, tables: Mapping[str, pa.Table], config: Config) -> list[str]:
    """Returns a warning about tables and columns that the model was trained with and that are absent now, if any.

    Raises:
        TableError: there are, and the configuration doesn't say `missing_table = "warn"`.
    """
    missing = [name for name in bundle.tables if name not in tables]
    for name, columns in bundle.training.get("columns", {}).items():
        if name in tables:
            gone = {*columns} - {*tables[name].column_names} - UNREAD
            missing += sorted(f"{name}.{column}" for column in gone)
    if not missing:
        return []
    told = f"the model was trained with {', '.join(missing)}, absent now: their signals are null"
    if config.missing_table == "refuse":
        fix = 'give what is missing in churn.toml, or set missing_table = "warn" to score without it'
        raise TableError(f"{told}; {fix}")
    return [told]


def _list_warnings(gathered: Gathered, customers: Sequence[str] | None, buckets: Buckets) -> list[str]:
    if customers is None:
        return []
    unknown = gathered.ids(why="unknown")
    known = (one for number in range(buckets.count) for one in customers_of(buckets.read(number)).to_pylist())
    return list_warnings(customers, unknown=unknown, known=known)


def _scored_rows(known: Known, bundle: Bundle, cutoff: Cutoff, codes: np.ndarray, config: Config) -> pd.DataFrame:
    frame = rows_at(known, cutoff, codes=codes, prior=bundle.prior)
    features = signals_of(known, frame, bundle.recipes, target=bundle.target, prior=bundle.prior)
    predicted = bundle.predict(features, voice_status=frame["voice_status"].to_numpy(str))
    percentile = bundle.percentile(predicted["margin"].to_numpy())
    values = explain(bundle.factors, bundle.matched(features))
    told = reasons(
        features, values, bundle.recipes, currency=config.currency, activity=bundle.target.activity,
        horizon_days=bundle.target.horizon_days, owners=owners_of(config),
    )  # fmt: skip
    bands = np.array(config.bands.names, object)[np.searchsorted(config.bands.edges, percentile, side="right")]
    figures = pd.DataFrame({
        "p_leave": predicted["p_leave"], "p_silent": predicted["p_silent"], "p_vocal": predicted["p_vocal"],
        "voice_status": frame["voice_status"], "percentile": percentile, "band": bands,
        "p_no_visit_by_rhythm": frame["p_no_visit_by_rhythm"], "expected_spend": frame["expected_spend"],
        "value_at_risk": predicted["p_leave"] * frame["expected_spend"], "is_treated": frame["is_treated"],
    })  # fmt: skip
    return pd.concat([figures, told.set_index(figures.index)], axis=1)
