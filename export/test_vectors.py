"""Sources with what comes out for them, for who writes a host for an exported file.

`test_vectors.json` has one vector a line: `source` with its `encoder_token_ids`, and of every
hypothesis `token_ids` (before the end), `log_probs`, `scores` and `texts`; or `refused`, for a
source that a host must not feed. The runner of the folder, its C++ program and the page replay
it.
"""

import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.decoding import Hypotheses
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings

from .native_notes import without_notes
from .plain_tokenizers import PlainTokenizer

FILE_NAME = "test_vectors.json"
# All of them, odd ones among them.
MOST_VECTORS = 20
# What log probabilities may differ by, times their size if that is above 1.
TOLERANCE = 1e-3
NO_HYPOTHESIS = -5e8
# A character that no vocabulary has: of the private use area.
STRANGE = "\uf8ff"


def make_test_vectors(
    model: Seq2Seq,
    settings: GenerationSettings,
    content: bytes,
    sources: Sequence[Any] = (),
) -> dict[str, Any]:
    """The content of `test_vectors.json`: what the file gives where it was exported.

    Args:
        model: Model with a preprocessor.
        settings: The generation of the file.
        content: The `.tflite` file.
        sources: Sources of the model's own data, if there are some at hand; the vectors are
            chosen among them by length. Else they are made of the vocabulary.
    """
    own: list[str] = []
    refused: list[tuple[str, str]] = []
    taken: Sequence[Any]
    if model.preprocessor.kind == "text":
        own = [source for source in dict.fromkeys(map(str, sources)) if source]
        taken, refused = _texts(model.preprocessor, own)
    else:
        taken = _signals(model.preprocessor)
    run = _runner(content)
    if taken:
        # The memory of an interpreter is right once it has grown (`litert_runner.Growing`).
        longest = max(taken, key=lambda one: model.preprocessor.source_lengths([one])[0])
        run(**_fed(run, model.preprocessor.encoder_inputs([longest])))
    vectors = [_vector(model, settings, run, source) for source in taken]
    vectors += [{"source": source, "refused": reason} for source, reason in refused]
    return {
        "made_of": "sources of the model's data" if own else "the vocabulary",
        "tolerance": TOLERANCE,
        "vectors": vectors,
    }


def to_json(vectors: dict[str, Any]) -> str:
    """One vector a line: a program without a JSON parser finds its numbers."""
    head = {name: value for name, value in vectors.items() if name != "vectors"}
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in vectors["vectors"])
    return json.dumps(head)[:-1] + f', "vectors": [\n{lines}\n]}}\n'


