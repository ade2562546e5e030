"""Tracking: each training as one MLflow run, in a store beside `churn.toml` unless it names another."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from churn.config import Config
from churn.errors import ChurnError

_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
_OWNER = "churn.process"
_LONGEST = 5_000
"""MLflow cuts parameters over 6,000 characters."""


class TrackingError(ChurnError):
    """The experiment store cannot be used; the model itself is safe on disk."""


def track_run(
    result: Mapping[str, Any],
    *,
    config: Config,
    bundle: Path,
    plots: Mapping[str, bytes],
    page: str,
    fingerprint: Mapping[str, str],
) -> str:
    """Returns the id of the MLflow run that records a training: parameters, metrics, pictures, page and bundle.

    Metrics are named `MODEL.METRIC`; each has its mean and, step by step (days since 1970), its value at every test
    cutoff as `MODEL.METRIC.at_cutoff`. Nothing about single customers is recorded. Runs that a killed process left
    RUNNING are closed as KILLED first.

    Raises:
        TrackingError: the store is locked, down or not writable.
    """
    with _store(config) as client:
        experiment = _experiment(client, config)
        _close_killed(client, experiment)
        run = client.create_run(
            experiment, run_name=str(result["model_id"]), tags=_tags(result, fingerprint)
        ).info.run_id
        try:
            client.log_batch(run, metrics=_metrics(result), params=_params(result, config))
            _log_artifacts(client, run, result, bundle, plots, page)
            client.set_terminated(run, "FINISHED")
        except BaseException:
            client.set_terminated(run, "FAILED")
            raise
        return str(run)


def recent_runs(config: Config, *, limit: int = 20) -> list[dict[str, Any]]:
    """Returns the latest runs, newest first: run_id, model_id, status, started, auroc, verdict.

    Raises:
        TrackingError: the store cannot be used.
    """
    with _store(config) as client:
        found = client.search_runs(
            [_experiment(client, config)], order_by=["attributes.start_time DESC"], max_results=limit
        )
        return [
            {
                "run_id": run.info.run_id, "model_id": run.data.tags.get("model_id"), "status": run.info.status,
                "started": dt.datetime.fromtimestamp(run.info.start_time / 1000, dt.UTC).isoformat(timespec="seconds"),
                "auroc": run.data.metrics.get("model.auroc"), "verdict": run.data.tags.get("verdict"),
            }
            for run in found
        ]  # fmt: skip


def store_uri(config: Config) -> str:
    """Returns the tracking store: the configured one, or SQLite in `mlruns/` beside `churn.toml`."""
    return config.tracking.uri or f"sqlite:///{config.resolve('mlruns') / 'mlflow.db'}"


def ui_command(config: Config, *, port: int) -> list[str]:
    """Returns the command that serves the MLflow UI over the store on 127.0.0.1.

    MLflow's own `ui` ignores the environment's tracking URI and would make a second, empty store: it is named here.
    """
    return [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store_uri(config),
        "--default-artifact-root", config.resolve("mlruns/artifacts").as_uri(), "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip


def ui_environment() -> dict[str, str]:
    """Returns what the UI's environment needs beside the usual: nothing is sent anywhere."""
    return dict(_QUIET)


@contextlib.contextmanager
def _store(config: Config) -> Iterator[Any]:
    """A client of the store; whatever goes wrong inside it is told in plain words, and MLflow's own chatter is not."""
    os.environ.update(_QUIET)
    if config.tracking.uri is None:
        config.resolve("mlruns/artifacts").mkdir(parents=True, exist_ok=True)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
        from sqlalchemy.exc import SQLAlchemyError

        for name in ("mlflow", "mlflow.store.db.utils", "alembic.runtime.migration"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield MlflowClient(tracking_uri=store_uri(config))
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise TrackingError(
                f"not tracked: the experiment store cannot be used ({type(error).__name__}); the model, its report and its "
                "figures are kept in models/. Mend the store ([tracking] in churn.toml) and train again: the same data give the same model"
            ) from None


def _experiment(client: Any, config: Config) -> str:
    name = config.tracking.experiment
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None if config.tracking.uri else config.resolve("mlruns/artifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _close_killed(client: Any, experiment: str) -> None:
    for run in client.search_runs([experiment], filter_string="attributes.status = 'RUNNING'"):
        process = run.data.tags.get(_OWNER, "")
        if process.isdigit() and not Path(f"/proc/{process}").exists():
            client.set_terminated(run.info.run_id, "KILLED")


def _tags(result: Mapping[str, Any], fingerprint: Mapping[str, str]) -> dict[str, str]:
    verdict = result["verdict"]
    return {
        _OWNER: str(os.getpid()), "model_id": str(result["model_id"]), "is_promoted": str(verdict["is_promoted"]).lower(),
        "verdict": verdict["sentence"], "project": str(result["project"]),
        **{f"data.{table}": digest for table, digest in fingerprint.items()},
    }  # fmt: skip


def _params(result: Mapping[str, Any], config: Config) -> list[Any]:
    from mlflow.entities import Param

    training = {f"training.{name}": value for name, value in result["training_cutoffs"].items()}
    chosen = {
        **result["target"], **training, "test_cutoffs": ", ".join(result["cutoffs"]), "seed": config.seed,
        "tables": ", ".join(sorted(config.tables)), "leave_out_treated": config.leave_out_treated,
        "contact.budget": result["gain"]["budget"], "contact.cost": config.contact.cost,
        "contact.success_rate": config.contact.success_rate,
    }  # fmt: skip
    return [Param(name, str(value)[:_LONGEST]) for name, value in chosen.items()]


def _metrics(result: Mapping[str, Any]) -> list[Any]:
    from mlflow.entities import Metric

    now = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
    found = []
    for model, metrics in result["metrics"].items():
        for name, told in metrics.items():
            found += [
                (f"{model}.{name}", told["mean"], 0),
                (f"{model}.{name}.low", told["low"], 0),
                (f"{model}.{name}.high", told["high"], 0),
            ]
            for cutoff, value in told["by_cutoff"].items():
                step = (dt.date.fromisoformat(cutoff[:10]) - dt.date(1970, 1, 1)).days
                found.append((f"{model}.{name}.at_cutoff", value, step))
    found += [(f"gain.{name}", result["gain"][name], 0) for name in ("gain", "random_gain", "empc")]
    return [Metric(name, float(value), now, step) for name, value, step in found if _is_number(value)][:1000]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and value == value and abs(value) != float("inf")


def _log_artifacts(
    client: Any, run: str, result: Mapping[str, Any], bundle: Path, plots: Mapping[str, bytes], page: str
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "plots").mkdir()
        for name, picture in plots.items():
            (home / "plots" / f"{name}.png").write_bytes(picture)
        (home / "report.html").write_text(page, encoding="utf-8")
        text = json.dumps(result, indent=1, ensure_ascii=False, default=str)
        (home / "result.json").write_text(text, encoding="utf-8")
        client.log_artifacts(run, folder)
    client.log_artifacts(run, str(bundle), "bundle")
