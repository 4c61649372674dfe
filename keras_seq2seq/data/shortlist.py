"""Which target tokens the tokens of a source allow: learned from pairs, kept in a file."""

import functools
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.data.disk import array_errors
from keras_seq2seq.data.lexical_translation import (
    Lexicon,
    TokenPairs,
    lexical_translation,
    token_pairs,
)
from keras_seq2seq.errors import InputError, check_counts
from keras_seq2seq.files import disk_errors, write_atomically
from keras_seq2seq.special_tokens import SPECIAL_TOKENS

FORMAT = "keras_seq2seq shortlist 1"
# A list is made as long as a multiple of it.
ROUNDING = 64
# Sources whose lists are counted, and batches of each size.
SAMPLE, DRAWS = 1024, 32
# Powers of two from 1: the sizes of batches for which the file says how long a list becomes.
BATCH_SIZES = 11


@dataclass(frozen=True)
class Shortlist:
    """The target tokens that source tokens allow.

    Attributes:
        table: `(source vocabulary, candidates)`, int32: ids that each source token allows, the
            most probable first, padded with 0.
        common: `(count,)`, int32: ids that every source allows.
        sizes: `(11,)`, int32: tokens that the sources of a batch of 1, 2, 4, ..., 1024 allow
            together.
        fingerprint: string. Of both vocabularies.
    """

    table: np.ndarray
    common: np.ndarray
    sizes: np.ndarray
    fingerprint: str

    def size_of(self, batch_size: int) -> int:
        """Tokens that a list for so many sources has room for."""
        return int(self.sizes[min((batch_size - 1).bit_length(), BATCH_SIZES - 1)])

    def write(self, path: Path | str) -> None:
        """Writes the file, over an older one, in one step."""
        arrays: dict[str, Any] = {
            "format": np.array(FORMAT),
            "fingerprint": np.array(self.fingerprint),
            "table": self.table,
            "common": self.common,
            "sizes": self.sizes,
        }

        def write(temporary: Path) -> None:
            with open(temporary, "wb") as file:
                np.savez(file, **arrays)

        write_atomically(path, write)


def learn_shortlist(
    preprocessor: Any,
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    best: int = 50,
    common: int = 100,
    iterations: int = 5,
) -> tuple[Shortlist, float]:
    """Learns a shortlist from pairs of texts.

    A source token allows the target tokens that IBM model 1 finds most probable, and that of
    its own name, which names and numbers are copied as.

    Args:
        preprocessor: `TextPreprocessor`.
        sources: Texts.
        targets: As many.
        best: int. Target tokens a source token. Defaults to 50.
        common: int. The most frequent target tokens, which every source allows. Defaults to
            100.
        iterations: int. Passes of model 1. Defaults to 5.

    Returns:
        The shortlist, and the share of the target tokens of the pairs that it allows.

    Raises:
        InputError: If the sources are no texts, there is no pair, or a number is below 1.

    Reference:
        [Jean et al., 2015](https://aclanthology.org/P15-1001), section 3.3.
    """
    check_counts(best=best, common=common, iterations=iterations)
    if preprocessor.kind != "text":
        raise InputError(
            "A shortlist is learned from texts on both sides, and the sources of this model "
            f"are {preprocessor.kind}."
        )
    if not len(sources):
        raise InputError("A shortlist is learned from pairs. Received none.")
    vocabularies = [
        preprocessor.tokenizers[side].get_vocabulary() for side in ("source", "target")
    ]
    size = len(vocabularies[1])

    def batches() -> Iterator[TokenPairs]:
        return token_pairs(preprocessor, sources, targets)

    lexicon = lexical_translation(batches, size, iterations)
    counts = sum(np.bincount(batch.target, minlength=size) for batch in batches())
    frequent = np.argsort(-np.asarray(counts), kind="stable")[:common]
    always = np.union1d(np.arange(len(SPECIAL_TOKENS)), frequent).astype(np.int32)
    table = _table(lexicon, vocabularies, best)
    allowed = [_allowed(table, always, batch, size) for batch in batches()]
    hits, total = np.sum(allowed, 0)
    sizes = _sizes(table, always, next(iter(batches())), size)
    found = Shortlist(table, always, sizes, fingerprint(preprocessor))
    return found, float(hits / total)


@functools.lru_cache(2)
def fingerprint(preprocessor: Any) -> str:
    """Of both vocabularies, whose ids a shortlist holds."""
    both = [tokenizer.get_vocabulary() for tokenizer in preprocessor.tokenizers.values()]
    return hashlib.sha256(json.dumps(both).encode()).hexdigest()


