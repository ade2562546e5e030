"""The bundle on disk: the same model under the same name, matched by name, and never loaded when a byte is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_factors import GROWING, RECIPES, bundle_of, learnt, signals, training_rows, with_spoken

from churn.errors import BundleError
from churn.models.boosting import fit
from churn.models.bundle import CHECKSUMS, GOLDEN_ROWS, GOLDEN_TOLERANCE, Bundle, load_bundle, model_text, save_bundle
from churn.models.factors import Factors
from churn.models.matrix import matrix_of

STATUS = np.resize(["quiet", "already_vocal", "unobservable"], 50)


@pytest.fixture(scope="module")
def two_factors() -> Bundle:
    return bundle_of(learnt(training_rows()))


@pytest.fixture
def home(two_factors: Bundle, tmp_path: Path) -> Path:
    return save_bundle(two_factors, tmp_path, golden=signals(GOLDEN_ROWS))[1]


def saved_and_loaded(bundle: Bundle, directory: Path) -> Bundle:
    _, home = save_bundle(bundle, directory, golden=signals(GOLDEN_ROWS))
    return load_bundle(home)[1]


def resigned(home: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The bundle with a changed bundle.json and checksums that fit it, as somebody with bad intentions makes it."""
    content = json.loads((home / "bundle.json").read_text(encoding="utf-8"))
    content = change(content) or content
    (home / "bundle.json").write_text(json.dumps(content), encoding="utf-8")
    return resummed(home)


