"""Random streams: one per topic and block of customers, so that neither workers nor other topics change a draw."""

from typing import Final

import numpy as np

BLOCK: Final = 25_000  # customers simulated together

TOPICS: Final = (
    "people", "visits", "incidents", "voice", "service", "surveys", "praise", "exits", "orders", "contracts", "details",
    "dirt",
)  # fmt: skip
_PREMISES, _BLOCKS, _VARIATION, _FUTURES, _SAMPLE = range(5)
Streams = dict[str, np.random.Generator]


def premises_stream(seed: int) -> np.random.Generator:
    """Returns the stream of what all customers share."""
    return _stream(seed, _PREMISES)


def variation_stream(seed: int) -> np.random.Generator:
    """Returns the stream that varies a regime's parameters."""
    return _stream(seed, _VARIATION)


def sample_stream(seed: int) -> np.random.Generator:
    """Returns the stream that picks the customers of whom the oracle is asked."""
    return _stream(seed, _SAMPLE)


def block_streams(seed: int, *, block: int) -> Streams:
    """Returns the streams of one block of customers, by topic.

    >>> first, again = (block_streams(7, block=2)["visits"].random() for _ in range(2))
    >>> first == again, first == block_streams(7, block=3)["visits"].random()
    (True, False)
    """
    return {topic: _stream(seed, _BLOCKS, block, number) for number, topic in enumerate(TOPICS)}


def future_streams(seed: int, *, block: int, day: int) -> Streams:
    """Returns the streams of imagined futures that begin on a day: none of them is a stream of the world itself."""
    return {topic: _stream(seed, _FUTURES, block, day, number) for number, topic in enumerate(TOPICS)}


def _stream(seed: int, *path: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=path))
