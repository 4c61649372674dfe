"""What settings say in words and ratios, as ids and lengths of one model and batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.text import check_texts, why_no_text
from keras_seq2seq.decoding import Values
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings

# So that 0.1 times 30 is 3 and not the next integer.
ROUNDING = 1e-4


def token_ids_of(words: Sequence[str], tokenizer: Any) -> list[int]:
    """The id of each word.

    Raises:
        InputError: If a word is not one token of the vocabulary.
    """
    ids = [tokenizer.token_to_id(word) for word in words]
    for word, token_id in zip(words, ids, strict=True):
        if tokenizer.id_to_token(token_id) != word:
            raise InputError(
                f"{word!r} is no token of the target vocabulary, so it can be neither "
                "suppressed nor biased. Give a single token of the vocabulary."
            )
    return ids


def biases_of(settings: GenerationSettings, tokenizer: Any) -> dict[int, float]:
    """Token id -> its bias.

    Raises:
        InputError: If a word is unknown, or a token has two biases.
    """
    ids = token_ids_of([word for word, _ in settings.bias], tokenizer) if settings.bias else []
    pairs = [*zip(ids, (number for _, number in settings.bias), strict=True)]
    biases: dict[int, float] = {}
    for token_id, number in (*pairs, *settings.bias_ids):
        if token_id in biases:
            raise InputError(f"The token with the id {token_id} has two biases; give one.")
        biases[token_id] = number
    return biases


def check_ids(token_ids: Sequence[int], vocabulary_size: int) -> None:
    """Raises `InputError` for an id that the vocabulary does not have."""
    for token_id in token_ids:
        if not 0 <= token_id < vocabulary_size:
            raise InputError(
                f"A token id must be from 0 to {vocabulary_size - 1}, the target vocabulary. "
                f"Received: {token_id}."
            )


def allowed_ids(settings: GenerationSettings, tokenizer: Any, max_length: int) -> np.ndarray:
    """The allowed targets `(targets, length)`, int32, with end token and padding.

    Raises:
        InputError: If one has an unknown token or more tokens than are generated.
    """
    targets = settings.allowed or ()
    check_texts("Allowed target", targets)
    # Also where a graph is being built: these are constants of it.
    with tf.init_scope():
        ids = tokenizer.tokenize(list(targets)).to_list()
    rows = np.zeros((len(ids), max(map(len, ids)) + 1), np.int32)
    for index, (tokens, text) in enumerate(zip(ids, targets, strict=True)):
        _check_known(tokens, text, "allowed target", tokenizer)
        if len(tokens) >= max_length:
            raise InputError(
                f"The allowed target {text[:40]!r} has {len(tokens)} tokens; this generates at "
                f"most {max_length - 1}."
            )
        rows[index, : len(tokens) + 1] = [*tokens, tokenizer.end_token_id]
    return rows


def prefix_problems(
    prefixes: Sequence[str],
    greatest: Sequence[int] | np.ndarray,
    tokenizer: Any,
    allowed: np.ndarray | None,
) -> dict[int, str]:
    """Of each prefix with an unknown token, without room, or of no target, by its index: why.

    Args:
        prefixes: One string a source; empty for none.
        greatest: `(sources,)`, int: target tokens at most, without the end token.
        tokenizer: The target tokenizer.
        allowed: As of `allowed_ids`, or `None`.
    """
    problems = {
        i: f"has a prefix that {why}"
        for i, one in enumerate(prefixes)
        if (why := why_no_text(one))
    }
    readable = [i for i in range(len(prefixes)) if i not in problems]
    texts = [str(prefixes[i]) for i in readable]
    rows = tokenizer.tokenize(texts).to_list() if any(texts) else []
    for index, tokens in zip(readable, rows, strict=False):
        try:
            _check_prefix(prefixes[index], tokens, greatest[index], tokenizer, allowed)
        except InputError as error:
            problems[index] = f"has a prefix that does not fit. {error}"
    return problems


def _check_prefix(
    prefix: str, tokens: Sequence[int], most: int, tokenizer: Any, allowed: np.ndarray | None
) -> None:
    _check_known(tokens, prefix, "prefix", tokenizer)
    if len(tokens) > most:
        raise InputError(
            f"The prefix {prefix[:40]!r} has {len(tokens)} tokens; this generates at most "
            f"{most}."
        )
    if allowed is not None:
        # The column of an end token never equals a token: a whole target is a prefix too.
        head = allowed[:, : len(tokens)]
        if head.shape[1] < len(tokens) or not (head == tokens).all(1).any():
            raise InputError(f"The prefix {prefix[:40]!r} begins no allowed target.")


def _check_known(tokens: Sequence[int], text: str, what: str, tokenizer: Any) -> None:
    if tokenizer.unknown_token_id in tokens:
        pieces = tokenizer.split_text(text)
        unknown = pieces[tokens.index(tokenizer.unknown_token_id)]
        raise InputError(
            f"The {what} {text[:40]!r} has the token {unknown!r}, which the target vocabulary "
            "lacks."
        )


def length_range(
    settings: GenerationSettings, values: Values, source_lengths: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """Target tokens at least and at most of each source, without the end token.

    Args:
        settings: The settings.
        values: Numbers or tensors by name; `max_length` may be `(batch,)`.
        source_lengths: `(batch,)`, int32, without the end token.

    Returns:
        Two tensors `(batch,)`, int32. They can contradict each other.
    """
    lengths = tf.cast(source_lengths, tf.float32)
    least = tf.broadcast_to(values["min_length"], tf.shape(source_lengths))
    most = tf.broadcast_to(values["max_length"], tf.shape(source_lengths))
    if settings.min_length_ratio:
        share = tf.math.ceil(values["min_length_ratio"] * lengths - ROUNDING)
        least = tf.maximum(least, tf.cast(share, tf.int32))
    if settings.max_length_ratio is not None:
        share = tf.math.floor(values["max_length_ratio"] * lengths + ROUNDING)
        most = tf.minimum(most, tf.maximum(tf.cast(share, tf.int32), 1))
    return least, most
