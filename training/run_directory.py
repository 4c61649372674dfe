"""A run on disk. Every file appears whole or not at all, so that a kill leaves a usable run.

```
config.json         settings in sections, where each came from, fingerprint of the data,
                    modules of `--import`, which model `--from` was
validation.tsv      held-out pairs that chose the best epoch
test.tsv            test pairs, if the run has some
vocabulary/         source.txt and target.txt, one token a line, line number = id
signals/            held-out sources that were arrays in memory, as .npy files
model.keras         the best epoch by the monitored metric; complete, with tokenizers
epochs/             models of the epochs that `--average` takes, such as epoch_0003.keras
history.jsonl       one line of metrics an epoch
metrics.json        summary of the finished run
evaluation.json     error rates of the last `evaluate`
outputs.jsonl       what it generated, one line a source, with its right targets
report.html         the run to look at
distillation/       what `distill` keeps of the teacher and its targets
checkpoint/         state to resume from, or to go on from when the run is finished
train.lock          who trains here now; removed when it ends
logs/               TensorBoard
```
"""

import json
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from keras_seq2seq.data.readers import Pairs, format_pairs, read_pairs
from keras_seq2seq.data.signals import Signal
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import (
    check_folder,
    clear_leftovers,
    disk_errors,
    held_by,
    is_leftover,
    lock,
    write_atomically,
    write_text,
)

from .run_records import (
    CHECKPOINT,
    CONFIG,
    EVALUATION,
    METRICS,
    NUMBER,
    OUTPUT,
    check_history,
    fingerprint,
    read_record,
    read_records,
)
from .settings import TrainingConfig
from .settings.config import option_of
from .settings.files import modules_of, recorded
from .settings.growth import may_change


