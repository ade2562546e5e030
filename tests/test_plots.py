"""Pictures: the same bytes for the same numbers, no global figure, and drawn where numbers are missing or extreme."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_result import made_result

from churn.delivery import plots

PNG = b"\x89PNG\r\n\x1a\n"
Floats = np.typing.NDArray[np.float64]


def pixels(png: bytes) -> Floats:
    from matplotlib.image import imread

    return np.asarray(imread(io.BytesIO(png), format="png"), dtype=np.float64)[..., :3]


def ink(png: bytes, colour: str) -> int:
    """Returns how many pixels have one of our colours."""
    from matplotlib.colors import to_rgb

    return int((np.abs(pixels(png) - np.array(to_rgb(colour))).max(axis=-1) < 0.01).sum())


def customers(count: int = 400) -> tuple[Floats, dict[str, Floats]]:
    rng = np.random.default_rng(4)
    p = rng.beta(1, 3, count)
    left = (rng.random(count) < p).astype(np.float64)
    return left, {"model": p, "recency": np.round(10 * p + rng.normal(0, 2, count)), "mbg_nbd": rng.random(count)}


def explained(rows: int = 60) -> tuple[Floats, pd.DataFrame]:
    rng = np.random.default_rng(5)
    features = pd.DataFrame(rng.normal(size=(rows, 5)), columns=[f"spend_sum_{days}d" for days in (7, 14, 28, 60, 91)])
    features["channel"] = pd.Categorical(rng.choice(["web", "store"], rows))
    features["days_since_last_visit"] = np.nan
    features["$cost$"] = pd.array([None, *range(rows - 1)], dtype="Int64")
    return rng.normal(size=(rows, 8)) * np.linspace(1, 0.1, 8), features


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    left, scores = customers()
    contributions, features = explained()
    return plots.draw(made_result(), outcome=left, scores=scores, contributions=contributions, features=features)


class TestAll:
    def test_every_picture_is_a_png_of_the_same_width(self, drawn: dict[str, bytes]) -> None:
        assert list(drawn) == ["metrics", "gains", "lift", "calibration", "distribution", "drivers", "beeswarm"]
        for png in drawn.values():
            assert png.startswith(PNG)
            assert pixels(png).shape[1] == 1_400

    def test_the_same_numbers_give_the_same_bytes(self, drawn: dict[str, bytes]) -> None:
        left, scores = customers()
        contributions, features = explained()
        np.random.seed(99)  # noqa: NPY002 whatever the global state is
        again = plots.draw(made_result(), outcome=left, scores=scores, contributions=contributions, features=features)
        assert again == drawn

    def test_the_order_of_the_customers_does_not_show(self) -> None:
        left, scores = customers()
        mixed = np.random.default_rng(1).permutation(left.size)
        moved = {name: score[mixed] for name, score in scores.items()}
        assert plots.cumulative_gains(left[mixed], scores=moved) == plots.cumulative_gains(left, scores=scores)
        assert plots.calibration(left[mixed], probability=moved["model"]) == plots.calibration(
            left, probability=scores["model"]
        )

    def test_no_figure_and_no_setting_stays_behind(self, drawn: dict[str, bytes]) -> None:
        import matplotlib as mpl
        from matplotlib import pyplot

        assert drawn
        assert pyplot.get_fignums() == []
        assert not mpl.rcParams["axes.grid"]

    def test_the_settings_of_the_user_do_not_show(self) -> None:
        import matplotlib as mpl

        left, scores = customers()
        plain = plots.lift_curve(left, scores=scores)
        with mpl.rc_context({"lines.linewidth": 9, "axes.facecolor": "black", "savefig.dpi": 30}):
            assert plots.lift_curve(left, scores=scores) == plain

    def test_the_global_random_state_is_put_back(self) -> None:
        contributions, features = explained()
        np.random.seed(3)  # noqa: NPY002
        expected = np.random.random()  # noqa: NPY002
        np.random.seed(3)  # noqa: NPY002
        plots.shap_beeswarm(contributions, features=features)
        assert np.random.random() == expected  # noqa: NPY002


class TestCurves:
    def test_our_model_is_blue_and_the_rules_are_not(self) -> None:
        left, scores = customers()
        ours = plots.cumulative_gains(left, scores={"model": scores["model"]})
        rules = plots.cumulative_gains(left, scores={"recency": scores["recency"]})
        assert ink(ours, plots.BLUE) > 5_000
        assert ink(rules, plots.BLUE) == 0

    def test_every_baseline_has_a_stroke_of_its_own(self) -> None:
        from churn.models.baselines import BASELINES

        looks = [plots._stroke(name, ["model", *BASELINES]) for name in BASELINES]
        assert len({str(look["linestyle"]) for look in looks}) == len(BASELINES)

    @pytest.mark.parametrize("value", [0.0, 1.0])
    def test_one_class_only_draws_the_axes(self, value: float) -> None:
        left = np.full(50, value)
        score = np.linspace(0.1, 0.9, 50)
        for png in (
            plots.cumulative_gains(left, scores={"model": score}),
            plots.lift_curve(left, scores={"model": score}),
            plots.calibration(left, probability=score),
            plots.score_distribution(score, outcome=left),
        ):
            assert png.startswith(PNG)

    def test_more_rules_than_strokes(self) -> None:
        left, scores = customers()
        many = {f"rule {number}": scores["recency"] * number for number in range(11)}
        assert plots.lift_curve(left, scores=many).startswith(PNG)


class TestCalibration:
    def test_fewer_customers_than_bins(self) -> None:
        assert plots.calibration([1.0, 0.0, 1.0], probability=[0.9, 0.1, 0.5]).startswith(PNG)

    def test_nobody(self) -> None:
        assert plots.calibration([], probability=[]).startswith(PNG)

    def test_the_interval_is_wilsons(self) -> None:
        from scipy.stats import binomtest

        low, high = plots.wilson(np.array([0.0, 0.3]), np.array([20, 50]))
        for place, (found, count) in enumerate([(0, 20), (15, 50)]):
            expected = binomtest(found, count).proportion_ci(method="wilson")
            assert (low[place], high[place]) == pytest.approx((expected.low, expected.high))

    def test_no_interval_ends_on_the_far_side_of_its_rate_whatever_the_number(self) -> None:
        """Of 35 customers who all stay the lower end is 7e-18 by rounding, and a bar of negative length is no bar."""
        counts = np.arange(1, 400)
        for rate in (0.0, 1.0):
            low, high = plots.wilson(np.full(len(counts), rate), counts)
            assert ((low <= rate) & (rate <= high)).all()
        probability = np.linspace(0.01, 0.6, 350)
        assert plots.calibration(probability > 0.5, probability=probability).startswith(PNG)


class TestDistribution:
    def test_without_outcomes_there_is_one_colour(self) -> None:
        png = plots.score_distribution(np.linspace(0, 1, 100))
        assert ink(png, plots.BLUE) > 5_000
        assert ink(png, plots.ORANGE) == 0


class TestMetricAgainstBaselines:
    def test_unknown_figures_and_missing_models_leave_gaps(self) -> None:
        metrics: dict[str, Any] = made_result()["metrics"]
        metrics["recency"]["auroc"] = {"mean": None, "low": None, "high": None, "by_cutoff": {"2024-05-01": None}}
        metrics["base_rate"]["auroc"] = {
            "mean": float("nan"),
            "low": float("nan"),
            "high": float("nan"),
            "by_cutoff": {},
        }
        without_silence = {name: told for name, told in metrics.items() if name != "model_silent" and "p_" not in name}
        assert plots.metric_against_baselines(metrics).startswith(PNG)
        assert (
            pixels(plots.metric_against_baselines(without_silence)).shape[0]
            < pixels(plots.metric_against_baselines(metrics)).shape[0]
        )

    def test_no_model_at_all(self) -> None:
        assert plots.metric_against_baselines({}).startswith(PNG)


class TestDrivers:
    def test_nobody_is_driven(self) -> None:
        assert plots.drivers([]).startswith(PNG)

    def test_one_bar_per_signal(self) -> None:
        def bar(count: int) -> bytes:
            return plots.drivers(
                [{"signal": f"s{place}", "mean_abs": 0.5, "share": 1 / count} for place in range(count)]
            )

        assert pixels(bar(9)).shape[0] > pixels(bar(3)).shape[0]


class TestBeeswarm:
    def test_a_name_is_text_and_no_formula(self) -> None:
        contributions, features = explained()
        hostile = features.set_axis([f"$\\frac{{x}}{{{place}" for place in range(features.shape[1])], axis=1)
        assert plots.shap_beeswarm(contributions, features=hostile).startswith(PNG)

    def test_more_features_than_shown_make_it_no_higher(self) -> None:
        contributions, features = explained()
        few = plots.shap_beeswarm(contributions, features=features, max_display=3)
        all_of_them = plots.shap_beeswarm(contributions, features=features, max_display=8)
        assert pixels(few).shape[0] < pixels(all_of_them).shape[0]
