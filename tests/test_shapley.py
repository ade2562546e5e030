"""Shapley values: what coalitions enumerated one by one say, what LightGBM says, and the same bytes in any company."""

import itertools
import math
from collections.abc import Sequence

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.drivers import games, shapley
from churn.drivers.games import MOST_BITS, game_of
from churn.drivers.shapley import shapley_values
from churn.drivers.trees import Tree, UnknownTrees, read_trees

QUIET = {"verbosity": -1, "deterministic": True, "num_threads": 1, "min_data_in_leaf": 3, "seed": 3}


def made_rows(rows: int, features: int, *, seed: int, categories: Sequence[int] = ()) -> np.ndarray:
    """Correlated numbers, some whole, some null, some zero; and categories."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(rows, 1))
    numbers = 0.6 * common + rng.normal(size=(rows, features))
    numbers[:, ::3] = np.round(numbers[:, ::3])
    numbers[rng.random(numbers.shape) < 0.15] = np.nan
    for feature in categories:
        numbers[:, feature] = np.where(rng.random(rows) < 0.1, np.nan, rng.integers(0, 40, rows))
    return numbers.astype(np.float32)


def made_model(
    x: np.ndarray, *, rounds: int = 8, categories: Sequence[int] = (), seed: int = 1, **given: object
) -> lgb.Booster:
    rng = np.random.default_rng(seed)
    known = np.clip(np.nan_to_num(x), -9, 9)
    risk = known[:, 0] * known[:, 1] + np.sin(known).sum(axis=1) + rng.normal(0, 0.5, len(x))
    label = (risk > np.median(risk)) if given.get("objective", "binary") == "binary" else risk
    chosen = {"objective": "binary", "num_leaves": 15, "min_data_per_group": 5, "cat_smooth": 1.0, **QUIET, **given}
    data = lgb.Dataset(x, label.astype(float), categorical_feature=list(categories), params=chosen)
    return lgb.train(chosen, data, num_boost_round=rounds)


def strange_rows(like: np.ndarray, *, seed: int = 9) -> np.ndarray:
    """Rows of the same features with everything in them that a number can be."""
    rng = np.random.default_rng(seed)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-36, 3e-35, 1e30, -1e30, -1, -0.5, 0.5, 2.7, 5e9, 63])
    x = like.copy()
    is_odd = rng.random(x.shape) < 0.4
    x[is_odd] = rng.choice(odd, int(is_odd.sum())).astype(x.dtype)
    return x


def values_of(booster: lgb.Booster, x: np.ndarray, players: Sequence[int] | None = None) -> tuple[np.ndarray, float]:
    trees = read_trees(booster.model_to_string(num_iteration=-1))
    game = game_of(trees, range(x.shape[1]) if players is None else players)
    return shapley_values(game, x), game.base


def worth(tree: dict, row: np.ndarray, coalition: set[int], players: Sequence[int]) -> float:
    """What a coalition is worth in a tree of `dump_model`: its own nodes are decided, others share the rows out."""
    if "leaf_value" in tree:
        return float(tree["leaf_value"])
    branches = tree["left_child"], tree["right_child"]
    if players[tree["split_feature"]] in coalition:
        return worth(branches[0 if goes_left(tree, float(row[tree["split_feature"]])) else 1], row, coalition, players)
    counts = [branch["leaf_count" if "leaf_value" in branch else "internal_count"] for branch in branches]
    parts = [worth(branch, row, coalition, players) for branch in branches]
    return (counts[0] * parts[0] + counts[1] * parts[1]) / sum(counts)


def goes_left(node: dict, value: float) -> bool:
    if node["decision_type"] == "==":
        is_code = not math.isnan(value) and -1 < value < 2**31
        return is_code and str(int(value)) in node["threshold"].split("||")
    is_tiny = abs(value) <= 1e-35
    if node["missing_type"] == "NaN" and math.isnan(value):
        return bool(node["default_left"])
    if node["missing_type"] == "Zero" and (is_tiny or math.isnan(value)):
        return bool(node["default_left"])
    return (0.0 if is_tiny or math.isnan(value) else value) <= node["threshold"]


def enumerated(booster: lgb.Booster, row: np.ndarray, players: Sequence[int]) -> list[float]:
    """Shapley's own formula (1953): every coalition without a player, and what it gains with her."""
    trees = [one["tree_structure"] for one in booster.dump_model(num_iteration=-1)["tree_info"]]
    everybody = sorted(set(players))

    def of(coalition: tuple[int, ...]) -> float:
        return sum(worth(tree, row, set(coalition), players) for tree in trees)

    found = []
    for player in everybody:
        others = [one for one in everybody if one != player]
        total = 0.0
        for size in range(len(everybody)):
            weight = math.factorial(size) * math.factorial(len(others) - size) / math.factorial(len(everybody))
            for coalition in itertools.combinations(others, size):
                total += weight * (of((*coalition, player)) - of(coalition))
        found.append(total)
    return found


