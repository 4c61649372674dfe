"""What is done before the first epoch: tokenizers, pairs that fit, and what is said of them."""

from dataclasses import dataclass

from rich.console import Console

from keras_seq2seq.data import Pairs, Preprocessor, Splits, TokenSwaps
from keras_seq2seq.models import Seq2Seq

from ..run_directory import RunDirectory
from ..settings import TrainingConfig
from .building import build_preprocessor
from .checks import (
    fitting,
    report_overlap,
    report_unknown,
    report_unknown_targets,
    token_swaps,
)
from .optimization import precision
from .own_parts import OwnParts
from .starting import starting_model


@dataclass(frozen=True)
class Prepared:
    """Pairs that fit the model, and what makes batches of them."""

    preprocessor: Preprocessor
    train: Pairs
    validation: Pairs
    num_dropped: int
    swaps: TokenSwaps | None
    # That of `--from`.
    model: Seq2Seq | None


def prepare(
    config: TrainingConfig,
    splits: Splits,
    run: RunDirectory,
    console: Console,
    own: OwnParts,
) -> Prepared:
    """Vocabularies from the training pairs; says what is odd, and writes what is held out."""
    model, is_tuned = None, bool(config.fine_tuning.base)
    if is_tuned:
        with precision(config.optimization.precision):
            model = starting_model(config, run, splits.train, console)
    preprocessor = (
        model.preprocessor if model else build_preprocessor(config, splits.train, own)
    )
    train_pairs = fitting(preprocessor, splits.train, "training", console)
    validation = fitting(preprocessor, splits.validation, "validation", console)
    report_unknown(preprocessor, validation, console, run.has_begun, is_tuned)
    copies = getattr(config.model, "copy", False)
    report_unknown_targets(preprocessor, validation, console, copies, run.has_begun, is_tuned)
    report_overlap(splits, console)
    swaps = token_swaps(config, preprocessor, train_pairs, console)
    run.write_vocabulary(preprocessor)
    run.write_pairs(run.validation_file, validation)
    if splits.test is not None:
        run.write_pairs(run.test_file, splits.test)
    num_dropped = len(splits.train) - len(train_pairs)
    return Prepared(preprocessor, train_pairs, validation, num_dropped, swaps, model)
