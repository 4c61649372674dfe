"""A static page that generates in the browser with LiteRT.js, and shows the attention.

LiteRT.js takes float32, int32 and uint8 and does not resize inputs. So this file has one
signature with the whole loop inside, a source of fixed length (padded), and the alignment
computed in the same call: no state, whose mask is bool, crosses the border.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.models.parts import DECODER_TOKEN_IDS
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.tokenizers import SentencePieceTokenizer

from .artefact import write_new
from .signatures import describe
from .tflite import convert_signatures
from .trained import warn_if_untrained

LITERTJS_VERSION = "2.5.3"
CDN = "https://cdn.jsdelivr.net/npm/@litertjs/"
PAGE = Path(__file__).parent / "page"


def export_web(
    model: Seq2Seq,
    path: str | Path,
    settings: GenerationSettings | None = None,
    *,
    model_name: str = "seq2seq",
    litertjs: str | Path | None = None,
) -> None:
    """Writes a folder to put on any static web server: `index.html` and the model.

    Args:
        model: Model with a preprocessor.
        path: New folder.
        settings: The generation. Defaults to greedy.
        model_name: Title of the page.
        litertjs: Folder `node_modules/@litertjs` of `npm install @litertjs/core`, which is
            copied into the page. Defaults to loading it from a public server.

    Raises:
        InputError: If `path` exists, cannot be written, `litertjs` lacks `core`, or the
            model cannot be converted.
    """
    warn_if_untrained(model)
    settings = settings or GenerationSettings()
    if model.preprocessor.kind != "text":
        raise InputError(
            f"The page takes text, and this model takes {model.preprocessor.kind}."
        )
    for tokenizer in model.preprocessor.tokenizers.values():
        split = tokenizer.description["split"]
        if split == "SentencePieceFileTokenizer" or tokenizer.begin:
            what = "a SentencePiece file" if tokenizer.description.get("space") else "prefixes"
            raise InputError(
                f"The page cannot tokenize with {what}; export tflite or saved_model."
            )
    if settings.sample:
        raise InputError("Sampling cannot be exported to a web page; export a search.")
    model.check_settings(settings)
    if litertjs is not None and not (Path(litertjs) / "core" / "wasm").is_dir():
        raise InputError(f"{litertjs} has no core/wasm. Run `npm install @litertjs/core`.")

    def write(folder: Path) -> None:
        content = _convert(model, settings)
        folder.mkdir(parents=True)
        (folder / "model.tflite").write_bytes(content)
        description = describe(model, settings, "float32", ["serving_default"])
        for name in ("source", "target"):
            tokenizer = getattr(model.preprocessor, f"{name}_tokenizer")
            description[name]["vocabulary"] = tokenizer.get_vocabulary()
            if isinstance(tokenizer, SentencePieceTokenizer):
                description[name]["scores"] = tokenizer.scores
        text = json.dumps(description, ensure_ascii=False)
        (folder / "model.json").write_text(text, "utf-8")
        for script in ("seq2seq.js", "tokenizers.js"):
            shutil.copyfile(PAGE / script, folder / script)
        at, core, wasm_utils = CDN, f"core@{LITERTJS_VERSION}", f"wasm-utils@{LITERTJS_VERSION}"
        if litertjs is not None:
            at, core, wasm_utils = "./litertjs/", "core", "wasm-utils"
            for name in (core, wasm_utils):
                shutil.copytree(Path(litertjs) / name, folder / "litertjs" / name)
        page = (PAGE / "index.html").read_text("utf-8")
        for key, value in {
            "TITLE": _escape(model_name),
            "CORE": f"{at}{core}/dist/index.js",
            "WASM_UTILS": f"{at}{wasm_utils}/dist/index.js",
            "WASM": f"{at}{core}/wasm/",
        }.items():
            page = page.replace(f"%{key}%", value)
        (folder / "index.html").write_text(page, "utf-8")

    write_new(Path(path), write)


def _convert(model: Seq2Seq, settings: GenerationSettings) -> bytes:
    length = model.preprocessor.max_source_length + 1
    spec = {
        name: tf.TensorSpec((1, length), tensor.dtype, name)
        for name, tensor in model.encoder_spec(1).items()
    }

    def generate(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        hypotheses = model.generate_ids(inputs, settings, fixed_shapes=True)
        outputs: dict[str, Any] = {
            "token_ids": hypotheses.token_ids,
            "log_probs": hypotheses.log_probs,
        }
        if model.alignment_model is not None:
            best = hypotheses.token_ids[:, 0]
            start = tf.constant([[model.start_id]], best.dtype)
            shifted = tf.concat([start, best[:, :-1]], axis=1)
            alignment = model.alignment_model({**inputs, DECODER_TOKEN_IDS: shifted})
            outputs["alignment"] = alignment
        return {name: tf.identity(tensor) for name, tensor in outputs.items()}

    function = tf.function(generate, autograph=False).get_concrete_function(**spec)
    return convert_signatures({"serving_default": function}, "float32")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
