"""Scores come back as they went out."""

from __future__ import annotations

import csv
import resource
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from churn.delivery.files import read_metadata, read_scores, write_scores
from churn.errors import OutputError

HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    "'=1",
    "''=1",
    "'plain",
    "00123",
    "1e5",
    "NA",
    "null",
    "ü\r",
    'a"b,c',
]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def score_list(ids: list[str]) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    count = len(ids)
    return pd.DataFrame(
        {
            "customer_id": ids,
            "cutoff": pd.Timestamp("2011-07-12", tz="UTC"),
            "status": "scored",
            "why_not_scored": None,
            "p_leave": rng.random(count),
            "p_silent": [None, *rng.random(count - 1)],
            "band": pd.Categorical(rng.choice(["low", "high"], count), ["low", "high"]),
            "reason_1": "=cmd|' /C calc'!A0",
            "value_at_risk": -rng.random(count) / 3,
        }
    )


class TestScores:
    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".CSV"])
    def test_come_back_as_they_went_out(self, tmp_path: Path, suffix: str) -> None:
        scores = score_list(HOSTILE)
        write_scores(scores, tmp_path / f"scores{suffix}")
        back = read_scores(tmp_path / f"scores{suffix}")
        assert list(back.columns) == list(scores.columns)
        for name in ("customer_id", "status", "band", "reason_1"):
            assert back[name].tolist() == scores[name].tolist()
        assert back["why_not_scored"].isna().all()
        for name in ("p_leave", "p_silent", "value_at_risk"):
            np.testing.assert_array_equal(back[name].to_numpy(np.float64), scores[name].to_numpy(np.float64))
        assert (back["cutoff"] == scores["cutoff"]).all()

    def test_a_csv_holds_no_cell_a_spreadsheet_would_run(self, tmp_path: Path) -> None:
        write_scores(score_list(HOSTILE).rename(columns={"band": "=band"}), tmp_path / "scores.csv")
        with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as lines:
            header, *rows = csv.reader(lines)
        number = header.index("value_at_risk")
        texts = [cell for row in (header, *rows) for place, cell in enumerate(row) if place != number]
        assert len(rows) == len(HOSTILE)
        assert not [text for text in texts if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
        assert all(row[number].startswith("-") for row in rows), "a negative number is no formula"

    @pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
    def test_parquet_and_json_are_raw(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"scores{suffix}"
        write_scores(score_list(HOSTILE), path)
        raw = pd.read_parquet(path) if suffix == ".parquet" else pd.read_json(path, lines=True, dtype=False)
        assert raw["customer_id"].tolist() == HOSTILE

    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
    def test_the_same_values_give_the_same_bytes(self, tmp_path: Path, suffix: str) -> None:
        scores = score_list([f"c{number}" for number in range(500)])
        chunked = pd.concat([scores[:100], scores[100:]])
        chunked["band"] = chunked["band"].astype(object)
        chunked["customer_id"] = chunked["customer_id"].astype(object)
        write_scores(scores, tmp_path / f"a{suffix}", metadata={"x": "1", "y": "2"})
        write_scores(chunked.set_index(chunked.index + 7), tmp_path / f"b{suffix}", metadata={"y": "2", "x": "1"})
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()

    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
    def test_groups_of_rows_give_the_same_bytes_as_the_whole(
        self, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("churn.delivery.files.ROWS_PER_GROUP", 5)
        scores = score_list(HOSTILE)
        groups = (scores[start : start + 5].reset_index(drop=True) for start in range(0, len(scores), 5))
        write_scores(scores, tmp_path / f"a{suffix}", metadata={"x": "1"})
        write_scores(groups, tmp_path / f"b{suffix}", metadata={"x": "1"})
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()

    def test_metadata_is_kept_in_parquet(self, tmp_path: Path) -> None:
        write_scores(score_list(["a", "b"]), tmp_path / "a.parquet", metadata={"model_id": "m1"})
        write_scores(score_list(["a", "b"]), tmp_path / "a.csv", metadata={"model_id": "m1"})
        assert read_metadata(tmp_path / "a.parquet")["model_id"] == "m1"
        assert read_metadata(tmp_path / "a.csv") == {}

    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
    def test_nobody_scored_is_a_list_too(self, tmp_path: Path, suffix: str) -> None:
        write_scores(score_list(["a", "b"])[:0], tmp_path / f"a{suffix}")
        assert len(read_scores(tmp_path / f"a{suffix}")) == 0

    @pytest.mark.parametrize("name", ["scores.ods", "scores"])
    def test_another_suffix_names_the_three(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(OutputError, match=r"use \.parquet, \.csv, \.jsonl or \.xlsx"):
            write_scores(score_list(["a", "b"]), tmp_path / name)

    def test_reading_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="does not exist; write it with: churn score"):
            read_scores(tmp_path / "a.parquet")

    @pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
    def test_reading_a_damaged_file(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"a{suffix}").write_bytes(b"PAR1 nonsense")
        with pytest.raises(OutputError, match="is not readable"):
            read_scores(tmp_path / f"a{suffix}")

    @settings(max_examples=25, deadline=None)
    @example(ids=["0'=", "a'-b", "'a'=", "''=", "\n'+"])
    @given(
        ids=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1, max_size=5)
    )
    def test_any_text_survives_a_csv(self, tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
        path = tmp_path_factory.mktemp("any") / "a.csv"
        write_scores(pd.DataFrame({"customer_id": ids}), path)
        assert read_scores(path)["customer_id"].tolist() == ids

    @pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
    def test_a_disk_that_takes_no_more(self, tmp_path: Path, suffix: str) -> None:
        """The operating system itself refuses to write on: a limit of 4 kB on every file of this process."""
        scores = pd.DataFrame({"customer_id": [f"{number * 7919 % 100_003}" for number in range(20_000)]})
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(OutputError, match="grew over the allowed file size"):
                write_scores(scores, tmp_path / f"scores{suffix}")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert names(tmp_path) == []
