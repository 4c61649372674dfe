"""A folder that TensorFlow Serving starts on with one command, a new version an export.

```
OUT/compose.yaml              `docker compose up` serves the models below
OUT/models.config             which models, and which versions of each
OUT/batching_parameters.txt   how the server puts requests together
OUT/monitoring.config         Prometheus metrics
OUT/MODEL/1/                  the SavedModel, with its warm-up requests
OUT/MODEL/2/                  the next export
```
"""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError, check_counts
from keras_seq2seq.files import aside, check_folder, write_new, write_text
from keras_seq2seq.models.generation import TextGeneration
from keras_seq2seq.settings import GenerationSettings

from .saved_model import export_saved_model
from .servable import SERVING_VERSION

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
WARM_UP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"

COMPOSE = f"""\
# Starts TensorFlow Serving on the models of this folder: docker compose up
services:
  serving:
    image: ${{SERVING_IMAGE:-tensorflow/serving:{SERVING_VERSION}.0}}
    command:
      - --model_config_file=/models/models.config
      - --model_config_file_poll_wait_seconds=30
      - --enable_batching=true
      - --batching_parameters_file=/models/batching_parameters.txt
      - --monitoring_config_file=/models/monitoring.config
    volumes:
      - .:/models:ro
    ports:
      - "8500:8500"  # gRPC
      - "8501:8501"  # REST, and metrics at /monitoring/prometheus/metrics
    healthcheck:
      test: ["CMD", "bash", "-c", "exec 3<>/dev/tcp/localhost/8501"]
      interval: 10s
      start_period: 60s
    restart: unless-stopped
"""

MONITORING = """\
prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }
"""


@checked
def export_serving(
    model: TextGeneration,
    path: str | Path,
    settings: GenerationSettings | None = None,
    *,
    model_name: str = "seq2seq",
    version: int | None = None,
    batch_sizes: Sequence[int] = BATCH_SIZES,
) -> Path:
    """Adds a version of a model to a folder of TensorFlow Serving.

    The version is written under a name that the server does not take for a version, its
    warm-up requests are run, and then it gets its number in one step: a server that polls the
    folder never sees half of it. Files of the folder that exist are kept as they are; a model
    that `models.config` lacks is added to it.

    Args:
        model: `Seq2Seq` with a preprocessor, or `Seq2SeqLMGeneration` with one.
        path: Folder of the server; may exist.
        settings: The generation of `serving_default`. Defaults to greedy.
        model_name: Name in the server's URL: letters, digits, `.`, `_`, `-`.
        version: int, at least 1. Defaults to one more than the highest that exists.
        batch_sizes: Increasing; the batch sizes that the server pads to, each warmed up.

    Returns:
        The folder of the new version.

    Raises:
        InputError: If a name or number cannot be used, the version exists, `models.config`
            cannot be read, or the disk is full; nothing is added then.
    """
    _check(model_name, version, batch_sizes)
    path = Path(path)
    check_folder(path)
    config = _models_config(path / "models.config", model_name)
    log = _predict_log(model, model_name)

    def write(folder: Path) -> None:
        export_saved_model(model, folder, settings)
        with tf.io.TFRecordWriter(str(folder / WARM_UP_FILE)) as writer:
            for size in batch_sizes:
                writer.write(log(size))
        # The server refuses a version whose warm-up fails; better found here.
        replay_warm_up(folder)

    written = _write_version(path / model_name, version, write)
    for name, content in (
        ("batching_parameters.txt", _batching_parameters(batch_sizes)),
        ("monitoring.config", MONITORING),
        ("compose.yaml", COMPOSE),
    ):
        if not (path / name).exists():
            write_text(path / name, content)
    if config is not None:  # Last: from here on the server looks for the model.
        write_text(path / "models.config", config)
    return written


