"""Encoder-decoders of KerasHub as models of this package's own parts."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_seq2seq.arguments import checked
from keras_seq2seq.converters.ctranslate2_file import ModelFile
from keras_seq2seq.converters.ctranslate2_reading import Reading, fitting, refuse
from keras_seq2seq.converters.ctranslate2_weights import assign_weights
from keras_seq2seq.converters.kerashub_sound import build_moonshine, build_whisper_of
from keras_seq2seq.converters.kerashub_tokenizers import (
    ids_of,
    tokenizer_as_ours,
    tokens_of,
    vocabulary_of,
)
from keras_seq2seq.converters.kerashub_weights import bart, t5, t5gemma
from keras_seq2seq.converters.whisper import WhisperOptions
from keras_seq2seq.data import TextPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.first_import import import_keras_nlp
from keras_seq2seq.models import Seq2Seq


@dataclass(frozen=True)
class _Kind:
    """How a class of backbones is read.

    Attributes:
        task: Class that generates, of `keras_hub.models`.
        read: Backbone of text -> variables and configuration.
        reads_end: Whether its `generate` gives sources their end token.
    """

    task: str
    read: Callable[[Any], tuple[ModelFile, dict[str, Any]]] | None = None
    reads_end: bool = True


_KINDS = {
    "BartBackbone": _Kind("BartSeq2SeqLM", bart),
    "T5Backbone": _Kind("T5Seq2SeqLM", t5),
    "T5GemmaBackbone": _Kind("T5GemmaSeq2SeqLM", t5gemma, reads_end=False),
    "MoonshineBackbone": _Kind("MoonshineAudioToText"),
}
# KerasHub has no task for it, which would keep backbone and tokenizer together.
_WHISPER = "WhisperBackbone"
_KNOWN = ", ".join([*_KINDS, _WHISPER])


@checked
def from_kerashub(
    source: Any,
    *,
    source_end: bool | None = None,
    language: str | None = None,
    task: str | None = None,
    timestamps: bool | None = None,
    window_seconds: float | None = None,
    max_source_length: int | None = None,
    max_target_length: int | None = None,
    dropout: float = 0.0,
) -> Seq2Seq:
    """Rebuilds an encoder-decoder of KerasHub with this package's parts, with the same
    outputs: BART, T5 (plain, gated, mT5), T5Gemma, Moonshine and Whisper.

    Args:
        source: The task with its preprocessor, such as `keras_hub.models.BartSeq2SeqLM`; or
            the folder that its `save_to_preset` wrote; of a Whisper the folder that those of
            backbone and tokenizer wrote.
        source_end: bool. Whether the model reads the end token after a source. Defaults to
            what KerasHub's `generate` does: `False` for T5Gemma. Not of sound.
        language, task, timestamps, window_seconds: Of a Whisper, as of `from_ctranslate2`.
        max_source_length: int. Source tokens at most, without the end token; of sound samples.
            Defaults to what the preprocessor has; 64 seconds of sound. Not of a Whisper.
        max_target_length: int. Target tokens at most, without the end token. Likewise.
        dropout: float. Dropout if it is trained further. Defaults to 0.

    Raises:
        InputError: If a file is missing or broken, it is another model, has no preprocessor,
            or a tokenizer or setting that this package lacks; with its name.
    """
    of_whisper = WhisperOptions(language, task, timestamps, window_seconds)
    name = type(source).__name__
    if isinstance(source, (str, Path)):
        name, folder = str(source), Path(source)
        if kerashub_class(folder) == _WHISPER:
            own = {"source_end": source_end, "max_source_length": max_source_length}
            refuse(own, name, _WHISPER)
            backbone, tokenizer = _load(folder, _WHISPER, "WhisperTokenizer")
            with fitting(folder):
                return build_whisper_of(
                    backbone, tokenizer, name, of_whisper, max_target_length, dropout
                )
        found = _KINDS.get(kerashub_class(folder))
        (source,) = _load(folder, "" if found is None else found.task)
    refuse(of_whisper._asdict(), name, "model that is no Whisper")
    backbone = getattr(source, "backbone", None)
    kind = _KINDS.get(type(backbone).__name__)
    if kind is None:
        raise InputError(f"{name} is no {', '.join(one.task for one in _KINDS.values())}.")
    preprocessor = source.preprocessor
    if preprocessor is None:
        raise InputError(
            f"{name} has no preprocessor, which knows the tokenizer and the lengths: save the "
            f"{kind.task} with its preprocessor."
        )
    if not preprocessor.built:
        preprocessor.build(None)
    lengths = max_source_length, max_target_length
    with fitting(Path(name)):
        if kind.read is None:
            refuse({"source_end": source_end}, name, "model of sound")
            return build_moonshine(backbone, preprocessor, lengths, dropout, name)
        file, config = kind.read(backbone)
        reads_end = kind.reads_end if source_end is None else source_end
        return _of_text(file, config, preprocessor, reads_end, lengths, dropout, name)


def kerashub_class(path: Path) -> str:
    """The class of the backbone in a folder of KerasHub; empty for another folder."""
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
        is_preset = str(config["module"]).startswith("keras_hub")
        return str(config["class_name"]) if is_preset else ""
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""  # What it is otherwise says who reads it.


def _load(folder: Path, *classes: str) -> list[Any]:
    """Objects of a folder, of these classes of `keras_hub.models`; "" for another model.

    Raises:
        InputError: If KerasHub cannot load it, or it is of another kind.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Give what `save_to_preset` wrote.")
    if not all(classes):
        found = kerashub_class(folder)
        raise InputError(
            f"{folder} holds {f'a {found}' if found else 'no model'} of KerasHub; this program "
            f"reads {_KNOWN}."
        )
    weights = "model.weights.h5", "model.weights.json"
    for names in (weights, ("tokenizer.json",)):
        if not any((folder / name).is_file() for name in names):
            raise InputError(
                f"{folder} lacks {names[0]}. Give all that `save_to_preset` of "
                f"{' and '.join(classes)} wrote."
            )
    models = import_keras_nlp().models
    try:
        # A whole path: a name such as `t5_small_multi` would be a preset to download. With a
        # dtype: KerasHub 0.32 cannot find that of a Moonshine that it wrote itself.
        path = str(folder.resolve())
        first, *others = (getattr(models, name) for name in classes)
        loaded = first.from_preset(path, dtype="float32")
        return [loaded, *(other.from_preset(path) for other in others)]
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
    before = ids_of(preprocessor.encoder_packer.start_value)
    if not getattr(preprocessor, "add_start_token", True):
        before = []
    start, *prompt = ids_of(preprocessor.decoder_packer.start_value)
    vocabulary = vocabulary_of(tokenizer, tokens, start)
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
