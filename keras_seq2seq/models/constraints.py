"""What settings say in words and ratios, as ids and lengths of one model and batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.text import check_texts
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
    check_texts("Allowed target", settings.allowed)
    # Also where a graph is being built: these are constants of it.
    with tf.init_scope():
        ids = tokenizer.tokenize(list(settings.allowed)).to_list()
    rows = np.zeros((len(ids), max(map(len, ids)) + 1), np.int32)
    for index, (tokens, text) in enumerate(zip(ids, settings.allowed, strict=True)):
        _check_known(tokens, text, "allowed target", tokenizer)
        if len(tokens) >= max_length:
            raise InputError(
                f"The allowed target {text[:40]!r} has {len(tokens)} tokens; this generates at "
                f"most {max_length - 1}."
            )
        rows[index, : len(tokens) + 1] = [*tokens, tokenizer.end_token_id]
    return rows


def check_prefixes(
    prefixes: Sequence[str],
    greatest: np.ndarray,
    tokenizer: Any,
    allowed: np.ndarray | None,
) -> None:
    """Raises `InputError` for a prefix with an unknown token, without room, or of no target.

    Args:
        prefixes: One string a source; empty for none.
        greatest: `(sources,)`, int: target tokens at most, without the end token.
        tokenizer: The target tokenizer.
        allowed: As of `allowed_ids`, or `None`.
    """
    check_texts("Prefix", prefixes)
    for prefix, most, tokens in zip(
        prefixes, greatest, tokenizer.tokenize(list(prefixes)).to_list(), strict=True
    ):
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
    settings: GenerationSettings,
    max_length: int,
    source_lengths: Any,
    request_max_length: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Target tokens at least and at most of each source, without the end token.

    Args:
        settings: The settings.
        max_length: int. Tokens at most, the end token included.
        source_lengths: `(batch,)`, int32, without the end token.
        request_max_length: int32, scalar or `(batch,)`, optional: another limit, without the
            end token.

    Returns:
        Two tensors `(batch,)`, int32. They can contradict each other.
    """
    lengths = tf.cast(source_lengths, tf.float32)
    least = tf.fill(tf.shape(source_lengths), settings.min_length)
    most = tf.fill(tf.shape(source_lengths), max_length - 1)
    if settings.min_length_ratio:
        share = tf.math.ceil(settings.min_length_ratio * lengths - ROUNDING)
        least = tf.maximum(least, tf.cast(share, tf.int32))
    if settings.max_length_ratio is not None:
        share = tf.math.floor(settings.max_length_ratio * lengths + ROUNDING)
        most = tf.minimum(most, tf.maximum(tf.cast(share, tf.int32), 1))
    if request_max_length is not None:
        most = tf.minimum(most, request_max_length)
    return least, most
