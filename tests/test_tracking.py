"""Every training is one run in MLflow without personal data, and whatever kills a process leaves the store usable."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from made_result import CANARY, CUTOFFS, made_result

from churn import __version__
from churn.config import Config, parse_config
from churn.delivery import store
from churn.delivery.store import TrackingError, prepare_store, store_uri
from churn.delivery.tracking import track_run, ui_command, ui_environment
from churn.tables.atomic import claim, release

TESTS = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
PLOTS = {"gains": b"\x89PNG\r\n\x1a\n"}


def config_at(home: Path, **settings: Any) -> Config:
    return parse_config({"tables": {"transactions": {"path": "orders.csv"}}, **settings}, directory=home)


def bundle_at(home: Path) -> Path:
    bundle = home / "models" / "0123456789abcdef"
    bundle.mkdir(parents=True, exist_ok=True)
    (bundle / "leave.txt").write_text("tree\n")
    return bundle


def track(
    home: Path, *, config: Config | None = None, result: dict[str, Any] | None = None, page: str = "<p>page",
    plots: dict[str, bytes] = PLOTS,
) -> str:  # fmt: skip
    return track_run(
        result or made_result(), config=config or config_at(home), bundle=bundle_at(home), plots=plots, page=page,
        fingerprint={"transactions": "d1g3st"}, seconds=12.5,
    )  # fmt: skip


def client_of(home: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store_uri(config_at(home)))


def statuses_of(home: Path) -> list[str]:
    """How the project's runs have ended, sorted."""
    client = client_of(home)
    experiments = [each.experiment_id for each in client.search_experiments()]
    return sorted(run.info.status for run in client.search_runs(experiments))


@dataclass
class Fresh:
    """A project with an empty store, and the bytes of the store when it was first seen and when it was whole."""

    home: Path
    first_seen: int = 0
    whole: int = -1


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """To make a store takes seconds: it is made once, watched, and copied."""
    made = Fresh(tmp_path_factory.mktemp("fresh") / "shop")
    made.home.mkdir()
    path = made.home / "mlruns" / "mlflow.db"

    def watch() -> None:
        while not path.exists():
            time.sleep(0.001)
        made.first_seen = path.stat().st_size

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    prepare_store(config_at(made.home))
    watcher.join(timeout=5)
    made.whole = path.stat().st_size
    return made


@pytest.fixture
def home(fresh: Fresh, tmp_path: Path) -> Path:
    """A project of its own for a test, in a folder with an awkward name: it has been moved, and must be followed."""
    here = tmp_path / "a b#ü%41"
    shutil.copytree(fresh.home, here)
    return here


