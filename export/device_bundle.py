"""The folder beside a `.tflite` file: what somebody without this package needs to use it."""

import json
import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from keras_seq2seq import __version__
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings

from . import litert_runner, plain_tokenizers, vector_check
from .description import fingerprint
from .test_vectors import FILE_NAME, make_test_vectors, to_json

HERE = Path(__file__).parent
CARD = Template((HERE / "model_card.md").read_text("utf-8"))
SIGNAL_CARD = Template((HERE / "signal_model_card.md").read_text("utf-8"))

# What the card says of the programs in the folder.
EXAMPLES = (
    "`litert_runner.py` (Python, with `plain_tokenizers.py` and `vector_check.py`) and "
    "`generate.cpp` (C++) are complete examples; the first needs"
)
BATCH_EXAMPLE = (
    "`litert_runner.py` (Python, with `plain_tokenizers.py` and `vector_check.py`) is a "
    "complete example, which puts sources of similar length together; it needs"
)


def write_bundle(
    folder: Path,
    content: bytes,
    model: Seq2Seq,
    description: dict[str, Any],
    model_name: str,
    sources: Sequence[Any] = (),
) -> None:
    """Writes `model.tflite`, the vocabularies, `signatures.json`, test vectors, the runner and
    the card.

    Args:
        folder: New folder.
        content: The `.tflite` file.
        model: The model, with a preprocessor.
        description: Of `signatures.describe`.
        model_name: Title of the card.
        sources: Some of the model's data, for the test vectors.
    """
    folder.mkdir(parents=True)
    texts = tokenizer_files(model)
    contents = {"model.tflite": content, **{n: text.encode() for n, text in texts.items()}}
    files = {name: fingerprint(written) for name, written in contents.items()}
    texts["signatures.json"] = json.dumps(description | {"files": files}, indent=2)
    (folder / "model.tflite").write_bytes(content)
    # At the end of the file too, as TFLite's metadata packs files: it can travel alone.
    with zipfile.ZipFile(folder / "model.tflite", "a") as archive:
        for file, text in texts.items():
            (folder / file).write_bytes(text.encode())
            archive.writestr(zipfile.ZipInfo(file), text.encode())
    settings = GenerationSettings(**description["generation"])
    vectors = make_test_vectors(model, settings, content, sources)
    (folder / FILE_NAME).write_text(to_json(vectors), "utf-8")
    for module in (litert_runner, plain_tokenizers, vector_check):
        shutil.copy(str(module.__file__), folder)
    if description.get("batch_size", 1) == 1:
        (folder / "generate.cpp").write_text(_program(model, description), "utf-8")
    # Neither the shortest nor an odd one.
    example = vectors["vectors"][min(4, len(vectors["vectors"]) - 1)]
    card = _card(model, description, model_name, len(content), example)
    if description.get("batch_size", 1) > 1:
        # What is left are hosts of one source.
        card = re.split(r"\n## (?:Kotlin|Swift|C\+\+)", card)[0]
    (folder / "MODEL_CARD.md").write_text(card, "utf-8")


def tokenizer_files(model: Seq2Seq) -> dict[str, str]:
    """What the tokenizers need without TensorFlow, by the names of the files."""
    return {
        f"{side}_{what}.txt": "".join(f"{item}\n" for item in items)
        for side, tokenizer in model.preprocessor.tokenizers.items()
        for what, items in tokenizer.lists.items()
    }


def _program(model: Seq2Seq, description: dict[str, Any]) -> str:
    """`generate.cpp` of this model: how its tokens become text."""
    target = description["target"]
    ids = {
        token: index
        for index, token in enumerate(model.preprocessor.target_tokenizer.get_vocabulary())
    }
    # These put their pieces together in other ways.
    joins = not {"space", "goes_on", "inside"} & target.keys()
    runs = ", ".join(f"{{{first}, {behind}}}" for first, behind in target.get("unwritten", []))
    values = {
        "kSampleRate": description["source"].get("sample_rate", 0),
        "kJoins": json.dumps(joins),
        "kSeparator": json.dumps(target.get("separator", ""), ensure_ascii=False),
        "kCharacters": json.dumps(target.get("characters", ""), ensure_ascii=False),
        "kBegin": f"{{{', '.join(str(ids[token]) for token in target.get('begin', []))}}}",
        "kUnwritten": f"{{{runs}}}",
        "kStrips": json.dumps(target.get("strip", False)),
    }
    program = (HERE / "generate.cpp").read_text("utf-8")
    for name, value in values.items():
        before, _, rest = program.partition(f"{name} = ")
        _, end, rest = rest.partition(";\n")
        program = f"{before}{name} = {value}{end}{rest}"
    return program


