"""Encoder-decoders of KerasHub as models of this package's own parts."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_seq2seq.arguments import checked
from keras_seq2seq.converters.ctranslate2_file import ModelFile
from keras_seq2seq.converters.ctranslate2_reading import Reading, fitting
from keras_seq2seq.converters.ctranslate2_vocabulary import Specials, Vocabulary
from keras_seq2seq.converters.ctranslate2_weights import assign_weights
from keras_seq2seq.converters.kerashub_tokenizers import tokenizer_as_ours, tokens_of
from keras_seq2seq.converters.kerashub_weights import array, bart, moonshine, t5, t5gemma
from keras_seq2seq.data import TextPreprocessor, WaveformPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.first_import import import_keras_nlp
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


@dataclass(frozen=True)
class _Kind:
    """How a class of backbones is read.

    Attributes:
        task: Class that generates, of `keras_hub.models`.
        read: Backbone -> variables and configuration.
        reads_end: Whether its `generate` gives sources their end token.
    """

    task: str
    read: Callable[[Any], tuple[ModelFile, dict[str, Any]]]
    reads_end: bool = True


_KINDS = {
    "BartBackbone": _Kind("BartSeq2SeqLM", bart),
    "T5Backbone": _Kind("T5Seq2SeqLM", t5),
    "T5GemmaBackbone": _Kind("T5GemmaSeq2SeqLM", t5gemma, reads_end=False),
    "MoonshineBackbone": _Kind("MoonshineAudioToText", moonshine),
}


@checked
def from_kerashub(
    source: Any,
    *,
    source_end: bool | None = None,
    max_source_length: int | None = None,
    max_target_length: int | None = None,
    dropout: float = 0.0,
) -> Seq2Seq:
    """Rebuilds an encoder-decoder of KerasHub with this package's parts, with the same
    outputs: BART, T5 (plain, gated, mT5), T5Gemma and Moonshine.

    Args:
        source: The task with its preprocessor, such as `keras_hub.models.BartSeq2SeqLM`; or
            the folder that its `save_to_preset` wrote.
        source_end: bool. Whether the model reads the end token after a source. Defaults to
            what KerasHub's `generate` does: `False` for T5Gemma. Not of sound.
        max_source_length: int. Source tokens at most, without the end token; of sound samples.
            Defaults to what the preprocessor has; 64 seconds of sound.
        max_target_length: int. Target tokens at most, without the end token. Likewise.
        dropout: float. Dropout if it is trained further. Defaults to 0.

    Raises:
        InputError: If a file is missing or broken, it is another model, has no preprocessor,
            or a tokenizer or setting that this package lacks; with its name.
    """
    task, name = source, type(source).__name__
    if isinstance(source, (str, Path)):
        task, name = _load(Path(source)), str(source)
    backbone = getattr(task, "backbone", None)
    kind = _KINDS.get(type(backbone).__name__)
    if kind is None:
        raise InputError(f"{name} is no {', '.join(one.task for one in _KINDS.values())}.")
    preprocessor = task.preprocessor
    if preprocessor is None:
        raise InputError(
            f"{name} has no preprocessor, which knows the tokenizer and the lengths: save the "
            f"{kind.task} with its preprocessor."
        )
    if not preprocessor.built:
        preprocessor.build(None)
    lengths = max_source_length, max_target_length
    with fitting(Path(name)):
        file, config = kind.read(backbone)
        if type(backbone).__name__ != "MoonshineBackbone":
            reads_end = kind.reads_end if source_end is None else source_end
            return _of_text(file, config, preprocessor, reads_end, lengths, dropout, name)
        if source_end is not None:
            raise InputError(f"--source-end does not apply to {name}, a model of sound.")
        return _of_sound(file, config, task, lengths, dropout, name)


def kerashub_class(path: Path) -> str:
    """The class of the backbone in a folder of KerasHub; empty for another folder."""
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
        is_preset = str(config["module"]).startswith("keras_hub")
        return str(config["class_name"]) if is_preset else ""
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""  # What it is otherwise says who reads it.


def _load(folder: Path) -> Any:
    """The task of a folder.

    Raises:
        InputError: If KerasHub cannot load it, or it is of another kind.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Give what `save_to_preset` wrote.")
    found = kerashub_class(folder)
    if found not in _KINDS:
        raise InputError(
            f"{folder} holds {f'a {found}' if found else 'no model'} of KerasHub; this program "
            f"reads {', '.join(_KINDS)}."
        )
    weights = "model.weights.h5", "model.weights.json"
    for names in (weights, ("tokenizer.json",)):
        if not any((folder / name).is_file() for name in names):
            raise InputError(
                f"{folder} lacks {names[0]}. Give all that `save_to_preset` of a "
                f"{_KINDS[found].task} wrote."
            )
    task = getattr(import_keras_nlp().models, _KINDS[found].task)
    try:
        # With a dtype: KerasHub 0.32 cannot find that of a Moonshine that it wrote itself.
        return task.from_preset(str(folder), dtype="float32")
    # What Keras and KerasHub raise for a damaged file is of many kinds.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder} cannot be loaded by KerasHub: {reason}") from error


