"""What answers lines: the model of a run, or an export, by what a folder holds."""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import disk_errors
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.settings.declarations import settings_of

from .options import PATH, generation_settings, given, load_tensorflow
from .runs import import_option, open_run
from .source_lines import shown

OF_A_RUN = ("keras", "xla")
# An export has the one that it is.
ENGINES = (*OF_A_RUN, "saved_model", "litert")
# What tells what a folder holds, by engine.
FILES = {"saved_model": "saved_model.pb", "litert": "model.tflite", "keras": "model.keras"}

# Lines that are read ahead at most, so that those of similar length are decoded together.
WINDOW = 8192


class Export:
    """The folder of an export.

    Args:
        path: The folder.
        engine: string. `"saved_model"` or `"litert"`.
    """

    def __init__(self, path: Path, engine: str):
        self.path, self.engine = path, engine


def engine_of(folder: Path) -> str | None:
    """The engine of what a folder holds, a key of `FILES`; `None` if it holds nothing."""
    return next((name for name, file in FILES.items() if (folder / file).is_file()), None)


def export_in(path: Path) -> Export | None:
    """The export that a folder holds, or `None`."""
    engine = engine_of(path)
    return None if engine in (None, "keras") else Export(path, engine)


class ModelEngine:
    """The model of a run.

    Args:
        model: The model.
        settings: How targets are generated.
        jit_compile: bool. Whether XLA compiles the search. Defaults to `False`.

    Raises:
        InputError: If the settings do not fit the model.
    """

    def __init__(self, model: Any, settings: GenerationSettings, jit_compile: bool = False):
        self.model, self.settings, self.jit_compile = model, settings, jit_compile
        model.check_settings(settings)

    def answers(self, lines: Iterable[str], prefixes: Any = None) -> Iterator[Any]:
        """An `Answer` for each line, as they come; `prefixes` as of `model.answers`."""
        return self.model.answers(
            lines,
            self.settings,
            prefixes=prefixes,
            window=WINDOW,
            jit_compile=self.jit_compile,
        )

    def count_unknown(self, lines: list[str]) -> dict[str, int]:
        """The source tokens that the vocabulary lacks, with how often each occurs."""
        return self.model.preprocessor.count_unknown(lines)

    def has_no_target(self, line: str) -> bool:
        """Whether a line cannot be asked of the model."""
        from keras_seq2seq.data.text import why_no_source

        problems = self.model.source_problems([line], self.settings)[1]
        return bool(why_no_source(line) or problems)

    def pairs(self, answer: Any, rank: int, line: str) -> str:
        """Pairs of source and target positions, by the greatest attention."""
        found = answer.hypotheses
        weights = found.alignments[rank, : found.lengths[rank], : self._length(line)]
        pairs = enumerate(weights.argmax(-1))
        return " ".join(f"{source}-{target}" for target, source in pairs)

    def describe(self, answer: Any, rank: int, line: str) -> dict[str, Any]:
        """What there is of a hypothesis besides its text."""
        found = answer.hypotheses
        tokens = int((found.token_ids[rank] != 0).sum())
        name = self.model.preprocessor.target_tokenizer.id_to_token
        described = {
            "log_prob": float(found.log_probs[rank]),
            "score": float(found.scores[rank]),
            "tokens": [name(int(i)) for i in found.token_ids[rank, :tokens]],
            "token_log_probs": found.token_log_probs[rank, :tokens].tolist(),
        }
        if self.settings.alignments:
            # The end of the source is a position too.
            weights = found.alignments[rank, :tokens, : self._length(line) + 1]
            described["alignments"] = weights.tolist()
        return described

    def tokens(self, answer: Any) -> int:
        """Tokens of the best target, its end not counted."""
        return int(answer.hypotheses.lengths[0])

    def _length(self, line: str) -> int:
        return int(self.model.preprocessor.source_lengths([line])[0])


