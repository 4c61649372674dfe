"""A run on disk. Every file appears whole or not at all, so that a kill leaves a usable run.

```
config.json         settings in sections, where each came from, fingerprint of the data,
                    modules of `--import`
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
checkpoint/         state to resume from; removed when the run is finished
logs/               TensorBoard
```
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from keras_seq2seq.data.readers import Pairs, format_pairs, read_lines, read_pairs
from keras_seq2seq.data.signals import Signal
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import option_name

from .settings import TrainingConfig
from .settings.files import recorded


def write_atomically(path: Path, write: Any) -> None:
    """Calls `write(temporary path)` and moves the result to `path` in one step."""
    # The end of the name stays: Keras chooses the format by it.
    temporary = path.with_name(f".unfinished-{os.getpid()}-{path.name}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
        self.epochs = self.path / "epochs"
        self.logs = self.path / "logs"

    def epoch_file(self, epoch: int) -> Path:
        """The model of an epoch (from 1), if it is kept."""
        return self.epochs / f"epoch_{epoch:04d}.keras"

    def begin(
        self,
        config: TrainingConfig,
        train: Pairs,
        validation: Pairs,
        modules: Sequence[str] = (),
    ) -> None:
        """Creates the folder for these settings, data and modules of the user's own, or
        accepts it to resume.

        Raises:
            InputError: If the folder holds a run of other settings or data, or something
                that is not a run. Nothing in it is changed then.
        """
        record = {
            "settings": config.to_dict(),
            "origins": dict(config.origins),
            "data": fingerprint(train, validation),
            **({"modules": list(modules)} if modules else {}),
        }
        if self.path.is_dir():
            # What a kill left of a file that was being written.
            for unfinished in self.path.rglob(".unfinished-*"):
                unfinished.unlink()
        if self.config_file.exists():
            self._check_same(config, str(record["data"]), list(modules))
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise InputError(
                f"{self.path} exists and is not a run of this program; choose another "
                "--run-dir."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_json(self.config_file, record)

    def _check_same(self, config: TrainingConfig, data: str, modules: list[str]) -> None:
        data_then, old = self.config["data"], self.settings.values
        differences = [
            f"{option_name(name)} was {old[name]!r} and is now {value!r}"
            for name, value in config.values.items()
            if name in old and old[name] != value
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

    def require_model(self) -> Path:
        """The model file, or `InputError` if the folder has none."""
        if not self.model_file.exists():
            raise InputError(
                f"{self.path} holds no trained model ({self.model_file.name} is missing). "
                "Train one with `keras-seq2seq train`, or check the path."
            )
        return self.model_file

    def load_model(self) -> Any:
        """The best model of the run, a `Seq2Seq`."""
        from keras_seq2seq.models import load_model

        return load_model(self.require_model())

    @property
    def config(self) -> dict[str, Any]:
        """Settings and data fingerprint; `InputError` if there are none."""
        try:
            config = self.read_json(self.config_file)
            if isinstance(config["settings"], dict) and isinstance(config["data"], str):
                return config
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise InputError(
            f"{self.config_file} was not written by this program; choose another --run-dir."
        )

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
        return list(self.config.get("modules", [])) if self.config_file.exists() else []

    @property
    def history(self) -> list[dict[str, float]]:
        """The metrics of every epoch so far."""
        if not self.history_file.exists():
            return []
        return [json.loads(line) for line in self.history_file.read_text("utf-8").splitlines()]

    def write_history(self, history: list[dict[str, float]]) -> None:
        lines = "".join(json.dumps(epoch) + "\n" for epoch in history)
        write_atomically(self.history_file, lambda path: path.write_text(lines, "utf-8"))

    @staticmethod
    def read_json(path: Path) -> Any:
        return json.loads(path.read_text("utf-8"))

    def write_json(self, path: Path, content: Any) -> None:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"))

    def write_pairs(self, path: Path, pairs: Pairs) -> None:
        """Writes pairs as a TSV. A `Signal` is written to `signals/` and named by that path;
        a file by its absolute path.

        Raises:
            InputError: If a text would not be read back as it is.
        """
        kind = self.source
        sources = [self._written(source, kind) for source in pairs.sources]
        text = format_pairs(Pairs(sources, pairs.targets))
        write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"))

    def _written(self, source: Any, kind: str) -> str:
        if isinstance(source, Signal):
            file = self.path / "signals" / f"{quote(source.name, safe='')}.npy"
            if not file.exists():
                file.parent.mkdir(exist_ok=True)
                write_atomically(file, lambda path: np.save(path, source.array))
            return file.relative_to(self.path).as_posix()
        if kind == "text":
            return source
        return os.path.abspath(source)

    def write_vocabulary(self, preprocessor: Any) -> None:
        folder = self.path / "vocabulary"
        folder.mkdir(exist_ok=True)
        for name, tokenizer in preprocessor.tokenizers.items():
            text = "".join(f"{token}\n" for token in tokenizer.get_vocabulary())
            write_atomically(
                folder / f"{name}.txt", lambda path, text=text: path.write_text(text, "utf-8")
            )

    def write_outputs(self, rows: list[dict[str, Any]]) -> None:
        """Writes what an evaluation generated."""
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_atomically(self.outputs_file, lambda path: path.write_text(lines, "utf-8"))

    def outputs(self) -> list[dict[str, Any]]:
        """What the last evaluation generated, one dictionary a source; none before one."""
        if not self.outputs_file.exists():
            return []
        return [json.loads(line) for line in read_lines(self.outputs_file)]

    def test_pairs(self) -> Pairs:
        """The run's own test pairs, else its validation pairs."""
        path = self.test_file if self.test_file.exists() else self.validation_file
        pairs = read_pairs(path)
        if self.source == "text":
            return pairs
        return Pairs([str(self.path / source) for source in pairs.sources], pairs.targets)


def fingerprint(*parts: Pairs) -> str:
    """SHA-256 of the pairs: tells whether a run goes on with the data it began with."""
    digest = hashlib.sha256()
    for pairs in parts:
        for source, target in zip(pairs.sources, pairs.targets, strict=True):
            digest.update(f"{source}\t{target}\n".encode("utf-8", "surrogatepass"))
            if isinstance(source, Signal):
                digest.update(source.array.tobytes())
        digest.update(b"\0")
    return digest.hexdigest()
