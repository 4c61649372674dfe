"""The contract of every encoder-decoder: two views of the same layers that agree."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.data import training_data
from keras_seq2seq.decoding import BeamSearch, GreedySearch
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import LuongAttention
from keras_seq2seq.models import (
    CopyBridge,
    DenseBridge,
    RecurrentDecoder,
    RecurrentEncoder,
    Seq2Seq,
    TransformerDecoder,
    TransformerEncoder,
    ZeroBridge,
    load_model,
    lstm,
)

SOURCE_VOCABULARY, TARGET_VOCABULARY = 11, 13
END = 3

# Two sources of different length, two targets of different length; 0 is padding.
SOURCE = np.array([[5, 6, 7, 8, 3], [9, 10, 3, 0, 0]], "int32")
TARGET = np.array([[2, 4, 5, 6, 7, 8], [2, 9, 10, 0, 0, 0]], "int32")
LABELS = np.array([[4, 5, 6, 7, 8, 3], [9, 10, 3, 0, 0, 0]], "int32")

MODELS = {
    "lstm": lambda: (encoder(), decoder(bridge=CopyBridge())),
    "gru": lambda: (encoder(cell="gru"), decoder(cell="gru", bridge=CopyBridge())),
    "lstm deep": lambda: (encoder(num_layers=2), decoder(num_layers=2, bridge=CopyBridge())),
    "lstm dot": lambda: (encoder(), decoder(attention=LuongAttention(7, score="dot"))),
    "bidirectional general": lambda: (
        encoder(bidirectional=True),
        decoder(attention=LuongAttention(7)),
    ),
    "bidirectional gru, lstm decoder, uneven depth": lambda: (
        encoder(cell="gru", bidirectional=True, num_layers=2),
        decoder(num_layers=3, attention=LuongAttention(5), bridge=DenseBridge()),
    ),
    "zero bridge": lambda: (
        encoder(),
        decoder(attention=LuongAttention(7), bridge=ZeroBridge()),
    ),
    "transformer": lambda: (
        TransformerEncoder(SOURCE_VOCABULARY, 8, 12, num_heads=2, num_layers=2),
        TransformerDecoder(TARGET_VOCABULARY, 8, 12, num_heads=2, num_layers=2, max_length=10),
    ),
    "transformer encoder, lstm decoder": lambda: (
        TransformerEncoder(SOURCE_VOCABULARY, 8, 12, num_heads=2, num_layers=1),
        decoder(attention=LuongAttention(7), bridge=ZeroBridge()),
    ),
    "bidirectional encoder, transformer decoder": lambda: (
        encoder(bidirectional=True),
        TransformerDecoder(TARGET_VOCABULARY, 8, 12, num_heads=2, num_layers=1, max_length=10),
    ),
    "dropout": lambda: (
        encoder(bidirectional=True, dropout=0.3),
        decoder(attention=LuongAttention(7), dropout=0.3),
    ),
}


def encoder(**settings):
    return RecurrentEncoder(SOURCE_VOCABULARY, 6, 8, **settings)


def decoder(**settings):
    return RecurrentDecoder(TARGET_VOCABULARY, 6, 8, **settings)


def build(name):
    keras.utils.set_random_seed(1)
    model = Seq2Seq(*MODELS[name]())
    for weight in model.weights:
        weight.assign(weight * 1.5)
    return model


@pytest.fixture(params=MODELS)
def model(request):
    return build(request.param)


def whole(model, source=SOURCE, target=TARGET):
    inputs = {"encoder_token_ids": source, "decoder_token_ids": target}
    return keras.ops.convert_to_numpy(model(inputs, training=False))


def stepped(model, source=SOURCE, target=TARGET):
    state = model.encode({"encoder_token_ids": source})
    logits = []
    for time in range(target.shape[1]):
        step_logits, changed = model.step(target[:, time], state)
        assert set(changed) <= set(state)
        state = {**state, **changed}
        logits.append(keras.ops.convert_to_numpy(step_logits))
    return np.stack(logits, 1)


def test_step_by_step_is_the_whole_sequence(model):
    np.testing.assert_allclose(stepped(model), whole(model), atol=1e-5)


@pytest.mark.parametrize("name", ["bidirectional general", "transformer"])
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_step_by_step_is_the_whole_sequence_in_mixed_precision(dtype, name):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        model = build(name)
        logits = whole(model)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(stepped(model), logits, atol=0.05)
        result = model.decode({"encoder_token_ids": tf.constant(SOURCE)}, BeamSearch(2, END), 6)
        assert np.isfinite(result.scores).all()
    finally:
        keras.config.set_dtype_policy(policy)


def test_padding_of_a_source_changes_nothing(model):
    padded = np.pad(SOURCE, [(0, 0), (0, 4)])
    np.testing.assert_allclose(whole(model, padded), whole(model), atol=1e-5)


def test_a_row_of_a_batch_is_the_row_alone(model):
    alone = whole(model, SOURCE[1:, :3], TARGET[1:])
    np.testing.assert_allclose(whole(model)[1:], alone, atol=1e-5)


def test_a_later_token_does_not_change_an_earlier_logit(model):
    changed = TARGET.copy()
    changed[:, 4:] = 11
    np.testing.assert_allclose(whole(model, target=changed)[:, :4], whole(model)[:, :4])


def test_a_source_of_padding_alone_is_finite(model):
    assert np.isfinite(whole(model, np.zeros_like(SOURCE))).all()


def test_a_saved_model_is_the_model(model, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = load_model(path)
    np.testing.assert_array_equal(whole(loaded), whole(model))
    np.testing.assert_array_equal(stepped(loaded), stepped(model))


def test_the_inference_models_are_saved_and_loaded_on_their_own(tmp_path):
    model = build("bidirectional general")
    state = model.encode({"encoder_token_ids": SOURCE})
    for part, inputs in [
        (model.encoder_model, {"encoder_token_ids": SOURCE}),
        (model.decoder_model, {"token": keras.ops.convert_to_tensor(TARGET[:, 0]), **state}),
    ]:
        path = tmp_path / f"{part.name}.keras"
        part.save(path)
        loaded = keras.models.load_model(path)
        for name, expected in part(inputs).items():
            np.testing.assert_array_equal(loaded(inputs)[name], expected)


def test_training_changes_the_inference_models():
    model = build("bidirectional general")
    before = stepped(model)
    model.compile(keras.optimizers.Adam(0.01))
    fit(model, epochs=1)
    after = stepped(model)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, whole(model), atol=1e-5)


def test_a_gradient_step_lowers_the_loss(model):
    model.compile(keras.optimizers.SGD(0.05))
    losses = fit(model, epochs=6).history["loss"]
    assert losses[-1] < losses[0]


def fit(model, epochs):
    inputs = {"encoder_token_ids": SOURCE, "decoder_token_ids": TARGET}
    weights = (LABELS != 0).astype("float32")
    return model.fit(inputs, LABELS, sample_weight=weights, epochs=epochs, verbose=0)


def test_the_loss_is_the_mean_over_the_tokens_that_are_not_padding():
    model = build("lstm")
    model.compile()
    weights = (LABELS != 0).astype("float32")
    inputs = {"encoder_token_ids": SOURCE, "decoder_token_ids": TARGET}
    loss = model.evaluate(inputs, LABELS, sample_weight=weights, verbose=0)[0]
    log_probs = keras.ops.convert_to_numpy(model.score_tokens(inputs, LABELS))
    assert loss == pytest.approx(-log_probs.sum() / weights.sum(), rel=1e-5)


def test_a_compiled_model_can_train_on_after_loading(tmp_path):
    model = build("lstm")
    model.compile(keras.optimizers.Adam(0.01, clipnorm=1.0))
    fit(model, epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert fit(loaded, 3).history["loss"] == pytest.approx(
        fit(model, 3).history["loss"], rel=1e-5
    )


def test_alignment_of_steps_is_that_of_the_whole_sequence():
    model = build("bidirectional general")
    inputs = {"encoder_token_ids": SOURCE, "decoder_token_ids": TARGET}
    expected = keras.ops.convert_to_numpy(model.alignment_model(inputs))
    state = model.encode({"encoder_token_ids": SOURCE})
    for time in range(TARGET.shape[1]):
        token = keras.ops.convert_to_tensor(TARGET[:, time])
        outputs = model.decoder_model({"token": token, **state})
        np.testing.assert_allclose(outputs["alignment"], expected[:, time], atol=1e-5)
        state |= {name: value for name, value in outputs.items() if name in state}
    np.testing.assert_allclose(expected.sum(-1), 1, atol=1e-5)


def test_a_search_stops_at_the_end_and_scores_like_teacher_forcing(model):
    @tf.function(autograph=False)
    def search():
        inputs = {"encoder_token_ids": tf.constant(SOURCE)}
        return model.decode(inputs, BeamSearch(3, END), 10)

    result = search()
    for rank in range(3):
        labels = result.token_ids[:, rank].numpy()
        starts = np.full((2, 1), 2)
        target = np.concatenate([starts, np.where(labels == END, 0, labels)[:, :-1]], 1)
        inputs = {"encoder_token_ids": SOURCE, "decoder_token_ids": target.astype("int32")}
        totals = tf.reduce_sum(model.score_tokens(inputs, labels), -1)
        np.testing.assert_allclose(result.log_probs[:, rank], totals, atol=1e-4)


def test_padding_does_not_change_a_search():
    model = build("bidirectional general")

    @tf.function(autograph=False)
    def search(source):
        return model.decode({"encoder_token_ids": source}, GreedySearch(END), 10)

    expected = search(tf.constant(SOURCE))
    received = search(tf.constant(np.pad(SOURCE, [(0, 0), (0, 3)])))
    np.testing.assert_array_equal(expected.token_ids, received.token_ids)


def test_a_model_without_attention_keeps_no_memory():
    assert set(build("lstm").encode({"encoder_token_ids": SOURCE})) == {
        "decoder_0_h",
        "decoder_0_c",
    }
    assert build("lstm").alignment_model is None


def test_a_copy_bridge_that_does_not_fit_says_what_does():
    with pytest.raises(
        ValueError, match=r"Expected sizes \[\[8, 8\]\], received \[\[16, 16\]\]"
    ):
        Seq2Seq(encoder(bidirectional=True), decoder(bridge=CopyBridge()))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"cell": "elman"}, r"`cell` must be one of \['gru', 'lstm'\]. Received: cell='elman'"),
        ({"num_layers": 0}, "`num_layers` must be at least 1. Received: num_layers=0"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\). Received: dropout=1.0"),
    ],
)
@pytest.mark.parametrize("part", [encoder, decoder])
def test_bad_settings_of_a_part_are_refused(part, settings, message):
    with pytest.raises(ValueError, match=message):
        part(**settings)


def test_a_model_without_preprocessor_takes_no_strings():
    with pytest.raises(InputError, match="has no preprocessor"):
        build("lstm").generate("word")


def test_vocabularies_of_model_and_preprocessor_must_agree(preprocessor):
    with pytest.raises(ValueError, match="source vocabulary size.*differ. Received: 11 and 10"):
        Seq2Seq(encoder(), decoder(), preprocessor)


def test_a_decoder_too_short_for_its_targets_is_refused(preprocessor):
    sizes = {"num_heads": 2, "num_layers": 1}
    source = preprocessor.source_tokenizer.vocabulary_size()
    target = preprocessor.target_tokenizer.vocabulary_size()
    with pytest.raises(ValueError, match="max_length=5, 13 tokens to generate"):
        Seq2Seq(
            TransformerEncoder(source, 8, 8, **sizes),
            TransformerDecoder(target, 8, 8, max_length=5, **sizes),
            preprocessor,
        )
    with pytest.raises(ValueError, match="max_length=10, 11 tokens to generate"):
        inputs = {"encoder_token_ids": tf.constant(SOURCE)}
        build("transformer").decode(inputs, GreedySearch(END), 11)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"num_heads": 3}, "Received: hidden_dim=8, num_heads=3"),
        ({"num_heads": 0}, "`num_heads` must be at least 1"),
        ({"num_heads": 2, "dropout": -0.1}, "`dropout` must be in"),
    ],
)
def test_bad_settings_of_a_transformer_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TransformerEncoder(SOURCE_VOCABULARY, 8, 12, num_layers=1, **settings)


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_a_file_that_is_no_model_is_refused(content, tmp_path):
    path = tmp_path / "model.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="no such file|cannot be loaded"):
        load_model(path)


def test_a_saved_model_of_another_kind_is_refused(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "m.keras")
    with pytest.raises(InputError, match="holds a Sequential, not a Seq2Seq"):
        load_model(tmp_path / "m.keras")


def test_fit_traces_once_whatever_the_buckets(pairs, preprocessor):
    model = lstm(preprocessor, embedding_dim=4, hidden_dim=4)
    data = training_data(
        preprocessor, pairs.sources, pairs.targets, batch_size=16, num_buckets=5
    )
    model.compile(jit_compile=False)
    model.fit(data.dataset, steps_per_epoch=1, epochs=1, verbose=0)
    traces = []
    call = model.call
    model.call = lambda *arguments, **options: traces.append(1) or call(*arguments, **options)
    assert len(data.buckets.batch_sizes) > 2
    model.fit(data.dataset, steps_per_epoch=data.steps, epochs=2, verbose=0)
    assert not traces