def replay_warm_up(path: str | Path) -> int:
    """Runs the warm-up requests of a SavedModel, as the server does; returns how many."""
    from tensorflow_serving.apis import prediction_log_pb2

    loaded = tf.saved_model.load(str(path))
    count = 0
    for record in tf.data.TFRecordDataset(str(Path(path) / WARM_UP_FILE)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = request.predict_log.request
        function = loaded.signatures[request.model_spec.signature_name]
        function(**{key: tf.make_ndarray(value) for key, value in request.inputs.items()})
        count += 1
    return count


def _check(model_name: str, version: int | None, batch_sizes: Sequence[int]) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", model_name):
        raise InputError(
            "A model name may hold letters, digits, '.', '_' and '-', and does not start "
            f"with '.'. Received: {model_name!r}."
        )
    if version is not None and not 1 <= version < 2**63:
        raise InputError(f"A version must be at least 1. Received: {version}.")
    for size in batch_sizes:
        check_counts(batch_size=size)
    if not batch_sizes or sorted(set(batch_sizes)) != [*batch_sizes]:
        raise InputError(
            f"Batch sizes must be increasing, at least one. Received: {list(batch_sizes)}."
        )


def _predict_log(model: TextGeneration, model_name: str) -> Callable[[int], bytes]:
    """From a batch size to a warm-up request with the longest source that fits."""
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise InputError(
            "Writing warm-up requests needs tensorflow-serving-api: "
            "`pip install keras-seq2seq[serving]`."
        ) from error
    source = _warm_up_source(model.preprocessor)

    def log(batch_size: int) -> bytes:
        record = prediction_log_pb2.PredictionLog()
        request = record.predict_log.request
        request.model_spec.name = model_name
        request.model_spec.signature_name = "serving_default"
        for name, value in source.items():
            batch = tf.make_tensor_proto(np.stack([value] * batch_size))
            request.inputs[name].CopyFrom(batch)
        return record.SerializeToString()

    return log


def _warm_up_source(preprocessor: Any) -> dict[str, Any]:
    """The longest source that fits: the inputs of one row."""
    if preprocessor.kind == "text":
        return {"text": np.array(_long_source(preprocessor).encode(), object)}
    length = preprocessor.max_source_length
    inner = () if preprocessor.feature_dim is None else (preprocessor.feature_dim,)
    return {
        preprocessor.kind: np.zeros((length, *inner), np.float32),
        "lengths": np.int32(length),
    }


def _long_source(preprocessor: Any) -> str:
    """A source of the vocabulary's tokens, about the longest that the model takes."""
    tokenizer = preprocessor.source_tokenizer
    ids = range(4, min(tokenizer.vocabulary_size(), 64))
    # Tokens that are still themselves after joining and splitting, where there are such.
    usable = [
        token_id
        for token_id in ids
        if preprocessor.source_lengths([_text(tokenizer, [token_id])])[0] == 1
    ] or list(ids)
    length = preprocessor.max_source_length
    while True:
        text = _text(tokenizer, [usable[i % len(usable)] for i in range(length)])
        if length == 1 or 1 <= preprocessor.source_lengths([text])[0] <= (
            preprocessor.max_source_length
        ):
            return text
        length //= 2


def _text(tokenizer: Any, ids: list[int]) -> str:
    return tokenizer.detokenize(tf.constant([ids])).numpy()[0].decode("utf-8", "replace")


def _batching_parameters(batch_sizes: Sequence[int]) -> str:
    # A batch waits 1 ms at most for others: little beside the time of a generation.
    return (
        f"max_batch_size {{ value: {batch_sizes[-1]} }}\n"
        "batch_timeout_micros { value: 1000 }\n"
        "max_enqueued_batches { value: 100 }\n"
        + "".join(f"allowed_batch_sizes: {size}\n" for size in batch_sizes)
    )


def _models_config(file: Path, model_name: str) -> str | None:
    """The new content of `models.config`, or `None` if it has the model already."""
    from google.protobuf import text_format

    try:
        from tensorflow_serving.config import model_server_config_pb2
    except ImportError as error:
        raise InputError(
            "A folder of TensorFlow Serving needs tensorflow-serving-api: "
            "`pip install keras-seq2seq[serving]`."
        ) from error

    def parse(text: str) -> Any:
        return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())

    entry = (
        "  config {\n"
        f'    name: "{model_name}"\n'
        f'    base_path: "/models/{model_name}"\n'
        '    model_platform: "tensorflow"\n'
        "  }\n"
    )
    if not file.exists():
        return f"model_config_list {{\n{entry}}}\n"
    try:
        text = file.read_text("utf-8")
        listed = {config.name for config in parse(text).model_config_list.config}
        if model_name in listed:
            return None
        before, brace, after = text.rpartition("}")
        # In front of the last brace, so that comments and other settings stay.
        text = f"{before.rstrip()}\n{entry}{brace}{after}"
        added = {config.name for config in parse(text).model_config_list.config}
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise InputError(f"{file} cannot be read: {error}. Mend it or move it away.") from error
    if added != listed | {model_name}:
        raise InputError(f"Add this model to {file} yourself: {' '.join(entry.split())}")
    return text


def _write_version(folder: Path, version: int | None, write: Callable[[Path], None]) -> Path:
    """Writes `folder/NUMBER` in one step; the next free number if none is given."""
    if version is not None:
        write_new(folder / str(version), write)
        return folder / str(version)
    with aside(folder / "version") as new:
        write(new)
        while True:
            # Several exports may run at once: who finds the number taken takes the next.
            target = folder / str((last_version(folder) or 0) + 1)
            try:
                os.rename(new, target)
                return target
            except OSError:
                if not target.exists():
                    raise


def last_version(folder: Path) -> int | None:
    """The highest version of a model's folder, if there is one."""
    if not folder.is_dir():
        return None
    names = [path.name for path in folder.iterdir()]
    # The server counts in 64 bits, and ignores what is longer.
    versions = [int(name) for name in names if name.isdecimal() and len(name) < 19]
    return max(versions, default=None)
