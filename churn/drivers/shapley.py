"""Shapley: the compiled kernel that gives each player her exact Shapley value in the game of a model's trees.

A leaf that adds `v` and has the players Q on its path is worth `v * prod(in: satisfied) * prod(out: share)` to a coalition.
Its Shapley values are integrals of polynomials (Owen 1972, "Multilinear extensions of games"): with
`f_q(y) = y * satisfied_q + (1 - y) * share_q`, player p gets `v * (satisfied_p - share_p) * int_0^1 prod_{q != p} f_q dy`,
which Gauss-Legendre quadrature with half as many points as players gives exactly.
They depend on the row's pattern alone, so a block of rows works out each pattern once, in the order of the model: the same bytes
for a row alone as in a list, and for any number of threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from numba import njit

from churn.drivers.games import BITS, CATEGORY, IN_SET, LEFT_IF_MISSING, MOST_BITS, Floats, Game
from churn.drivers.trees import MISSING_NAN, MISSING_ZERO

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.uint16]

BLOCK_ROWS = 16_384
"""Rows worked on at a time: the more, the fewer patterns per row; their places must fit into a uint16 twice over."""

SLOTS = 2 * BLOCK_ROWS
"""Patterns of many bits that a block can hold: never more than half of them are taken."""

ZERO = float(np.float32(1e-35))
"""LightGBM takes numbers up to this for zero."""

_LARGEST_CATEGORY = 2.0**31
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_POINTS = np.zeros((MOST_BITS // 2 + 2, MOST_BITS // 2 + 2))
_WEIGHTS = np.zeros_like(_POINTS)
for _n in range(1, len(_POINTS)):
    _x, _w = np.polynomial.legendre.leggauss(_n)
    _POINTS[_n, :_n], _WEIGHTS[_n, :_n] = (_x + 1) / 2, _w / 2


def shapley_values(game: Game, numbers: npt.NDArray[np.float32] | Floats, *, threads: int = 1) -> Floats:
    """Returns each player's Shapley value of the raw margin, shape (rows, players); with `game.base` a row adds up to it.

    Args:
        numbers: the model's features in its order, shape (rows, features), float32 or float64; categories as codes.
        threads: how many share the rows; the bytes are the same.
    """
    kind = np.float32 if numbers.dtype == np.float32 else np.float64
    values = np.empty((game.players, len(numbers)))
    thresholds = _at_most(game.node_threshold, kind)

    def work(start: int) -> None:
        block = np.ascontiguousarray(numbers[start : start + BLOCK_ROWS].T, kind)
        _explain(game, thresholds, block, _POINTS, _WEIGHTS, values[:, start : start + BLOCK_ROWS])

    starts = range(0, len(numbers), BLOCK_ROWS)
    if threads == 1 or len(starts) == 1:
        for start in starts:
            work(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, starts))
    return values.T


def _at_most(thresholds: Floats, kind: type) -> npt.NDArray[np.floating]:
    """The largest numbers of a kind that are not above the thresholds: numbers of that kind compare alike with both."""
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(kind)
    return np.where(rounded > thresholds, np.nextafter(rounded, kind(-np.inf)), rounded)


@njit(cache=True, nogil=True)
def _explain(game, thresholds, features, points, weights, out):
    rows = features.shape[1]
    out[:] = 0.0
    columns = _columns(game, features)
    most_nodes, most_members, most_bits = _largest(game)
    went = np.empty((most_nodes, rows), np.uint8)
    above = np.empty((MOST_BITS, rows if most_bits else 1), np.uint8)
    slots = max(1 << BITS, SLOTS if most_bits > BITS else 0)
    keys, stamp = np.zeros(slots, np.uint64), np.zeros(slots, np.int64)
    worth = np.empty((most_members, slots))
    place = np.empty(rows, np.uint16)
    pattern = np.empty(rows if most_bits > BITS else 0, np.uint64)
    scratch, given = np.empty(len(points)), np.empty(most_members)
    for tree in range(len(game.tree_node_start) - 1):
        first = game.tree_node_start[tree]
        for node in range(first, game.tree_node_start[tree + 1]):
            _decide(game, node, thresholds[node], columns[game.node_column[node]], went[node - first])
        for piece in range(game.tree_piece_start[tree], game.tree_piece_start[tree + 1]):
            _satisfy(game, piece, went, above)
            begin, end = game.member_start[piece], game.member_start[piece + 1]
            bits = game.piece_above[piece] + game.inner_start[piece + 1] - game.inner_start[piece]
            if bits <= BITS:
                _pattern(game, piece, went, above, place)
                for row in range(rows):
                    at = place[row]
                    if stamp[at] != piece + 1:
                        stamp[at] = piece + 1
                        _give(game, piece, np.int64(at), points, weights, scratch, given)
                        worth[: end - begin, at] = given[: end - begin]
            else:
                _pattern(game, piece, went, above, pattern)
                for row in range(rows):
                    at = _slot(pattern[row], keys, stamp, piece + 1)
                    place[row] = at
                    if stamp[at] != piece + 1:
                        stamp[at], keys[at] = piece + 1, pattern[row]
                        _give(game, piece, np.int64(pattern[row]), points, weights, scratch, given)
                        worth[: end - begin, at] = given[: end - begin]
            for member in range(begin, end):
                _add(out[game.member[member]], worth[member - begin], place)


@njit(cache=True, nogil=True)
def _largest(game):
    nodes = members = bits = 0
    for tree in range(len(game.tree_node_start) - 1):
        nodes = max(nodes, game.tree_node_start[tree + 1] - game.tree_node_start[tree])
    for piece in range(len(game.piece_above)):
        members = max(members, game.member_start[piece + 1] - game.member_start[piece])
        bits = max(bits, game.piece_above[piece] + game.inner_start[piece + 1] - game.inner_start[piece])
    return nodes, members, bits


@njit(cache=True, nogil=True)
def _columns(game, features):
    """Features with NaN where a node of their kind takes them for missing."""
    out = np.empty((len(game.column_feature), features.shape[1]), features.dtype)
    for column in range(len(out)):
        kind, values, prepared = game.column_kind[column], features[game.column_feature[column]], out[column]
        for row in range(len(values)):
            value = values[row]
            if kind != CATEGORY:
                if abs(value) <= ZERO:
                    value = 0.0
                if kind == MISSING_ZERO:
                    value = np.nan if value == 0 else value
                elif kind != MISSING_NAN:
                    value = 0.0 if np.isnan(value) else value
            prepared[row] = value
    return out


@njit(cache=True, nogil=True)
def _decide(game, node, threshold, column, went):
    """Which rows go left at a node."""
    if game.node_test[node] == IN_SET:
        first, stop = game.node_set[node]
        for row in range(len(column)):
            value = column[row]
            is_in = False
            if value > -1 and value < _LARGEST_CATEGORY:
                code = np.int64(value)
                word = first + (code >> 5)
                is_in = word < stop and (game.words[word] >> (code & 31)) & 1
            went[row] = is_in
    elif game.node_test[node] == LEFT_IF_MISSING:
        for row in range(len(column)):
            went[row] = not (column[row] > threshold)
    else:
        for row in range(len(column)):
            went[row] = column[row] <= threshold


@njit(cache=True, nogil=True)
def _satisfy(game, piece, went, above):
    for bit in range(game.piece_above[piece]):
        above[bit] = 1
    for edge in range(game.edge_start[piece], game.edge_start[piece + 1]):
        _both(above[game.edge_bit[edge]], went[game.edge_node[edge]], np.uint8(1 - game.edge_left[edge]))


@njit(cache=True, nogil=True)
def _both(satisfied, went, flipped):
    for row in range(len(satisfied)):
        satisfied[row] &= went[row] ^ flipped


@njit(cache=True, nogil=True)
def _pattern(game, piece, went, above, out):
    out[:] = 0
    players = game.piece_above[piece]
    for bit in range(players):
        _set_bit(above[bit], bit, out)
    first = game.inner_start[piece]
    for inner in range(first, game.inner_start[piece + 1]):
        _set_bit(went[game.inner_node[inner]], players + inner - first, out)


@njit(cache=True, nogil=True)
def _set_bit(is_set, bit, out):
    shift = out.dtype.type(bit)
    for row in range(len(out)):
        out[row] |= out.dtype.type(is_set[row]) << shift


@njit(cache=True, nogil=True)
def _slot(key, keys, stamp, now):
    """Where a pattern of many bits is, or where it may be put."""
    at = np.int64((key * _SPREAD) >> np.uint64(40)) & (len(keys) - 1)
    while stamp[at] == now and keys[at] != key:
        at = (at + 1) & (len(keys) - 1)
    return at


@njit(cache=True, nogil=True)
def _give(game, piece, pattern, points, weights, scratch, given):
    """What the leaves of a piece give to its members."""
    given[:] = 0.0
    for leaf in range(game.leaf_start[piece], game.leaf_start[piece + 1]):
        first, stop = game.term_start[leaf], game.term_start[leaf + 1]
        count = (stop - first + 1) // 2
        y, product = points[count, :count], scratch[:count]
        for i in range(count):
            product[i] = game.leaf_value[leaf] * weights[count, i]
        for term in range(first, stop):
            share = game.term_share[term]
            is_satisfied = (pattern & game.term_mask[term]) == game.term_bits[term]
            if is_satisfied:
                for i in range(count):
                    product[i] *= share + (1 - share) * y[i]
            else:
                for i in range(count):
                    product[i] *= share * (1 - y[i])
        # Who is not satisfied loses the same, whatever her share: it is a factor of the product already.
        lost = 0.0
        for i in range(count):
            lost += product[i] / (1 - y[i])
        for term in range(first, stop):
            share = game.term_share[term]
            if (pattern & game.term_mask[term]) == game.term_bits[term]:
                without = 0.0
                for i in range(count):
                    without += product[i] / (share + (1 - share) * y[i])
                given[game.term_member[term]] += (1 - share) * without
            else:
                given[game.term_member[term]] -= lost


@njit(cache=True, nogil=True)
def _add(out, worth, place):
    for row in range(len(place)):
        out[row] += worth[place[row]]