class TestOneRun:
    def test_holds_everything_of_a_training(self, home: Path) -> None:
        run_id = track(home)
        run = client_of(home).get_run(run_id)
        assert run.info.status == "FINISHED"
        assert run.info.run_name == "0123456789abcdef"
        assert "churn.token" not in run.data.tags, "only a run that is not ended needs it"
        assert run.data.params["horizon_days"] == "28"
        assert run.data.params["training.rows"] == "12345"
        assert run.data.params["test_cutoffs"] == ", ".join(CUTOFFS)
        assert run.data.tags["data.transactions"] == "d1g3st"
        assert run.data.tags["bundle"] == "models/0123456789abcdef"
        assert run.data.tags["version.churn"] == __version__
        assert {"version.lightgbm", "version.python"} <= set(run.data.tags)
        assert run.data.metrics["seconds"] == 12.5
        assert run.data.metrics["model.auroc"] == 0.80
        assert run.data.metrics["interval/recency.auroc.low"] == pytest.approx(0.69)
        assert run.data.metrics["difference/recency.auroc"] == pytest.approx(0.10)
        assert run.data.metrics["gain.gain"] == 1_234.5

    def test_has_its_files_inside_the_project(self, home: Path) -> None:
        artifacts = home / "mlruns" / "artifacts" / track(home) / "artifacts"
        found = {str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file()}
        assert found == {"bundle/leave.txt", "plots/gains.png", "report.html", "result.json"}
        told = json.loads((artifacts / "result.json").read_text())
        assert told["bundle"] == "models/0123456789abcdef"
        assert told["run_id"] == artifacts.parent.name

    def test_each_cutoff_is_a_step_at_its_own_time(self, home: Path) -> None:
        steps = client_of(home).get_metric_history(track(home), "by_cutoff/model.auroc")
        assert [(step.step, round(step.value, 3)) for step in steps] == [(1, 0.795), (2, 0.80), (3, 0.805)]
        assert steps[0].timestamp == 1_714_521_600_000, "2024-05-01 in UTC"

    def test_what_is_not_known_is_left_out_and_more_than_a_batch_goes_in(self, home: Path) -> None:
        result = made_result()
        result["metrics"]["model"]["brier"] = {"mean": None, "low": float("nan"), "high": float("inf"), "by_cutoff": {}}
        result["metrics"] |= {f"rule_{number}": result["metrics"]["recency"] for number in range(15)}
        run_id = track(home, result=result)
        metrics = client_of(home).get_run(run_id).data.metrics
        assert len(metrics) > 1_000
        assert not [name for name in metrics if "model.brier" in name]
        told = (home / "mlruns" / "artifacts" / run_id / "artifacts" / "result.json").read_text()
        assert json.loads(told)["metrics"]["model"]["brier"]["low"] is None
        assert "NaN" not in told

    def test_shows_nothing_of_mlflow_to_the_user(self, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
        track(home)
        assert capfd.readouterr() == ("", "")

    def test_a_canary_in_the_configuration_reaches_no_file(self, home: Path) -> None:
        source = {"query": f"SELECT '{CANARY}' AS customer_id", "sensitive": [CANARY]}
        config = config_at(
            home, owners={"service": CANARY}, tables={"transactions": source, "customers": {"path": f"{CANARY}.csv"}}
        )
        track(home, config=config)
        files = [path for path in (home / "mlruns").rglob("*") if path.is_file()]
        assert len(files) > 4
        assert not [path for path in files if CANARY.encode() in path.read_bytes()]

    def test_the_path_of_a_bundle_elsewhere_is_not_told(self, home: Path, tmp_path: Path) -> None:
        elsewhere = bundle_at(tmp_path / "elsewhere")
        run_id = track_run(
            made_result(), config=config_at(home), bundle=elsewhere, plots={}, page="", fingerprint={}
        )  # fmt: skip
        assert client_of(home).get_run(run_id).data.tags["bundle"] == "0123456789abcdef"


class TestNoRunStaysRunning:
    def test_an_exception_closes_it_as_failed(self, home: Path) -> None:
        with pytest.raises(UnicodeEncodeError, match="surrogates"):
            track(home, page="\ud800")
        assert statuses_of(home) == ["FAILED"]

    def test_a_killed_process_leaves_one_that_the_next_start_closes(self, home: Path, tmp_path: Path) -> None:
        """A copy of the disk in the middle of a run is what a kill would leave: the run, and a lock nobody holds."""
        killed = tmp_path / "killed"

        class Slow(dict[str, bytes]):
            def items(self) -> Any:
                shutil.copytree(home, killed)
                track(home)
                statuses = statuses_of(home)
                assert statuses == ["FINISHED", "RUNNING"], "another start leaves the run of a living process alone"
                return super().items()

        track(home, plots=Slow())
        assert statuses_of(home) == ["FINISHED", "FINISHED"]
        assert statuses_of(killed) == ["RUNNING"]
        track(killed)
        assert statuses_of(killed) == ["FINISHED", "KILLED"]
        for project in (home, killed):
            assert list((project / "mlruns" / ".running").iterdir()) == []


class TestUnusableStore:
    def test_locked_by_another_program(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store, "_PATIENCE", 0.1)
        with closing(sqlite3.connect(home / "mlruns" / "mlflow.db")) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(
                TrackingError, match=r"not tracked: the experiment store is locked by another program; .*kept"
            ):
                track(home)
        assert track(home), "and free again"

    def test_damaged(self, home: Path) -> None:
        (home / "mlruns" / "mlflow.db").write_bytes(b"SQLite format 2" + bytes(5_000))
        with pytest.raises(TrackingError, match="the experiment store is damaged"):
            track(home)

    def test_a_server_that_does_not_answer_and_its_password(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = config_at(home, tracking={"uri": f"http://me:secret@127.0.0.1:{port}"})
        with pytest.raises(TrackingError, match="the experiment store does not answer") as caught:
            track(home, config=config)
        assert "secret" not in str(caught.value)

    def test_no_such_driver(self, home: Path) -> None:
        config = config_at(home, tracking={"uri": "postgresql+nosuchdriver://me:secret@127.0.0.1/x"})
        with pytest.raises(TrackingError, match="cannot be used") as caught:
            track(home, config=config)
        assert "secret" not in str(caught.value)

    def test_while_it_is_made_it_is_not_there(self, fresh: Fresh) -> None:
        """MLflow makes a store in many steps; one killed in the middle could never be opened again."""
        assert fresh.first_seen == fresh.whole

    def test_two_processes_do_not_make_it_at_once(self, tmp_path: Path) -> None:
        lock = tmp_path / "lock"
        held = claim(lock)
        waiting = subprocess.Popen(
            [sys.executable, "-c", "import sys; from pathlib import Path; from churn.tables.atomic import claim\n"
             "print('asks', flush=True); claim(Path(sys.argv[1]), wait=True); print('has it', flush=True)", str(lock)],
            stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
        )  # fmt: skip
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "asks\n"
        assert waiting.poll() is None
        release(held)
        assert waiting.communicate(timeout=10)[0] == "has it\n"


class TestWhereTheStoreIs:
    def test_a_relative_path_counts_from_the_configuration(self, tmp_path: Path) -> None:
        config = config_at(tmp_path, tracking={"uri": "sqlite:///kept/runs.db"})
        assert store.store_path(config) == tmp_path / "kept" / "runs.db"

    def test_a_server_is_left_as_it_is(self, tmp_path: Path) -> None:
        config = config_at(tmp_path, tracking={"uri": "https://mlflow.example:5000"})
        assert store_uri(config) == "https://mlflow.example:5000"

    def test_an_old_run_is_found_where_the_project_is_now(self, home: Path, tmp_path: Path) -> None:
        run_id = track(home)
        moved = tmp_path / "moved"
        home.rename(moved)
        prepare_store(config_at(moved))
        found = {item.path for item in client_of(moved).list_artifacts(run_id)}
        assert found == {"bundle", "plots", "report.html", "result.json"}
        assert not home.exists()


class TestUi:
    def test_serves_this_store_on_this_machine_only(self, home: Path) -> None:
        command = ui_command(config_at(home), port=5123)
        assert command[:4] == [sys.executable, "-m", "mlflow", "server"]
        pairs = dict(zip(command[4::2], command[5::2], strict=True))
        assert pairs["--backend-store-uri"] == store_uri(config_at(home))
        assert pairs["--host"] == "127.0.0.1"
        assert pairs["--port"] == "5123"

    def test_sends_nothing_anywhere(self) -> None:
        assert ui_environment()["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert ui_environment()["DO_NOT_TRACK"] == "true"

    def test_a_server_shows_itself(self, tmp_path: Path) -> None:
        config = config_at(tmp_path, tracking={"uri": "https://me:secret@mlflow.example"})
        with pytest.raises(TrackingError, match="open that address in a browser") as caught:
            ui_command(config)
        assert "secret" not in str(caught.value)
