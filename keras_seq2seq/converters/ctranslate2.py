"""Models that CTranslate2's converters wrote: Marian, BART, M2M100, T5 and others."""

from pathlib import Path
from typing import Any

from keras_seq2seq.arguments import checked
from keras_seq2seq.converters.ctranslate2_file import read_model
from keras_seq2seq.converters.ctranslate2_layout import (
    SOURCE_EMBEDDING,
    SPECIFICATION,
    TARGET_EMBEDDING,
)
from keras_seq2seq.converters.ctranslate2_reading import Reading, fitting, refuse
from keras_seq2seq.converters.ctranslate2_vocabulary import (
    Specials,
    Vocabulary,
    read_config,
    read_vocabularies,
)
from keras_seq2seq.converters.ctranslate2_weights import assign_weights
from keras_seq2seq.converters.tokenizer_files import tokenizer_of
from keras_seq2seq.converters.whisper import SPECIFICATION as WHISPER
from keras_seq2seq.converters.whisper import WhisperOptions, build_whisper, read_words
from keras_seq2seq.data.text_preprocessor import TextPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq

# Tokens of a text at most, where nothing is said.
_LONGEST = 256


@checked
def from_ctranslate2(
    path: str | Path,
    *,
    source_tokenizer: str | Path | None = None,
    target_tokenizer: str | Path | None = None,
    source_prefix: str | None = None,
    source_suffix: str | None = None,
    target_prefix: str | None = None,
    source_end: bool | None = None,
    attention_cap: float | None = None,
    logit_cap: float | None = None,
    language: str | None = None,
    task: str | None = None,
    timestamps: bool | None = None,
    window_seconds: float | None = None,
    max_source_length: int | None = None,
    max_target_length: int | None = None,
    dropout: float = 0.0,
) -> Seq2Seq:
    """Rebuilds a Transformer of text or a Whisper that a CTranslate2 converter wrote, with the
    same outputs.

    Needs neither CTranslate2 nor the framework that the model was trained in.

    Args:
        path: Folder with `model.bin`, `config.json` and the vocabularies; of a Whisper with
            `tokenizer.json` too.
        source_tokenizer: The file that splits the model's sources: SentencePiece, such as
            `source.spm`; `merges.txt` or `tokenizer.json` of a byte-level BPE; codes of
            subword-nmt or fastBPE. Without it sources are pieces with spaces between. This and
            what follows up to `logit_cap` is of models of text.
        target_tokenizer: That of the target. Defaults to that of the source if there is one
            vocabulary.
        source_prefix: Tokens that every source begins with, with spaces between, such as that
            of its language. Defaults to what the model's configuration says.
        source_suffix: Tokens that every source finishes with, in place of the end token:
            `</s> en_XX` of mBART-25. Defaults to none.
        target_prefix: Tokens that every target begins with, likewise. Where the model's
            configuration names no token to begin with, the first is that.
        source_end: bool. Whether the model reads the end token after a source. Defaults to
            `True`, but for a model that begins targets with `<s>` and does not say otherwise
            (OpenNMT's).
        attention_cap: float. What caps attention scores (`TransformerStyle`), such as T5Gemma's
            `attn_logit_softcapping`, which the converter leaves out. Defaults to none.
        logit_cap: float. Likewise logits, T5Gemma's `final_logit_softcapping`.
        language: What is spoken, such as `"en"`. Defaults to what the model hears. This and
            what follows up to `window_seconds` is of a Whisper.
        task: `"transcribe"` (default), or `"translate"` to English.
        timestamps: bool. Whether targets say when, such as `<|0.00|>`. Defaults to `False`.
        window_seconds: float. The window of sound that the model reads, in steps of 0.02
            seconds: a shorter one costs less in proportion, and the model, which knows its
            whole window, wants to be trained on with it. Defaults to all that it has
            positions for, 30.
        max_source_length: int. Source tokens at most, without the end token; less where the
            model has fewer positions. Defaults to 256. A Whisper has its window.
        max_target_length: int. Likewise of the target; of a Whisper 224 after those that
            targets begin with.
        dropout: float. Dropout if it is trained further. Defaults to 0.

    Raises:
        InputError: If a file is missing or broken, the model is another specification, or has
            something that this package lacks; with its name.
    """
    folder = Path(path)
    config = read_config(folder)
    file = read_model(folder / "model.bin")
    of_text = {
        "source_tokenizer": source_tokenizer,
        "target_tokenizer": target_tokenizer,
        "source_prefix": source_prefix,
        "source_suffix": source_suffix,
        "target_prefix": target_prefix,
        "source_end": source_end,
        "attention_cap": attention_cap,
        "logit_cap": logit_cap,
        "max_source_length": max_source_length,
    }
    of_sound = WhisperOptions(language, task, timestamps, window_seconds)
    if file.name == WHISPER:
        refuse(of_text, folder, "model of sound")
        with fitting(folder):
            return build_whisper(
                folder,
                file,
                config,
                *read_words(folder),
                of_sound,
                max_target_length,
                dropout,
            )
    if file.name != SPECIFICATION:
        raise InputError(
            f"{folder} holds a {file.name}; this program reads {SPECIFICATION}, an encoder "
            f"and a decoder of text, and {WHISPER}."
        )
    refuse(of_sound._asdict(), folder, "model of text")
    config = {**config, "attention_cap": attention_cap, "logit_cap": logit_cap}
    with fitting(folder):
        reading = Reading(file, config, folder)
    source_tokens, target_tokens = read_vocabularies(folder)
    for side, tokens, name in (
        ("source", source_tokens, SOURCE_EMBEDDING),
        ("target", target_tokens, TARGET_EMBEDDING),
    ):
        if len(tokens) != len(file[name]):
            raise InputError(
                f"{folder}: the {side} vocabulary has {len(tokens)} tokens, the model "
                f"{len(file[name])}."
            )
    source_prefix, source_suffix = source_prefix or "", source_suffix or ""
    if source_suffix:
        if source_end:
            raise InputError(
                "The end token after a source is among those of --source-suffix, or is not "
                "there; leave --source-end out."
            )
        source_end = False
    specials, target_prefix = _specials(config, reading.starts_with_zeros, target_prefix or "")
    source = Vocabulary(source_tokens, specials, "source")
    target = source
    if target_tokens is not source_tokens:
        target = Vocabulary(target_tokens, specials, "target")
    if config.get("add_source_bos"):
        source_prefix = f"{config['bos_token']} {source_prefix}"
    if target is source and target_tokenizer is None:
        target_tokenizer = source_tokenizer
    longest = (
        reading.longest("encoder", (max_source_length or _LONGEST) + 1) - 1,
        reading.longest("decoder", (max_target_length or _LONGEST) + 1) - 1,
    )
    preprocessor = TextPreprocessor(
        tokenizer_of(
            source_tokenizer,
            source.tokens,
            name="source_vocabulary",
            begin=source.named(source_prefix),
            finish=source.named(source_suffix),
        ),
        tokenizer_of(
            target_tokenizer,
            target.tokens,
            name="target_vocabulary",
            begin=target.named(target_prefix),
        ),
        *longest,
    )
    if source_end is None:
        source_end = _reads_end(config)
    with fitting(folder):
        model = reading.build(preprocessor, source_end, dropout)
        assign_weights(reading, model, source, target)
    return model


def _reads_end(config: dict[str, Any]) -> bool:
    return bool(config.get("add_source_eos")) or config.get("decoder_start_token") != "<s>"


def _specials(
    config: dict[str, Any], starts_with_zeros: bool, target_prefix: str
) -> tuple[Specials, str]:
    """The special tokens, and what is left of the prefix."""
    start = config.get("decoder_start_token")
    if start is None and not starts_with_zeros:
        start, _, target_prefix = target_prefix.partition(" ")
        if not start:
            raise InputError(
                "This model's configuration names no token that targets begin with "
                "(decoder_start_token): give it as --target-prefix, such as that of the "
                "target language."
            )
    for key in ("unk_token", "eos_token"):
        if not isinstance(config.get(key), str):
            raise InputError(f"config.json names no {key}.")
    specials = Specials(
        config["unk_token"], config["eos_token"], None if starts_with_zeros else start
    )
    return specials, target_prefix