@pytest.mark.parametrize(
    ("players", "leaves"), [([0, 1, 2, 3, 4, 5], 8), ([0, 0, 1, 1, 2, 2], 24), ([2, 1, 0, 2, 1, 0], 24), ([0] * 6, 9)]
)
@pytest.mark.parametrize("zero_as_missing", [False, True])
def test_what_enumerated_coalitions_say(players: list[int], leaves: int, zero_as_missing: bool) -> None:
    x = made_rows(500, 6, seed=2, categories=[5])
    booster = made_model(x, rounds=3, num_leaves=leaves, categories=[5], zero_as_missing=zero_as_missing)
    rows = strange_rows(x)[:6]
    found, base = values_of(booster, rows, players)
    expected = [enumerated(booster, row, players) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1) + base, booster.predict(rows, raw_score=True), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"use_missing": False},
        {"zero_as_missing": True},
        {"objective": "regression", "extra_trees": True, "bagging_fraction": 0.5, "bagging_freq": 1},
        {"num_leaves": 255, "min_data_in_leaf": 1, "rounds": 4},
        {"num_leaves": 2},
        {"boosting": "dart", "learning_rate": 0.3},
        {"linear_lambda": 1.0, "max_cat_to_onehot": 64, "max_depth": 4},
    ],
    ids=lambda given: ",".join(map(str, given)) or "default",
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_with_features_as_players_what_lightgbm_says(given: dict[str, object], kind: type) -> None:
    x = made_rows(1_500, 14, seed=4, categories=[3, 13]).astype(kind)
    booster = made_model(x, categories=[3, 13], **given)
    rows = np.vstack([x[:60], strange_rows(x)[:120]])
    told = booster.predict(rows, pred_contrib=True)
    found, base = values_of(booster, rows)
    np.testing.assert_allclose(found, told[:, :-1], rtol=1e-9, atol=1e-9)
    assert base == pytest.approx(told[0, -1], rel=1e-9, abs=1e-9)


def test_many_players_on_a_path() -> None:
    """Patterns of more bits than a table has places for."""
    x = made_rows(3_000, 40, seed=5)
    booster = made_model(x, rounds=5, num_leaves=400, min_data_in_leaf=1, feature_fraction=0.6)
    game = game_of(read_trees(booster.model_to_string()), range(40))
    assert np.diff(game.inner_start).max() + game.piece_above.max() > games.BITS + 3
    told = booster.predict(x[:150], pred_contrib=True)
    np.testing.assert_allclose(shapley_values(game, x[:150]), told[:, :-1], rtol=1e-9, atol=1e-9)


def test_infinite_values_at_learning() -> None:
    x = strange_rows(made_rows(800, 6, seed=6))
    x[(x > 1e29) & (x < np.inf)] = 7
    booster = made_model(x)
    found, _ = values_of(booster, x)
    np.testing.assert_allclose(found, booster.predict(x, pred_contrib=True)[:, :-1], rtol=1e-9, atol=1e-9)


def test_a_tree_of_one_leaf_gives_nothing_to_anybody() -> None:
    x = made_rows(300, 3, seed=7)
    booster = made_model(x, rounds=1, min_data_in_leaf=300)
    found, base = values_of(booster, x[:4])
    assert found.tolist() == [[0.0] * 3] * 4
    assert base == pytest.approx(booster.predict(x[:1], raw_score=True)[0])


def test_a_random_forest_whose_raw_margin_is_the_sum_of_its_trees() -> None:
    x = made_rows(600, 5, seed=8)
    booster = made_model(x, boosting="rf", bagging_fraction=0.6, bagging_freq=1)
    found, base = values_of(booster, x)
    np.testing.assert_allclose(found.sum(axis=1) + base, booster.predict(x, raw_score=True), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found, booster.predict(x, pred_contrib=True)[:, :-1], rtol=1e-9, atol=1e-9)


def test_the_same_bytes_alone_in_any_order_on_any_threads_and_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = made_rows(1_200, 20, seed=10, categories=[7])
    booster = made_model(x, num_leaves=120, min_data_in_leaf=1, categories=[7])
    for players in ([number % 5 for number in range(20)], list(range(20))):
        game = game_of(read_trees(booster.model_to_string()), players)
        whole = np.ascontiguousarray(shapley_values(game, x))
        for block, threads in ((100, 1), (100, 2), (1_199, 3)):
            monkeypatch.setattr(shapley, "BLOCK_ROWS", block)
            assert np.ascontiguousarray(shapley_values(game, x, threads=threads)).tobytes() == whole.tobytes()
        assert np.ascontiguousarray(shapley_values(game, x[::-1])[::-1]).tobytes() == whole.tobytes()
        for row in (0, 77, 1_199):
            assert shapley_values(game, x[[row]]).tobytes() == whole[[row]].tobytes()
            assert shapley_values(game, np.asfortranarray(x[[row, 5]]))[:1].tobytes() == whole[[row]].tobytes()


