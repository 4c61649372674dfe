"""A trained model with other tokens, lengths or rates: built anew, its weights carried over."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_seq2seq.data.preprocessor import Preprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.models.seq2seq import Seq2Seq
from keras_seq2seq.special_tokens import SPECIAL_TOKENS


def rebuilt(
    model: Seq2Seq,
    preprocessor: Preprocessor | None = None,
    rates: dict[str, float] | None = None,
    ctc_weight: float | None = None,
) -> Seq2Seq:
    """The model with changes that leave its trained weights what they are.

    The rows that new tokens have in embeddings, logits and biases begin as the mean of those
    of the old tokens, the special ones left out. Nothing is shared with the model given.

    Args:
        model: `Seq2Seq`.
        preprocessor: That of the model with tokens added behind its own, or with other
            greatest lengths; optional.
        rates: Shares dropped in training by name: `dropout`, `attention_dropout`,
            `recurrent_dropout`; a part that has none of a name is left as it is. Optional.
        ctc_weight: float, optional. Weight of its `CTCLoss`.

    Returns:
        `Seq2Seq`, not compiled, without scheduled sampling.

    Raises:
        InputError: If learned positions do not reach the greatest length.
    """
    config = model.get_config() | {"scheduled_sampling": None}
    values: dict[str, Any] = dict(rates or {})
    source, target = dict(values), dict(values)
    if preprocessor is not None:
        config["preprocessor"] = keras.saving.serialize_keras_object(preprocessor)
        name, size = preprocessor.source_size
        if name == "vocabulary_size":
            source[name] = size
        target["vocabulary_size"] = preprocessor.target_tokenizer.vocabulary_size()
        positions = model.encoder.embedding.output_length(preprocessor.source_positions)
        source |= _longer(model.encoder, positions, "source")
        target |= _longer(model.decoder, preprocessor.max_target_length + 1, "target")
    config["encoder"] = _with(config["encoder"], source)
    config["decoder"] = _with(config["decoder"], target)
    if model.ctc is not None:
        head = {n: v for n, v in target.items() if n == "vocabulary_size"}
        if ctc_weight is not None:
            head["weight"] = ctc_weight
        config["ctc"] = _with(config["ctc"], head)
    new = Seq2Seq.from_config(config)
    sampling = model.scheduled_sampling
    left_out = {id(weight) for weight in (sampling.weights if sampling else ())}
    old = [weight for weight in model.weights if id(weight) not in left_out]
    _carry_over(old, new.weights)
    return new


def _longer(part: Any, needed: int, side: str) -> dict[str, int]:
    """The setting of a part that has no room for so many positions."""
    if part.max_length is None or needed <= part.max_length:
        return {}
    inner = getattr(part, "decoder", part)
    if getattr(inner, "positions", None) == "learned":
        raise InputError(
            f"This model has learned {part.max_length} {side} positions, the end token "
            f"included, and no more can be had. Received: {needed}. Give a smaller "
            f"--max-{side}-length, or leave it out."
        )
    return {"max_length": needed}


def _with(config: Any, values: dict[str, Any]) -> Any:
    """A configuration with values replaced by name, wherever they stand in it."""
    if isinstance(config, list):
        return [_with(item, values) for item in config]
    if not isinstance(config, dict):
        return config
    return {name: values.get(name, _with(item, values)) for name, item in config.items()}


def _carry_over(old: Sequence[keras.Variable], new: Sequence[keras.Variable]) -> None:
    for source, weight in zip(old, new, strict=True):
        value = keras.ops.convert_to_numpy(source)
        for axis, (had, has) in enumerate(zip(source.shape, weight.shape, strict=True)):
            if has > had:
                value = _with_means(value, axis, has - had)
        weight.assign(value)


def _with_means(value: np.ndarray, axis: int, count: int) -> np.ndarray:
    """More entries of the axis of the vocabulary, each the mean of those of old tokens."""
    tokens = np.arange(len(SPECIAL_TOKENS), value.shape[axis])
    mean = np.take(value, tokens, axis).mean(axis, keepdims=True, dtype=np.float64)
    added = np.repeat(mean.astype(value.dtype), count, axis)
    return np.concatenate([value, added], axis)
