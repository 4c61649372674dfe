"""The contract of every encoder-decoder: two views of the same layers that agree."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.data import training_data
from keras_seq2seq.decoding import GreedySearch, loop
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import LuongAttention, ScheduledSampling
from keras_seq2seq.models import (
    CopyBridge,
    FrameEmbedding,
    RecurrentDecoder,
    RecurrentEncoder,
    Seq2Seq,
    TokenEmbedding,
    TransformerDecoder,
    TransformerEncoder,
    ZeroBridge,
    load_model,
    lstm,
)
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.testing import check_encoder, check_model
from keras_seq2seq.testing.models import step_logits, whole_logits
from tests.zoo import (
    END,
    FRAME_ENCODERS,
    FRAMES,
    LABELS,
    MODELS,
    SOURCE,
    TARGET,
    TARGET_VOCABULARY,
    build,
    decoder,
    encoder,
    tokens,
    transformer_encoder,
)

INPUTS = {"encoder_token_ids": SOURCE}
# These are tried with their layers, by `check_attention`.
ATTENTIONS = [
    *("dot", "general", "general scaled", "concat", "additive", "additive normalized"),
    *("location-sensitive", "monotonic"),
]
# All that they are made of is in another model too, which is tried.
IN_OTHERS = {
    "zero bridge": "transformer encoder, lstm decoder",
    "context feeding": "location-sensitive, context feeding",
    "transformer, norm last": "transformer, embeddings normalized",
    "transformer, all embeddings tied": "transformer, gated",
    "sentences, transformer": "sentences",
}
# One of a kind: float16 has more bits than bfloat16, where all kinds are tried.
SOME = ["input feeding", "transformer", "pointer-generator"]
FLOAT16, BFLOAT16 = "mixed_float16", "mixed_bfloat16"


@pytest.mark.parametrize("name", sorted({*MODELS} - {*ATTENTIONS, *IN_OTHERS}))
def test_every_model_keeps_the_contract(name):
    check_model(build(name), INPUTS, precisions=[BFLOAT16, FLOAT16][: 1 + (name in SOME)])


@pytest.mark.parametrize("name", FRAME_ENCODERS)
def test_frames_of_features_are_a_source_too(name):
    check_encoder(FRAME_ENCODERS[name](), FRAMES)


def whole(model, target=TARGET):
    return whole_logits(model, INPUTS, target)


def stepped(model):
    return step_logits(model, INPUTS, TARGET)


GROWING = [
    *("transformer", "transformer, rotary positions", "transformer, relative positions"),
    *("transformer, relative vectors", "pointer-generator, transformer"),
]


def test_what_grows_has_the_size_of_the_target_so_far():
    model = build("transformer")
    names = [f"decoder_{layer}_{kind}" for layer in (0, 1) for kind in ("key", "value")]
    assert sorted(model.position_entries) == names
    state = model.encode({"encoder_token_ids": SOURCE})
    full = [state[name].shape[axis] for name, axis in model.position_entries.items()]
    assert full == [model.decoder.max_length] * 4
    state |= {name: state[name][:, :, :0] for name in model.position_entries}
    for length in (1, 2, 3):
        state |= model.step(tf.constant([4, 5]), state)[1]
        grown = [state[name].shape[axis] for name, axis in model.position_entries.items()]
        assert grown == [length] * 4


@pytest.mark.parametrize(
    "name, num_beams", [*((name, 3) for name in GROWING), ("transformer", 1)]
)
def test_a_search_of_fixed_shapes_finds_the_same(name, num_beams):
    model, settings = build(name), GenerationSettings(num_beams=num_beams, max_length=5)
    inputs = {"encoder_token_ids": tf.constant(SOURCE)}
    growing = model.generate_ids(inputs, settings)
    fixed = model.generate_ids(inputs, settings, fixed_shapes=True)
    np.testing.assert_array_equal(growing.token_ids, fixed.token_ids)
    np.testing.assert_allclose(growing.token_log_probs, fixed.token_log_probs, atol=1e-5)


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.parametrize("fixed_shapes, num_beam_groups", [(False, 2), (True, 1)])
def test_hypotheses_side_by_side_are_those_with_rows_of_their_own(
    name, fixed_shapes, num_beam_groups, monkeypatch
):
    model = build(name)
    for weight in model.weights:  # Sure enough that hypotheses drop out.
        weight.assign(weight * 3)
    settings = GenerationSettings(num_beams=4, num_beam_groups=num_beam_groups, max_length=8)
    sources = np.random.default_rng(0).integers(4, 11, (5, 6)).astype("int32")
    inputs = {"encoder_token_ids": tf.constant(sources)}
    side_by_side = model.generate_ids(inputs, settings, fixed_shapes=fixed_shapes)
    monkeypatch.setattr(loop, "MOST_SIDE_BY_SIDE", 0)
    own_rows = model.generate_ids(inputs, settings, fixed_shapes=fixed_shapes)
    np.testing.assert_array_equal(side_by_side.token_ids, own_rows.token_ids)
    np.testing.assert_allclose(side_by_side.scores, own_rows.scores, rtol=1e-4)


@pytest.mark.parametrize("fixed_shapes", [False, True])
def test_in_a_graph_an_empty_batch_has_no_hypotheses(fixed_shapes):
    model, settings = build("transformer"), GenerationSettings(num_beams=3, max_length=5)

    @tf.function(input_signature=[tf.TensorSpec([None, 5], tf.int32)])
    def generate(token_ids):
        inputs = {"encoder_token_ids": token_ids}
        return model.generate_ids(inputs, settings, fixed_shapes=fixed_shapes).token_ids

    assert generate(tf.zeros([0, 5], tf.int32)).shape == (0, 1, 6)


def test_the_inference_models_are_saved_and_loaded_on_their_own(tmp_path):
    model = build("general")
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
    model = build("general")
    before = stepped(model)
    model.compile(keras.optimizers.Adam(0.01))
    fit(model, epochs=1)
    after = stepped(model)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, whole(model), atol=1e-5)


PRESENT = (LABELS != 0).astype("float32")


def fit(model, epochs, weights=PRESENT):
    inputs = {**INPUTS, "decoder_token_ids": TARGET}
    return model.fit(inputs, LABELS, sample_weight=weights, epochs=epochs, verbose=0)


def test_the_loss_is_the_mean_over_the_tokens_that_are_not_padding():
    model = build("lstm")
    model.compile()
    inputs = {**INPUTS, "decoder_token_ids": TARGET}
    log_probs = keras.ops.convert_to_numpy(model.score_tokens(inputs, LABELS))
    # Without weights as with those of the tokens; a weight a row is that of its tokens.
    rows = np.array([0.5, 2.0], "float32")
    for given, used in ((None, PRESENT), (PRESENT, PRESENT), (rows, rows[:, None] * PRESENT)):
        values = model.evaluate(inputs, LABELS, sample_weight=given, verbose=0)
        assert values[0] == pytest.approx(-(used * log_probs).sum() / used.sum(), rel=1e-5)
        right = np.argmax(whole(model), -1) == LABELS
        assert values[1] == pytest.approx((used * right).sum() / used.sum(), rel=1e-5)


def test_fit_without_weights_is_fit_with_those_of_the_tokens():
    model, again = build("lstm"), build("lstm")
    for one in (model, again):
        one.compile(keras.optimizers.Adam(0.01))
    histories = fit(model, 2).history, fit(again, 2, None).history
    assert histories[0] == histories[1]
    for weight, same in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


@pytest.mark.parametrize("load", [load_model, keras.saving.load_model])
def test_a_compiled_model_can_train_on_after_loading(load, tmp_path):
    model = build("lstm")
    model.compile(keras.optimizers.Adam(0.01, clipnorm=1.0))
    fit(model, epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = load(tmp_path / "model.keras")
    assert fit(loaded, 3).history == fit(model, 3).history
    assert load_model(tmp_path / "model.keras", compile=False).compiled is False


def test_a_summary_shows_whole_sequences(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    model = build("transformer, all embeddings tied")
    calls = [len(layer._inbound_nodes) for layer in model.layers]
    lines = []
    model.summary(print_fn=lines.append, line_length=200)
    text = "".join(lines)
    assert re.search(r"encoder_embedding [^\n]*\(None, None, ", text)
    assert not re.search(r"embedding [^\n]*\(None, \d+\)", text)
    assert [len(layer._inbound_nodes) for layer in model.layers] == calls


def test_a_dataset_is_fitted_without_a_warning(recwarn):
    model = build("lstm")
    model.compile()
    inputs = {**INPUTS, "decoder_token_ids": TARGET}
    model.fit(tf.data.Dataset.from_tensors((inputs, LABELS)), verbose=0)
    assert not [one for one in recwarn if "shuffle" in str(one.message)]


def test_tied_embeddings_are_one_matrix_and_stay_so_when_loaded(tmp_path):
    model = build("transformer, all embeddings tied")
    assert model.encoder.embedding is model.decoder.embedding
    vocabulary_sized = [w for w in model.trainable_weights if TARGET_VOCABULARY in w.shape]
    assert len(vocabulary_sized) == 1
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.encoder.embedding is loaded.decoder.embedding
    assert loaded.count_params() == model.count_params()


def test_scheduled_sampling_trains_on_own_tokens_and_changes_no_inference(tmp_path):
    plain = build("general")
    keras.utils.set_random_seed(1)
    sampling = ScheduledSampling("constant", floor=0.0, seed=2)
    model = Seq2Seq(*MODELS["general"](), scheduled_sampling=sampling)
    model.encoder_model.set_weights(plain.encoder_model.get_weights())
    model.decoder_model.set_weights(plain.decoder_model.get_weights())
    np.testing.assert_allclose(whole(model), whole(plain), atol=1e-6)
    inputs = {"encoder_token_ids": SOURCE, "decoder_token_ids": TARGET}
    # Greedy search without an end: what the model reads when it reads its own tokens alone.
    state, token, own = model.encode({"encoder_token_ids": SOURCE}), TARGET[:, 0], []
    for _ in range(TARGET.shape[1]):
        own.append(token)
        logits, changed = model.step(token, state)[:2]
        state, token = {**state, **changed}, np.argmax(logits, -1).astype("int32")
    own = np.where(TARGET == 0, 0, np.stack(own, 1))
    expected = whole(plain, target=own)
    np.testing.assert_allclose(model(inputs, training=True), expected, atol=1e-5)
    model.compile(keras.optimizers.Adam(0.01))
    fit(model, epochs=2)
    assert float(sampling.step_count) == 3
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert float(loaded.scheduled_sampling.step_count) == 3


def test_padding_does_not_change_a_search():
    model = build("general")

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
        ({"cell": "elman"}, "`cell` must be one of .* Received: cell='elman'"),
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
            TransformerEncoder(TokenEmbedding(source, 8), 8, **sizes),
            TransformerDecoder(TokenEmbedding(target, 8), 8, max_length=5, **sizes),
            preprocessor,
        )
    with pytest.raises(ValueError, match="max_length=10, 11 tokens to generate"):
        inputs = {"encoder_token_ids": tf.constant(SOURCE)}
        build("transformer").decode(inputs, GreedySearch(END), 11)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"num_heads": 3}, "Received: embedding_dim=8, num_heads=3"),
        ({"num_heads": 0}, "`num_heads` must be at least 1"),
        ({"num_heads": 2, "dropout": -0.1}, "`dropout` must be in"),
    ],
)
def test_bad_settings_of_a_transformer_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TransformerEncoder(tokens(8), 12, num_layers=1, **settings)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: tokens(0), "`embedding_dim` must be at least 1. Received: embedding_dim=0"),
        (lambda: FrameEmbedding(0, 4), "`feature_dim` must be at least 1"),
        (
            lambda: encoder(residual=True, time_reduction=2),
            "either `residual` or `time_reduction`",
        ),
        (lambda: decoder(tie_output=True), "embedding_dim=6, output 8"),
        (lambda: decoder(input_feeding="attention"), "Input feeding needs an attention"),
        (lambda: transformer_encoder(positions="wavy"), "`positions` must be one of"),
        (lambda: transformer_encoder(positions="learned"), "Learned positions need"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_encoder_too_short_for_its_sources_is_refused(preprocessor):
    source = TokenEmbedding(preprocessor.source_tokenizer.vocabulary_size(), 8)
    target = TokenEmbedding(preprocessor.target_tokenizer.vocabulary_size(), 8)
    with pytest.raises(ValueError, match="max_length=5, 8 source tokens"):
        Seq2Seq(
            TransformerEncoder(source, 8, 2, 1, max_length=5, positions="learned"),
            RecurrentDecoder(target, 8, attention=LuongAttention(8), bridge=ZeroBridge()),
            preprocessor,
        )


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: decoder(attention=keras.layers.AdditiveAttention()),
            r"`attention` must be a MemoryAttention, .* Received: an AdditiveAttention. Use "
            r"BahdanauAttention\(units\), or write a part",
        ),
        (
            lambda: RecurrentEncoder(keras.layers.Embedding(11, 6), 8),
            r"`embedding` must be .* Received: an Embedding. Use TokenEmbedding\(11, 6\)",
        ),
        (lambda: RecurrentEncoder(None, 8), "`embedding` must be .* Received: None. Write a"),
        (lambda: RecurrentEncoder("words", 8), "Received: 'words'"),
        (lambda: decoder(bridge=ZeroBridge), r"the class ZeroBridge. Use ZeroBridge\(...\)"),
        (
            lambda: Seq2Seq(keras.Sequential(), decoder()),
            "`encoder` must be an Encoder, such as RecurrentEncoder. Received: a Sequential",
        ),
        (lambda: Seq2Seq(decoder(), encoder()), "`encoder` must .* a RecurrentDecoder"),
        (lambda: Seq2Seq(encoder(), None), "`decoder` must be a Decoder.* Received: None"),
    ],
)
def test_what_is_no_part_is_refused_in_one_line(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


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
