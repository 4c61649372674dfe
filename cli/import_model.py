"""The command `import`: a model that was trained elsewhere becomes a run."""

import os
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import aside, clear_leftovers

from .options import PATH, console, load_tensorflow, print_written


@click.command("import")
@click.argument("path", type=PATH)
@click.option("--run-dir", required=True, type=PATH, help="New folder for the run.")
@click.option(
    "--source-tokenizer",
    type=PATH,
    help="File that splits the sources: SentencePiece (source.spm), merges.txt, "
    "tokenizer.json, or BPE codes; else they are pieces with spaces between.",
)
@click.option(
    "--target-tokenizer",
    type=PATH,
    help="That of the targets.  [default: of the sources, if there is one vocabulary]",
)
@click.option("--source-prefix", help="Tokens that every source begins with.")
@click.option(
    "--source-suffix",
    help="Tokens that every source finishes with in place of the end token, such as "
    "'</s> en_XX'.",
)
@click.option(
    "--target-prefix", help="Tokens that every target begins with, such as its language's."
)
@click.option(
    "--source-end/--no-source-end",
    default=None,
    help="Whether the model reads the end token after a source.  [default: of the model]",
)
@click.option(
    "--attention-cap",
    type=float,
    help="Cap of attention scores, T5Gemma's attn_logit_softcapping, where a converter left it "
    "out.",
)
@click.option("--logit-cap", type=float, help="Likewise of logits, final_logit_softcapping.")
@click.option("--language", help="What is spoken, such as en.  [default: what it hears]")
@click.option(
    "--task", type=click.Choice(["transcribe", "translate"]), help="Of a model of sound."
)
@click.option("--timestamps", is_flag=True, default=None, help="Texts say when, as <|0.00|>.")
@click.option(
    "--max-source-length",
    type=click.IntRange(1),
    help="Source tokens at most; of sound samples.",
)
@click.option("--max-target-length", type=click.IntRange(1), help="Target tokens at most.")
def import_model(path: Path, run_dir: Path, **options: Any) -> None:
    """Make a run of the trained model PATH: what a CTranslate2 converter wrote (Marian and
    OPUS-MT, BART, mBART, M2M100, NLLB, Pegasus, T5, fairseq, OpenNMT; Whisper), what
    `save_to_preset` of KerasHub wrote (BART, T5, T5Gemma, Moonshine, Whisper),
    checkpoint20.npz of g2p_en, or what `export --format safetensors` wrote.

    Every other command works on the run: generate, evaluate, score, export.

    \b
    Examples:
      keras-seq2seq import opus-mt-en-de-ct2 --run-dir runs/en-de \\
          --source-tokenizer source.spm --target-tokenizer target.spm
      keras-seq2seq import whisper-base-ct2 --language de --run-dir runs/whisper
      keras-seq2seq import t5_small_preset --run-dir runs/t5
      keras-seq2seq import checkpoint20.npz --run-dir runs/g2p
    """
    # Before the work: what is there stays.
    if run_dir.exists() and (not run_dir.is_dir() or any(run_dir.iterdir())):
        raise InputError(f"{run_dir} exists; choose another --run-dir.")
    chosen = {name: value for name, value in options.items() if value is not None}
    load_tensorflow()
    for line in clear_leftovers(run_dir.parent):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    with console.status(f"reading {path}"):
        model = _read(path, chosen)
        with aside(run_dir) as new:
            _write(model, path, new)
            os.rename(new, run_dir)  # In one step, also where there is an empty folder.
    console.print(f"{model.count_params():,} parameters.", highlight=False)
    from keras_seq2seq.converters.tokenizer_files import needed_file

    for side, tokenizer in model.preprocessor.tokenizers.items():
        if _may_have_tokenizers(path) and tokenizer.description["split"] == "SymbolTokenizer":
            needed = needed_file(tokenizer.get_vocabulary())
            console.print(
                f"This model's {side}s are pieces with spaces between; for plain text give "
                f"{needed or 'its SentencePiece file, merges.txt or BPE codes'} as "
                f"--{side}-tokenizer FILE.",
                highlight=False,
                soft_wrap=True,
            )
    print_written(run_dir)


def _may_have_tokenizers(path: Path) -> bool:
    """Whether this is a folder without tokenizers of its own, which the options are for."""
    return path.is_dir() and not (path / "model.safetensors").is_file()


