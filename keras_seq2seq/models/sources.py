"""The embedding part that fits a preprocessor's sources."""

from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import (
    FrameNormalization,
    FrequencyWarp,
    LogMelSpectrogram,
    SpecAugment,
)
from keras_seq2seq.models.embeddings import (
    ConvolutionEmbedding,
    SentenceEmbedding,
    SourceEmbedding,
    TokenEmbedding,
)
from keras_seq2seq.models.frame_embeddings import (
    FrameEmbedding,
    PictureEmbedding,
    WaveformEmbedding,
)


def source_embedding(
    preprocessor: Any,
    embedding_dim: int,
    convolutions: int = 0,
    convolution_strides: int = 2,
    spec_augment: bool = False,
    picture_cells: bool = False,
    sentence_ends: str = "",
    frequency_warp: float = 0.0,
    dynamic_range: float = 0.0,
) -> SourceEmbedding:
    """What reads the sources of a preprocessor.

    Text becomes a `TokenEmbedding`, or with `sentence_ends` a `SentenceEmbedding`; frames of
    features, normalized by utterance, a `FrameEmbedding`; frames of pictures `(height, width,
    channels)` a `PictureEmbedding`; sound, as a normalized log-mel spectrogram, a
    `WaveformEmbedding`.

    Args:
        preprocessor: `TextPreprocessor`, `FramePreprocessor` or `WaveformPreprocessor`.
        embedding_dim: int. Size of a vector.
        convolutions: int. Layers of a `ConvolutionEmbedding` on top. Defaults to 0.
        convolution_strides: int. Positions each of them makes one of. Defaults to 2.
        spec_augment: bool. Whether to hide parts of the frames in training. Defaults to
            `False`.
        picture_cells: bool. Whether each place of a picture is a position of its own.
            Defaults to `False`.
        sentence_ends: string. Source tokens that end a sentence, with spaces between.
            Defaults to none.
        frequency_warp: float. `FrequencyWarp` of this share in training. Defaults to 0, none.
        dynamic_range: float. Decibels below the greatest energy of a sound that are heard.
            Defaults to 0, all.

    Raises:
        InputError: If `spec_augment` is asked for text or pictures, `frequency_warp` or
            `dynamic_range` for anything but sound, `picture_cells` for anything but pictures,
            or `sentence_ends` for anything but text; or if one of them is no token of the
            source vocabulary.
    """
    embedding: SourceEmbedding
    layers: list[Any] = [FrameNormalization(name="encoder_normalization")]
    if spec_augment:
        layers.append(SpecAugment(name="encoder_spec_augment"))
    shape = getattr(preprocessor, "feature_shape", ())
    if spec_augment and (preprocessor.kind == "text" or len(shape) > 1):
        raise InputError(
            "`spec_augment` is for features and sound. Received a source of "
            f"{'pictures' if len(shape) > 1 else 'text'}."
        )
    of_sound = {"frequency_warp": frequency_warp, "dynamic_range": dynamic_range}
    for name, value in of_sound.items():
        if value and preprocessor.kind != "waveform":
            raise InputError(
                f"`{name}` is for sound. Received a source of {preprocessor.kind}."
            )
    if picture_cells and len(shape) != 3:
        raise InputError(
            "`picture_cells` is for frames `(height, width, channels)`. Received a source of "
            f"{preprocessor.kind} {tuple(shape) or ''}".rstrip()
            + "."
        )
    if sentence_ends and preprocessor.kind != "text":
        raise InputError(
            f"`sentence_ends` is for text. Received a source of {preprocessor.kind}."
        )
    if preprocessor.kind == "text":
        tokenizer = preprocessor.source_tokenizer
        embedding = tokens = TokenEmbedding(tokenizer.vocabulary_size(), embedding_dim)
        if sentence_ends:
            end_ids = [_id_of(token, tokenizer) for token in sentence_ends.split()]
            embedding = SentenceEmbedding(tokens, end_ids)
    elif preprocessor.kind == "waveform":
        front_end = LogMelSpectrogram(
            preprocessor.sample_rate,
            dynamic_range=dynamic_range or None,
            name="encoder_log_mel",
        )
        if frequency_warp:
            ends = front_end.low_hz, front_end.high_hz
            name = "encoder_frequency_warp"
            layers.insert(0, FrequencyWarp(*ends, frequency_warp, name=name))
        embedding = WaveformEmbedding(front_end, embedding_dim, layers)
    elif len(shape) == 3:
        embedding = PictureEmbedding(shape, embedding_dim, cells=picture_cells)
    else:
        embedding = FrameEmbedding(preprocessor.feature_dim, embedding_dim, layers)
    if not convolutions:
        return embedding
    return ConvolutionEmbedding(
        embedding, embedding_dim, strides=convolution_strides, num_layers=convolutions
    )


def _id_of(token: str, tokenizer: Any) -> int:
    token_id = tokenizer.token_to_id(token)
    if tokenizer.id_to_token(token_id) != token:
        raise InputError(
            "`sentence_ends` must be tokens of the source vocabulary. Received: "
            f"{token!r}, which is none."
        )
    return token_id