def _of_text(
    file: ModelFile,
    config: dict[str, Any],
    preprocessor: Any,
    reads_end: bool,
    lengths: tuple[int | None, int | None],
    dropout: float,
    name: str,
) -> Seq2Seq:
    reading = Reading(file, config, Path(name))
    tokenizer = preprocessor.tokenizer
    tokens = tokens_of(tokenizer, len(reading.file["decoder/embeddings/weight"]))
    before = _ids(preprocessor.encoder_packer.start_value)
    if not getattr(preprocessor, "add_start_token", True):
        before = []
    start, *prompt = _ids(preprocessor.decoder_packer.start_value)
    vocabulary = _vocabulary(tokenizer, tokens, start)
    source, target = (
        tokenizer_as_ours(
            tokenizer,
            vocabulary.tokens,
            name=f"{side}_vocabulary",
            begin=vocabulary.named(" ".join(tokens[one] for one in ids)),
        )
        for side, ids in (("source", before), ("target", prompt))
    )
    longest = (
        lengths[0] or preprocessor.encoder_sequence_length - 1,
        lengths[1] or preprocessor.decoder_sequence_length - 1,
    )
    own = TextPreprocessor(
        source,
        target,
        reading.longest("encoder", longest[0] + 1) - 1,
        reading.longest("decoder", longest[1] + 1) - 1,
    )
    model = reading.build(own, reads_end, dropout)
    assign_weights(reading, model, vocabulary, vocabulary)
    return model


class _MoonshineReading(Reading):
    """A Moonshine as settings and weights; its convolutions stand beside."""

    others = ("decoder/embeddings/weight",)

    def _width(self, side: str) -> int:
        return self._need(self.others[0]).shape[1]


def _of_sound(
    file: ModelFile,
    config: dict[str, Any],
    task: Any,
    lengths: tuple[int | None, int | None],
    dropout: float,
    name: str,
) -> Seq2Seq:
    reading = _MoonshineReading(file, config, Path(name))
    preprocessor, backbone = task.preprocessor, task.backbone
    tokenizer, converter = preprocessor.tokenizer, preprocessor.audio_converter
    tokens = tokens_of(tokenizer, backbone.vocabulary_size)
    start, *prompt = _ids(preprocessor.decoder_packer.start_value)
    vocabulary = _vocabulary(tokenizer, tokens, start)
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


def _vocabulary(tokenizer: Any, tokens: list[str], start: int) -> Vocabulary:
    unknown = next((one for one in ("<unk>", "[UNK]") if one in tokens), "")
    specials = Specials(unknown, tokens[tokenizer.end_token_id], tokens[start])
    return Vocabulary(tokens, specials, "target")


def _ids(value: Any) -> list[int]:
    if value is None:
        return []
    return [int(one) for one in value] if isinstance(value, (list, tuple)) else [int(value)]
