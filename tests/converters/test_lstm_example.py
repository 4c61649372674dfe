"""A model of the old Keras example, rebuilt, gives what it gave."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from export import export_saved_model
from keras_seq2seq.converters import import_lstm_example
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model
from keras_seq2seq.settings import GenerationSettings

SOURCE = list(" abcde")
TARGET = list("\t\n XYZ")
LENGTH = 6  # Of the encoder's arrays.


def build():
    """The layers of the example."""
    source, target, units = len(SOURCE), len(TARGET), 5
    encoder_inputs = keras.Input((None, source))
    _, h, c = keras.layers.LSTM(units, return_state=True)(encoder_inputs)
    decoder_inputs = keras.Input((None, target))
    lstm = keras.layers.LSTM(units, return_sequences=True, return_state=True)
    outputs, _, _ = lstm(decoder_inputs, initial_state=[h, c])
    probabilities = keras.layers.Dense(target, activation="softmax")(outputs)
    return keras.Model([encoder_inputs, decoder_inputs], probabilities)


def one_hot(text, tokens):
    return np.eye(len(tokens), dtype="float32")[[tokens.index(letter) for letter in text]]


def encoder_array(text, padding):
    rows = np.zeros((LENGTH, len(SOURCE)), "float32")
    if padding is not None:
        rows[:, SOURCE.index(padding)] = 1
    rows[: len(text)] = one_hot(text, SOURCE)
    if padding is not None:
        rows[: len(text), SOURCE.index(padding)] *= np.array([c == padding for c in text])
    return rows


@pytest.fixture(scope="module")
def example():
    """Trained for one step, with weights that make its choices differ."""
    keras.utils.set_random_seed(5)
    model = build()
    model.compile("rmsprop", "categorical_crossentropy")
    sources = np.stack([encoder_array(text, " ") for text in ("abc", "de", "edcb")])
    targets = np.stack([one_hot("\tXYZ", TARGET)] * 3)
    model.fit([sources, targets], np.roll(targets, -1, axis=1), verbose=0)
    for weight in model.weights:
        weight.assign(weight * 3)
    return model


def greedy_of_the_example(model, text, padding, longest=8):
    """Its sampling loop, over the whole-sequence model."""
    target = "\t"
    while len(target) <= longest:
        inputs = [encoder_array(text, padding)[None], one_hot(target, TARGET)[None]]
        probabilities = model(inputs).numpy()[0, -1].copy()
        probabilities[0] = 0  # The start never follows.
        letter = TARGET[probabilities.argmax()]
        if letter == "\n":
            break
        target += letter
    return target[1:]


@pytest.mark.parametrize("padding", [" ", None])
def test_probabilities_are_equal(example, padding):
    model = import_lstm_example(
        example, SOURCE, TARGET, source_length=LENGTH, max_target_length=8, padding=padding
    )
    sources, targets = ["abc", "e", "a bcd"], ["XYZ", "ZZ ", "Y"]
    inputs, _, weights = model.preprocessor(sources, targets)
    received = tf.nn.softmax(model(inputs)).numpy()
    # Ids here: padding, unknown, start, end, then " XYZ".
    order = [TARGET.index(token) for token in ("\t", "\n", " ", "X", "Y", "Z")]
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        expected = example(
            [encoder_array(source, padding)[None], one_hot("\t" + target, TARGET)[None]]
        ).numpy()[0]
        shown = received[row, : len(target) + 1]
        np.testing.assert_allclose(shown[:, 2:], expected[:, order], atol=1e-6)
        assert (shown[:, :2] == 0).all()


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_a_file_decodes_saves_and_exports(example, tmp_path, ending):
    example.save(tmp_path / f"example.{ending}")
    model = import_lstm_example(
        tmp_path / f"example.{ending}",
        SOURCE,
        TARGET,
        source_length=LENGTH,
        max_target_length=8,
    )
    sources = ["abc", "e", "dedba"]
    expected = [greedy_of_the_example(example, source, " ") for source in sources]
    assert model.generate(sources) == expected
    assert len(set(expected)) > 1
    model.save(tmp_path / "model.keras")
    assert load_model(tmp_path / "model.keras").generate(sources) == expected
    export_saved_model(model, tmp_path / "saved_model", GenerationSettings(2))
    serving = tf.saved_model.load(tmp_path / "saved_model").signatures["serving_default"]
    outputs = serving(text=tf.constant([*sources, "abcdea"]))
    received = [text.decode() for text in outputs["text"].numpy()[:3, 0]]
    assert received == model.generate(sources, num_beams=2)
    assert b"has 6 tokens; this model takes at most 5" in outputs["error"].numpy()[3]


def test_other_models_and_tokens_that_do_not_fit_are_refused(example, tmp_path):
    sizes = {"source_length": LENGTH, "max_target_length": 8}
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(InputError, match="Expected the layers of the example.*Received: Dense"):
        import_lstm_example(other, SOURCE, TARGET, **sizes)
    with pytest.raises(InputError, match="has 6 source tokens. Received: 5 tokens"):
        import_lstm_example(example, SOURCE[:5], TARGET, **sizes)
    with pytest.raises(InputError, match="The end character 'q' is not among the tokens"):
        import_lstm_example(example, SOURCE, TARGET, end="q", **sizes)
    with pytest.raises(InputError, match="cannot be loaded by Keras"):
        import_lstm_example(tmp_path / "none.keras", SOURCE, TARGET, **sizes)
