"""A student learns what a teacher generates: what is recorded of it, and both side by side.

Reference: [Kim & Rush, 2016](https://arxiv.org/abs/1606.07947), section 3.2.
"""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Column, Table

from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings

from .evaluation import SCORE_NAMES, evaluate
from .run_directory import RunDirectory
from .run_records import file_fingerprint, read_record
from .settings import TrainingConfig

# What a student has of its teacher's settings, if nothing else is said.
OF_TEACHER = ("metric", "bleu_tokenizer", "references", "token_name", "sequence_name")
BYTES = 4
WARM_UP = 32


def teacher_settings(teacher: TrainingConfig) -> dict[str, Any]:
    """How the teacher's data is read and split into tokens, and what is measured of it."""
    names = [*teacher.to_dict()["data"], *OF_TEACHER]
    return {name: teacher.values[name] for name in names}


class Distillation:
    """What a student's run keeps of its teachers, in its folder `distillation`.

    ```
    distillation.json   teachers, sources and search, with fingerprints
    targets.tsv         the sources with what the teachers generated
    comparison.json     teachers and student side by side
    ```

    Args:
        run: The student's.
    """

    def __init__(self, run: RunDirectory):
        self.run = run
        self.record_file = run.distillation / "distillation.json"
        self.targets_file = run.distillation / "targets.tsv"
        self.comparison_file = run.distillation / "comparison.json"

    def begin(
        self, teachers: Iterable[RunDirectory], sources: Path, search: GenerationSettings
    ) -> None:
        """Records what the targets are made of, or accepts what was begun with the same.

        Raises:
            InputError: If it was begun with something else, or the folder holds a run that
                is none of this kind.
        """
        record = {
            "teachers": [
                {"path": str(one.path), "model": file_fingerprint(one.require_model())}
                for one in teachers
            ],
            "sources": {"path": str(sources), "sha256": file_fingerprint(sources)},
            "generation": search.to_dict(),
        }
        if not self.record_file.exists():
            if self.run.config_file.exists():
                raise InputError(
                    f"{self.run.path} holds a run without a teacher; choose another --run-dir."
                )
            self.run.write_json(self.record_file, record)
        began = read_record(self.record_file, dict.fromkeys(record, object), "")
        # As it is written: a tuple is a list.
        now = json.loads(json.dumps(record))
        marks = {"teachers": "model", "sources": "sha256"}
        for name, what in (
            ("teachers", "the teachers"),
            ("sources", "the sources"),
            ("generation", "the search"),
        ):
            mark = marks.get(name)
            before, after = (_marks(one[name], mark) for one in (began, now))
            if before != after:
                raise InputError(
                    f"{what[0].upper()}{what[1:]} are not those that {self.run.path} began "
                    "with. Choose another --run-dir, or give the same to resume."
                    if name != "generation"
                    else f"{self.run.path} began with another search. Choose another "
                    "--run-dir, or give the same options to resume."
                )

    def compare(
        self, models: dict[str, Any], pairs: Pairs, what: str, search: GenerationSettings
    ) -> list[dict[str, Any]]:
        """Measures models on the same pairs, one after the other; writes and returns a row
        each.

        Args:
            models: Name -> model, the student last.
            pairs: Sources with right targets.
            what: What the pairs are.
            search: How targets are generated.
        """
        selection = self.run.settings.selection
        rows = [
            {"model": name, **_measured(model, pairs, search, selection)}
            for name, model in models.items()
        ]
        content = {"pairs": what, "search": search.description, "models": rows}
        self.run.write_json(self.comparison_file, content)
        return rows


def comparison_table(
    rows: Sequence[dict[str, Any]], what: str, search: str, config: TrainingConfig
) -> Table:
    """The rows of `Distillation.compare`, as a table."""
    scores = [name for name in SCORE_NAMES if name in rows[0]]
    table = Table(
        Column("", no_wrap=True),
        "parameters",
        "MB",
        f"{config.run.token_name} errors",
        f"{config.run.sequence_name} errors",
        *(name.replace("_", " ") for name in scores),
        "ms each",
        title=f"{rows[0]['sequences']:,} sources of {what}, {search}",
        title_justify="left",
    )
    for row in rows:
        table.add_row(
            row["model"],
            f"{row['parameters']:,}",
            f"{row['megabytes']:.2f}",
            f"{100 * row['token_error_rate']:.2f} %",
            f"{100 * row['sequence_error_rate']:.2f} %",
            *(f"{row[name]:.2f}" for name in scores),
            f"{row['milliseconds_each']:.2f}",
        )
    return table


def _measured(
    model: Any, pairs: Pairs, search: GenerationSettings, selection: Any
) -> dict[str, Any]:
    # What a first call builds is no part of the speed.
    for _ in model.answers(iter(pairs.sources[:WARM_UP]), search):
        pass
    arguments = selection.metric, selection.references, selection.bleu_tokenizer
    found = evaluate(model, pairs, search, *arguments)
    parameters = sum(math.prod(weight.shape) for weight in model.weights)
    return {
        "parameters": parameters,
        "megabytes": BYTES * parameters / 1e6,
        "sequences": len(found.texts),
        **found.values,
        "milliseconds_each": 1000 * found.seconds / len(found.texts),
    }


def _marks(value: Any, mark: str | None) -> Any:
    """What tells one from another, wherever it lies."""
    if mark is None:
        return value
    items = value if isinstance(value, list) else [value]
    return [item.get(mark) for item in items]
