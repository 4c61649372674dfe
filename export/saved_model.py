"""SavedModel: strings in, strings out, for TensorFlow Serving."""

import json
from pathlib import Path

import keras

from keras_seq2seq.models import Seq2Seq

from .artefact import write_new
from .signatures import SearchSettings, TextSignatures, describe


def export_saved_model(
    model: Seq2Seq, path: str | Path, search: SearchSettings | None = None
) -> None:
    """Writes the model, its tokenizers and its decoding loop as a SavedModel.

    It runs with `tensorflow` alone, without Keras and this package; the vocabularies are in
    `assets/`. Signatures: `serving_default`, `score`, `encode`, `decode_step`, as in
    `export.signatures`.

    Args:
        model: Model with a preprocessor.
        path: New folder.
        search: The search of `serving_default`. Defaults to greedy.

    Raises:
        InputError: If `path` exists or the search is out of range.
    """
    search = search or SearchSettings()
    signatures = TextSignatures(model, search)
    archive = keras.export.ExportArchive()
    archive.track(model)
    for tokenizer in (model.preprocessor.source_tokenizer, model.preprocessor.target_tokenizer):
        for table in tokenizer.tables:
            archive.track(table)
    for name, function in signatures.functions().items():
        archive.add_endpoint(name, function)

    def write(folder: Path) -> None:
        archive.write_out(str(folder), verbose=False)
        extra = folder / "assets.extra"
        extra.mkdir()
        description = describe(model, search, "float32", list(signatures.NAMES))
        (extra / "signatures.json").write_text(json.dumps(description, indent=2), "utf-8")

    write_new(Path(path), write)