def read_shortlist(path: Path, preprocessor: Any) -> Shortlist:
    """Reads a file that `Shortlist.write` wrote; one that was read before is kept.

    Raises:
        InputError: If there is no such file, it is damaged or of another kind, or was learned
            with other vocabularies than those of `preprocessor`.
    """
    with disk_errors(path, "read"):
        if not path.is_file():
            what = "a folder" if path.is_dir() else "no such file"
            raise InputError(f"{path}: {what}. Give a file of `keras-seq2seq shortlist`.")
        status = os.stat(path)
        sizes = [one.vocabulary_size() for one in preprocessor.tokenizers.values()]
        found = _read(str(path), status.st_mtime_ns, status.st_size, *sizes)
    if found.fingerprint != fingerprint(preprocessor):
        raise InputError(
            f"{path} was learned with other vocabularies than those of this model. Learn one "
            "with `keras-seq2seq shortlist`."
        )
    return found


@functools.lru_cache(8)
def _read(path: str, time: int, size: int, rows: int, vocabulary_size: int) -> Shortlist:
    """`time` and `size` tell a file that was replaced."""
    with array_errors(path, "a shortlist"):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    # It is written without compression.
    if unpacked > size:
        raise InputError(f"{path} is no shortlist: it unpacks to more than it is.")
    with array_errors(path, "a shortlist"), np.load(path, allow_pickle=False) as arrays:
        held = dict(arrays)
    written = str(held.get("format"))
    if written != FORMAT:
        raise InputError(
            f"{path} has another format. Expected: {FORMAT}. Received: {written:.60}."
        )
    with array_errors(path, "a shortlist"):
        names = ("table", "common", "sizes")
        table, common, sizes = (np.asarray(held[name], np.int32) for name in names)
        learned_with = str(held["fingerprint"])
    found = Shortlist(table, common, sizes, learned_with)
    shapes = found.table.ndim, found.common.ndim, found.sizes.shape
    if shapes != (2, 1, (BATCH_SIZES,)) or found.sizes.min() < 1:
        raise InputError(f"{path} is damaged: its arrays have other shapes. Learn it again.")
    ids = found.table.ravel(), found.common
    least, most = min(one.min(initial=0) for one in ids), max(one.max(initial=0) for one in ids)
    if len(found.table) != rows or least < 0 or most >= vocabulary_size:
        raise InputError(
            f"{path} has ids that are not of this model's vocabularies, {rows} and "
            f"{vocabulary_size} tokens. Learn one with `keras-seq2seq shortlist`."
        )
    return found


def _table(lexicon: Lexicon, vocabularies: Sequence[Sequence[str]], best: int) -> np.ndarray:
    """The most probable targets of each source token, and that of the same name."""
    source_tokens, target_tokens = vocabularies
    table = np.zeros((len(source_tokens), best + 1), np.int32)
    order = np.lexsort((-lexicon.probability, lexicon.source))
    order = order[lexicon.probability[order] > 0]
    source = lexicon.source[order]
    rank = np.arange(len(order)) - np.searchsorted(source, source)
    kept = rank < best
    table[source[kept], rank[kept]] = lexicon.target[order[kept]]
    ids = {token: number for number, token in enumerate(target_tokens)}
    table[:, best] = [ids.get(token, 0) for token in source_tokens]
    return table


def _lists(table: np.ndarray, common: np.ndarray, pairs: TokenPairs, size: int) -> np.ndarray:
    """`(pairs, target vocabulary)`, bool: the tokens that each source allows."""
    row, _ = pairs.rows()
    lists = np.zeros((len(pairs.source_splits) - 1, size), bool)
    lists[row[:, None], table[pairs.source]] = True
    lists[:, common] = True
    return lists


def _allowed(
    table: np.ndarray, common: np.ndarray, pairs: TokenPairs, size: int
) -> tuple[int, int]:
    """How many target tokens the lists of their sources hold, of how many."""
    _, row = pairs.rows()
    hits = _lists(table, common, pairs, size)[row, pairs.target]
    return int(hits.sum()), hits.size


def _sizes(table: np.ndarray, common: np.ndarray, pairs: TokenPairs, size: int) -> np.ndarray:
    """Of batches of 1, 2, 4, ... sources the longest lists that draws of them have."""
    lists = _lists(table, common, pairs, size)[:SAMPLE]
    random = np.random.default_rng(0)
    longest = []
    for power in range(BATCH_SIZES):
        count = min(2**power, len(lists))
        if power == 0:
            found = int(lists.sum(1).max(initial=1))
        else:
            draws = (random.permutation(len(lists))[:count] for _ in range(DRAWS))
            found = max(int(lists[rows].any(0).sum()) for rows in draws)
        longest.append(min(-(-found // ROUNDING) * ROUNDING, size))
    return np.maximum.accumulate(longest).astype(np.int32)