class RunDirectory:
    """Paths and small files of a run.

    Args:
        path: The folder; need not exist yet.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.model_file = self.path / "model.keras"
        self.history_file = self.path / "history.jsonl"
        self.metrics_file = self.path / "metrics.json"
        self.evaluation_file = self.path / "evaluation.json"
        self.outputs_file = self.path / "outputs.jsonl"
        self.report_file = self.path / "report.html"
        self.validation_file = self.path / "validation.tsv"
        self.test_file = self.path / "test.tsv"
        self.checkpoint = self.path / "checkpoint"
        self.record_file = self.checkpoint / "record.json"
        self.lock_file = self.path / "train.lock"
        self.epochs = self.path / "epochs"
        self.logs = self.path / "logs"
        self.distillation = self.path / "distillation"

    def epoch_file(self, epoch: int) -> Path:
        """The model of an epoch (from 1), if it is kept."""
        return self.epochs / f"epoch_{epoch:04d}.keras"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the run for this process while the block runs.

        Raises:
            InputError: If another process holds it, the folder is something that is not a
                run, or it cannot be written. Nothing is changed then.
        """
        self._check_own()
        if self.is_finished and not os.access(self.path, os.W_OK):
            yield  # Nothing is written then.
            return
        with disk_errors(self.path):
            is_new = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
        try:
            with lock(self.lock_file, self.path):
                yield
        finally:
            if is_new:
                with suppress(OSError):  # Not empty: something came of it.
                    self.path.rmdir()

    @property
    def held_by(self) -> str | None:
        """Who trains here now, as a sentence; `None` if nobody does."""
        return held_by(self.lock_file)

    def begin(
        self,
        config: TrainingConfig,
        train: Pairs,
        validation: Pairs,
        modules: Sequence[str] = (),
        base: dict[str, str] | None = None,
    ) -> list[str]:
        """Creates the folder for these settings, data, modules of the user's own and base (the
        path of a run, SHA-256 of its model), or accepts it to resume or to go on.

        Returns:
            Lines about what other writers left in it.

        Raises:
            InputError: If the folder holds a run of other settings or data, something that
                is not a run, a trained model without what a resume needs, or cannot be
                written. Nothing in it is changed then.
        """
        record = {
            "settings": config.to_dict(),
            "origins": dict(config.origins),
            "data": fingerprint(train, validation),
            **({"modules": list(modules)} if modules else {}),
            **({"base": base} if base else {}),
        }
        self._check_own()
        if not self.config_file.exists():
            self.write_json(self.config_file, record)
        self._check_same(config, str(record["data"]), list(modules))
        if not self.is_finished:
            self._check_resumable()
            check_folder(self.path)
        written = [self.path / name for name in ("", "vocabulary", "signals")]
        folders = [*written, self.checkpoint, self.epochs]
        return [line for folder in folders for line in clear_leftovers(folder)]

    def withdraw(self) -> None:
        """Removes what was written of a run that could not begin."""
        for path in (self.config_file, self.validation_file, self.test_file):
            path.unlink(missing_ok=True)
        for name in ("vocabulary", "signals"):
            shutil.rmtree(self.path / name, ignore_errors=True)

    def _check_own(self) -> None:
        """Refuses a folder that is no run and not empty."""
        with disk_errors(self.path, "read"):
            if self.config_file.exists() or not self.path.exists():
                return
            own = (self.lock_file, self.distillation)
            if self.path.is_dir() and all(
                path in own or is_leftover(path) for path in self.path.iterdir()
            ):
                return
        raise InputError(
            f"{self.path} exists and is not a run of this program; choose another --run-dir."
        )

    def _check_resumable(self) -> None:
        """Refuses what a resume would train again from the first epoch, over what is there."""
        if self.record_file.exists():
            return
        trained = [self.history_file]
        if not self.checkpoint.exists():
            # A run makes this folder before its first model: it is no kill in epoch 1.
            trained += [self.model_file, self.metrics_file]
        there = [path.name for path in trained if path.exists()]
        if there:
            raise InputError(
                f"{self.path} holds {' and '.join(there)} of a training, but neither what a "
                f"finished run has ({self.metrics_file.name} and {self.model_file.name}) nor "
                f"what a resume needs ({self.record_file.relative_to(self.path)}). It was left "
                "as it is: copy what is missing from where the run was, or choose another "
                "--run-dir."
            )

    def check_writable(self) -> None:
        """Raises `InputError` if nothing can be written into the run, before any work; warns
        of what others left unfinished in it."""
        check_folder(self.path)
        for line in clear_leftovers(self.path):
            warnings.warn(line, stacklevel=2)

    def remove_checkpoint(self) -> None:
        """Frees its room; a finished run then goes on from its best model alone."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)

    @property
    def is_finished(self) -> bool:
        """Whether training has ended and left a model."""
        with disk_errors(self.path, "read"):
            return self.metrics_file.exists() and self.model_file.exists()

    @property
    def has_begun(self) -> bool:
        """Whether an epoch was trained here."""
        return self.history_file.exists()

    def _check_same(self, config: TrainingConfig, data: str, modules: list[str]) -> None:
        data_then, old = self.config["data"], self.settings.values
        differences = [
            f"{option_of(name)} was {old[name]!r} and is now {value!r}"
            for name, value in config.values.items()
            if name in old and old[name] != value and not may_change(name, old[name], value)
        ]
        if self.modules != modules:
            differences.append(f"--import was {self.modules} and is now {modules}")
        if data_then != data:
            differences.append("the training or validation data has changed")
        if differences:
            raise InputError(
                f"{self.path} holds a run of another configuration: {'; '.join(differences)}. "
                "Choose another --run-dir, or give the same options to resume."
            )

    def record_changes(self, config: TrainingConfig, before: dict[str, Any]) -> None:
        """Records settings that have changed; `before` has what they were."""
        record, old = self.config, self.settings
        origins = {name: config.origin_of(name) for name in before}
        change = {"after_epoch": len(self.history), "before": before}
        record |= {
            "settings": config.to_dict(),
            "origins": {**old.origins, **origins},
            "changes": [*record.get("changes", []), change],
        }
        self.write_json(self.config_file, record)

    def require_model(self) -> Path:
        """The model file, or `InputError` if the folder has none."""
        with disk_errors(self.path, "read"):
            if self.model_file.exists():
                return self.model_file
        raise InputError(
            f"{self.path} holds no trained model ({self.model_file.name} is missing). "
            "Train one with `keras-seq2seq train`, or check the path."
        )

    def load_model(self) -> Any:
        """The best model of the run, a `Seq2Seq`."""
        from keras_seq2seq.models import load_model

        return load_model(self.require_model())

    @property
    def config(self) -> dict[str, Any]:
        """Settings and data fingerprint; `InputError` if there are none."""
        try:
            return read_record(self.config_file, CONFIG, "")
        except InputError as error:
            raise InputError(
                f"{self.config_file} was not written by this program; choose another --run-dir."
            ) from error

    @property
    def settings(self) -> TrainingConfig:
        """The settings of the run, as `recorded` reads them."""
        return recorded(self.config_file)

    @property
    def source(self) -> str:
        """What the sources of the run are: `"text"`, `"features"` or `"waveform"`."""
        return self.settings.data.source if self.config_file.exists() else "text"

    @property
    def modules(self) -> list[str]:
        """Names of the modules of the user's own that the run was trained with."""
        return modules_of(self.config_file) if self.config_file.exists() else []

    @property
    def history(self) -> list[dict[str, float]]:
        """The metrics of every epoch so far; `InputError` if they cannot be read."""
        return self.read_history()

    def read_history(self, *required: str) -> list[dict[str, float]]:
        """The same, each epoch with these metrics."""
        if not self.history_file.exists():
            return []
        advice = "Copy the file from where the run was; it tells nothing that can be redone."
        rows = read_records(self.history_file, dict, advice)
        return check_history(rows, str(self.history_file), advice, required)

    def metrics(self, *required: str) -> dict[str, Any]:
        """The summary of the finished run; `InputError` if it lacks one of these keys."""
        advice = "Copy the file from where the run was, or train in another --run-dir."
        return read_record(self.metrics_file, METRICS, advice, required)

    @property
    def is_imported(self) -> bool:
        """Whether the model was trained elsewhere, so that there is no training to tell of."""
        return "imported" in self.metrics("parameters")

    def evaluation(self, *required: str, scores: Iterable[str] = ()) -> dict[str, Any]:
        """The last evaluation; `InputError` if it lacks one of these keys, or one of the
        scores is no number."""
        shape = EVALUATION | dict.fromkeys(scores, NUMBER)
        return read_record(self.evaluation_file, shape, self._evaluate_again, required)

    @property
    def _evaluate_again(self) -> str:
        return f"Run `keras-seq2seq evaluate {self.path}` again."

    def checkpoint_record(self) -> tuple[str, list[dict[str, float]]]:
        """Name of the weights to resume from, and the history that belongs to them.

        Raises:
            InputError: If it cannot be read.
        """
        advice = "Copy the file from where the run was, or choose another --run-dir."
        record = read_record(self.record_file, CHECKPOINT, advice)
        history = check_history(record["history"], str(self.record_file), advice)
        return record["weights"], history

    def write_history(self, history: list[dict[str, float]]) -> None:
        write_text(self.history_file, "".join(json.dumps(epoch) + "\n" for epoch in history))

    def write_json(self, path: Path, content: Any) -> None:
        write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def write_pairs(self, path: Path, pairs: Pairs) -> None:
        """Writes pairs as a TSV. A `Signal` is written to `signals/` and named by that path;
        a file by its absolute path.

        Raises:
            InputError: If a text would not be read back as it is.
        """
        kind = self.source
        sources = [self._written(source, kind) for source in pairs.sources]
        write_text(path, format_pairs(Pairs(sources, pairs.targets)))

    def _written(self, source: Any, kind: str) -> str:
        if isinstance(source, Signal):
            file = self.path / "signals" / f"{quote(source.name, safe='')}.npy"
            if not file.exists():
                write_atomically(file, lambda path: np.save(path, source.array))
            return file.relative_to(self.path).as_posix()
        if kind == "text":
            return source
        return os.path.abspath(source)

    def write_vocabulary(self, preprocessor: Any) -> None:
        folder = self.path / "vocabulary"
        for name, tokenizer in preprocessor.tokenizers.items():
            text = "".join(f"{token}\n" for token in tokenizer.get_vocabulary())
            write_text(folder / f"{name}.txt", text)

    def write_outputs(self, rows: list[dict[str, Any]]) -> None:
        """Writes what an evaluation generated."""
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(self.outputs_file, lines)

    def outputs(self) -> list[dict[str, Any]]:
        """What the last evaluation generated, one dictionary a source; none before one."""
        if not self.outputs_file.exists():
            return []
        return read_records(self.outputs_file, OUTPUT, self._evaluate_again)

    @property
    def has_pairs(self) -> bool:
        """Whether the run has test or validation pairs; one that was imported has none."""
        with disk_errors(self.path, "read"):
            files = [path for path in (self.test_file, self.validation_file) if path.exists()]
            return any(path.stat().st_size for path in files)

    @property
    def pairs_file(self) -> Path:
        """The file of the run's own test pairs, else validation pairs; `InputError` if none."""
        if not self.has_pairs:
            raise InputError(f"{self.path} has no test or validation pairs. Give a file.")
        return self.test_file if self.test_file.exists() else self.validation_file

    def test_pairs(self) -> Pairs:
        """The run's own test pairs, else its validation pairs."""
        pairs = read_pairs(self.pairs_file)
        if self.source == "text":
            return pairs
        return Pairs([str(self.path / source) for source in pairs.sources], pairs.targets)
