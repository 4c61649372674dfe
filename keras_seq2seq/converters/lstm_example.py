"""Weights of Keras' old example `lstm_seq2seq`, ready to decode and to export."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.text_preprocessor import TextPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq, lstm
from keras_seq2seq.special_tokens import END_ID, SPECIAL_TOKENS, START_ID, UNKNOWN_ID
from keras_seq2seq.tokenizers import CharacterTokenizer


@keras.saving.register_keras_serializable("keras_seq2seq")
class PaddedCharacterTokenizer(CharacterTokenizer):
    """Characters, filled up to a fixed length, as that example feeds its encoder.

    Args:
        vocabulary: As for every tokenizer.
        length: int. Tokens of every source at least.
        padding_id: int. Id that fills up.
    """

    def __init__(self, vocabulary: Sequence[str], length: int, padding_id: int, **kwargs: Any):
        super().__init__(vocabulary, **kwargs)
        self.length = length
        self.padding_id = padding_id

    def tokenize(self, inputs: Any) -> Any:
        ids = super().tokenize(inputs)
        if not isinstance(ids, tf.RaggedTensor):
            missing = tf.maximum(0, self.length - tf.size(ids))
            return tf.pad(ids, [[0, missing]], constant_values=self.padding_id)
        missing = tf.maximum(0, self.length - tf.cast(ids.row_lengths(), tf.int32))
        filling = tf.fill([tf.reduce_sum(missing)], tf.constant(self.padding_id, ids.dtype))
        rows = tf.RaggedTensor.from_row_lengths(filling, tf.cast(missing, tf.int64))
        return tf.concat([ids, rows], axis=1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"length": self.length, "padding_id": self.padding_id}


@checked
def import_lstm_example(
    model: keras.Model | str | Path,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    *,
    source_length: int,
    max_target_length: int,
    padding: str | None = " ",
    start: str = "\t",
    end: str = "\n",
) -> Seq2Seq:
    """Rebuilds a model of the Keras example `lstm_seq2seq` with the same outputs.

    The example feeds one-hot vectors to an LSTM whose final state starts a second LSTM, and a
    softmax layer. Here an embedding holds the one-hot vectors (the identity), so the layers
    keep their weights: the probabilities are equal.

    Args:
        model: The trained model, or its `.h5` or `.keras` file: inputs `(None, source
            tokens)` and `(None, target tokens)`, layers LSTM, LSTM, Dense.
        source_tokens: The characters in the order of their index in the one-hot vectors
            (`input_token_index`).
        target_tokens: Likewise (`target_token_index`); with `start` and `end`.
        source_length: int. Length of the encoder's arrays (`max_encoder_seq_length`); a
            source has one character less at most.
        max_target_length: int. Target characters at most.
        padding: Character that fills the encoder's arrays; `None` where they are filled
            with zeros, as in older versions of the example.
        start: Character that begins a target. Defaults to a tab.
        end: Character that ends a target. Defaults to a line feed.

    Raises:
        InputError: If the file or the layers are others, or the tokens do not fit them.
    """
    if not isinstance(model, keras.Model):
        try:
            model = keras.models.load_model(model, compile=False)
        except Exception as error:  # Keras raises many kinds for a broken file.
            raise InputError(f"{model} cannot be loaded by Keras: {error}") from error
    encoder, decoder, dense = _layers(model)
    for side, tokens, layer in (
        ("source", source_tokens, encoder),
        ("target", target_tokens, decoder),
    ):
        size = layer.get_weights()[0].shape[0]
        if len(tokens) != size:
            raise InputError(
                f"The model has {size} {side} tokens. Received: {len(tokens)} tokens."
            )
    for name, token, tokens in (
        ("padding", padding, source_tokens),
        ("start", start, target_tokens),
        ("end", end, target_tokens),
    ):
        if token is not None and token not in tokens:
            raise InputError(f"The {name} character {token!r} is not among the tokens.")

    source_vocabulary = [*SPECIAL_TOKENS, *source_tokens]
    kept = [token for token in target_tokens if token not in (start, end)]
    # Row of the one-hot identity for each id here; the ids that the example lacks have zeros.
    source_rows: dict[int, int] = {i + 4: i for i in range(len(source_tokens))}
    padding_id = UNKNOWN_ID
    if padding is not None:
        padding_id = source_vocabulary.index(padding)
        source_rows[END_ID] = source_rows[padding_id]
    target_rows = {i + 4: list(target_tokens).index(token) for i, token in enumerate(kept)}
    target_rows |= {
        START_ID: list(target_tokens).index(start),
        END_ID: list(target_tokens).index(end),
    }
    preprocessor = TextPreprocessor(
        PaddedCharacterTokenizer(
            source_vocabulary, source_length - 1, padding_id, name="source_vocabulary"
        ),
        CharacterTokenizer([*SPECIAL_TOKENS, *kept], name="target_vocabulary"),
        source_length - 1,
        max_target_length,
    )
    width = max(len(source_tokens), len(target_tokens))
    rebuilt = lstm(
        preprocessor, embedding_dim=width, hidden_dim=encoder.units, num_layers=1, dropout=0.0
    )
    _assign(rebuilt, "encoder_embedding", _identity(len(source_vocabulary), width, source_rows))
    _assign(rebuilt, "decoder_embedding", _identity(len(kept) + 4, width, target_rows))
    for name, layer in (("encoder_lstm_0", encoder), ("decoder_lstm_0", decoder)):
        kernel, *others = layer.get_weights()
        # The narrower side's vectors end in zeros; what these meet does not matter.
        padded = np.pad(kernel, [(0, width - kernel.shape[0]), (0, 0)])
        _assign(rebuilt, name, padded, *others)
    kernel, bias = dense.get_weights()
    columns = np.zeros((kernel.shape[0], len(kept) + 4), np.float32)
    biases = np.full(len(kept) + 4, -1e9, np.float32)  # Padding and unknown: never.
    for token_id, index in target_rows.items():
        columns[:, token_id], biases[token_id] = kernel[:, index], bias[index]
    _assign(rebuilt, "decoder_logits", columns, biases)
    return rebuilt


def _layers(model: keras.Model) -> tuple[Any, Any, Any]:
    layers = [layer for layer in model.layers if layer.get_weights()]
    kinds = [type(layer).__name__ for layer in layers]
    if kinds != ["LSTM", "LSTM", "Dense"] or len(model.inputs) != 2:
        raise InputError(
            "Expected the layers of the example: LSTM, LSTM, Dense, and two inputs. "
            f"Received: {', '.join(kinds)}, and {len(model.inputs)} inputs."
        )
    expected = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}
    for layer in layers[:2]:
        config = layer.get_config()
        changed = {name: config[name] for name in expected if config[name] != expected[name]}
        if changed or config["go_backwards"]:
            raise InputError(f"{layer.name} is no plain LSTM. Received: {changed}.")
    if layers[0].units != layers[1].units:
        raise InputError(
            "The second LSTM must take the state of the first. Received: "
            f"{layers[0].units} and {layers[1].units} units."
        )
    return layers[0], layers[1], layers[2]


def _identity(rows: int, width: int, index: dict[int, int]) -> np.ndarray:
    matrix = np.zeros((rows, width), np.float32)
    for row, column in index.items():
        matrix[row, column] = 1.0
    return matrix


def _assign(model: keras.Model, start: str, *values: np.ndarray) -> None:
    weights = [weight for weight in model.weights if weight.path.startswith(start)]
    for weight, value in zip(weights, values, strict=True):
        weight.assign(value)