class ExportEngine:
    """An export of text, with the settings it was made with.

    Args:
        export: Its folder.

    Raises:
        InputError: If it is damaged, or reads no text.
    """

    def __init__(self, export: Export):
        load_tensorflow()
        from keras_seq2seq.export.description import generation_of, read_description
        from keras_seq2seq.export.predictors import open_predictor

        description = read_description(export.path)
        # Where the source tokens end, which alignments are told by, its graph alone knows.
        settings = generation_of(description, export.path)
        self.settings = dataclasses.replace(settings, alignments=False)
        if (kind := description.get("source", {}).get("kind")) != "text":
            raise InputError(
                f"{export.path} reads {kind}, not lines of text. Generate from its run."
            )
        self._predictor = open_predictor(export.path)

    def answers(self, lines: Iterable[str], prefixes: Any = None) -> Iterator[Any]:
        """An `Answer` for each line, as they come.

        Raises:
            InputError: For prefixes, which an export does not take from here.
        """
        from keras_seq2seq.models.answers import windows_of

        if prefixes is not None:
            raise InputError(
                "An export is asked without prefixes. Generate from the run, or send a request "
                "to a server."
            )
        return (
            answer
            for window in windows_of(iter(lines), WINDOW)
            for answer in self._answer_window(window)
        )

    def _answer_window(self, lines: list[str]) -> list[Any]:
        from keras_seq2seq.models.answers import rows_together

        size = rows_together(self.settings)
        order = sorted(range(len(lines)), key=lambda index: len(lines[index]))
        answers: list[Any] = [None] * len(lines)
        for begin in range(0, len(order), size):
            batch = order[begin : begin + size]
            found = self._answer([lines[index] for index in batch])
            for index, answer in zip(batch, found, strict=True):
                answers[index] = answer
        return answers

    def _answer(self, lines: list[str]) -> list[Any]:
        import numpy as np

        from keras_seq2seq.decoding import Hypotheses
        from keras_seq2seq.models.answers import Answer

        texts = np.array([shown(line).encode() for line in lines], object)
        found = self._predictor.predict("serving_default", {"text": texts})
        answers = []
        for row, error in enumerate(found["error"]):
            if error:
                answers.append(Answer([], [], error.decode()))
                continue
            log_probs = [float(one) for one in found["log_probs"][row] if one > -5e8]
            targets = [text.decode() for text in found["text"][row, : len(log_probs)]]
            outputs = Hypotheses(
                found["token_ids"][row],
                found["length"][row],
                found["log_probs"][row],
                found["scores"][row],
                found["token_log_probs"][row],
                None,
            )
            answers.append(Answer(targets, log_probs, "", outputs))
        return answers

    def count_unknown(self, lines: list[str]) -> dict[str, int]:
        """None: its vocabulary is in its graph."""
        return {}

    def has_no_target(self, line: str) -> bool:
        """Whether a line has no answer."""
        return bool(self._answer([line])[0].error)

    def pairs(self, answer: Any, rank: int, line: str) -> str:
        """Not of an export: its settings here have no alignments."""
        raise NotImplementedError

    def describe(self, answer: Any, rank: int, line: str) -> dict[str, Any]:
        """What there is of a hypothesis besides its text."""
        score = float(answer.hypotheses.scores[rank])
        return {"log_prob": answer.log_probs[rank], "score": score}

    def tokens(self, answer: Any) -> int:
        """Tokens of the best target, its end not counted."""
        return int(answer.hypotheses.lengths[0])


def digest_of(folder: Path) -> str:
    """Of what generates: the model of a run, or every file of an export."""
    model = folder / "model.keras"
    paths = [model] if model.is_file() else [p for p in folder.glob("**/*") if p.is_file()]
    total = hashlib.sha256()
    with disk_errors(folder, "read"):
        for path in sorted(paths):
            content = file_digest(path)
            total.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """Of what a file holds."""
    with disk_errors(path, "read"), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def search_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a search for a record of what answers depend on: of a shortlist what it
    holds, wherever it lies."""
    recorded = dict(settings)
    if (path := recorded.get("shortlist")) is not None:
        recorded["shortlist"] = file_digest(Path(path))
    return recorded


def open_engine(
    source: Any, engine: str | None, options: dict[str, Any], **defaults: Any
) -> ModelEngine | ExportEngine:
    """What answers lines.

    Args:
        source: As the argument of `engine_argument`.
        engine: One of `ENGINES`, or `None` for what fits.
        options: Of `generation_options`.
        **defaults: Settings in place of defaults.

    Raises:
        InputError: If the engine is another one than the folder has, or an export is asked
            for other settings.
    """
    held = [source.engine] if isinstance(source, Export) else OF_A_RUN
    if engine not in (None, *held):
        raise InputError(
            f"{source.path} has the engine {' and '.join(held)}. Received: --engine {engine}. "
            "Give an export for saved_model or litert, the run for keras or xla."
        )
    if not isinstance(source, Export):
        settings = generation_settings(options, **defaults)
        return ModelEngine(source.load_model(), settings, engine == "xla")
    if names := sorted(given(options)):
        declared = settings_of(GenerationSettings)
        listed = ", ".join(declared[n].option if n in declared else f"--{n}" for n in names)
        raise InputError(
            f"{source.path} is an export, whose search was set when it was made. Leave out: "
            f"{listed}; or give the run."
        )
    return ExportEngine(source)


def _open(ctx: click.Context, parameter: click.Parameter, path: Path) -> Any:
    if engine_of(path) is None:
        raise InputError(
            f"{path} holds no trained model: neither model.keras of a run, nor saved_model.pb "
            "or model.tflite of an export. Check the path; of an export give the folder of one "
            "of these formats, such as FOLDER/saved_model."
        )
    return export_in(path) or open_run(path)


def engine_argument(command: Any) -> Any:
    """A run with a trained model or an export, of which the command receives what
    `open_engine` takes; `--engine` and `--import`."""
    argument = click.argument("source", metavar="RUN_OR_EXPORT", type=PATH, callback=_open)
    option = click.option(
        "--engine",
        type=click.Choice(ENGINES),
        help="keras or xla of a run, whose xla compiles, for many lines; saved_model or litert "
        "of an export.  [default: what RUN_OR_EXPORT has]",
    )
    return argument(option(import_option(command)))