def test_no_rows() -> None:
    x = made_rows(300, 3, seed=7)
    assert values_of(made_model(x), x[:0])[0].shape == (0, 3)


def made_tree(rng: np.random.Generator, *, leaves: int, features: int, chain: bool = False) -> Tree:
    """A tree split at random, or always at the same end; some nodes were reached by no row."""
    left, right = np.full(leaves - 1, -1), np.full(leaves - 1, -1)
    ends: list[tuple[int, bool]] = []  # where a leaf hangs
    for node in range(leaves - 1):
        if node:
            parent, is_left = ends.pop(-1 if chain else int(rng.integers(len(ends))))
            (left if is_left else right)[parent] = node
        ends += [(node, True), (node, False)]
    for leaf, (parent, is_left) in enumerate(ends):
        (left if is_left else right)[parent] = ~leaf
    leaf_cover = rng.integers(0 if leaves > 4 else 1, 20, leaves).astype(float)
    cover = np.zeros(leaves - 1)
    for node in reversed(range(leaves - 1)):
        cover[node] = sum(cover[at] if at >= 0 else leaf_cover[~at] for at in (left[node], right[node]))
    feature = np.arange(leaves - 1) % features if chain else rng.integers(0, features, leaves - 1)
    return Tree(
        feature, rng.normal(size=leaves - 1), rng.choice([0, 2, 4, 6, 8, 10], leaves - 1), left, right, cover,
        rng.normal(size=leaves), leaf_cover, np.zeros(1, np.int64), np.zeros(0, np.int64),
    )  # fmt: skip


def as_dumped(tree: Tree, node: int = 0) -> dict:
    """A tree as `dump_model` would say it; a node that no row reached counts one for each child."""
    if node < 0:
        return {"leaf_value": tree.leaf_value[~node], "leaf_count": tree.leaf_cover[~node]}
    decision = int(tree.decision[node])
    branches = {
        "left_child": as_dumped(tree, int(tree.left[node])),
        "right_child": as_dumped(tree, int(tree.right[node])),
    }
    if tree.cover[node] == 0:
        for branch in branches.values():
            branch["leaf_count" if "leaf_value" in branch else "internal_count"] = 1
    return {
        **branches, "split_feature": int(tree.feature[node]), "threshold": tree.threshold[node], "decision_type": "<=",
        "missing_type": ("None", "Zero", "NaN")[decision >> 2], "default_left": decision & 2,
        "internal_count": tree.cover[node],
    }  # fmt: skip


class Dumped:
    """Stands for a booster whose trees were made up."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self._trees = trees

    def dump_model(self, **_: object) -> dict:
        return {"tree_info": [{"tree_structure": as_dumped(tree)} for tree in self._trees]}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    leaves=st.lists(st.integers(2, 40), min_size=1, max_size=3),
    features=st.integers(1, 9),
    players=st.integers(1, 5),
)
def test_any_tree_with_any_players(seed: int, leaves: list[int], features: int, players: int) -> None:
    rng = np.random.default_rng(seed)
    trees = [made_tree(rng, leaves=count, features=features) for count in leaves]
    group = [*range(min(players, features)), *rng.integers(0, min(players, features), features)][:features]
    rows = strange_rows(rng.normal(size=(3, features)).astype(np.float32), seed=seed)
    game = game_of(trees, group)
    found = shapley_values(game, rows)
    expected = [enumerated(Dumped(trees), row, group) for row in rows]  # type: ignore[arg-type]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_a_path_with_many_players_adds_up_and_one_with_too_many_is_refused() -> None:
    rng = np.random.default_rng(12)
    rows = rng.normal(size=(50, 70)).astype(np.float32)
    long = made_tree(rng, leaves=61, features=60, chain=True)
    game = game_of([long], range(60))
    full = [worth(as_dumped(long), row, set(range(60)), range(60)) for row in rows]
    np.testing.assert_allclose(shapley_values(game, rows).sum(axis=1) + game.base, full, rtol=0, atol=1e-9)
    with pytest.raises(UnknownTrees, match=f"more than {MOST_BITS} players on one path"):
        game_of([made_tree(rng, leaves=70, features=69, chain=True)], range(69))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("version=v4", "version=v9"), "version v9"),
        (("num_tree_per_iteration=1", "num_tree_per_iteration=3"), "several trees per iteration"),
        (("is_linear=0", "is_linear=1"), "linear trees"),
        (("leaf_count=", "leaf_counts="), "0 numbers of leaf_count where 4 are expected"),
        (("decision_type=2", "decision_type=64"), "a kind of decision that is new"),
        (("split_feature=", "split_feature=x"), "split_feature that are no numbers"),
    ],
)
def test_what_is_not_known_is_refused(change: tuple[str, str], message: str) -> None:
    x = np.nan_to_num(made_rows(300, 3, seed=13))
    text = made_model(x, rounds=1, num_leaves=4).model_to_string()
    assert change[0] in text
    with pytest.raises(UnknownTrees, match=message):
        read_trees(text.replace(*change))
