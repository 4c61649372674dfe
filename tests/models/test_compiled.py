"""Search compiled by XLA gives what the graph gives."""

import numpy as np
import pytest
import tensorflow as tf

from export import export_saved_model
from keras_seq2seq.decoding import Hypotheses, decode_by_pieces
from keras_seq2seq.decoding.pieces import round_up
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from tests.zoo import FRAME_ENCODERS, FRAMES, MODELS, SOURCE, build, frame_model

# One of each kind of loop: what differs in the encoder alone differs ahead of it, and the
# encoders of frames are below.
KINDS = [
    "location-sensitive, context feeding",
    "monotonic, input feeding",
    "uneven depth and cells",
    "transformer, learned positions",
    "transformer, relative positions",
    "pointer-generator, transformer",
]
SETTINGS = [
    GenerationSettings(),
    GenerationSettings(num_beams=4, num_hypotheses=3, alignments=True, length_penalty=0.6),
    GenerationSettings(
        num_beams=4, num_beam_groups=2, diversity_penalty=0.5, max_length_ratio=0.5
    ),
    GenerationSettings(
        num_beams=3,
        no_repeat_ngram_size=2,
        repetition_penalty=1.3,
        coverage_penalty=0.2,
        min_length=3,
    ),
]


def test_sizes_are_rounded_up_to_four_an_octave():
    rounded = [int(round_up(tf.constant(size))) for size in range(36)]
    assert rounded[:9] == [1, 1, 2, 3, 4, 5, 6, 7, 8]
    assert rounded[9:18] == [10, 10, 12, 12, 14, 14, 16, 16, 20]
    assert rounded[32:36] == [32, 40, 40, 40]
    assert int(round_up(tf.constant(2**20 + 1))) == 2**20 + 2**18


@pytest.mark.parametrize("num_pieces", [1, 2, 3])
def test_rows_keep_their_places_and_padding_is_cut(num_pieces):
    shapes = []

    def function(piece):
        ids = piece["ids"]
        shapes.append(ids.shape)
        totals = tf.reduce_sum(ids, axis=1)[:, None]
        real = tf.cast(totals, tf.float32)
        return Hypotheses(ids[:, None, :1], totals, real, real, real[:, :, None])

    @tf.function(autograph=False)
    def decode(ids):
        return decode_by_pieces(function, {"ids": ids}, num_pieces=num_pieces, longest=9)

    decode = decode.get_concrete_function(tf.TensorSpec([None, None], tf.int32))
    for batch in (0, 1, 7, 8, 15, 16, 17, 33):
        ids = np.arange(batch * 9, dtype=np.int32).reshape(batch, 9)
        received = decode(tf.constant(ids))
        np.testing.assert_array_equal(received.lengths, ids.sum(axis=1)[:, None])
        np.testing.assert_array_equal(received.token_ids, ids[:, None, :1])
        assert received.alignments is None
    assert len(shapes) == 1


@pytest.mark.parametrize("grows", [False, True])
def test_an_array_that_grows_is_refused(grows):
    """XLA would compile it and lose what is written."""

    def function(piece):
        totals = tf.reduce_sum(piece["ids"], axis=1)[:, None]

        def write(i, array):
            return i + 1, array.write(i, totals + i)

        size = 0 if grows else 3
        array = tf.TensorArray(tf.int32, size, dynamic_size=grows, element_shape=[None, 1])
        _, array = tf.while_loop(lambda i, _: i < 3, write, [0, array])
        ids = tf.transpose(array.stack(), [1, 2, 0])
        real = tf.cast(totals, tf.float32)
        return Hypotheses(ids, totals, real, real, real[:, :, None])

    @tf.function(autograph=False)
    def decode(ids):
        return decode_by_pieces(function, {"ids": ids}, num_pieces=2)

    ids = tf.constant([[1, 2], [3, 4]])
    if grows:
        with pytest.raises(InputError, match=r"a `tf.TensorArray` that grows.*Give the array"):
            decode(ids)
    else:
        np.testing.assert_array_equal(decode(ids).token_ids[:, 0], [[3, 4, 5], [7, 8, 9]])


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_search_says_the_same(text_model, pairs, settings):
    sources = pairs.sources[:20]
    expected = text_model.search(sources, settings)
    received = text_model.search(sources, settings, jit_compile=True)
    np.testing.assert_array_equal(received.token_ids, expected.token_ids)
    np.testing.assert_allclose(received.scores, expected.scores, atol=1e-4)
    if settings.alignments:
        width = expected.alignments.shape[-1]
        np.testing.assert_allclose(
            received.alignments[..., :width], expected.alignments, atol=1e-4
        )
        assert not received.alignments[..., width:].any()


