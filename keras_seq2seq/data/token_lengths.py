"""How many tokens each text has: counted piece by piece, and kept beside an index."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.data.disk import read_array
from keras_seq2seq.data.stored.texts import PairFile, StoredTexts
from keras_seq2seq.data.text import check_texts
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import write_atomically

# Texts that are tokenized at once.
PIECE = 2**16

_SIDES = ("source", "target")


def check_list(what: str, texts: Any) -> None:
    """`check_texts` of a list from Python; a tensor and an index hold strings by their kind."""
    if isinstance(texts, (list, tuple)):
        check_texts(what, texts)


def token_lengths(tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """`(texts,)`, int: tokens of each text, without an end token."""
    if not isinstance(texts, StoredTexts):
        return _counted(tokenizer, texts)
    lengths = [_of_file(tokenizer, file, texts.side) for file in texts.files]
    whole = lengths[0] if len(lengths) == 1 else np.concatenate(lengths)
    return whole if texts.numbers is None else whole[texts.numbers]


def pieces_of(texts: Sequence[str]) -> Iterator[tf.Tensor]:
    """The texts as tensors of some of them, in their order."""
    rest: Any = texts.iterate_encoded() if isinstance(texts, StoredTexts) else iter(texts)
    while piece := [*islice(rest, PIECE)]:
        yield tf.constant(piece, tf.string)


def _counted(tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    counts = [np.zeros(0, np.uint16)]
    for piece in pieces_of(texts):
        found = tokenizer.tokenize(piece).row_lengths().numpy()
        # Room for an end token, and for those that a text begins with.
        counts.append(found.astype(np.uint16 if found.max() < 2**15 else np.uint32))
    return np.concatenate(counts)


def _of_file(tokenizer: Any, file: PairFile, side: int) -> np.ndarray:
    if (mark := _fingerprint(tokenizer)) is None:
        return _counted(tokenizer, StoredTexts([file], side))
    known = file.lengths.get((side, mark))
    if known is not None:
        return known
    path = None if file.folder is None else file.folder / f"{_SIDES[side]}-{mark}.npy"
    if path is not None and path.exists():
        with contextlib.suppress(InputError):  # A broken one is made again.
            lengths = read_array(path, "r")
            if lengths.shape == (len(file),):
                file.lengths[side, mark] = lengths
                return lengths
    lengths = _counted(tokenizer, StoredTexts([file], side))
    if path is not None:
        with contextlib.suppress(InputError):  # Without it they are counted again.
            write_atomically(path, lambda new: np.save(new, lengths))
            lengths = read_array(path, "r")
    file.lengths[side, mark] = lengths
    return lengths


def _fingerprint(tokenizer: Any) -> str | None:
    """Of what a tokenizer does, whatever its name; `None` if it cannot tell."""
    try:
        record = keras.saving.serialize_keras_object(tokenizer)
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return None
    record["config"] = {n: v for n, v in record["config"].items() if n != "name"}
    text = json.dumps(record, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