def _card(
    model: Seq2Seq,
    description: dict[str, Any],
    model_name: str,
    size: int,
    example: dict[str, Any],
) -> str:
    preprocessor, generation = model.preprocessor, description["generation"]
    tokens = generation["max_length"] or preprocessor.max_target_length
    shared = {
        "name": model_name,
        "version": __version__,
        "megabytes": f"{size / 1e6:.2f}",
        "quantization": description["quantization"],
        "parameters": f"{model.count_params():,}",
        "longest_source": preprocessor.max_source_length,
        "longest_target": tokens,
        "output_length": tokens + 1,
        "hypotheses": generation["num_hypotheses"],
        "settings": _changed(generation),
        "target_size": preprocessor.target_tokenizer.vocabulary_size(),
        "separator": repr(description["target"]["separator"]),
        "end": description["target"]["end"],
        "batch": description.get("batch_size", 1),
        "examples": EXAMPLES,
    }
    if shared["batch"] > 1:
        shared["examples"] = BATCH_EXAMPLE
    if preprocessor.kind != "text":
        return SIGNAL_CARD.substitute(shared, **_signal_words(preprocessor, shared["batch"]))
    split = {
        "CharacterTokenizer": "each Unicode character (code point) is a token",
        "SymbolTokenizer": "tokens are separated by spaces, tabs or line breaks (ASCII)",
        "WordTokenizer": "words and punctuation, as `plain_tokenizers.py` does",
        "WordPieceTokenizer": "WordPiece, as `plain_tokenizers.py` does",
        "SentencePieceTokenizer": "SentencePiece, as `plain_tokenizers.py` does with "
        "`source_scores.txt`",
        "BPETokenizer": "BPE of the words between spaces, as `plain_tokenizers.py` does with "
        "`source_merges.txt`",
        "ByteLevelBPETokenizer": "byte-level BPE, as `plain_tokenizers.py` does with "
        "`source_merges.txt` and `signatures.json`",
        "SentencePieceFileTokenizer": "SentencePiece, as `plain_tokenizers.py` does with "
        "`source_scores.txt` and `signatures.json`",
    }
    lowercase = "lower-case it (Unicode), then " if description["source"]["lowercase"] else ""
    how = split.get(description["source"]["split"], description["source"]["split"])
    if begin := description["source"].get("begin"):
        how += f"; in front of them stand {' '.join(f'`{token}`' for token in begin)}"
    if finish := description["source"].get("finish"):
        how += f"; behind them {' '.join(f'`{token}`' for token in finish)}"
    return CARD.substitute(
        shared,
        source_size=preprocessor.source_tokenizer.vocabulary_size(),
        split=lowercase + how,
        unknown=description["source"]["unknown"],
        append=description["source"]["append"],
        source_text=_code(example["source"]),
        source_literal=json.dumps(example["source"], ensure_ascii=False),
        source_ids=example["encoder_token_ids"],
        target_ids=example["token_ids"][0] if example["token_ids"] else [],
        target_text=_code(example["texts"][0] if example["texts"] else ""),
    )


def _changed(generation: dict[str, Any]) -> str:
    """The settings that differ from the defaults: the others are as everywhere."""
    defaults = GenerationSettings().to_dict()
    changed = {
        name: value
        for name, value in generation.items()
        if name not in defaults or _listed(defaults[name]) != _listed(value)
    }
    search = GenerationSettings(**generation).description
    told = [f"{name} {value}" for name, value in changed.items()]
    return f"{search}; {', '.join(told) or 'all settings as the defaults'}"


def _listed(value: Any) -> Any:
    """A tuple as JSON has it."""
    return list(value) if isinstance(value, tuple) else value


def _code(text: str) -> str:
    """Text as code in a table or a sentence of Markdown, whatever it holds."""
    shown = " ".join(text.split("\n"))
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    edge = " " if shown.startswith("`") or shown.endswith("`") or not shown.strip() else ""
    return f"{fence}{edge}{shown}{edge}{fence}"


def _signal_words(preprocessor: Any, batch: int) -> dict[str, Any]:
    if preprocessor.kind == "waveform":
        rate = preprocessor.sample_rate
        return {
            "input": preprocessor.key,
            "shape": f"[{batch}, N]",
            "length": "N",
            "unit": preprocessor.unit,
            "seconds": f" ({preprocessor.max_source_length / rate:.1f} s)",
            "what": f"sound, one channel, {rate} samples a second, in [-1, 1]",
            "file": "sound.wav",
            "resampled": f"of {rate} Hz",
            "task": "pipeline_tag: automatic-speech-recognition\n",
        }
    shape = preprocessor.feature_shape
    return {
        "input": preprocessor.key,
        "shape": f"[{batch}, T, {preprocessor.feature_dim}]",
        "length": "T",
        "unit": preprocessor.unit,
        "seconds": "",
        "what": f"frames of the shape {shape}, flattened",
        "file": "frames.npy",
        "resampled": f"of an array {('frames', *shape)}",
        "task": "",
    }
