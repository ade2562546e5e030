"""The benchmark of the simulator: a whole small run, and targets that are those of a million customers."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="memory of several processes is read from /proc")
def test_a_small_company_is_measured_and_only_its_bytes_are_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    simulation = importlib.import_module("simulation")
    assert simulation.main(["--customers", "200", "--json"]) == 0
    size, same = json.loads(capsys.readouterr().out)["parts"]
    assert [check["is_met"] for check in size["checks"]] == [None, None]
    assert same["checks"][0]["is_met"]
    few, all_of_them = size["rows"]
    assert (few[0], all_of_them[0]) == ("50", "200")
    assert float(all_of_them[4]) > 0.05, "a Python process holds more than that"

    run = simulation.Measured({}, 200.0, 100.0, 0)
    large = simulation.Cost(1_000_000, run, 7 << 30, 1, 1)
    assert [check.is_met for check in simulation.size_part(large, large).checks] == [False, False]
