"""What of the settings makes a graph, and what is a value that a graph is given.

*Structure* is which rules there are and how many hypotheses: a graph is made for it once.
*Values* are the numbers and lists in it. A graph takes each either as a constant, which an
export freezes, or as a tensor, which `model.generate` feeds with every call and a request
changes: the graph is the same.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.settings import GenerationSettings

# Name -> number, array or tensor. The names of `DTYPES`, which are fields of the settings,
# and those of `TABLES`.
Values = Mapping[str, Any]

# A value of a graph is a scalar of this type; or one a row, where the rule that it belongs to
# says so. Of float64 are those that are calculated with before they are rounded.
DTYPES = {
    "length_penalty": tf.float32,
    "coverage_penalty": tf.float32,
    "ctc_weight": tf.float64,
    "diversity_penalty": tf.float32,
    "patience": tf.float64,
    "max_length": tf.int32,
    "min_length": tf.int32,
    "max_length_ratio": tf.float32,
    "min_length_ratio": tf.float32,
    "seed": tf.int32,
    "temperature": tf.float32,
    "top_k": tf.int32,
    "top_p": tf.float32,
    "min_p": tf.float32,
    "repetition_penalty": tf.float32,
}

# Sizes are not rounded up beyond it.
LARGEST = 1_000_000

# Lists of tokens and targets as arrays: what `suppression`, `token_biases`, `AllowedTargets`
# and `listed_tokens` say.
TABLES = {
    "suppressed": tf.TensorSpec([None], tf.float32),
    "token_biases": tf.TensorSpec([None], tf.float32),
    "allowed": tf.TensorSpec([None, None], tf.int32),
    "shortlist": tf.TensorSpec([None, None], tf.int32),
    "always_listed": tf.TensorSpec([None], tf.int32),
}


@checked
def structure_of(
    settings: GenerationSettings,
    fixed_shapes: bool = False,
    longest: int | None = None,
    usual: int | None = None,
) -> GenerationSettings:
    """The settings with one value in the place of all that a graph can be given.

    Settings of the same structure share a graph. The best `num_beams` of a search come out,
    of which the caller takes as many as were asked for.

    Args:
        settings: The settings.
        fixed_shapes: bool. Whether sizes must be known, as XLA needs: then the greatest
            length and `top_k` are rounded up, to few different ones.
        longest: int, optional. The greatest length is not rounded up beyond it.
        usual: int, optional. The greatest length where the settings name none. Results of one
            graph have room for so many tokens; another serves all lengths beyond.
    """
    top_k, max_length = min(settings.top_k, 1), None
    if settings.max_length is not None and settings.max_length > (usual or 0):
        max_length = round_up(settings.max_length) if fixed_shapes else 1
        max_length = min(max_length, max(LARGEST, settings.max_length))
        if longest is not None:
            max_length = min(max_length, max(longest, settings.max_length))
    if fixed_shapes and settings.top_k:
        top_k = min(2 ** (settings.top_k - 1).bit_length(), max(LARGEST, settings.top_k))
    has_range = settings.min_length > 0 or settings.has_length_ratio
    return GenerationSettings(
        num_beams=settings.num_beams,
        num_hypotheses=settings.num_hypotheses if settings.sample else settings.num_beams,
        length_rule=settings.length_rule,
        length_penalty=float(settings.length_penalty != 0),
        coverage_penalty=float(settings.coverage_penalty > 0),
        ctc_weight=float(settings.ctc_weight > 0),
        num_beam_groups=settings.num_beam_groups,
        max_length=max_length,
        min_length=int(has_range),
        max_length_ratio=None if settings.max_length_ratio is None else 1.0,
        min_length_ratio=float(settings.min_length_ratio > 0),
        sample=settings.sample,
        temperature=0.5 if settings.sample and settings.temperature != 1 else 1.0,
        top_k=top_k if settings.sample else 0,
        top_p=0.5 if settings.sample and settings.top_p < 1 else 1.0,
        min_p=0.5 if settings.sample and settings.min_p else 0.0,
        repetition_penalty=1.0 if settings.repetition_penalty == 1 else 2.0,
        no_repeat_ngram_size=settings.no_repeat_ngram_size,
        bias_ids=((0, 0.0),) if settings.bias or settings.bias_ids else (),
        allowed=("",) if settings.allowed else None,
        shortlist=settings.shortlist,
        alignments=settings.records_alignments,
    )


def value_names(structure: GenerationSettings) -> list[str]:
    """The values that a graph of this structure reads."""
    has_beam = structure.num_beams > 1
    reads = {
        "max_length": True,
        "suppressed": True,
        "min_length": structure.min_length > 0,
        "max_length_ratio": structure.max_length_ratio is not None,
        "min_length_ratio": structure.min_length_ratio > 0,
        "length_penalty": structure.length_penalty > 0,
        "patience": has_beam,
        "coverage_penalty": structure.coverage_penalty > 0,
        "diversity_penalty": structure.num_beam_groups > 1,
        "ctc_weight": structure.ctc_weight > 0,
        "seed": structure.sample,
        "temperature": structure.temperature != 1,
        "top_k": structure.top_k > 0,
        "top_p": structure.top_p < 1,
        "min_p": structure.min_p > 0,
        "repetition_penalty": structure.repetition_penalty != 1,
        "token_biases": bool(structure.bias_ids),
        "allowed": bool(structure.allowed),
        "shortlist": structure.shortlist is not None,
        "always_listed": structure.shortlist is not None,
    }
    return [name for name, is_read in reads.items() if is_read]


@checked
def value_specs(structure: GenerationSettings) -> dict[str, tf.TensorSpec]:
    """Shapes and dtypes of these values as inputs of a graph."""
    return {
        name: TABLES[name] if name in TABLES else tf.TensorSpec([], DTYPES[name])
        for name in value_names(structure)
    }


def numbers_of(settings: GenerationSettings) -> dict[str, Any]:
    """The values of the settings that are numbers; `max_length` may be `None`."""
    return {name: getattr(settings, name) for name in DTYPES}


def round_up(size: int) -> int:
    """The least of 1, 2, ..., 8, 10, 12, 14, 16, 20, ... that is not below `size`."""
    step = max(1, 2 ** ((size - 1).bit_length() - 3))
    return -(-size // step) * step
