"""The checks of contracts find what breaks them, and say where and why."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.decoding import (
    BeamSearch,
    DiverseBeamSearch,
    GreedySearch,
    LengthPenalty,
    Sampling,
    Temperature,
)
from keras_seq2seq.export import check_exports
from keras_seq2seq.layers import LuongAttention
from keras_seq2seq.models import (
    MeanEncoder,
    RecurrentDecoder,
    Seq2Seq,
    TokenEmbedding,
    ZeroBridge,
)
from keras_seq2seq.models.parts import DecoderOutput, EncoderOutput
from keras_seq2seq.testing import (
    ContractError,
    check_attention,
    check_decoder,
    check_encoder,
    check_rule,
    check_search,
)
from keras_seq2seq.testing.comparison import require_equal
from tests.zoo import tokens


def registered(part):
    return keras.saving.register_keras_serializable("tests")(part)


@registered
class Neighbourly(MeanEncoder):
    """Its convolution sees the padding."""

    def __init__(self, embedding, name="encoder"):
        super().__init__(embedding, name=name)
        self.layer = keras.layers.Conv1D(6, 3, padding="same", name=f"{name}_convolution")

    def __call__(self, inputs):
        vectors, mask = self.embedding(inputs)
        return EncoderOutput(self.layer(vectors), mask)

    def get_config(self):
        config = super().get_config()
        return {"embedding": config["embedding"], "name": config["name"]}


@registered
class Divided(MeanEncoder):
    """Of no positions it is not a number."""

    def __call__(self, inputs):
        vectors, mask = self.embedding(inputs)
        weights = keras.ops.cast(mask, vectors.dtype)[:, :, None]
        mean = keras.ops.sum(vectors * weights, 1) / keras.ops.sum(weights, 1)
        return EncoderOutput(vectors, mask, [[mean]])


class Unregistered(MeanEncoder):
    pass


def test_an_encoder_that_sees_its_neighbours_is_found():
    with pytest.raises(
        ContractError,
        match="Padding behind the sources changes the memory of the encoder: "
        r"\d+ of \d+ values differ by [\d.]+ \(allowed: 1e-05\), most at row 0, source "
        r'position 4, unit \d: .* in place of .* a convolution with padding="same"',
    ):
        check_encoder(Neighbourly(tokens()))


def test_a_mean_over_no_positions_is_found():
    with pytest.raises(
        ContractError, match="source of padding alone: .* are not finite, the f"
    ):
        check_encoder(Divided(tokens()))


def test_a_class_that_no_file_finds_is_found():
    with pytest.raises(ContractError, match="cannot be loaded: Could not .* 'Unregistered'"):
        check_encoder(Unregistered(tokens()))


class Forgetful(RecurrentDecoder):
    """Leaves a changed entry out."""

    def step(self, token, state):
        output = super().step(token, state)
        kept = {name: t for name, t in output.state.items() if not name.endswith("_c")}
        return DecoderOutput(output.logits, output.alignment, kept)


class Foresighted(RecurrentDecoder):
    """Reads the target from behind too."""

    def __call__(self, token_ids, state):
        output = super().__call__(token_ids, state)
        ahead = super().__call__(keras.ops.flip(token_ids, 1), state)
        return DecoderOutput(output.logits + 0.1 * keras.ops.flip(ahead.logits, 1))


@pytest.mark.parametrize(
    "part, message",
    [
        (Forgetful, r"whole sequence: .* row \d, position \d, token \d+: .* does not return"),
        (Foresighted, "Step by step is not the whole sequence"),
    ],
)
def test_a_decoder_of_two_minds_is_found(part, message):
    with pytest.raises(ContractError, match=message):
        check_decoder(part(TokenEmbedding(11, 6), 8))


class Unmasked(LuongAttention):
    def weigh(self, scores, memory_mask, alignment):
        return keras.ops.softmax(scores)


class Averaging(LuongAttention):
    def attend(self, query, memory, keys, memory_mask, alignment=None):
        context, weights = super().attend(query, memory, keys, memory_mask, alignment)
        return context + keras.ops.mean(memory, axis=1, keepdims=True), weights


@pytest.mark.parametrize(
    "layer_class, message",
    [
        (Unmasked, "A position that the mask hides has a weight: .* row 1, target position"),
        (Averaging, "What the mask hides changes the output: .* not a mean"),
    ],
)
def test_an_attention_to_what_is_hidden_is_found(layer_class, message):
    with pytest.raises(ContractError, match=message):
        check_attention(layer_class(7))


def looks_ahead(time, token_ids, log_probs):
    return log_probs - tf.one_hot(token_ids[:, :, -1], log_probs.shape[-1])


def permits(time, token_ids, log_probs):
    return tf.zeros_like(log_probs)


def forbids_with_infinity(time, token_ids, log_probs):
    return log_probs + tf.constant([-np.inf, *[0.0] * 6])


def favours_the_first(time, token_ids, log_probs):
    return log_probs - tf.range(3.0)[None, :, None]


def looks_around(time, token_ids, log_probs):
    past = token_ids[:, :, : tf.maximum(time, 1)] * tf.cast(time > 0, tf.int32)
    return log_probs - tf.cast(tf.reduce_sum(past), tf.float32)


def counts_in_python(time, token_ids, log_probs):
    return log_probs if tf.is_tensor(time) and hasattr(time, "numpy") else log_probs - 1.0


@pytest.mark.parametrize(
    "rule, message",
    [
        (looks_ahead, "At step 0 tokens from position 0 on change the log probabilities"),
        (permits, "makes a token possible that was impossible"),
        (forbids_with_infinity, "are not finite, the first at row 0, hypothesis 0, token 0"),
        (favours_the_first, "a hypothesis is treated by its place among the others"),
        (looks_around, "another row of the batch changes the log probabilities of row 0"),
        (counts_in_python, "the rule gives others in a graph"),
    ],
)
def test_a_rule_that_breaks_the_contract_is_found(rule, message):
    with pytest.raises(ContractError, match=message):
        check_rule(rule)


@pytest.mark.parametrize(
    "strategy",
    [
        GreedySearch(3),
        BeamSearch(4, 3, 2, length_rule=LengthPenalty(0.6)),
        DiverseBeamSearch(4, 2, 0.5, end_id=3),
        Sampling(3, 3, [Temperature(0.8)], seed=4),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_a_strategy_keeps_the_contract(strategy):
    check_search(strategy)


class Together(GreedySearch):
    """Goes on until all rows are done."""

    def choose(self, time, log_probs):
        return super().choose(
            time, log_probs - 0.5 * tf.reduce_mean(log_probs, 0, keepdims=True)
        )


class Endless(GreedySearch):
    def advance(self, time, limits, log_probs, observed, carry):
        return super().advance(time, limits + 9, log_probs, observed, carry)


class Bonus(GreedySearch):
    def advance(self, time, limits, log_probs, observed, carry):
        return super().advance(time, limits, log_probs + 0.5, observed, carry)


@pytest.mark.parametrize(
    "strategy, message",
    [
        (Together, "the token_ids of row 0: .* Rows must not see each other"),
        (Endless, "Row 0 may have 2 tokens and has"),
        (Bonus, "The log probability of a token is not the model's"),
    ],
)
def test_a_strategy_that_breaks_the_contract_is_found(strategy, message):
    with pytest.raises(ContractError, match=message):
        check_search(strategy(3))


def test_the_values_of_a_difference_are_named():
    expected = np.zeros((2, 3))
    received = expected.copy()
    received[1, 2] = 0.5
    with pytest.raises(
        ContractError,
        match=r"It: 1 of 6 values differ by 0.5 \(allowed: 0.1\), most at row 1, column 2: "
        "0.5 in place of 0.0. Why.",
    ):
        require_equal("It", received, expected, axes=("row", "column"), atol=0.1, cause="Why.")
    require_equal("It", received, expected, axes=("row", "column"), atol=0.5, cause="Why.")
    with pytest.raises(ContractError, match=r"the shape is \(1, 3\) in place of \(2, 3\)"):
        require_equal("It", received[:1], expected, axes=("row", "column"), cause="Why.")


@registered
class Inverting(MeanEncoder):
    """Has an operation that TFLite lacks."""

    def __call__(self, inputs):
        vectors, mask = self.embedding(inputs)
        square = keras.ops.matmul(keras.ops.transpose(vectors, (0, 2, 1)), vectors)
        inverse = keras.ops.inv(square + 9 * keras.ops.eye(6))
        return EncoderOutput(keras.ops.matmul(vectors, inverse), mask)


def test_what_cannot_be_exported_is_found():
    attention = LuongAttention(7)
    decoder = RecurrentDecoder(
        TokenEmbedding(13, 6), 8, attention=attention, bridge=ZeroBridge()
    )
    model = Seq2Seq(Inverting(tokens()), decoder)
    check_exports(model, formats=["saved_model"])
    with pytest.raises(ContractError, match="TFLite lacks operations of this model: MatrixInv"):
        check_exports(model, formats=["tflite"])
