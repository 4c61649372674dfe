"""SavedModel: strings, frames or sound in, strings out, for TensorFlow Serving."""

import json
from pathlib import Path

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import write_new
from keras_seq2seq.garbage import not_collecting
from keras_seq2seq.models.generation import TextGeneration
from keras_seq2seq.settings import GenerationSettings

from .description import fingerprint
from .graph import write_graph
from .servable import check_servable
from .signal_signatures import source_signatures
from .signatures import describe
from .trained import warn_if_untrained


@checked
@not_collecting()
def export_saved_model(
    model: TextGeneration,
    path: str | Path,
    settings: GenerationSettings | None = None,
    xla_threads: int = 0,
) -> None:
    """Writes the model, its tokenizers and its decoding loop as a SavedModel.

    It runs with `tensorflow` alone, without Keras and this package; the vocabularies are in
    `assets/`. Signatures: `serving_default`, `generate`, `score`, `encode` and `decode_step`,
    as in `export.signatures`. Threads may share it once it is loaded.

    Args:
        model: `Seq2Seq` with a preprocessor, or `Seq2SeqLMGeneration` with one.
        path: New folder.
        settings: The generation of `serving_default`. Defaults to greedy.
        xla_threads: int. If positive, `serving_default` is compiled by XLA where it runs, and
            splits its batches for that many threads, as `generate(jit_compile=True)` does:
            seconds for each new batch size and length, then faster. The runtime must have
            XLA for its processor; that of the `tensorflow` package has. Defaults to 0, not
            compiled.

    Raises:
        InputError: If `path` exists, `xla_threads` is negative, the settings do not fit the
            model, or the graph has an operation that TensorFlow Serving lacks.
    """
    if xla_threads < 0:
        raise InputError(f"xla_threads must be at least 0. Received: {xla_threads}.")
    warn_if_untrained(model)
    settings = settings or GenerationSettings()
    signatures = source_signatures(model, settings, xla_threads)
    functions = signatures.functions()
    tokenizers = model.preprocessor.tokenizers.values()
    tables = [table for tokenizer in tokenizers for table in tokenizer.tables]

    def write(folder: Path) -> None:
        write_graph(folder, functions, tables)
        check_servable(folder)
        extra = folder / "assets.extra"
        extra.mkdir()
        description = describe(model, settings, "float32", list(signatures.NAMES))
        assets = sorted(file for file in (folder / "assets").rglob("*") if file.is_file())
        description["files"] = {
            file.relative_to(folder).as_posix(): fingerprint(file.read_bytes())
            for file in assets
        }
        (extra / "signatures.json").write_text(json.dumps(description, indent=2), "utf-8")

    write_new(Path(path), write)
