"""Trees: what LightGBM's text of a model says of its trees, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

VERSIONS = ("v3", "v4")
"""Versions of the text that are read."""

CATEGORICAL, DEFAULT_LEFT = 1, 2
"""Bits of a node's decision; the two above them are its missing type."""
MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2


class UnknownTrees(Exception):
    """A model uses something that is not read here; the message says what."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree: nodes from 0, the root, on; a child of -1 or less is the leaf `~child`.

    Attributes:
        feature: of each node.
        threshold: values at most so large go left; of a categorical node, the number of its set.
        decision: of each node, see `CATEGORICAL`, `DEFAULT_LEFT` and `missing_of`.
        left: child of each node.
        right: child of each node.
        cover: training rows that reached each node.
        leaf_value: what each leaf adds to the raw margin.
        leaf_cover: training rows that reached each leaf.
        set_start: where the words of each set of categories begin, and where the last one ends.
        set_words: 32 categories each; a category whose bit is set goes left.
    """

    feature: Ints
    threshold: Floats
    decision: Ints
    left: Ints
    right: Ints
    cover: Floats
    leaf_value: Floats
    leaf_cover: Floats
    set_start: Ints
    set_words: Ints

    def children(self, node: int) -> tuple[tuple[int, bool, float], tuple[int, bool, float]]:
        """Returns both children of a node: which, whether it is the left one, its share of the node's training rows.

        Where a node was reached by none, each child has one half.
        """
        left, right = int(self.left[node]), int(self.right[node])
        whole = float(self.cover[node])
        shares = (self._cover_of(left) / whole, self._cover_of(right) / whole) if whole > 0 else (0.5, 0.5)
        return (left, True, shares[0]), (right, False, shares[1])

    def _cover_of(self, child: int) -> float:
        return float(self.cover[child] if child >= 0 else self.leaf_cover[~child])


def missing_of(decision: int) -> int:
    """Returns which of the values of a node's feature are missing: none, zeros, or NaN.

    >>> missing_of(10) == MISSING_NAN
    True
    """
    return decision >> 2 & 3


def read_trees(text: str) -> tuple[Tree, ...]:
    """Returns the trees of a model text (`Booster.model_to_string`), whose leaves add up to the raw margin.

    Raises:
        UnknownTrees: another version of the text, several classes, linear trees, or a field that is missing.
    """
    head, *blocks = text.split("\nTree=")
    told = _fields(head)
    if told.get("version") not in VERSIONS:
        raise UnknownTrees(f"model text of version {told.get('version', 'unknown')}")
    if told.get("num_tree_per_iteration") != "1":
        raise UnknownTrees("several trees per iteration")
    return tuple(_tree(_fields(block.split("\n\n", 1)[0])) for block in blocks)


def _tree(told: Mapping[str, str]) -> Tree:
    if told.get("is_linear", "0") != "0":
        raise UnknownTrees("linear trees")
    leaves = int(told.get("num_leaves", "0"))
    sets = int(told.get("num_cat", "0"))
    nodes = leaves - 1
    words = _numbers(told, "cat_threshold", int, None if sets else 0)
    tree = Tree(
        feature=_numbers(told, "split_feature", int, nodes),
        threshold=_numbers(told, "threshold", float, nodes),
        decision=_numbers(told, "decision_type", int, nodes),
        left=_numbers(told, "left_child", int, nodes),
        right=_numbers(told, "right_child", int, nodes),
        cover=_numbers(told, "internal_count", float, nodes),
        leaf_value=_numbers(told, "leaf_value", float, leaves),
        # A tree of one leaf may say nothing of it: everybody reaches it.
        leaf_cover=_numbers(told, "leaf_count", float, leaves) if nodes else np.ones(1),
        set_start=_numbers(told, "cat_boundaries", int, sets + 1) if sets else np.zeros(1, np.int64),
        set_words=words,
    )
    if ((tree.decision < 0) | (tree.decision > 11)).any():
        raise UnknownTrees("a kind of decision that is new")
    return tree


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _numbers(told: Mapping[str, str], name: str, kind: type, count: int | None) -> npt.NDArray[Any]:
    words: Sequence[str] = told.get(name, "").split()
    if count is not None and len(words) != count:
        raise UnknownTrees(f"{len(words)} numbers of {name} where {count} are expected")
    try:
        return np.array(words, np.int64 if kind is int else np.float64)
    except ValueError:
        raise UnknownTrees(f"{name} that are no numbers") from None
