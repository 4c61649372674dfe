"""What is said about the data of a run before it begins, and what stops it."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from keras_seq2seq.data import (
    Pairs,
    Preprocessor,
    Splits,
    TokenSwaps,
    learn_token_swaps,
    overlap,
)
from keras_seq2seq.data.preprocessor import count_unknown
from keras_seq2seq.data.token_lengths import token_lengths
from keras_seq2seq.errors import InputError
from keras_seq2seq.metrics import check_metric, metric_warnings, never_scores
from keras_seq2seq.models import backend_generates
from keras_seq2seq.wording import counted

from ..settings import TrainingConfig
from ..settings.base import BASE
from ..settings.monitors import SCORES

# A vocabulary that misses more of the held-out sources than this was built on other text.
LARGEST_UNKNOWN_SHARE = 0.5


def check_backend() -> None:
    """Raises `InputError` if the backend of Keras cannot train."""
    if backend_generates():
        return
    backend = keras.backend.backend()
    if backend != "jax":
        raise InputError(f"KERAS_BACKEND must be tensorflow or jax. Received: {backend}.")


def without_effect(config: TrainingConfig) -> list[str]:
    """What of the settings changes nothing in a model of this size, a line each."""
    values = config.values
    layers = values["num_layers"]
    encoder_layers = values.get("encoder_layers") or layers
    shares = ("dropout", "recurrent_dropout", "attention_dropout", "spec_augment")
    lines = []
    if values.get("residual") and max(layers, encoder_layers) == 1:
        lines.append("--residual joins a layer to the one before, and there is one layer")
    if (factor := values.get("time_reduction", 1)) > 1 and encoder_layers == 1:
        lines.append(f"--time-reduction {factor} is of each encoder layer but the first")
    if values["r_drop"] and not any(values.get(name) for name in shares):
        lines.append(
            f"--r-drop {values['r_drop']:g} compares two passes, alike without dropout"
        )
    if values["global_clipnorm"] and "clipnorm" in config.changed and values["clipnorm"]:
        lines.append(f"--clipnorm {values['clipnorm']:g} stands back behind --global-clipnorm")
    return [f"{line}: it changes nothing here." for line in lines]


def fitting_metric(config: TrainingConfig, validation: Pairs, began: bool = False) -> list[str]:
    """What makes the metric of a run say little of its validation targets, a line each.

    Raises:
        InputError: If it cannot be computed here, or is monitored and cannot tell epochs
            apart, unless the run `began` so.
    """
    selection = config.selection
    metric, tokenizer = selection.metric, selection.bleu_tokenizer
    check_metric(metric, tokenizer)
    references = list(validation.references().values())
    reason = never_scores(metric, references, tokenizer)
    if reason and selection.monitor in SCORES and not began:
        raise InputError(
            f"--monitor {selection.monitor} cannot choose an epoch here: {reason}."
        )
    return metric_warnings(metric, references, tokenizer)


def fitting(preprocessor: Preprocessor, pairs: Pairs, name: str, console: Console) -> Pairs:
    """The pairs within the maximum lengths; says how many are left out."""
    sources = preprocessor.source_lengths(pairs.sources)
    targets = token_lengths(preprocessor.target_tokenizer, pairs.targets)
    fits = (sources <= preprocessor.max_source_length) & (
        targets <= preprocessor.max_target_length
    )
    if not fits.any():
        raise InputError(
            f"No {name} pair is within --max-source-length {preprocessor.max_source_length} "
            f"and --max-target-length {preprocessor.max_target_length}."
        )
    if fits.all():
        return pairs
    kept = np.flatnonzero(fits)
    console.print(
        f"{len(pairs) - len(kept)} of {len(pairs)} {name} pairs are left out: longer than "
        f"{preprocessor.max_source_length} source {preprocessor.unit} or "
        f"{preprocessor.max_target_length} target tokens.",
        highlight=False,
        soft_wrap=True,
    )
    return pairs.take(kept)


def report_unknown(
    preprocessor: Any,
    pairs: Pairs,
    console: Console,
    began: bool = False,
    base: bool = False,
) -> None:
    """Says which tokens of held-out sources the vocabulary, which may be that of a `base`,
    lacks.

    Raises:
        InputError: If it lacks most of them, unless the run `began` so.
    """
    unknown = preprocessor.count_unknown(pairs.sources)
    if not unknown:
        return
    total = int(preprocessor.source_tokenizer.tokenize(pairs.sources).flat_values.shape[0])
    if sum(unknown.values()) > LARGEST_UNKNOWN_SHARE * total and not began:
        raise _mostly_unknown("source", unknown, total, base)
    _say_unknown("validation sources", unknown, total, console)


def report_unknown_targets(
    preprocessor: Preprocessor,
    pairs: Pairs,
    console: Console,
    copies: bool = False,
    began: bool = False,
    base: bool = False,
) -> None:
    """Says which tokens of held-out targets the vocabulary lacks, and how many targets can
    never be generated.

    Raises:
        InputError: If it lacks most of them, unless the model `copies` source tokens or the
            run `began` so.
    """
    tokenizer = preprocessor.target_tokenizer
    ids = tokenizer.tokenize(pairs.targets)
    unknown_rows = tf.reduce_any(ids == tokenizer.unknown_token_id, axis=1)
    num_rows = int(tf.math.count_nonzero(unknown_rows))
    if not num_rows:
        return
    unknown = count_unknown(tokenizer, pairs.targets)
    total = int(ids.flat_values.shape[0])
    most = sum(unknown.values()) > LARGEST_UNKNOWN_SHARE * total
    if most and not copies and not began:
        raise _mostly_unknown("target", unknown, total, base)
    lost = "" if copies else f" {num_rows} of {len(pairs)} targets can never be generated."
    _say_unknown("validation targets", unknown, total, console, lost)


def report_new(preprocessor: Preprocessor, pairs: Pairs, console: Console) -> None:
    """Says which tokens of training pairs the vocabularies of a base lack."""
    texts = {"source": pairs.sources, "target": pairs.targets}
    for side, tokenizer in preprocessor.tokenizers.items():
        if unknown := count_unknown(tokenizer, texts[side]):
            total = int(tokenizer.tokenize(texts[side]).flat_values.shape[0])
            more = " --extend-vocabulary makes them known." if tokenizer.grows else ""
            _say_unknown(f"training {side}s", unknown, total, console, more)


def _say_unknown(
    what: str, unknown: dict[str, int], total: int, console: Console, more: str = ""
) -> None:
    console.print(
        f"Unknown in {what}: {sum(unknown.values())} of "
        f"{counted(total, 'token')}: {_listed(unknown)}.{more}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def _mostly_unknown(side: str, unknown: dict[str, int], total: int, base: bool) -> InputError:
    if base:
        return InputError(
            f"The {side} vocabulary of the model of --from misses {sum(unknown.values())} of "
            f"{total} tokens of the validation {side}s: {_listed(unknown)}. Give it text of "
            "its kind, --extend-vocabulary, or leave --from out."
        )
    return InputError(
        f"The vocabulary of the training {side}s misses {sum(unknown.values())} of {total} "
        f"tokens of the validation {side}s: {_listed(unknown)}. Train and validate on the same "
        f"kind of text (check the column order, --lowercase-{side} and --min-count), or split "
        f"it into smaller tokens: --{side}-tokenizer characters."
    )


def _listed(unknown: dict[str, int]) -> str:
    return ", ".join(f"{token!r} ({count})" for token, count in list(unknown.items())[:10])


def report_overlap(splits: Splits, console: Console) -> None:
    """Says how many held-out pairs training sees too."""
    for name, part in (("validation", splits.validation), ("test", splits.test)):
        if part is None:
            continue
        shared, same = overlap(splits.train, part)
        if shared:
            console.print(
                f"Also in the training data: the sources of {shared} of {len(part)} {name} "
                f"pairs, {same} with the same target.",
                highlight=False,
                soft_wrap=True,
            )


def token_swaps(
    config: TrainingConfig, preprocessor: Preprocessor, train: Pairs, console: Console
) -> TokenSwaps | None:
    """The tokens of `--swap-aligned`, of which it says a line; `None` without it, and where
    a recipe or the run of `--from` has it for pairs without such tokens.

    Raises:
        InputError: If no two can be swapped, and the user asked for it.
    """
    share = config.data.swap_aligned
    if not share:
        return None
    swaps = None
    try:
        swaps = learn_token_swaps(preprocessor, train.sources, train.targets, share=share)
        line = f"Swapped in {share:.0%} of the training pairs: {swaps.describe(preprocessor)}."
    except InputError as error:
        if config.origin_of("swap_aligned") not in ("recipe", BASE):
            raise
        line = str(error)
    console.print(line, highlight=False, soft_wrap=True, markup=False)
    return swaps
