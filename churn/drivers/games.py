"""Games: the trees of a model cut into pieces, each a function of a few yes-or-no answers about a row.

A player moves all her features together. A leaf is reached by a share of rows that is a product over the players on
its path: of a player who is in the coalition, 1 if the row passes all her nodes there, else 0; of one who is out, the
share of training rows that pass them. So what a leaf gives to anybody depends on which players on its path the row
*satisfies*.

A piece is a few connected nodes with the leaves right below them. Its *pattern* has one bit for each player above it
(does the row satisfy her on the way here?) and one for each of its nodes (does the row go left?): what its leaves
together give to each player is a function of the pattern alone.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from churn.drivers.trees import CATEGORICAL, DEFAULT_LEFT, Ints, Tree, UnknownTrees, missing_of

Floats = npt.NDArray[np.float64]
Path = tuple[tuple[int, bool, float], ...]
"""From the root to a place: each node, whether it is left to the left, and the share of its rows that goes there."""

BITS = 8
"""Pieces are grown until their patterns have so many bits: more make fewer, larger pieces (measured)."""

MOST_BITS = 62
"""Bits of a pattern that a number holds."""

CATEGORY = 3
"""The kind of a column of categories; the others are the missing types."""

LEFT_IF_MISSING, IN_SET = 1, 2
"""What a node asks of its column beside `<= threshold`: also goes left if missing; is in its set of categories."""


class Leaves(NamedTuple):
    """The leaves of all pieces.

    Attributes:
        value: what each adds to the raw margin.
        term_start: of each leaf, the players on its path.
        term_member: the player's place among the piece's members.
        term_mask: the bits of the pattern that tell whether the row satisfies her.
        term_bits: what these bits must be.
        term_share: the share of training rows that passes her nodes.
    """

    value: Floats
    term_start: Ints
    term_member: Ints
    term_mask: Ints
    term_bits: Ints
    term_share: Floats


class Game(NamedTuple):
    """All pieces of a model, in arrays; what begins at `x_start[i]` ends before `x_start[i + 1]`.

    Attributes:
        base: the raw margin without any player.
        players: how many there are.
        bits: patterns of so many bits or fewer are their own places in a table.
        most_nodes: of a tree.
        most_members: of a piece.
        most_bits: of a piece's pattern.
        column_feature: columns are features prepared for one kind of missing value: which feature.
        column_kind: a missing type, or `CATEGORY`.
        tree_node_start: nodes of each tree.
        tree_piece_start: pieces of each tree.
        node_column: what each node looks at.
        node_threshold: what it compares with.
        node_test: 0, `LEFT_IF_MISSING` or `IN_SET`.
        node_set: first and last (exclusive) word of its set of categories, shape (nodes, 2).
        words: of the sets of categories.
        piece_above: how many players stand above each piece: the first bits of its pattern.
        piece_bits: of its pattern.
        edge_start: of each piece, the edges from the root to it.
        edge_node: where the edge begins, counted within its tree.
        edge_left: 1 if it goes left.
        edge_bit: of the player whose node it is.
        inner_start: of each piece, its nodes.
        inner_node: counted within the tree; their bits follow those of the players above.
        member_start: of each piece, the players its leaves give to.
        member: which players.
        leaf_start: of each piece, its leaves.
        leaves: of all pieces.
    """

    base: float
    players: int
    bits: int
    most_nodes: int
    most_members: int
    most_bits: int
    column_feature: Ints
    column_kind: Ints
    tree_node_start: Ints
    tree_piece_start: Ints
    node_column: Ints
    node_threshold: Floats
    node_test: Ints
    node_set: npt.NDArray[np.int64]
    words: Ints
    piece_above: Ints
    piece_bits: Ints
    edge_start: Ints
    edge_node: Ints
    edge_left: Ints
    edge_bit: Ints
    inner_start: Ints
    inner_node: Ints
    member_start: Ints
    member: Ints
    leaf_start: Ints
    leaves: Leaves


def game_of(trees: Sequence[Tree], players: Sequence[int]) -> Game:
    """Returns the game that the trees play with the given players.

    Args:
        players: of each feature, its player, from 0 on. One player per feature: the game of TreeSHAP.

    Raises:
        UnknownTrees: more players on one path than a pattern has bits.
    """
    written = _Written(list(players))
    for tree in trees:
        written.add(tree)
    return written.game()


class _Written:
    """The arrays of a game while they are written, as lists."""

    def __init__(self, players: list[int]) -> None:
        self._players = players
        self._base = 0.0
        self._columns: dict[tuple[int, int], int] = {}
        self._lists: dict[str, list[float]] = {name: [] for name in _WRITTEN}
        for name in self._lists:
            if name.endswith("_start"):
                self._lists[name].append(0)

    def add(self, tree: Tree) -> None:
        """Adds a tree: its nodes, and its pieces from the root down."""
        if len(tree.feature):
            self._add_nodes(tree)
            sizes = _sizes(tree)
            roots: list[tuple[int, Path]] = [(0, ())]
            while roots:
                root, path = roots.pop()
                roots += self._add_piece(tree, root, path, sizes)
        else:
            self._base += float(tree.leaf_value[0])
        self._close(tree_node_start="node_column", tree_piece_start="piece_above")

    def game(self) -> Game:
        """Returns the game."""
        arrays: dict[str, Any] = {
            name: np.array(found, np.float64 if name in _FLOATS else np.int64) for name, found in self._lists.items()
        }
        arrays["node_set"] = arrays["node_set"].reshape(-1, 2)
        leaves = Leaves(**{name: arrays.pop(name) for name in Leaves._fields})
        features, kinds = zip(*self._columns, strict=True) if self._columns else ((), ())
        return Game(
            base=self._base, players=max(self._players, default=-1) + 1, bits=BITS,
            most_nodes=int(np.diff(arrays["tree_node_start"]).max(initial=0)),
            most_members=int(np.diff(arrays["member_start"]).max(initial=0)),
            most_bits=int(arrays["piece_bits"].max(initial=0)),
            column_feature=np.array(features, np.int64), column_kind=np.array(kinds, np.int64), leaves=leaves, **arrays,
        )  # fmt: skip

    def _add_nodes(self, tree: Tree) -> None:
        first_word = len(self._lists["words"])
        self._lists["words"] += tree.set_words.tolist()
        for feature, threshold, decision in zip(
            tree.feature.tolist(), tree.threshold.tolist(), tree.decision.tolist(), strict=True
        ):
            is_set = bool(decision & CATEGORICAL)
            column = (feature, CATEGORY if is_set else missing_of(decision))
            words = tree.set_start[int(threshold) :][:2] + first_word if is_set else (0, 0)
            test = IN_SET if is_set else LEFT_IF_MISSING if decision & DEFAULT_LEFT else 0
            self._lists["node_column"].append(self._columns.setdefault(column, len(self._columns)))
            self._lists["node_threshold"].append(threshold)
            self._lists["node_test"].append(test)
            self._lists["node_set"] += [int(word) for word in words]

    def _add_piece(self, tree: Tree, root: int, path: Path, sizes: list[int]) -> list[tuple[int, Path]]:
        """Adds the piece that begins at a node; returns where the pieces below it begin."""
        places: dict[int, int] = {}  # of the players in the pattern, and then of those inside
        for node, _, _ in path:
            places.setdefault(self._player(tree, node), len(places))
        above = len(places)
        if above >= MOST_BITS:
            raise UnknownTrees(f"more than {MOST_BITS} players on one path")
        inner, leaves, below = _grown(tree, root, path, sizes, nodes=max(1, BITS - above))
        if not leaves:
            return below
        bits = {node: above + number for number, node in enumerate(inner)}
        for leaf, there in leaves:
            self._add_leaf(tree, leaf, there, places, bits)
        for node, is_left, _ in path:
            self._lists["edge_node"].append(node)
            self._lists["edge_left"].append(int(is_left))
            self._lists["edge_bit"].append(places[self._player(tree, node)])
        self._lists["piece_above"].append(above)
        self._lists["piece_bits"].append(above + len(inner))
        self._lists["inner_node"] += inner
        self._lists["member"] += list(places)
        self._close(edge_start="edge_node", inner_start="inner_node", member_start="member", leaf_start="value")
        return below

    def _add_leaf(self, tree: Tree, leaf: int, path: Path, places: dict[int, int], bits: dict[int, int]) -> None:
        terms: dict[int, tuple[int, int, float]] = {}  # by member: mask, bits, share
        for node, is_left, part in path:
            place = places.setdefault(self._player(tree, node), len(places))
            mask, wanted, share = terms.get(place, (0, 0, 1.0))
            bit = bits.get(node, place)
            goes = is_left or node not in bits
            terms[place] = (mask | 1 << bit, wanted | goes << bit, share * part)
        reached = float(tree.leaf_value[leaf])
        for place, (mask, wanted, share) in terms.items():
            reached *= share
            self._lists["term_member"].append(place)
            self._lists["term_mask"].append(mask)
            self._lists["term_bits"].append(wanted)
            self._lists["term_share"].append(share)
        self._base += reached
        self._lists["value"].append(float(tree.leaf_value[leaf]))
        self._close(term_start="term_member")

    def _player(self, tree: Tree, node: int) -> int:
        return self._players[int(tree.feature[node])]

    def _close(self, **ends: str) -> None:
        for start, counted in ends.items():
            self._lists[start].append(len(self._lists[counted]))


_COUNTED = (
    "base",
    "players",
    "bits",
    "most_nodes",
    "most_members",
    "most_bits",
    "column_feature",
    "column_kind",
    "leaves",
)
_WRITTEN = (*(name for name in Game._fields if name not in _COUNTED), *Leaves._fields)
_FLOATS = ("node_threshold", "value", "term_share")


def _grown(
    tree: Tree, root: int, path: Path, sizes: list[int], *, nodes: int
) -> tuple[list[int], list[tuple[int, Path]], list[tuple[int, Path]]]:
    """The nodes of the piece that begins at `root`, the leaves right below them, and the nodes below that are left.

    The node with the fewest below it comes first: what is left over then hangs together.
    """
    inner: list[int] = []
    leaves: list[tuple[int, Path]] = []
    edge = [(sizes[root], root, path)]
    while edge and len(inner) < nodes:
        _, node, there = heapq.heappop(edge)
        inner.append(node)
        for child, is_left, share in tree.children(node):
            further = (*there, (node, is_left, share))
            if child >= 0:
                heapq.heappush(edge, (sizes[child], child, further))
            else:
                leaves.append((~child, further))
    return inner, leaves, [(node, there) for _, node, there in sorted(edge)]


def _sizes(tree: Tree) -> list[int]:
    """How many nodes each node has below it, itself included."""
    order, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting += [child for child, _, _ in tree.children(node) if child >= 0]
    sizes = [1] * len(tree.feature)
    for node in reversed(order):
        sizes[node] += sum(sizes[child] for child, _, _ in tree.children(node) if child >= 0)
    return sizes
