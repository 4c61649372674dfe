"""Whisper as CTranslate2's converters write it: sound to text."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_seq2seq.converters.ctranslate2_file import ModelFile
from keras_seq2seq.converters.ctranslate2_layout import TARGET_EMBEDDING
from keras_seq2seq.converters.ctranslate2_positions import Positions
from keras_seq2seq.converters.ctranslate2_reading import Reading
from keras_seq2seq.converters.ctranslate2_vocabulary import (
    Specials,
    Vocabulary,
    read_json,
    read_tokens,
)
from keras_seq2seq.converters.ctranslate2_weights import assign_weights
from keras_seq2seq.converters.tokenizer_files import read_json_merges
from keras_seq2seq.data.signal_preprocessors import WaveformPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import WindowLogMel
from keras_seq2seq.models import (
    ConvolutionEmbedding,
    Seq2Seq,
    TokenEmbedding,
    TransformerDecoder,
    TransformerEncoder,
    TransformerStyle,
    WaveformEmbedding,
)
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.tokenizers import TranscriptTokenizer
from keras_seq2seq.tokenizers.transcript_tokenizer import TIME

SPECIFICATION = "WhisperSpec"
TASKS = ("transcribe", "translate")

# Samples a second, and from frame to frame; frames that become a position of the encoder.
_RATE, _STRIDE, _FRAMES = 16000, 160, 2
_POSITION_SECONDS = _FRAMES * _STRIDE / _RATE
# Tokens of text at most, as its authors have it: half of the decoder's positions.
_TEXT_TOKENS = 224
# The size of the vocabulary that knows English alone.
_ENGLISH = 51864
_CONVOLUTIONS = ("encoder/conv1", "encoder/conv2")
_CONVOLUTION_WEIGHTS = tuple(
    f"{name}/{end}" for name in _CONVOLUTIONS for end in ("weight", "bias")
)


class WhisperReading(Reading):
    """A file of Whisper as settings and weights."""

    others = (TARGET_EMBEDDING, *_CONVOLUTION_WEIGHTS)

    def __init__(
        self,
        file: ModelFile,
        config: dict[str, Any],
        folder: Path,
        window_seconds: float | None,
    ):
        for name in self.others:
            if name not in file:
                raise InputError(f"{folder}: the model lacks {name}.")
        self._window_seconds = window_seconds
        super().__init__(file, config, folder)

    def _style(self, side: str, config: dict[str, Any]) -> TransformerStyle:
        style = super()._style(side, config)
        return TransformerStyle(
            **{
                **style.get_config(),
                "embedding_scale": style.embedding_scale if side == "decoder" else 1.0,
                "activation": "gelu",
            }
        )

    def _width(self, side: str) -> int:
        if side == "decoder":
            return super()._width(side)
        return self._need(f"{_CONVOLUTIONS[1]}/weight").shape[0]

    def _positions(self, side: str) -> Positions:
        # The encoder's waves too are taken as the file has them: as many as its window has.
        table = self._need(f"{side}/position_encodings/encodings")
        if side == "encoder" and self._window_seconds is not None:
            places = self._window_seconds / _POSITION_SECONDS
            count = round(places)
            if not 1 <= count <= len(table) or abs(places - count) > 1e-6:
                raise InputError(
                    f"The window must have {_POSITION_SECONDS:g} to "
                    f"{len(table) * _POSITION_SECONDS:g} seconds, in steps of "
                    f"{_POSITION_SECONDS:g}. Received: window_seconds="
                    f"{self._window_seconds:g}."
                )
            table = table[:count]
        return Positions("learned", {}, table)

    @property
    def window(self) -> int:
        """Samples of what the encoder has positions for."""
        table = self.positions["encoder"].table
        return 0 if table is None else len(table) * _FRAMES * _STRIDE

    def build(self, preprocessor: Any, reads_end: bool, dropout: float) -> Seq2Seq:
        width, num_mels, size = self.file[f"{_CONVOLUTIONS[0]}/weight"].shape
        frames = WaveformEmbedding(
            WindowLogMel(num_mels, _RATE, self.window / _RATE, name="encoder_log_mel"), 0
        )
        source = ConvolutionEmbedding(frames, width, size, (1, _FRAMES), 2, "gelu")
        length = source.output_length(self.window)
        target = TokenEmbedding(preprocessor.target_tokenizer.vocabulary_size(), width)
        return Seq2Seq(
            TransformerEncoder(source, **self.settings("encoder", length, dropout)),
            TransformerDecoder(
                target,
                tie_output=True,
                output_bias=True,
                **self.settings("decoder", preprocessor.max_target_length + 1, dropout),
            ),
            preprocessor,
        )


class WhisperOptions(NamedTuple):
    """What a Whisper is asked to do, as of `from_ctranslate2`; `None` for the default."""

    language: str | None
    task: str | None
    timestamps: bool | None
    window_seconds: float | None


def build_whisper(
    folder: Path,
    file: ModelFile,
    config: dict[str, Any],
    tokens: list[str],
    merges: list[str],
    options: WhisperOptions,
    max_target_length: int | None,
    dropout: float,
) -> Seq2Seq:
    """As `from_ctranslate2`, of a vocabulary and its merges."""
    reading = WhisperReading(file, config, folder, options.window_seconds)
    if not reading.is_tied:
        raise InputError(f"{folder} has an output of its own, which is not supported.")
    if len(tokens) != len(file[TARGET_EMBEDDING]):
        raise InputError(
            f"{folder}: the vocabulary has {len(tokens)} tokens, the model "
            f"{len(file[TARGET_EMBEDDING])}."
        )
    specials = Specials("", "<|endoftext|>", "<|startoftranscript|>")
    vocabulary = Vocabulary(tokens, specials, "target")
    tokenizer = TranscriptTokenizer(
        vocabulary.tokens,
        merges,
        name="target_vocabulary",
        never=[
            *_named(config, "suppress_ids", vocabulary),
            *_times_behind(reading.window / _RATE, vocabulary.tokens),
        ],
        never_first=_named(config, "suppress_ids_begin", vocabulary),
        writes_times=bool(options.timestamps),
        **_prompt(config, vocabulary, options),
    )
    longest = max_target_length or _TEXT_TOKENS + len(tokenizer.begin)
    preprocessor = WaveformPreprocessor(
        tokenizer,
        _RATE,
        reading.window,
        reading.longest("decoder", longest + 1) - 1,
        window=reading.window,
    )
    model = reading.build(preprocessor, True, dropout)
    assign_weights(reading, model, None, vocabulary)
    layers = {layer.name: layer for layer in model.layers}
    for index, name in enumerate(_CONVOLUTIONS):
        layer: keras.layers.Layer = layers[f"encoder_convolution_{index}"]
        kernel = np.transpose(file.weight(f"{name}/weight"), (2, 1, 0))
        layer.set_weights([kernel, file.weight(f"{name}/bias")])
    return model


def _prompt(
    config: dict[str, Any], vocabulary: Vocabulary, options: WhisperOptions
) -> dict[str, list[str]]:
    """What a target begins with, and the languages among which to find that of a sound."""
    language, task = options.language, options.task or TASKS[0]
    if task not in TASKS:
        raise InputError(f"The task must be one of {', '.join(TASKS)}. Received: {task!r}.")
    end = [] if options.timestamps else ["<|notimestamps|>"]
    languages = _named(config, "lang_ids", vocabulary)
    if len(vocabulary.tokens) - vocabulary.is_hidden.sum() == _ENGLISH:
        if language not in (None, "en") or task != TASKS[0]:
            raise InputError("This model transcribes English alone: leave language and task.")
        return {"begin": vocabulary.named(" ".join(end)), "languages": []}
    if language is not None and f"<|{language}|>" not in languages:
        known = ", ".join(sorted(token.strip("<|>") for token in languages))
        raise InputError(f"This model has no language {language!r}. It has: {known}.")
    first = f"<|{language}|>" if language is not None else "<|en|>"
    if language is None and first not in languages:
        first = next(iter(languages), "")
    begin = " ".join([first, f"<|{task}|>", *end])
    return {
        "begin": vocabulary.named(begin),
        "languages": languages if language is None else [],
    }


def _named(config: dict[str, Any], key: str, vocabulary: Vocabulary) -> list[str]:
    """The tokens of a list of the model's ids, without those that are never written anyway."""
    token_of = dict(zip(vocabulary.rows.tolist(), vocabulary.tokens, strict=True))
    ids = config.get(key) or []
    if not isinstance(ids, list) or any(one not in token_of for one in ids):
        raise InputError(f"config.json: {key} must be a list of ids of the vocabulary.")
    return [token_of[one] for one in ids if token_of[one] not in SPECIAL_TOKENS[:3]]


def _times_behind(window: float, tokens: list[str]) -> list[str]:
    """The marks of time behind the window, in seconds."""
    marks = [(token, TIME.fullmatch(token)) for token in tokens]
    return [token for token, mark in marks if mark and float(mark[1]) > window + 1e-6]


def read_words(folder: Path) -> tuple[list[str], list[str]]:
    """The vocabulary of a converted Whisper, and the pairs of `tokenizer.json` that become one
    piece.

    Raises:
        InputError: If one is missing, or they do not fit one another.
    """
    tokens = read_tokens(folder, "vocabulary")
    if tokens is None:
        raise InputError(f"{folder} lacks its vocabulary: vocabulary.json or vocabulary.txt.")
    path = folder / "tokenizer.json"
    content = read_json(path)
    merges, _ = read_json_merges(json.dumps(content), path)
    pieces = content["model"].get("vocab")
    places = dict(zip(tokens, range(len(tokens)), strict=True))
    if not isinstance(pieces, dict) or any(places.get(p) != i for p, i in pieces.items()):
        raise InputError(
            f"{path} is of another model: its pieces are not those of the vocabulary."
        )
    return tokens, merges
