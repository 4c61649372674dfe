"""KerasHub's models of sound: Moonshine, and Whisper's backbone."""

from pathlib import Path
from typing import Any

from keras_seq2seq.converters.ctranslate2_reading import Reading
from keras_seq2seq.converters.ctranslate2_weights import assign_weights
from keras_seq2seq.converters.kerashub_tokenizers import (
    ids_of,
    merges_of,
    tokenizer_as_ours,
    tokens_of,
    vocabulary_of,
)
from keras_seq2seq.converters.kerashub_weights import array, moonshine, whisper
from keras_seq2seq.converters.whisper import WhisperOptions, build_whisper
from keras_seq2seq.data import WaveformPreprocessor
from keras_seq2seq.layers import WaveformConvolutions
from keras_seq2seq.models import (
    Seq2Seq,
    TokenEmbedding,
    TransformerDecoder,
    TransformerEncoder,
    WaveformEmbedding,
)

# Seconds of sound that KerasHub's converter has no warning for.
_LONGEST_SOUND = 64


class _MoonshineReading(Reading):
    """A Moonshine as settings and weights; its convolutions stand beside."""

    others = ("decoder/embeddings/weight",)

    def _width(self, side: str) -> int:
        return self._need(self.others[0]).shape[1]


def build_moonshine(
    backbone: Any,
    preprocessor: Any,
    lengths: tuple[int | None, int | None],
    dropout: float,
    name: str,
) -> Seq2Seq:
    """As `from_kerashub`."""
    reading = _MoonshineReading(*moonshine(backbone), Path(name))
    tokenizer, converter = preprocessor.tokenizer, preprocessor.audio_converter
    tokens = tokens_of(tokenizer, backbone.vocabulary_size)
    start, *prompt = ids_of(preprocessor.decoder_packer.start_value)
    vocabulary = vocabulary_of(tokenizer, tokens, start)
    target = tokenizer_as_ours(
        tokenizer,
        vocabulary.tokens,
        name="target_vocabulary",
        begin=vocabulary.named(" ".join(tokens[one] for one in prompt)),
    )
    rate = int(converter.sampling_rate)
    most = lengths[1] or preprocessor.decoder_sequence_length - 1
    own = WaveformPreprocessor(
        target,
        rate,
        lengths[0] or _LONGEST_SOUND * rate,
        reading.longest("decoder", most + 1) - 1,
    )
    convolutions = [backbone.conv1, backbone.conv2, backbone.conv3]
    front_end = WaveformConvolutions(
        [layer.filters for layer in convolutions],
        [layer.kernel_size[0] for layer in convolutions],
        [layer.strides[0] for layer in convolutions],
        rate,
        bool(converter.do_normalize),
        name="encoder_convolutions",
    )
    frames = WaveformEmbedding(front_end, 0)
    model = Seq2Seq(
        TransformerEncoder(
            frames,
            **reading.settings("encoder", frames.output_length(own.max_source_length), dropout),
        ),
        TransformerDecoder(
            TokenEmbedding(len(vocabulary.tokens), backbone.hidden_dim),
            tie_output=True,
            output_bias=True,
            **reading.settings("decoder", own.max_target_length + 1, dropout),
        ),
        own,
    )
    assign_weights(reading, model, None, vocabulary)
    for layer, there in zip(front_end.convolutions, convolutions, strict=True):
        layer.set_weights([array(weight) for weight in there.weights])
    front_end.scale.assign(array(backbone.group_norm.gamma))
    front_end.shift.assign(array(backbone.group_norm.beta))
    return model


def build_whisper_of(
    backbone: Any,
    tokenizer: Any,
    name: str,
    options: WhisperOptions,
    max_target_length: int | None,
    dropout: float,
) -> Seq2Seq:
    """A `WhisperBackbone`, for which KerasHub has no task. Tokens that the original never
    writes are not among what KerasHub knows of it."""
    file, config = whisper(backbone)
    tokens = tokens_of(tokenizer, backbone.vocabulary_size)
    # Marks of time follow; KerasHub gives them no names.
    first = tokenizer.no_timestamps_token_id + 1
    for place in range(first, len(tokens)):
        if tokens[place].startswith("<unused_"):
            tokens[place] = f"<|{(place - first) * 0.02:.2f}|>"
    languages = sorted((tokenizer.language_tokens or {}).values())
    return build_whisper(
        Path(name),
        file,
        {**config, "lang_ids": languages},
        tokens,
        merges_of(tokenizer),
        options,
        max_target_length,
        dropout,
    )
