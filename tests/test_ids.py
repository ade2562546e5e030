"""Ids: whatever they are made of, each finds its own place and no other's."""

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from churn.tables.ids import coded, codes_of

IDS = st.text(max_size=5) | st.sampled_from(["", "\x00", "\x00\x00", "a" * 15, "a" * 16, "a" * 7 + "\x0f" + "a" * 8])


@settings(max_examples=80, deadline=None)
@given(known=st.lists(IDS, unique=True), ids=st.lists(st.none() | IDS), cut=st.integers(0, 9))
def test_every_id_finds_its_place(known: list[str], ids: list[str | None], cut: int) -> None:
    ids = [*ids, *known]
    expected = [known.index(text) if text in known else -1 for text in ids]
    chunks = pa.chunked_array([pa.array(ids[:cut], pa.string()), pa.array(ids[cut:], pa.string())])
    customers = pa.array(["spare", *known], pa.string())[1:]
    assert codes_of(chunks, customers).tolist() == expected
    assert codes_of(chunks.dictionary_encode(), customers).tolist() == expected
    assert codes_of(chunks.cast(pa.large_string()), customers).tolist() == expected


def test_nobody_is_found_among_nobody() -> None:
    assert codes_of(pa.chunked_array([pa.array(["a", ""])]), pa.array([], pa.string())).tolist() == [-1, -1]
    assert codes_of(pa.chunked_array([], pa.string()), pa.array(["a"])).tolist() == []


@pytest.mark.parametrize("longest", [15, 16])
def test_many_customers_whose_ids_differ_by_one_sign(longest: int) -> None:
    """More than two bytes can number; one byte more, and Arrow looks them up."""
    customers = [f"{number:0{longest}d}" for number in range(90_000)] + [f"{number}" for number in range(10_000)]
    order = np.random.default_rng(1).permutation(len(customers))
    found = codes_of(pa.chunked_array([pa.array(customers).take(pa.array(order))]), pa.array(customers))
    np.testing.assert_array_equal(found, order)


def test_a_text_too_long_is_nobody_even_if_its_bytes_look_like_a_length() -> None:
    short = "abcdefgh" + "ijklmno"
    long = "abcdefgh" + "\x0f" + "ijklmno"
    assert codes_of(pa.chunked_array([pa.array([long, short])]), pa.array([short])).tolist() == [-1, 0]


def test_neighbouring_codes_may_stand_for_ids() -> None:
    codes = pa.chunked_array([pa.array([7, 5, 6], pa.int32())])
    assert codes_of(codes, pa.array([5, 6, 7], pa.int32())).tolist() == [2, 0, 1]


def test_a_dictionary_as_large_as_its_indices_can_tell() -> None:
    ids = pa.array([f"c{number:03d}" for number in range(128)])
    coded = pa.DictionaryArray.from_arrays(pa.array([127, None, 0], pa.int8()), ids)
    assert codes_of(pa.chunked_array([coded]), ids).tolist() == [127, -1, 0]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_ids_become_their_places_among_themselves(kind: pa.DataType) -> None:
    told = pa.chunked_array([pa.array(["b", "b", "a"]), pa.array([], pa.string()), pa.array(["a", "ä", "b"])])
    code, customers = coded(told.cast(kind))
    assert customers.to_pylist() == ["a", "b", "ä"]
    assert code.tolist() == [1, 1, 0, 0, 2, 1]
    assert coded(pa.chunked_array([["b", None, None, "a"]], pa.string()))[0].tolist() == [1, -1, -1, 0]
    assert coded(pa.chunked_array([], pa.string()))[0].tolist() == []
