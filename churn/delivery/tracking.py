"""Tracking: each training as one MLflow run, in a store beside `churn.toml` unless it names another.

Only sums go in: parameters, metrics, pictures, the page and the bundle. What may hold personal data or secrets (paths,
queries, owners, the store's address) stays out by naming what goes in.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import json
import platform
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from churn import __version__
from churn.config import Config
from churn.delivery.store import (
    TrackingError,
    artifacts_of,
    is_server,
    prepare_store,
    quiet_mlflow,
    store_uri,
)
from churn.delivery.unsaid import voice_metrics
from churn.tables.atomic import CAN_LOCK, claim, release

__all__ = ["TrackingError", "track_run", "ui_command", "ui_environment"]

_TOKEN = "churn.token"
_TRAINS_MODELS = {"mlflow.experimentKind": "custom_model_development"}
"""Opens the UI at runs and metrics rather than at chats with language models."""
_LONGEST = 5_000
"""MLflow cuts parameters over 6,000 characters and tags over 8,000."""
_METRICS_AT_ONCE, _PARAMS_AT_ONCE = 1_000, 100
"""What one call of MLflow's `log_batch` takes."""


def track_run(
    result: Mapping[str, Any], *, config: Config, bundle: Path, plots: Mapping[str, bytes], page: str,
    fingerprint: Mapping[str, str], seconds: float | None = None,
) -> str:  # fmt: skip
    """Returns the id of the MLflow run that records a training: parameters, metrics, pictures, page and bundle.

    Metrics are named `MODEL.METRIC` (mean over the test cutoffs), with `interval/MODEL.METRIC.low` and `.high`;
    `by_cutoff/MODEL.METRIC` holds one step per test cutoff, whose time is the cutoff. What is not known is left out.
    A run never stays RUNNING: it fails with an exception, and runs left by a killed process are closed as KILLED first.

    Args:
        result: the result of the run.
        config: where the store is, and what was asked for.
        bundle: the folder of the model.
        plots: PNG pictures by name.
        page: the report.
        fingerprint: a digest per table.
        seconds: how long the training took.

    Raises:
        TrackingError: the store is locked, down, damaged or not writable. The model on disk is untouched.
    """
    with quiet_mlflow():
        prepare_store(config)
        client = _client(config)
        experiment = _experiment(client, config)
        _close_killed(client, experiment, config)
        with _signed(config) as token:
            tags = {_TOKEN: token, **_tags(result, config, bundle, fingerprint)}
            run = str(client.create_run(experiment, run_name=str(result["model_id"]), tags=tags).info.run_id)
            with _closed_at_the_end(client, run):
                _log_figures(client, run, result, config, seconds=seconds)
                _log_files(client, run, {**result, "run_id": run, "bundle": tags["bundle"]}, bundle, plots, page)
        return run


def ui_command(config: Config, *, port: int = 5000) -> list[str]:
    """Returns the command that serves the MLflow UI over the store on 127.0.0.1; see `ui_environment`.

    MLflow's own `ui` ignores the environment's tracking URI and would make a second, empty store: it is named here.

    Raises:
        TrackingError: the store cannot be used, or is a server, which shows its experiments itself.
    """
    if is_server(store_uri(config)):
        raise TrackingError(
            "the experiments are on the server that [tracking] uri names: open that address in a browser"
        )
    prepare_store(config)
    return [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store_uri(config),
        "--default-artifact-root", artifacts_of(config).as_uri(), "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1",
    ]  # fmt: skip


def ui_environment() -> dict[str, str]:
    """Returns what the UI's environment needs beside the usual: nothing is sent anywhere, no job is run."""
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "GIT_PYTHON_REFRESH": "quiet",
    }  # fmt: skip


def _client(config: Config) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store_uri(config))


def _experiment(client: Any, config: Config) -> str:
    name = config.tracking.experiment
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None if is_server(store_uri(config)) else artifacts_of(config).as_uri()
    return str(client.create_experiment(name, artifact_location=location, tags=_TRAINS_MODELS))


def _running(config: Config) -> Path:
    return config.resolve("mlruns/.running")


@contextlib.contextmanager
def _signed(config: Config) -> Iterator[str]:
    """Yields a token for a run, and holds the lock of its file: once nobody holds it, whoever made the run is dead."""
    token = secrets.token_hex(8)
    folder = _running(config)
    folder.mkdir(parents=True, exist_ok=True)
    held = claim(folder / token)
    try:
        yield token
        (folder / token).unlink()
    finally:
        release(held)


@contextlib.contextmanager
def _closed_at_the_end(client: Any, run: str) -> Iterator[None]:
    """Ends a run: FINISHED, or FAILED when the block raises. If even that fails, its token tells the next start."""
    try:
        yield
    except BaseException:
        client.set_terminated(run, "FAILED")
        raise
    client.set_terminated(run, "FINISHED")
    client.delete_tag(run, _TOKEN)


def _close_killed(client: Any, experiment: str, config: Config) -> None:
    """Closes the runs of ours whose process died before it could: their tokens lie there and nobody holds the lock."""
    folder = _running(config)
    if not CAN_LOCK or not folder.is_dir():
        return
    for signed in sorted(folder.iterdir()):
        held = claim(signed)
        if held is None:
            continue
        for run in client.search_runs([experiment], filter_string=f"tags.`{_TOKEN}` = '{signed.name}'"):
            if run.info.status == "RUNNING":
                client.set_terminated(run.info.run_id, "KILLED")
        signed.unlink(missing_ok=True)
        release(held)