def _read(path: Path, options: dict[str, Any]) -> Any:
    from keras_seq2seq.converters import (
        from_ctranslate2,
        from_g2p_en,
        from_kerashub,
        from_safetensors,
    )
    from keras_seq2seq.converters.kerashub_import import kerashub_class

    if path.is_dir() and not _may_have_tokenizers(path):
        if options:
            name = next(iter(options)).replace("_", "-")
            raise InputError(f"--{name} does not apply to {path.name}, which has its own.")
        return from_safetensors(path)
    read: Any = from_ctranslate2
    known = set(options)
    if kerashub_class(path):
        read, known = from_kerashub, _OF_KERASHUB
    elif path.suffix == ".npz":
        read, known = from_g2p_en, {"max_source_length"}
    for name in options:
        if name not in known:
            option = name.replace("_", "-")
            raise InputError(f"--{option} does not apply to {path.name}.")
    return read(path, **options)


def _write(model: Any, path: Path, run_dir: Path) -> None:
    from keras_seq2seq.data import Pairs
    from keras_seq2seq.training.run_directory import RunDirectory, write_atomically

    run, nothing = RunDirectory(run_dir), Pairs([], [])
    run.begin(_config(model), nothing, nothing)
    run.write_vocabulary(model.preprocessor)
    write_atomically(run.model_file, model.save)
    run.write_json(
        run.metrics_file, {"imported": path.name, "parameters": model.count_params()}
    )


def _config(model: Any) -> Any:
    """What a run of such a model would have been trained with, as far as there is a setting
    for it; the model itself is in model.keras."""
    from keras_seq2seq.training.settings import TrainingConfig

    encoder, decoder, preprocessor = model.encoder, model.decoder, model.preprocessor
    names = {
        "CharacterTokenizer": "characters",
        "SymbolTokenizer": "symbols",
        "WordTokenizer": "words",
        "WordPieceTokenizer": "wordpiece",
        "SentencePieceTokenizer": "sentencepiece",
        "SentencePieceFileTokenizer": "sentencepiece",
        "BPETokenizer": "bpe",
        "ByteLevelBPETokenizer": "bpe",
        "TranscriptTokenizer": "bpe",
    }
    settings = {
        f"{side}_tokenizer": names[tokenizer.description["split"]]
        for side, tokenizer in preprocessor.tokenizers.items()
    }
    settings["source"] = preprocessor.kind
    if preprocessor.kind == "waveform":
        settings |= {"sample_rate": preprocessor.sample_rate, "metric": "wer"}
    settings |= _values(preprocessor, "max_source_length", "max_target_length")
    settings |= _values(decoder, "num_layers", "dropout", "tie_output", "hidden_dim")
    settings |= _values(encoder, encoder_layers="num_layers")
    if not hasattr(decoder, "num_heads"):
        attention = getattr(decoder, "attention", None)
        return TrainingConfig(
            architecture="recurrent",
            attention=_ATTENTION.get(type(attention).__name__)
            or getattr(attention, "score", "none"),
            **_values(encoder, "bidirectional"),
            **_values(decoder, "cell"),
            **_values(decoder.embedding, "embedding_dim"),
            **settings,
        )
    is_shared = encoder.embedding is decoder.embedding
    return TrainingConfig(
        architecture="transformer",
        share_embeddings=is_shared,
        joint_vocabulary=is_shared,
        **_values(decoder, "intermediate_dim", "num_heads", "normalize_first", "positions"),
        **settings,
    )


# Options of a model of KerasHub, which has its own tokenizer and prefixes.
_OF_KERASHUB = {
    "source_end",
    "language",
    "task",
    "timestamps",
    "max_source_length",
    "max_target_length",
}
# Class of an attention -> the setting; others say it themselves.
_ATTENTION = {
    "BahdanauAttention": "additive",
    "LocationSensitiveAttention": "location",
    "MonotonicAttention": "monotonic",
}


def _values(part: Any, *names: str, **renamed: str) -> dict[str, Any]:
    """Attributes by the names of settings; those that a part has not are left out."""
    wanted = dict(zip(names, names, strict=True)) | renamed
    return {
        name: getattr(part, there) for name, there in wanted.items() if hasattr(part, there)
    }
