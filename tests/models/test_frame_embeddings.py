import keras
import numpy as np
import pytest

from keras_seq2seq.data import FramePreprocessor, TextPreprocessor, WaveformPreprocessor
from keras_seq2seq.layers import (
    CTCLoss,
    DeltaFeatures,
    FrameNormalization,
    LogMelSpectrogram,
    LuongAttention,
    SpecAugment,
)
from keras_seq2seq.models import (
    ConvolutionEmbedding,
    FrameEmbedding,
    PictureEmbedding,
    RecurrentDecoder,
    RecurrentEncoder,
    Seq2Seq,
    TokenEmbedding,
    WaveformEmbedding,
    recurrent,
    transformer,
)
from keras_seq2seq.tokenizers import CharacterTokenizer

RNG = np.random.default_rng(8)
IDS = np.array([[2, 4, 5, 6], [2, 7, 0, 0]], "int32")
LABELS = np.array([[4, 5, 6, 3], [7, 3, 0, 0]], "int32")


def frames():
    layers = [FrameNormalization(), DeltaFeatures(), SpecAugment()]
    return FrameEmbedding(3, 6, layers), RNG.normal(size=(2, 7, 3)), [7, 4]


def sound():
    embedding = WaveformEmbedding(LogMelSpectrogram(8000, num_mels=8), 6, [SpecAugment()])
    return ConvolutionEmbedding(embedding, 5, strides=2), RNG.normal(size=(2, 700)), [700, 420]


def pictures():
    return PictureEmbedding((6, 5, 2), 6, (3, 4)), RNG.normal(size=(2, 4, 60)), [4, 2]


def cells():
    embedding = PictureEmbedding((6, 5, 2), 6, (3, 4), cells=True)
    return embedding, RNG.normal(size=(2, 4, 60)), [4, 2]


@pytest.fixture(params=[frames, sound, pictures, cells])
def case(request):
    """`(model, encoder inputs)` of two sources, the second one shorter."""
    keras.utils.set_random_seed(2)
    embedding, array, lengths = request.param()
    decoder = RecurrentDecoder(TokenEmbedding(9, 6), 8, attention=LuongAttention(8))
    model = Seq2Seq(
        RecurrentEncoder(embedding, 4, bidirectional=True), decoder, ctc=CTCLoss(9, 0.5)
    )
    (key,) = set(embedding.inputs()) - {"encoder_lengths"}
    return model, {key: array.astype("float32"), "encoder_lengths": np.array(lengths, "int32")}


def logits(model, inputs, rows=slice(None)):
    inputs = {name: value[rows] for name, value in inputs.items()}
    return np.asarray(model({**inputs, "decoder_token_ids": IDS[rows]}))


def test_padding_changes_nothing_whatever_it_holds(case):
    model, inputs = case
    key = next(iter(inputs))
    array = inputs[key]
    noise = RNG.normal(size=(2, 90, *array.shape[2:])).astype("float32")
    wide = np.concatenate([array, noise], axis=1)
    wide[1, inputs["encoder_lengths"][1] :] = 5.0
    expected = logits(model, inputs)
    np.testing.assert_allclose(logits(model, {**inputs, key: wide}), expected, atol=2e-5)


def test_a_row_of_a_batch_is_the_row_alone(case):
    model, inputs = case
    key = next(iter(inputs))
    length = inputs["encoder_lengths"][1]
    alone = {key: inputs[key][:, :length], "encoder_lengths": inputs["encoder_lengths"]}
    expected = logits(model, inputs)[1:]
    np.testing.assert_allclose(logits(model, alone, slice(1, 2)), expected, atol=2e-5)


def test_the_memory_is_as_long_as_the_embedding_says(case):
    model, inputs = case
    array = next(iter(inputs.values()))
    state = model.encode(inputs)
    assert state["memory"].shape[1] == model.encoder.embedding.output_length(array.shape[1])


def test_training_steps_lower_the_loss_with_ctc_and_the_model_is_saved(case, tmp_path):
    model, inputs = case
    data = ({**inputs, "decoder_token_ids": IDS}, LABELS, (LABELS > 0).astype("float32"))
    model.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    first, *_, last = (model.train_on_batch(*data)[0] for _ in range(12))
    # With the CTC loss it is more than the cross-entropy, which `evaluate` has alone.
    assert last < first and first > model.test_on_batch(*data)[0]
    before = model.ctc.projection.get_weights()[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(logits(again, inputs), logits(model, inputs), atol=1e-6)
    np.testing.assert_array_equal(again.ctc.projection.get_weights()[0], before)


FRAMES = [RNG.normal(size=(5, 3)).astype("float32")]
VIDEO = [np.zeros((3, 6, 5, 2), "uint8")]


def preprocessor_of(kind):
    if kind == "waveform":
        return WaveformPreprocessor.from_pairs(
            [np.zeros(500)], ["ab"], CharacterTokenizer, sample_rate=8000
        )
    if kind == "text":
        return TextPreprocessor.from_pairs(
            ["ab"], ["ab"], CharacterTokenizer, CharacterTokenizer
        )
    sources = FRAMES if kind == "features" else VIDEO
    return FramePreprocessor.from_pairs(sources, ["ab"], CharacterTokenizer)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text", TokenEmbedding),
        ("features", FrameEmbedding),
        ("pictures", PictureEmbedding),
        ("waveform", WaveformEmbedding),
    ],
)
def test_an_architecture_reads_what_its_preprocessor_gives(kind, expected):
    preprocessor = preprocessor_of(kind)
    model = recurrent(preprocessor, embedding_dim=4, hidden_dim=4, encoder_layers=2)
    assert isinstance(model.encoder.embedding, expected)
    assert (model.encoder.num_layers, model.decoder.num_layers) == (2, 1)
    model = transformer(
        preprocessor, hidden_dim=8, num_layers=1, convolutions=2, ctc_weight=0.3
    )
    assert isinstance(model.encoder.embedding.embedding, expected)
    length = model.encoder.embedding.output_length(preprocessor.source_positions)
    assert model.encoder.max_length == length and model.ctc.weight == 0.3


