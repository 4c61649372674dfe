"""How a vocabulary is built and what makes it valid."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError, check_counts
from keras_seq2seq.special_tokens import SPECIAL_TOKENS


def count_tokens(lines: Iterable[Sequence[str]]) -> Counter[str]:
    """How often each token occurs: `[["a", "b"], ["a"]]` -> `{"a": 2, "b": 1}`."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(line)
    return counts


@checked
def build_vocabulary(
    lines: Iterable[Sequence[str]], *, min_count: int = 1, max_size: int | None = None
) -> list[str]:
    """Builds a vocabulary from tokenized lines, the most frequent token first.

    ```
    lines      [["b", "a"], ["a"]]
    vocabulary ["[PAD]", "[UNK]", "[START]", "[END]", "a", "b"]
    ```

    Ties are broken by code point, so the same data gives the same vocabulary on every
    machine. A token of the data that is spelled like a special token is left out: it would
    otherwise end a target in the middle. It becomes unknown and is counted as such.

    Args:
        lines: Tokens of each line.
        min_count: int. Tokens seen less often are left out (they become `[UNK]`).
        max_size: int, optional. Upper bound of the size, special tokens included.

    Returns:
        List of unique strings that starts with the four special tokens.

    Raises:
        InputError: If no token is left.
    """
    counts = count_tokens(lines)
    tokens = frequent_tokens(counts, min_count)
    if max_size is not None:
        tokens = tokens[: max(0, max_size - len(SPECIAL_TOKENS))]
    if not tokens:
        raise InputError(
            "The vocabulary is empty: no token occurs often enough. Received: "
            f"{len(counts)} different tokens, min_count={min_count}, max_size={max_size}."
        )
    return [*SPECIAL_TOKENS, *tokens]


def frequent_tokens(counts: Counter[str], min_count: int) -> list[str]:
    """The tokens that occur so often, the most frequent first; no special ones."""
    check_counts(min_count=min_count)
    return [
        token
        for token, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if count >= min_count and token not in SPECIAL_TOKENS
    ]


def check_vocabulary(vocabulary: Sequence[str]) -> list[str]:
    """Returns the vocabulary as a list, or raises `InputError` if it cannot be used."""
    vocabulary = list(vocabulary)
    if tuple(vocabulary[: len(SPECIAL_TOKENS)]) != SPECIAL_TOKENS:
        raise InputError(
            f"A vocabulary must start with {list(SPECIAL_TOKENS)}. "
            f"Received: {vocabulary[: len(SPECIAL_TOKENS)]}."
        )
    repeated = [token for token, count in Counter(vocabulary).items() if count > 1]
    if repeated:
        raise InputError(f"Tokens of a vocabulary must be unique. Repeated: {repeated[:5]}.")
    # One token a line in the exported file: a line break inside a token would split it.
    broken = [token for token in vocabulary if not token or "\n" in token or "\r" in token]
    if broken:
        raise InputError(
            f"A token must not be empty or hold a line break. Received: {broken[:5]}."
        )
    return vocabulary


def checked_lines(lines: Any) -> Iterable[str]:
    """The lines; `InputError` for one string, whose letters are no lines, and for none."""
    if isinstance(lines, str | bytes) or not isinstance(lines, Iterable):
        raise InputError(f"Lines must be a list of strings. Received: {lines!r:.60}.")
    return lines


def strings_of(lines: Any) -> tf.Tensor:
    """Lines, or one, as a tensor; `InputError` for what is no string or no valid Unicode."""
    try:
        return tf.convert_to_tensor(lines, tf.string)
    except (TypeError, ValueError) as error:
        several = lines if isinstance(lines, list | tuple) and lines else [lines]
        wrong = next((one for one in several if not isinstance(one, str | bytes)), several[0])
        raise InputError(f"A line must be a string. Received: {wrong!a:.60}.") from error
