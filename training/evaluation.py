"""Error rates of a model on pairs, by real decoding."""

import time
from typing import Any

from keras_seq2seq.data import Pairs
from keras_seq2seq.metrics import ErrorRates, error_rates

from .run_directory import RunDirectory


def split_target(model: Any, text: str) -> list[str]:
    """The tokens that errors are counted in: symbols, or characters."""
    separator = model.preprocessor.target_tokenizer.separator
    return text.split() if separator else list(text)


def evaluate(
    model: Any, pairs: Pairs, *, num_beams: int = 1, length_penalty: float = 0.0
) -> tuple[ErrorRates, list[str], float]:
    """Decodes every source once and compares with all its targets.

    Args:
        model: `Seq2Seq` with a preprocessor.
        pairs: A source that occurs several times has several right answers.
        num_beams: int. 1 is greedy search.
        length_penalty: float.

    Returns:
        The error rates, the generated texts in the order of first appearance of their
        sources, and the seconds that decoding took.
    """
    references = pairs.references()
    begin = time.perf_counter()
    texts = model.generate(list(references), num_beams=num_beams, length_penalty=length_penalty)
    seconds = time.perf_counter() - begin
    rates = error_rates(
        [split_target(model, text) for text in texts],
        [[split_target(model, text) for text in answers] for answers in references.values()],
    )
    return rates, texts, seconds


def evaluate_run(
    run: RunDirectory,
    pairs: Pairs | None = None,
    *,
    num_beams: int = 1,
    length_penalty: float = 0.0,
) -> dict[str, Any]:
    """Evaluates the best model of a run and writes `evaluation.json`.

    Args:
        run: The run.
        pairs: Defaults to the run's test pairs, else its validation pairs.
        num_beams: int. 1 is greedy search.
        length_penalty: float.

    Returns:
        What the file holds: the error rates, the settings, milliseconds a source.
    """
    pairs = pairs if pairs is not None else run.test_pairs()
    model = run.load_model()
    rates, _, seconds = evaluate(
        model, pairs, num_beams=num_beams, length_penalty=length_penalty
    )
    settings = run.config["settings"]
    result = {
        **rates.to_dict(),
        "search": "greedy" if num_beams == 1 else f"beam {num_beams}",
        "num_beams": num_beams,
        "length_penalty": length_penalty,
        "milliseconds_each": 1000 * seconds / rates.sequences,
        "token_name": settings["token_name"],
        "sequence_name": settings["sequence_name"],
    }
    run.write_json(run.evaluation_file, result)
    return result