def resummed(home: Path) -> Path:
    names = sorted(path.name for path in home.iterdir() if path.name != CHECKSUMS)
    lines = [f"{hashlib.sha256((home / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (home / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
    return home


@pytest.mark.parametrize(
    "factors",
    [
        pytest.param(lambda: learnt(training_rows()), id="two boosters"),
        pytest.param(lambda: learnt(with_spoken(training_rows(), silent=300, vocal=20)), id="constant share"),
        pytest.param(lambda: learnt(training_rows(), can_hear=False), id="nobody can be heard"),
        pytest.param(lambda: learnt(training_rows(200)), id="no fold"),
    ],
)
def test_what_is_loaded_predicts_what_was_saved(factors: Callable[[], Factors], tmp_path: Path) -> None:
    bundle = bundle_of(factors())
    again = saved_and_loaded(bundle, tmp_path)
    before, after = (one.predict(signals(50, seed=3), voice_status=STATUS, at=0) for one in (bundle, again))
    pd.testing.assert_frame_equal(before, after, check_exact=True)
    boosters = ("leave", "silent")
    assert replace(again, factors=bundle.factors) == bundle
    assert again.factors.notes == bundle.factors.notes
    assert again.factors.why_no_silent == bundle.factors.why_no_silent
    assert all(getattr(again.factors, name) is not None or getattr(bundle.factors, name) is None for name in boosters)


def test_the_same_model_has_the_same_id_and_is_written_once(two_factors: Bundle, tmp_path: Path) -> None:
    one, home = save_bundle(two_factors, tmp_path / "a", golden=signals(GOLDEN_ROWS))
    two, _ = save_bundle(two_factors, tmp_path / "b", golden=signals(GOLDEN_ROWS))
    assert one == two == home.name
    assert re.fullmatch(r"[0-9a-f]{16}", one)
    written = (home / "bundle.json").stat().st_mtime_ns
    assert save_bundle(two_factors, tmp_path / "a", golden=signals(GOLDEN_ROWS)) == (one, home)
    assert (home / "bundle.json").stat().st_mtime_ns == written
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [one], "no draft is left"


def test_another_training_has_another_id(two_factors: Bundle, tmp_path: Path) -> None:
    other = replace(two_factors, training={"rows": 4_001})
    ids = {save_bundle(bundle, tmp_path, golden=signals(GOLDEN_ROWS))[0] for bundle in (two_factors, other)}
    assert len(ids) == 2


def test_a_bundle_is_text_without_code_threads_or_paths(home: Path) -> None:
    assert sorted(path.name for path in home.iterdir()) == [CHECKSUMS, "bundle.json", "leave.txt", "silent.txt"]
    together = "".join(path.read_text(encoding="utf-8") for path in home.iterdir())
    assert "num_threads" not in together
    assert str(home.parent) not in together
    assert (
        subprocess.run(
            ["sha256sum", "-c", "--strict", CHECKSUMS], cwd=home, capture_output=True, check=False
        ).returncode
        == 0
    )


def test_golden_predictions_are_those_made_here_nulls_included(home: Path) -> None:
    golden = json.loads((home / "bundle.json").read_text(encoding="utf-8"))["golden"]
    assert len(golden["features"]) == GOLDEN_ROWS
    assert any(value is None for row in golden["features"] for value in row), "a null signal is kept as null"
    _, _, gap = load_bundle(home)
    assert gap == 0.0


def test_golden_predictions_without_a_silent_model_are_null(tmp_path: Path) -> None:
    bundle = bundle_of(learnt(training_rows(), can_hear=False))
    _, home = save_bundle(bundle, tmp_path, golden=signals(3))
    predictions = json.loads((home / "bundle.json").read_text(encoding="utf-8"))["golden"]["predictions"]
    assert [row[2] for row in predictions] == [None] * 3
    assert load_bundle(home)[2] == 0.0


def test_another_librarys_predictions_show_in_the_gap(home: Path) -> None:
    def shift(content: dict[str, Any]) -> None:
        content["golden"]["predictions"][5][1] += 1e-9

    gap = load_bundle(resigned(home, shift))[2]
    assert GOLDEN_TOLERANCE < gap == pytest.approx(1e-9)

    def forget(content: dict[str, Any]) -> None:
        content["golden"]["predictions"][5][1] = None

    assert load_bundle(resigned(home, forget))[2] == float("inf")


MUTATIONS = """
import random, shutil, sys
from pathlib import Path
from churn.errors import BundleError
from churn.models.bundle import load_bundle

home, dice = Path(sys.argv[1]), random.Random(11)
names = sorted(path.name for path in home.iterdir())
for number in range(200):
    name = names[number % len(names)]
    path, content = home / name, (home / name).read_bytes()
    kind = ("truncated", "one byte", "random", "empty", "last byte")[number // len(names) % 5]
    place = dice.randrange(len(content))
    changed = {
        "truncated": content[:place],
        "one byte": content[:place] + bytes([content[place] ^ (1 << dice.randrange(8))]) + content[place + 1 :],
        "random": dice.randbytes(len(content)),
        "empty": b"",
        "last byte": content[:-1],
    }[kind]
    path.write_bytes(changed)
    try:
        load_bundle(home)
        print("LOADED", kind, name)
    except BundleError as error:
        told = str(error)
        if "differ" not in told or (name != "SHA256SUMS" and "checksum differs" not in told):
            print("TOLD", kind, name, told)
    path.write_bytes(content)
load_bundle(home)
print("alive")
"""


def test_two_hundred_mutations_are_all_told_by_their_checksum_and_the_process_lives(home: Path) -> None:
    """In a process of its own: LightGBM's parser crashes the whole process on damaged text."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    program = [sys.executable, "-c", MUTATIONS, str(home)]
    told = subprocess.run(program, capture_output=True, text=True, check=False, env=environment)
    assert (told.returncode, told.stdout, told.stderr) == (0, "alive\n", "")


@pytest.mark.parametrize(
    "name", ["../bundle.json", "/etc/passwd", "a/../leave.txt", "model.pkl", "leave.txt/../leave.txt"]
)
def test_a_listing_of_other_files_is_refused(home: Path, name: str) -> None:
    with (home / CHECKSUMS).open("a", encoding="utf-8") as file:
        file.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(BundleError, match="lists files that don't belong to a bundle"):
        load_bundle(home)


@pytest.mark.parametrize("name", ["model.pkl", "setup.py", ".hidden", "sub"])
def test_a_file_that_is_not_listed_is_refused(home: Path, name: str) -> None:
    (home / name).mkdir() if name == "sub" else (home / name).write_bytes(b"\x80\x04")
    with pytest.raises(BundleError, match=re.escape(f"files and {CHECKSUMS} differ ({name})")):
        load_bundle(home)


@pytest.mark.parametrize("name", ["leave.txt", "bundle.json", CHECKSUMS])
def test_a_link_is_refused_wherever_it_leads(home: Path, tmp_path: Path, name: str) -> None:
    aside = tmp_path / "aside"
    (home / name).rename(aside)
    (home / name).symlink_to(aside)
    with pytest.raises(BundleError, match=r"is no plain file; a bundle holds no links|is no bundle"):
        load_bundle(home)


def test_a_linked_folder_a_file_or_nothing_is_no_bundle(home: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(home, target_is_directory=True)
    for path in (link, home / "bundle.json", tmp_path / "nowhere", tmp_path):
        with pytest.raises(BundleError, match=r"is no bundle \(no folder with SHA256SUMS\)"):
            load_bundle(path)


def without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(schema=1), "bundle of schema 1, this version reads schema 9"),
        (lambda content: content.update(schema=7), "bundle of schema 7, this version reads schema 9; train again"),
        (lambda content: content.update(schema=None), "bundle of schema None"),
        (lambda content: [1, 2], "bundle of schema None"),
        (without("recipes"), "doesn't describe a bundle"),
        (without("golden", "predictions"), "doesn't describe a bundle"),
        (without("target", "activity"), "doesn't describe a bundle"),
        (lambda content: content["target"].update(path="../../x"), "doesn't describe a bundle"),
        (lambda content: content["recipes"].pop(), "the features of the trees are not those of bundle.json"),
        (lambda content: content["recipes"].reverse(), "the features of the trees are not those of bundle.json"),
        (lambda content: content["silent"]["calibration"].update(method="../x"), "calibration"),
        (lambda content: content.update(slope=-1), "the slope is no positive number"),
        (lambda content: content["levels"]["at"].pop(), "doesn't describe a bundle"),
        (without("linear"), "doesn't describe a bundle"),
        (lambda content: content["linear"]["curves"][0].update(name="shoe_size"), "curves of shoe_size, which are no"),
        (lambda content: content["linear"]["curves"][0]["at"].reverse(), "doesn't describe a bundle"),
        (lambda content: content["silent"]["calibration"].update(parameters=["x"]), "calibration"),
    ],
)  # fmt: skip
def test_json_that_does_not_describe_this_versions_bundle_is_refused(
    home: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    # pop() and update() return what is no new content: only a list replaces it.
    def changed(content: dict[str, Any]) -> Any:
        replaced = change(content)
        return replaced if isinstance(replaced, list) else content

    with pytest.raises(BundleError, match=message):
        load_bundle(resigned(home, changed))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\ufeff{}"])
def test_json_that_is_none_is_refused(home: Path, text: str) -> None:
    (home / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match="no JSON"):
        load_bundle(resummed(home))


def test_bytes_that_are_no_text_are_refused(home: Path) -> None:
    (home / "leave.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match="is no text"):
        load_bundle(resummed(home))


def test_a_second_model_of_other_features_is_refused(two_factors: Bundle, tmp_path: Path) -> None:
    rows = training_rows()
    other = fit(rows.features.rename(columns=lambda name: f"{name}_x"), y=rows.has_left, rounds=3, growing=GROWING)
    _, home = save_bundle(two_factors, tmp_path, golden=signals(3))
    (home / "silent.txt").write_text(model_text(other), encoding="utf-8")
    with pytest.raises(BundleError, match=r"the features of the trees are not those of bundle\.json"):
        load_bundle(resummed(home))


def test_signals_are_matched_by_name_whatever_their_order_width_or_company(two_factors: Bundle) -> None:
    given = signals(50, seed=3)
    expected = two_factors.predict(given, voice_status=STATUS, at=0)
    turned = given[given.columns[::-1]].assign(unknown="x")
    turned = turned.astype({name: np.float64 for name in turned.columns if turned[name].dtype == np.float32})
    pd.testing.assert_frame_equal(two_factors.predict(turned, voice_status=STATUS, at=0), expected, check_exact=True)
    as_matrix = matrix_of(given, RECIPES)
    pd.testing.assert_frame_equal(two_factors.predict(as_matrix, voice_status=STATUS, at=0), expected, check_exact=True)


REGION = RECIPES[3].name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: given.drop(columns="spend_sum_90d"), "1 signals of the model are missing: spend_sum_90d"),
        (lambda given: given[[]], "4 signals of the model are missing: spend_sum_90d, "),
        (lambda given: given.assign(spend_sum_90d="12.50"), "spend_sum_90d: expected numbers"),
        (lambda given: given.assign(**{REGION: "north"}), f"{REGION}: expected a categorical"),
        (lambda given: given.assign(**{REGION: given[REGION].cat.codes}), f"{REGION}: expected a categorical"),
        (
            lambda given: given.assign(**{REGION: given[REGION].cat.codes.astype(float)}),
            f"{REGION}: expected a categor",
        ),
        (lambda given: given.assign(**{REGION: pd.Categorical(["south"] * 50)}), f"{REGION}: its labels are not those"),
        (
            lambda given: given.assign(**{REGION: given[REGION].cat.set_categories(["south", "north", "客户"])}),
            f"{REGION}: its labels are not those",
        ),
        (lambda given: given.assign(spend_sum_90d=pd.Categorical(["a"] * 50)), "spend_sum_90d: its labels are not"),
    ],
)
def test_signals_that_cannot_be_matched_are_refused(
    two_factors: Bundle, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        two_factors.predict(change(signals(50)), voice_status=STATUS, at=0)


def test_an_unseen_category_is_null_and_scored(two_factors: Bundle) -> None:
    given = signals(50)
    unseen = given.assign(**{REGION: pd.Categorical([None] * 50, categories=given[REGION].cat.categories)})
    told = two_factors.predict(unseen, voice_status=STATUS, at=0)
    assert told["p_leave"].notna().all()
    assert two_factors.matched(unseen)[REGION].isna().all()


def test_percentile_is_the_same_alone_and_in_a_list(two_factors: Bundle) -> None:
    margins = np.array([-9.0, -3.0, 0.0, 0.001, 3.0, 9.0])
    together = two_factors.percentile(margins)
    assert [two_factors.percentile(margins[[row]])[0] for row in range(6)] == together.tolist()
    assert together[0] == 0.0
    assert together[-1] == 100.0
    assert (np.diff(together) >= 0).all()
    assert together[2] == pytest.approx(50, abs=0.1)