def _tags(result: Mapping[str, Any], config: Config, bundle: Path, fingerprint: Mapping[str, str]) -> dict[str, str]:
    verdict = result["verdict"]
    named = {
        "model_id": result["model_id"], "verdict": verdict["sentence"], "mlflow.note.content": verdict["sentence"],
        "is_promoted": str(verdict["is_promoted"]).lower(), "project": result["project"],
        "bundle": _inside(bundle, config), "mlflow.source.name": "churn train",
        **{f"data.{table}": digest for table, digest in fingerprint.items()},
        **{f"version.{name}": version for name, version in _versions().items()},
    }  # fmt: skip
    return {name: str(value)[:_LONGEST] for name, value in named.items()}


def _versions() -> dict[str, str]:
    """Versions of what the figures come from."""
    return {"churn": __version__, "python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in ("lightgbm", "numpy", "pandas", "scikit-learn")
    }


def _inside(path: Path, config: Config) -> str:
    """Returns a path as seen from the folder of `churn.toml`, or its name alone: no path of the machine is recorded."""
    home = config.directory.absolute()
    return str(path.absolute().relative_to(home)) if path.absolute().is_relative_to(home) else path.name


def _log_figures(
    client: Any, run: str, result: Mapping[str, Any], config: Config, *, seconds: float | None
) -> None:  # fmt: skip
    metrics, params = _metrics({**result, "seconds": seconds}), _params(result, config)
    for start in range(0, len(params), _PARAMS_AT_ONCE):
        client.log_batch(run, params=params[start : start + _PARAMS_AT_ONCE])
    for start in range(0, len(metrics), _METRICS_AT_ONCE):
        client.log_batch(run, metrics=metrics[start : start + _METRICS_AT_ONCE])


def _params(result: Mapping[str, Any], config: Config) -> list[Any]:
    from mlflow.entities import Param

    chosen = {
        **result["target"],
        **{f"training.{name}": value for name, value in result["training_cutoffs"].items()},
        "test_cutoffs": ", ".join(result["cutoffs"]), "seed": config.seed, "tables": ", ".join(sorted(config.tables)),
        "leave_out_treated": config.leave_out_treated, "missing_table": config.missing_table,
        "contact.budget": result["gain"].get("budget"), "contact.cost": config.contact.cost,
        "contact.success_rate": config.contact.success_rate, "currency": config.currency,
        "bands": ", ".join(config.bands.names), "band_edges": ", ".join(map(str, config.bands.edges)),
    }  # fmt: skip
    tuning = result.get("tuning")
    if tuning is not None:
        chosen |= {f"tuning.{name}": value for name, value in tuning["settings"].items()}
        chosen |= {"tuning.trials": len(tuning["trials"]), "tuning.is_default": tuning["is_default"]}
    return [Param(name, str(value)[:_LONGEST]) for name, value in chosen.items()]


def _metrics(result: Mapping[str, Any]) -> list[Any]:
    """Returns every figure that is a number; the time of each is its cutoff's, the last one's for figures over all."""
    from mlflow.entities import Metric

    times = {cutoff: _milliseconds(cutoff) for cutoff in result["cutoffs"]}
    last = max(times.values(), default=0)
    found: list[tuple[str, Any, int, int]] = []
    for model, metrics in result["metrics"].items():
        for name, told in metrics.items():
            found += [(f"{model}.{name}", told["mean"], last, 0)]
            found += [(f"interval/{model}.{name}.{end}", told.get(end), last, 0) for end in ("low", "high")]
            steps = enumerate(told.get("by_cutoff", {}).items(), start=1)
            found += [(f"by_cutoff/{model}.{name}", value, times[cutoff], step) for step, (cutoff, value) in steps]
    for rule, differences in result["differences"].items():
        found += [(f"difference/{rule}.{name}", told["mean"], last, 0) for name, told in differences.items()]
    gain, lead = result["gain"], result["lead_time"] or {}
    found += [(f"gain.{name}", gain.get(name), last, 0) for name in ("gain", "random_gain", "empc")]
    found += [("lead_time.median_days", lead.get("median_days"), last, 0), ("seconds", result.get("seconds"), last, 0)]
    found += [("silence.share", result["silence"].get("share"), last, 0)]
    tuning = result.get("tuning") or {"trials": [], "decision": None}
    trials = enumerate(tuning["trials"], start=1)
    found += [("tuning.log_loss", trial["log_loss"], last, number) for number, trial in trials]
    found += [(f"tuning.{name}", value, last, 0) for name, value in (tuning["decision"] or {}).items()]
    found += [(name, value, last, 0) for name, value in voice_metrics(result.get("voice")).items()]
    return [Metric(name, float(value), time, step) for name, value, time, step in found if _is_number(value)]


def _milliseconds(cutoff: str) -> int:
    moment = dt.datetime.fromisoformat(cutoff)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < float("inf")


def _log_files(
    client: Any, run: str, result: Mapping[str, Any], bundle: Path, plots: Mapping[str, bytes], page: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "plots").mkdir()
        for name, picture in plots.items():
            (home / "plots" / f"{name}.png").write_bytes(picture)
        (home / "report.html").write_text(page, encoding="utf-8")
        (home / "result.json").write_text(_as_json(result), encoding="utf-8")
        berg = (result.get("voice") or {}).get("iceberg")
        if berg:
            (home / "iceberg.json").write_text(_as_json(berg), encoding="utf-8")
        client.log_artifacts(run, folder)
    client.log_artifacts(run, str(bundle), "bundle")


def _as_json(result: Mapping[str, Any]) -> str:
    """Returns the result as strict JSON: what is not a number is null."""
    text = json.dumps(result, default=lambda value: value.item() if hasattr(value, "item") else str(value))
    return json.dumps(json.loads(text, parse_constant=lambda _: None), indent=1, ensure_ascii=False)