@pytest.mark.parametrize("kind", ["text", "pictures"])
def test_spectra_alone_can_be_augmented(kind):
    with pytest.raises(ValueError, match="`spec_augment` is for features and sound. .* "):
        recurrent(preprocessor_of(kind), spec_augment=True)


@pytest.mark.parametrize("kind", ["text", "features", "pictures"])
def test_sound_alone_has_frequencies_to_warp(kind):
    for name in ("frequency_warp", "dynamic_range"):
        with pytest.raises(ValueError, match=f"`{name}` is for sound. Received a source of"):
            recurrent(preprocessor_of(kind), **{name: 0.1})


@pytest.mark.parametrize("kind", ["text", "features", "waveform"])
def test_pictures_alone_have_cells(kind):
    with pytest.raises(ValueError, match="`picture_cells` is for frames .*Received a source"):
        recurrent(preprocessor_of(kind), picture_cells=True)


def test_a_cell_shows_what_is_at_its_place_and_near_it_in_time():
    embedding = PictureEmbedding((8, 8, 1), 3, (2,), temporal_kernel_size=3, cells=True)
    encoder = RecurrentEncoder(embedding, 2)
    Seq2Seq(encoder, RecurrentDecoder(TokenEmbedding(9, 2), 2, attention=LuongAttention(2)))
    inputs = embedding.inputs()
    model = keras.Model(inputs, embedding(inputs))
    for weight in model.trainable_weights:
        weight.assign(np.ones(weight.shape))
    assert embedding.output_length(5) == 5 * 16

    def vectors(frames):
        flat = frames.reshape(1, 5, 64).astype("float32")
        lengths = np.array([5], "int32")
        sequence, mask = model({"encoder_features": flat, "encoder_lengths": lengths})
        assert bool(np.all(mask)) and sequence.shape == (1, 80, 3)
        return np.asarray(sequence).reshape(5, 4, 4, 3)

    black = np.zeros((5, 8, 8, 1))
    dot = black.copy()
    dot[2, 3, 6] = 1.0
    times, rows, columns, _ = np.nonzero(vectors(dot) != vectors(black))
    # Place i sees pixels 2 i - 1 to 2 i + 3.
    assert set(times) == {1, 2, 3} and set(rows) == {0, 1, 2} and set(columns) == {2, 3}


def test_vocabularies_of_different_kinds_cannot_be_shared():
    with pytest.raises(ValueError, match="Received a source embedding FrameEmbedding"):
        transformer(preprocessor_of("features"), share_embeddings=True)


@pytest.mark.parametrize(
    ("embedding", "message"),
    [
        (TokenEmbedding(7, 4), "a TokenEmbedding, does not read features"),
        (FrameEmbedding(5, 4), "The source feature dim .* differ. Received: 5 and 3"),
    ],
)
def test_an_encoder_that_does_not_fit_its_preprocessor_is_refused(embedding, message):
    preprocessor = preprocessor_of("features")
    size = preprocessor.target_tokenizer.vocabulary_size()
    decoder = RecurrentDecoder(TokenEmbedding(size, 4), 4)
    with pytest.raises(ValueError, match=message):
        Seq2Seq(RecurrentEncoder(embedding, 4), decoder, preprocessor)


@pytest.mark.parametrize("parts", [frames, sound, pictures])
def test_mixed_precision_keeps_logits_and_losses_in_float32(parts):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        embedding, array, lengths = parts()
        decoder = RecurrentDecoder(TokenEmbedding(9, 6), 8, attention=LuongAttention(8))
        encoder = RecurrentEncoder(embedding, 4, bidirectional=True)
        model = Seq2Seq(encoder, decoder, ctc=CTCLoss(9, 0.5))
    finally:
        keras.config.set_dtype_policy("float32")
    (key,) = set(embedding.inputs()) - {"encoder_lengths"}
    inputs = {
        key: array.astype("float32"),
        "encoder_lengths": np.array(lengths, "int32"),
        "decoder_token_ids": IDS,
    }
    assert model.output.dtype == "float32"
    # Not the values of bfloat16: the last 16 bits of some logits are set.
    bits = np.asarray(model(inputs)).view(np.uint32) & 0xFFFF
    assert bits.any()
    assert np.isfinite(np.asarray(model(inputs, training=True))).all()
    assert [loss.dtype for loss in model.losses] == ["float32"]
    assert np.isfinite(model.losses[0])
