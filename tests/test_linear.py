"""The linear member: it finds straight lines whatever their scale, says nothing of nulls, is the same everywhere."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from churn.models import linear as module
from churn.models.linear import SEASON_FEATURE, Curve, LinearMember, fit_linear, linear_margin

ROWS = 3_000


def made(*, rows: int = ROWS, seed: int = 1) -> tuple[pd.DataFrame, np.ndarray]:
    """Features of which two matter, on wild scales, and who left."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(rows, 3))
    left = rng.random(rows) < expit(truth[:, 0] - 0.7 * truth[:, 1])
    features = pd.DataFrame({
        "spend": np.exp(3 * truth[:, 0]), "visits": np.round(4 * np.maximum(truth[:, 1] + 1, 0)),
        "noise": truth[:, 2], SEASON_FEATURE: np.where(left, 1.1, 0.9),
        "region": rng.integers(0, 4, rows), "constant": 1.0,
    }, dtype=np.float32)  # fmt: skip
    features.loc[::7, "noise"] = np.nan
    return features, left


def member_of(features: pd.DataFrame, left: np.ndarray) -> LinearMember:
    return fit_linear(features, y=left, weight=0.25, categories=("region",))


def test_it_ranks_as_well_as_who_knows_the_law() -> None:
    features, left = made()
    later, left_later = made(seed=2)
    truth = np.log(later["spend"]) / 3 - 0.7 * (later["visits"] / 4 - 1)
    ours = roc_auc_score(left_later, linear_margin(later, member_of(features, left)))
    assert ours == pytest.approx(roc_auc_score(left_later, truth), abs=0.01)


def test_only_numbers_that_differ_within_a_cutoff_have_curves() -> None:
    member = member_of(*made())
    assert [curve.name for curve in member.curves] == ["spend", "visits", "noise"]
    assert member.weight == 0.25


def test_any_rising_scale_gives_the_same_member() -> None:
    features, left = made()
    stretched = features.assign(spend=np.sqrt(features["spend"]) * 100 + 5)
    told, again = (linear_margin(given, member_of(given, left)) for given in (features, stretched))
    assert np.corrcoef(told, again)[0, 1] > 0.999


def test_effects_are_zero_on_average_and_for_nulls() -> None:
    features, left = made()
    member = member_of(features, left)
    for curve in member.curves:
        effect = linear_margin(features, LinearMember(1.0, 0.0, (curve,)))
        is_null = features[curve.name].isna().to_numpy()
        assert effect[~is_null].mean() == pytest.approx(0, abs=1e-6)
        assert not effect[is_null].any()
    nobody = features.iloc[:1].assign(**{curve.name: np.float32(np.nan) for curve in member.curves})
    assert linear_margin(nobody, member).tolist() == [member.intercept]


def test_between_corners_it_is_linear_and_beyond_them_level() -> None:
    member = LinearMember(1.0, 0.5, (Curve("x", (0.0, 1.0, 3.0), (-1.0, 0.0, 4.0)),))
    x = pd.DataFrame({"x": np.array([-9, 0, 0.5, 1, 2, 3, 99, np.inf, np.nan], np.float32)})
    assert linear_margin(x, member).tolist() == [-0.5, -0.5, 0.0, 0.5, 2.5, 4.5, 4.5, 4.5, 0.5]


def test_alone_as_in_a_list_to_the_last_bit() -> None:
    features, left = made()
    member = member_of(features, left)
    whole = linear_margin(features, member)
    assert linear_margin(features.iloc[[1234]], member).tobytes() == whole[[1234]].tobytes()
    assert linear_margin(features.iloc[::-1], member)[::-1].tobytes() == whole.tobytes()


def test_any_number_of_threads_gives_the_same_numbers() -> None:
    features, left = made()
    with threadpool_limits(limits=2):
        many = member_of(features, left)
    assert many == member_of(features, left)


def test_many_rows_are_thinned_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    features, left = made()
    monkeypatch.setattr(module, "MOST_ROWS", 1_000)
    assert member_of(features, left) == member_of(features.iloc[::3], left[::3])
    assert member_of(features.iloc[:-1], left[:-1]) == member_of(features.iloc[:-1:3], left[:-1:3])


@pytest.mark.parametrize("left", [np.zeros(ROWS, bool), np.ones(ROWS, bool)])
def test_one_class_or_no_columns_is_no_member(left: np.ndarray) -> None:
    features, _ = made()
    assert member_of(features, left) == LinearMember()
    assert member_of(features[["region", "constant", SEASON_FEATURE]], np.arange(ROWS) % 2 == 0) == LinearMember()


@pytest.mark.parametrize(
    ("at", "effect"), [((), ()), ((1.0,), (1.0, 2.0)), ((1.0, 1.0), (0.0, 0.0)), ((0.0, 1.0), (0.0, np.nan))]
)
def test_a_curve_without_rising_corners_is_refused(at: tuple[float, ...], effect: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="curve of x: expected rising values"):
        Curve("x", at, effect)


def test_it_ends_where_the_loss_is_least() -> None:
    _, left = made()
    score = np.column_stack([np.ones(ROWS), np.random.default_rng(3).normal(size=(ROWS, 20)) @ np.diag(np.arange(20))])
    design = np.asfortranarray(np.roll(score, -1, axis=1))
    outcome = left.astype(float)
    asked = LogisticRegression(C=module.STRENGTH, solver="newton-cholesky", tol=1e-10).fit(design[:, :-1], outcome)
    found = module._coefficients(design, outcome)
    assert found[:-1] == pytest.approx(asked.coef_[0], abs=1e-9)
    assert found[-1] == pytest.approx(asked.intercept_[0], abs=1e-9)


def test_a_step_that_overshoots_is_halved() -> None:
    design = np.asfortranarray(np.column_stack([np.linspace(-1, 1, 40), np.ones(40)]))
    outcome = (design[:, 0] > 0).astype(float)
    start, step = np.zeros(2), np.array([-800.0, 0.0])
    found, margin = module._shortened(
        design, outcome, np.array([100.0, 0.0]), found=start, step=step, margin=design @ start
    )
    assert 0 < found[0] < 1
    assert margin == pytest.approx(design @ found)
