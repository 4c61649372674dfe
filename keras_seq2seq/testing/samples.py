"""Small sources and targets for any model, made from what it reads and writes."""

from typing import Any, NamedTuple

import numpy as np

from keras_seq2seq.errors import InputError
from keras_seq2seq.models.parts import (
    ENCODER_FEATURES,
    ENCODER_LENGTHS,
    ENCODER_TOKEN_IDS,
    ENCODER_WAVEFORM,
    Decoder,
    Encoder,
)
from keras_seq2seq.special_tokens import END_ID, PAD_ID, SPECIAL_TOKENS, START_ID

Inputs = dict[str, np.ndarray]

# Positions behind the longest source in the tests of padding.
PADDING = 4


class Targets(NamedTuple):
    """What a decoder reads `(2, length)`, int32, and what it should write."""

    token_ids: np.ndarray
    labels: np.ndarray


def sample_sources(encoder: Encoder, seed: int = 0) -> Inputs:
    """Two sources at random, the second one shorter, as the inputs of an encoder.

    Raises:
        InputError: If the encoder reads something else than token ids, frames or sound.
    """
    rng = np.random.default_rng(seed)
    specs = encoder.inputs()
    if set(specs) == {ENCODER_TOKEN_IDS}:
        longest = encoder.max_length or 5 + PADDING
        long = max(2, min(5, longest - PADDING))
        lengths = [long, max(1, long - 2)]
        rows = [_tokens(rng, length, encoder.embedding.vocabulary_size) for length in lengths]
        return {ENCODER_TOKEN_IDS: _padded_rows([[*row[:-1], END_ID] for row in rows])}
    signals = [name for name in (ENCODER_FEATURES, ENCODER_WAVEFORM) if name in specs]
    if len(signals) != 1 or set(specs) != {*signals, ENCODER_LENGTHS}:
        raise InputError(
            "Sources can be made up for an encoder of token ids, frames or sound. Received: "
            f"inputs {sorted(specs)}. Give two sources of your own as `inputs`."
        )
    rate = getattr(encoder.embedding, "sample_rate", None) or 0
    lengths = [7, 4] if signals == [ENCODER_FEATURES] else [rate // 10, rate // 16]
    shape = (2, max(lengths), *specs[signals[0]].shape[2:])
    return {
        signals[0]: rng.normal(size=shape).astype("float32"),
        ENCODER_LENGTHS: np.array(lengths, "int32"),
    }


def sample_targets(decoder: Decoder, seed: int = 0) -> Targets:
    """Two targets at random, the second one shorter."""
    rng = np.random.default_rng(seed)
    long = max(2, min(6, (decoder.max_length or 6) - 1))
    rows = [_tokens(rng, length, decoder.vocabulary_size) for length in (long, long // 2)]
    return Targets(
        _padded_rows([[START_ID, *row[:-1]] for row in rows]),
        _padded_rows([[*row[:-1], END_ID] for row in rows]),
    )


def lengths_of(inputs: Inputs) -> np.ndarray:
    """Positions of each source, the end token of a text included."""
    if ENCODER_LENGTHS in inputs:
        return np.asarray(inputs[ENCODER_LENGTHS])
    ids = next(array for array in inputs.values() if array.dtype.kind == "i")
    return np.count_nonzero(ids != PAD_ID, axis=1)


def with_padding(inputs: Inputs, padding: int = PADDING) -> Inputs:
    """The same sources in a longer batch: zeros behind ids, noise behind a signal."""
    lengths = lengths_of(inputs)
    longer = {}
    for name, array in inputs.items():
        if array.ndim > 1:
            array = np.pad(array, [(0, 0), (0, padding), *[(0, 0)] * (array.ndim - 2)])
            if array.dtype.kind == "f":
                for row, length in enumerate(lengths):
                    array[row, length:] = 9.0
        longer[name] = array
    return longer


def row_alone(inputs: Inputs, row: int) -> Inputs:
    """One source without padding, as a batch of one."""
    length = lengths_of(inputs)[row]
    return {
        name: array[row : row + 1, :length] if array.ndim > 1 else array[row : row + 1]
        for name, array in inputs.items()
    }


def padding_alone(inputs: Inputs) -> Inputs:
    """As many sources of nothing."""
    return {name: np.zeros_like(array) for name, array in inputs.items()}


def _tokens(rng: Any, length: int, vocabulary_size: int) -> np.ndarray:
    first = len(SPECIAL_TOKENS)
    if vocabulary_size <= first:
        raise InputError(
            f"Ids below {first} are special tokens: a vocabulary needs more. Received: "
            f"vocabulary_size={vocabulary_size}."
        )
    return rng.integers(first, vocabulary_size, length)


def _padded_rows(rows: list[list[int]]) -> np.ndarray:
    longest = max(map(len, rows))
    return np.array([[*row, *[PAD_ID] * (longest - len(row))] for row in rows], "int32")
