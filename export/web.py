"""A static page that generates in the browser with LiteRT.js, and shows the attention.

LiteRT.js takes float32, int32 and uint8 and does not resize inputs. So this file has one
signature with the whole loop inside, a source of fixed length (padded), and the alignment
computed in the same call: no state, whose mask is bool, crosses the border.
"""

import base64
import hashlib
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_seq2seq import serving
from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import write_new
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.models.parts import DECODER_TOKEN_IDS
from keras_seq2seq.settings import GenerationSettings

from .shortlist import check_no_shortlist
from .signatures import describe
from .test_vectors import FILE_NAME, make_test_vectors, to_json
from .tflite import convert_signatures
from .trained import warn_if_untrained

LITERTJS_VERSION = "2.5.3"
CDN = "https://cdn.jsdelivr.net/npm/@litertjs/"
PAGE = Path(__file__).parent / "page"
FILES = ("page.js", "seq2seq.js", "tokenizers.js")
# The look, and how sound and frames are taken: as of the page of a server.
SHARED = ("look.css", "attention.js", "frames.js", "sound.js")
SHARED_PAGE = Path(serving.__file__).parent / "page"


@checked
def export_web(
    model: Seq2Seq,
    path: str | Path,
    settings: GenerationSettings | None = None,
    *,
    model_name: str = "seq2seq",
    litertjs: str | Path | None = None,
    sources: Sequence[Any] = (),
) -> None:
    """Writes a folder to put on any static web server: `index.html` and the model.

    The page says whether the browser gives what the file gave here (`test_vectors.json`), and
    its policy lets it load nothing but itself and LiteRT.js.

    Args:
        model: Model with a preprocessor.
        path: New folder.
        settings: The generation. Defaults to greedy.
        model_name: Title of the page.
        litertjs: Folder `node_modules/@litertjs` of `npm install @litertjs/core`, which is
            copied into the page. Defaults to loading it from a public server.
        sources: Sources of the model's data for the test vectors. Defaults to some that are
            made of the vocabulary.

    Raises:
        InputError: If `path` exists, cannot be written, `litertjs` lacks `core`, or the
            model cannot be converted.
    """
    warn_if_untrained(model)
    settings = settings or GenerationSettings()
    if settings.sample:
        raise InputError("Sampling cannot be exported to a web page; export a search.")
    check_no_shortlist(settings, "web")
    model.check_settings(settings)
    if litertjs is not None and not (Path(litertjs) / "core" / "wasm").is_dir():
        raise InputError(f"{litertjs} has no core/wasm. Run `npm install @litertjs/core`.")

    def write(folder: Path) -> None:
        content = _convert(model, settings)
        folder.mkdir(parents=True)
        (folder / "model.tflite").write_bytes(content)
        description = describe(model, settings, "float32", ["serving_default"])
        for name, tokenizer in model.preprocessor.tokenizers.items():
            description[name] |= page_lists(tokenizer)
        text = json.dumps(description, ensure_ascii=False)
        (folder / "model.json").write_text(text, "utf-8")
        vectors = make_test_vectors(model, settings, content, sources)
        (folder / FILE_NAME).write_text(to_json(vectors), "utf-8")
        shared = (SHARED_PAGE / name for name in SHARED)
        for file in (*(PAGE / name for name in FILES), *shared):
            shutil.copyfile(file, folder / file.name)
        if litertjs is not None:
            for name in ("core", "wasm-utils"):
                shutil.copytree(Path(litertjs) / name, folder / "litertjs" / name)
        page = _page(model_name, own_copy=litertjs is not None)
        (folder / "index.html").write_text(page, "utf-8")

    write_new(Path(path), write)


def page_lists(tokenizer: Any) -> dict[str, list[Any]]:
    """The lists of a tokenizer as the page reads them: JSON has no NaN."""
    lists = tokenizer.lists
    if "scores" in lists:
        lists["scores"] = [None if math.isnan(score) else score for score in lists["scores"]]
    return lists


def _page(title: str, own_copy: bool) -> str:
    at, core, wasm_utils = CDN, f"core@{LITERTJS_VERSION}", f"wasm-utils@{LITERTJS_VERSION}"
    if own_copy:
        at, core, wasm_utils = "./litertjs/", "core", "wasm-utils"
    imports = json.dumps(
        {
            "imports": {
                "@litertjs/core": f"{at}{core}/dist/index.js",
                "@litertjs/wasm-utils": f"{at}{wasm_utils}/dist/index.js",
            }
        }
    )
    # The one script inside of the page, which its hash allows.
    digest = base64.b64encode(hashlib.sha256(imports.encode()).digest()).decode()
    origins = "'self'" if own_copy else f"'self' {CDN}"
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {origins} 'wasm-unsafe-eval' 'sha256-{digest}'",
            f"connect-src {origins}",
            "style-src 'self'",
            "img-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    page = (PAGE / "index.html").read_text("utf-8")
    for key, value in {
        "TITLE": _escape(title),
        "POLICY": policy,
        "IMPORTS": imports,
        "WASM": f"{at}{core}/wasm/",
        "FROM": "the page's own folder" if own_copy else CDN,
    }.items():
        page = page.replace(f"%{key}%", value)
    return page


def _convert(model: Seq2Seq, settings: GenerationSettings) -> bytes:
    length = model.preprocessor.source_positions
    spec = {
        name: tf.TensorSpec(
            [1, length, *tensor.shape[2:]][: len(tensor.shape)], tensor.dtype, name
        )
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