def _texts(preprocessor: Any, own: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Sources that are taken, and those that must be refused with the reason."""
    longest = preprocessor.max_source_length
    vocabulary = preprocessor.source_tokenizer.get_vocabulary()[4:] or [STRANGE]
    rng = np.random.default_rng(1)
    join = plain_tokenizer(preprocessor.source_tokenizer).join

    def made(length: int) -> str:
        return join([str(token) for token in rng.choice(vocabulary, length)])

    if not own:
        lengths = np.unique(np.linspace(1, longest, MOST_VECTORS).astype(int))
        own = [made(int(length)) for length in lengths]
    word = own[0]
    odd = [
        made(1),
        STRANGE,
        f"{word}{STRANGE}",
        f" {word}  {word} ",
        "[END]",
        f"{word}\u00a0{word}",
        _longest(preprocessor, [*own, *(made(n) for n in range(1, 9))], longest),
    ]
    fitting = _fitting(preprocessor, own)
    by_length = sorted(fitting, key=lambda text: (len(text), text))
    places = np.linspace(0, len(by_length) - 1, MOST_VECTORS - len(odd) - 2).astype(int)
    taken = [by_length[place] for place in np.unique(places)] if by_length else []
    taken += _fitting(preprocessor, [text for text in odd if text not in taken])
    refused = [("", "a source must have a token")]
    too_long = taken[-1]
    while len(preprocessor.source_tokenizer.split_text(too_long)) <= longest:
        too_long = f"{too_long} {taken[-1]}"
    refused.append((too_long, f"a source must have at most {longest} tokens"))
    return taken, refused


def plain_tokenizer(tokenizer: Any) -> PlainTokenizer:
    """The tokenizer in plain Python, as the runner of a folder has it."""
    return PlainTokenizer(tokenizer.description, **tokenizer.lists)


def _fitting(preprocessor: Any, texts: list[str]) -> list[str]:
    if not texts:
        return []
    lengths = preprocessor.source_lengths(texts)
    fits = (lengths > 0) & (lengths <= preprocessor.max_source_length)
    return [text for text, fit in zip(texts, fits, strict=True) if fit]


def _longest(preprocessor: Any, texts: list[str], longest: int) -> str:
    """A source of as many tokens as the model takes, or nearly."""
    split = preprocessor.source_tokenizer.split_text
    best = max(texts, key=lambda text: (len(split(text)) <= longest, len(split(text))))
    separators = ("", " ")
    grown = True
    while grown:
        grown = False
        for text in sorted(texts, key=len, reverse=True):
            for separator in separators:
                longer = f"{best}{separator}{text}"
                if len(split(best)) < len(split(longer)) <= longest:
                    best, grown = longer, True
    return best


def _signals(preprocessor: Any) -> list[np.ndarray]:
    """Three short signals whose numbers are exact in float32 and short as text."""
    rng = np.random.default_rng(1)
    least = preprocessor.max_source_length
    lengths = sorted({min(least, length) for length in (1, 7, 40)})
    if preprocessor.kind == "waveform":
        lengths = sorted({min(least, length) for length in (400, 1000, 2000)})
        shape: tuple[int, ...] = ()
    else:
        shape = tuple(preprocessor.feature_shape)
    return [
        (rng.integers(-64, 64, (length, *shape)) / 128).astype(np.float32) for length in lengths
    ]


def _runner(content: bytes) -> Any:
    with warnings.catch_warnings(), without_notes():
        # TensorFlow's own interpreter is there wherever a file can be written.
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_content=content)
        interpreter.allocate_tensors()
        return interpreter.get_signature_runner("serving_default")


def _vector(
    model: Seq2Seq, settings: GenerationSettings, run: Any, source: Any
) -> dict[str, Any]:
    inputs = model.preprocessor.encoder_inputs([source])
    outputs = {name: array[:1] for name, array in run(**_fed(run, inputs)).items()}
    kept = [row for row, p in enumerate(outputs["log_probs"][0]) if p > NO_HYPOTHESIS]
    ids = outputs["token_ids"]
    numbers = outputs["log_probs"]
    lengths = np.argmax(ids == model.end_id, axis=-1)
    lengths = np.where((ids == model.end_id).any(-1), lengths, ids.shape[-1])
    hypotheses = Hypotheses(ids, lengths, numbers, numbers, ids, outputs.get("alignments"))
    replaced = settings.replace_unknown and "alignments" in outputs
    texts = model.texts(hypotheses, [source] if replaced else None)[0]
    vector: dict[str, Any] = {"source": source}
    if isinstance(source, str):
        vector["encoder_token_ids"] = np.asarray(inputs["encoder_token_ids"])[0].tolist()
    else:
        vector["source"] = source.tolist()
    vector |= {
        "token_ids": [ids[0, row, : lengths[0, row]].tolist() for row in kept],
        "log_probs": [round(float(numbers[0, row]), 6) for row in kept],
        "texts": [texts[row] for row in kept],
    }
    if "scores" in outputs:
        vector["scores"] = [round(float(outputs["scores"][0, row]), 6) for row in kept]
    return vector


def _fed(run: Any, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Inputs of one source as the file takes them: in each row of its batch, and padded,
    where it has a fixed length."""
    fed = {}
    for name, value in inputs.items():
        signature = run.get_input_details()[name]["shape_signature"]
        array = np.repeat(np.asarray(value), signature[0], axis=0)
        missing = signature[1] - array.shape[1] if array.ndim > 1 else 0
        if missing > 0:  # -1 is a length that is free.
            array = np.pad(array, [(0, 0), (0, missing)] + [(0, 0)] * (array.ndim - 2))
        fed[name] = array
    return fed
