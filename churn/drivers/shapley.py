"""Shapley: the compiled kernel that gives each player her exact Shapley value in the game of a model's trees.

A leaf of value `v` with the players Q on its path is worth to a coalition `v` times a product over Q: of who is in, 1
if the row satisfies her, else 0; of who is out, her share. Shapley values are integrals of such products (Owen 1972,
"Multilinear extensions of games"): with `f_q(y) = y * satisfied_q + (1 - y) * share_q`, player p gets
`v * (satisfied_p - share_p)` times the integral of the product of the other `f_q` from 0 to 1, a polynomial that
Gauss-Legendre quadrature integrates exactly. So what a piece of a tree gives depends on the row's pattern alone, and a
block of rows works out each pattern once. All is summed in the order of the model: a row has the same bytes alone as in
a list, in any order, and for any number of threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from churn.drivers.games import CATEGORY, IN_SET, LEFT_IF_MISSING, MOST_BITS, Floats, Game, Leaves
from churn.drivers.trees import MISSING_NAN, MISSING_ZERO, Ints

Numbers = npt.NDArray[np.float32] | Floats
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.uint16]
Patterns = npt.NDArray[np.uint64]

BLOCK_ROWS = 16_384
"""Rows worked on at a time: the more, the fewer patterns per row there are to work out (measured); at most 65,536."""

ZERO = float(np.float32(1e-35))
"""LightGBM takes numbers up to this for zero."""

_CATEGORIES = 2.0**31
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Multiplying by it spreads patterns over the upper bits (Knuth 1998, The Art of Computer Programming 3, 6.4)."""

_ORDERS = range(1, (MOST_BITS + 7) // 8 + 1)
_POINTS = np.zeros((_ORDERS.stop, 4 * _ORDERS[-1]))
_WEIGHTS = np.zeros_like(_POINTS)
for _order in _ORDERS:  # 4 points are exact for 8 players, 8 for 16, and so on
    _x, _w = np.polynomial.legendre.leggauss(4 * _order)
    _POINTS[_order, : 4 * _order], _WEIGHTS[_order, : 4 * _order] = (_x + 1) / 2, _w / 2


def shapley_values(game: Game, numbers: Numbers, *, threads: int = 1) -> Floats:
    """Returns each player's Shapley value, shape (rows, players); with `game.base` a row adds up to the raw margin.

    Args:
        numbers: the model's features in its order, shape (rows, features); categories as codes.
        threads: how many share the rows; the bytes are the same.
    """
    kind = np.float32 if numbers.dtype == np.float32 else np.float64
    values = np.zeros((game.players, len(numbers)))
    thresholds = _at_most(game.node_threshold, kind)

    def work(start: int) -> None:
        block = np.ascontiguousarray(numbers[start : start + BLOCK_ROWS].T, kind)
        _explain(game, thresholds, block, _POINTS, _WEIGHTS, values, start)

    starts = range(0, len(numbers), BLOCK_ROWS)
    if min(threads, len(starts)) <= 1:
        for start in starts:
            work(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, starts))
    return values.T