def test_samples_are_the_same_for_the_same_seed_and_have_their_log_probs(text_model, pairs):
    sources = pairs.sources[:20]
    settings = GenerationSettings(sample=True, num_hypotheses=3, seed=3)
    received = text_model.search(sources, settings, jit_compile=True)
    again = text_model.search(sources, settings, jit_compile=True)
    np.testing.assert_array_equal(received.token_ids, again.token_ids)
    # No two rows have the same noise.
    same = text_model.search([sources[0]] * 20, settings, jit_compile=True)
    assert len(set(map(bytes, same.token_ids))) > 10
    texts = [row[0] for row in text_model.texts(received)]
    np.testing.assert_allclose(
        received.log_probs[:, 0], text_model.score(sources, texts), atol=1e-3
    )


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_a_batch_of_any_size(text_model, pairs, batch):
    sources = pairs.sources[:batch]
    assert text_model.generate(sources, jit_compile=True) == text_model.generate(sources)


def test_prefixes_are_refused(text_model):
    with pytest.raises(InputError, match="jit_compile=True and prefixes"):
        text_model.generate(["ab"], prefixes="", jit_compile=True)


def check(model, inputs):
    settings = GenerationSettings(num_beams=2, max_length=6)

    @tf.function(autograph=False)
    def compiled(inputs):
        return model.generate_ids_compiled(inputs, settings, 2)

    inputs = {name: tf.constant(array) for name, array in inputs.items()}
    expected, received = model.generate_ids(inputs, settings), compiled(inputs)
    np.testing.assert_array_equal(received.token_ids, expected.token_ids)
    np.testing.assert_allclose(received.scores, expected.scores, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_every_family_compiles(name):
    assert name in MODELS
    check(build(name), {"encoder_token_ids": SOURCE})


def test_a_model_whose_shapes_depend_on_values_is_refused():
    model = build("sentences")
    with pytest.raises(InputError, match="cannot be compiled by XLA.*Leave `jit_compile` out"):
        model.generate_ids_compiled({"encoder_token_ids": SOURCE}, GenerationSettings(), 2)


@pytest.mark.parametrize("name", FRAME_ENCODERS)
def test_every_encoder_of_frames_compiles(name):
    check(frame_model(name), FRAMES)


def test_a_compiled_export_says_the_same(text_model, pairs, tmp_path):
    settings = GenerationSettings(num_beams=3, num_hypotheses=2)
    export_saved_model(text_model, tmp_path / "model", settings, xla_threads=2)
    serve = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    for count in (1, 19):
        sources = pairs.sources[:count]
        expected = text_model.search(sources, settings)
        received = serve(text=tf.constant(sources))
        np.testing.assert_array_equal(received["token_ids"], expected.token_ids)
        np.testing.assert_allclose(received["log_probs"], expected.log_probs, atol=1e-4)
    received = serve(text=tf.constant([sources[0], ""]))
    assert received["error"].numpy()[0] == b"" and received["error"].numpy()[1] != b""
    with pytest.raises(InputError, match="xla_threads must be at least 0. Received: -1"):
        export_saved_model(text_model, tmp_path / "other", settings, xla_threads=-1)