def _at_most(thresholds: Floats, kind: Any) -> Numbers:
    """The largest numbers of a kind that are not above the thresholds: to numbers of that kind they are the same."""
    with np.errstate(over="ignore"):
        rounded: Numbers = thresholds.astype(kind)
        return np.where(rounded > thresholds, np.nextafter(rounded, kind(-np.inf)), rounded)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _explain(
    game: Game, thresholds: Numbers, features: Numbers, points: Floats, weights: Floats, out: Floats, start: int
) -> None:
    """Adds to `out`, shape (players, all rows), from row `start` on, for a block of `features`, (features, rows)."""
    rows = features.shape[1]
    columns = np.empty((len(game.column_feature), rows), features.dtype)
    for column in range(len(columns)):
        _prepare(features[game.column_feature[column]], game.column_kind[column], columns[column])
    went, above = np.empty((game.most_nodes, rows), np.uint8), np.empty((game.most_bits, rows), np.uint8)
    place, stamp = np.empty(rows, np.uint16), np.zeros(1 << game.bits, np.int64)
    long, slots = np.empty(rows if game.most_bits > game.bits else 0, np.uint64), 1
    while slots < 2 * len(long):  # so a hash table is never more than half full
        slots *= 2
    keys, held, stamps = np.empty(slots, np.uint64), np.empty(slots, np.uint16), np.zeros(slots, np.int64)
    worth = np.empty((game.most_members, max(1 << game.bits, len(long))))
    for tree in range(len(game.tree_node_start) - 1):
        first = game.tree_node_start[tree]
        for node in range(first, game.tree_node_start[tree + 1]):
            words = game.words[game.node_set[node, 0] : game.node_set[node, 1]]
            _decide(columns[game.node_column[node]], game.node_test[node], thresholds[node], words, went[node - first])
        for piece in range(game.tree_piece_start[tree], game.tree_piece_start[tree + 1]):
            players, bits = game.piece_above[piece], game.piece_bits[piece]
            above[:players] = 1
            for edge in range(game.edge_start[piece], game.edge_start[piece + 1]):
                _both(above[game.edge_bit[edge]], went[game.edge_node[edge]], np.uint8(1 - game.edge_left[edge]))
            inner = game.inner_node[game.inner_start[piece] : game.inner_start[piece + 1]]
            leaves = game.leaf_start[piece], game.leaf_start[piece + 1]
            member = game.member[game.member_start[piece] : game.member_start[piece + 1]]
            if bits <= game.bits:
                _pattern(above[:players], went, inner, place)
                _work_out_short(game.leaves, piece + 1, leaves, place, stamp, points, weights, worth[: len(member)])
            else:
                _pattern(above[:players], went, inner, long)
                _work_out_long(
                    game.leaves,
                    piece + 1,
                    leaves,
                    long,
                    keys,
                    held,
                    stamps,
                    points,
                    weights,
                    worth[: len(member)],
                    place,
                )
            for number in range(len(member)):
                _add(out[member[number], start : start + rows], worth[number], place)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _prepare(values: Numbers, kind: int, out: Numbers) -> None:
    """A feature as nodes of one kind take it: NaN for what is missing, and 0 for what is too small."""
    for row in range(len(values)):
        value = values[row]
        if kind != CATEGORY:
            if abs(value) <= ZERO:
                value = 0.0
            if kind == MISSING_ZERO:
                value = np.nan if value == 0 else value
            elif kind != MISSING_NAN:
                value = 0.0 if np.isnan(value) else value
        out[row] = value


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _decide(column: Numbers, test: int, threshold: float, words: Ints, went: Bytes) -> None:
    """Which rows go left at a node."""
    if test == IN_SET:
        for row in range(len(column)):
            value, went[row] = column[row], 0
            if value > -1 and value < _CATEGORIES:  # LightGBM cuts off decimals; NaN fails both
                code = np.int64(value)
                if code >> 5 < len(words):
                    went[row] = (words[code >> 5] >> (code & 31)) & 1
    elif test == LEFT_IF_MISSING:
        for row in range(len(column)):
            went[row] = not (column[row] > threshold)
    else:
        for row in range(len(column)):
            went[row] = column[row] <= threshold


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _both(satisfied: Bytes, went: Bytes, flipped: int) -> None:
    """A player is satisfied by the rows that go her way at all her nodes on the path."""
    for row in range(len(satisfied)):
        satisfied[row] &= went[row] ^ flipped


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pattern(above: Bytes, went: Bytes, inner: Ints, out: Places | Patterns) -> None:
    """The pattern of each row: a bit for each player above, then one for each node."""
    out[:] = 0
    for bit in range(len(above) + len(inner)):
        is_set = above[bit] if bit < len(above) else went[inner[bit - len(above)]]
        shift = out.dtype.type(bit)
        for row in range(len(out)):
            out[row] |= out.dtype.type(is_set[row]) << shift


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _work_out_short(
    leaves: Leaves, now: int, span: tuple[int, int], place: Places, stamp: Ints, points: Floats, weights: Floats,
    worth: Floats,
) -> None:  # fmt: skip
    """Works out each pattern that the rows have; one of few bits is its own place in `worth`."""
    for row in range(len(place)):
        at = place[row]
        if stamp[at] != now:
            stamp[at] = now
            _give(leaves, span, np.int64(at), points, weights, worth[:, at])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _work_out_long(
    leaves: Leaves, now: int, span: tuple[int, int], patterns: Patterns, keys: Patterns, held: Places, stamp: Ints,
    points: Floats, weights: Floats, worth: Floats, place: Places,
) -> None:  # fmt: skip
    """Works out each pattern that the rows have, at the next place in `worth`; a hash table holds which that is."""
    count, last = 0, len(keys) - 1
    for row in range(len(place)):
        pattern = patterns[row]
        at = np.int64((pattern * _SPREAD) >> np.uint64(40)) & last
        while stamp[at] == now and keys[at] != pattern:
            at = (at + 1) & last
        if stamp[at] != now:
            stamp[at], keys[at], held[at] = now, pattern, count
            _give(leaves, span, np.int64(pattern), points, weights, worth[:, count])
            count += 1
        place[row] = held[at]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _give(
    leaves: Leaves, span: tuple[int, int], pattern: int, points: Floats, weights: Floats, given: Floats
) -> None:  # fmt: skip
    """What the leaves of a piece give to its members: four points of the integral at a time, which fit a register."""
    given[:] = 0.0
    for leaf in range(span[0], span[1]):
        first, stop, value = leaves.term_start[leaf], leaves.term_start[leaf + 1], leaves.value[leaf]
        order = (stop - first + 7) // 8
        for i in range(0, 4 * order, 4):
            y0, y1, y2, y3 = points[order, i], points[order, i + 1], points[order, i + 2], points[order, i + 3]
            p0, p1 = value * weights[order, i], value * weights[order, i + 1]
            p2, p3 = value * weights[order, i + 2], value * weights[order, i + 3]
            for term in range(first, stop):
                share = leaves.term_share[term]
                is_satisfied = (pattern & leaves.term_mask[term]) == leaves.term_bits[term]
                slope = is_satisfied - share
                p0, p1 = p0 * (share + slope * y0), p1 * (share + slope * y1)
                p2, p3 = p2 * (share + slope * y2), p3 * (share + slope * y3)
            # Who is not satisfied loses the same, whatever her share: it is a factor of the product already.
            lost = (p0 / (1 - y0) + p1 / (1 - y1)) + (p2 / (1 - y2) + p3 / (1 - y3))
            for term in range(first, stop):
                share = leaves.term_share[term]
                is_satisfied = (pattern & leaves.term_mask[term]) == leaves.term_bits[term]
                rest = 1 - share
                left = p0 / (share + rest * y0) + p1 / (share + rest * y1)
                right = p2 / (share + rest * y2) + p3 / (share + rest * y3)
                given[leaves.term_member[term]] += rest * (left + right) if is_satisfied else -lost


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add(out: Floats, worth: Floats, place: Places) -> None:
    for row in range(len(place)):
        out[row] += worth[place[row]]
