"""The page generates in a headless browser what the Keras model generates."""

import base64
import contextlib
import functools
import hashlib
import html
import http.server
import io
import json
import random
import re
import shutil
import subprocess
import threading
import wave
from urllib.parse import quote

import keras
import numpy as np
import pytest

from export.web import LITERTJS_VERSION, PAGE, _page, export_web
from keras_seq2seq.converters import from_ctranslate2
from keras_seq2seq.data import FramePreprocessor, TextPreprocessor, WaveformPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import recurrent
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer
from tests.browser import CHROMIUM, Browser
from tests.converters.whisper_files import weights, write_whisper

SEARCH = GenerationSettings(2, 2)


@pytest.fixture(scope="module")
def litertjs(tmp_path_factory):
    """LiteRT.js from npm."""
    if not (CHROMIUM and shutil.which("npm")):
        pytest.skip("no headless browser (chromium) or no npm on this machine")
    folder = tmp_path_factory.mktemp("npm")
    done = subprocess.run(
        ["npm", "install", "--prefix", folder, f"@litertjs/core@{LITERTJS_VERSION}"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"npm cannot install @litertjs/core {LITERTJS_VERSION} here")
    return folder / "node_modules" / "@litertjs"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder and the address at which it is served."""
    folder = tmp_path_factory.mktemp("site")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Handler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def look(url):
    """The page's body after its scripts have run."""
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
        + ["--virtual-time-budget=60000", "--dump-dom", url],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout[done.stdout.index("<body") :]


@pytest.mark.large
@pytest.mark.parametrize("name", ["text_model", "transformer_model"])
def test_the_page_generates_and_draws_what_the_model_does(name, request, site, litertjs):
    model = request.getfixturevalue(name)
    folder, address = site
    export_web(model, folder / name, SEARCH, model_name="A <model>", litertjs=litertjs)
    body = look(f"{address}/{name}/?q=cab")
    assert "<h1>A &lt;model&gt;</h1>" in body
    items = re.findall(r"<li[^>]*>(.*?) <small[^>]*>(.*?)</small>", body)
    expected = model.search(["cab"], SEARCH)
    texts = model.texts(expected)[0]
    assert [html.unescape(text) for text, _ in items] == texts
    log_probs = [float(value) for _, value in items]
    assert log_probs == pytest.approx(expected.log_probs[0].tolist(), abs=2e-3)
    weights = [float(value) for value in re.findall(r'<td[^>]* title="(.*?)"', body)]
    alignment = model.align(["cab"], texts[:1])[0, :, :4]
    shown = alignment[: len(weights) // 4]
    assert len(shown) >= expected.lengths[0, 0]
    assert weights == pytest.approx(shown.ravel().tolist(), abs=2e-3)
    count = len(json.loads((folder / name / "test_vectors.json").read_text("utf-8"))["vectors"])
    assert f"As exported: {count} of {count} test sources agree." in body
    body = look(f"{address}/{name}/?q={quote('abcabcabc')}")
    assert "must have from 1 to 7 tokens. Received 9." in body and "<li" not in body
    body = look(f"{address}/{name}/?q={quote('c Qb')}")
    assert "Unknown to the model: “␣”, “Q”" in body


@pytest.mark.large
def test_a_page_that_cannot_load_or_is_not_as_exported_says_so(text_model, site, litertjs):
    folder, address = site
    export_web(text_model, folder / "changed", SEARCH, litertjs=litertjs)
    file = folder / "changed" / "test_vectors.json"
    content = json.loads(file.read_text("utf-8"))
    content["vectors"][0]["log_probs"][0] -= 1
    file.write_text(json.dumps(content), "utf-8")
    count = len(content["vectors"])
    body = look(f"{address}/changed/?q=cab")
    assert f"Not as exported: {count - 1} of {count} test sources agree" in body
    assert "log probability" in body
    shutil.rmtree(folder / "changed" / "litertjs" / "core" / "dist")
    body = look(f"{address}/changed/")
    assert "LiteRT.js cannot be loaded from the page's own folder" in body
    assert "Loading the model" not in body


RATE = 8000
# What 16 bits hold.
SOUNDS = [
    np.random.default_rng(length).integers(-9000, 9000, length).astype("float32") / 32768
    for length in (900, 400, 1600)
]


@pytest.fixture(scope="module")
def sound_model():
    keras.utils.set_random_seed(6)
    preprocessor = WaveformPreprocessor.from_pairs(
        SOUNDS, ["abcd", "cab", "dabcab"], CharacterTokenizer, sample_rate=RATE
    )
    model = recurrent(preprocessor, embedding_dim=8, hidden_dim=12, cell="gru")
    for weight in model.trainable_weights:
        weight.assign(weight * 2)
    return model


def wav(samples, rate=RATE):
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((samples * 32768).astype("<i2").tobytes())
    return content.getvalue()


@pytest.mark.large
def test_the_page_of_a_model_of_sound_hears(sound_model, site, litertjs, tmp_path):
    folder, address = site
    search = GenerationSettings(2, 2, min_length=3)
    export_web(sound_model, folder / "sound", search, litertjs=litertjs)
    expected = sound_model.search(SOUNDS[:1], search)
    with contextlib.closing(Browser(tmp_path / "chromium")) as page:
        page.open(f"{address}/sound/")
        page.until("document.body.dataset.ready === 'yes'", 60)
        assert "As exported: 3 of 3" in page.evaluate("check.textContent")
        page.choose("file", wav(SOUNDS[0]), "a.wav")
        page.until("targets.childElementCount")
        assert page.evaluate("sound.textContent") == "0.1 s at 8000 samples a second"
        found = page.evaluate(
            "[...targets.children].map(({ firstChild, lastChild }) =>"
            " [firstChild.data.slice(0, -1), +lastChild.textContent])"
        )
        texts, log_probs = zip(*found, strict=True)
        assert list(texts) == sound_model.texts(expected)[0]
        assert log_probs == pytest.approx(expected.log_probs[0].tolist(), abs=2e-3)
        width = page.evaluate("attention.querySelector('tbody tr').cells.length - 1")
        weights = page.evaluate(
            "[...document.querySelectorAll('td[title]')].map((e) => +e.title)"
        )
        (aligned,) = sound_model.align(SOUNDS[:1], list(texts[:1]))
        shown = aligned[: len(weights) // width, :width]
        assert weights == pytest.approx(shown.ravel().tolist(), abs=2e-3)
        page.evaluate("record.click()")
        page.until("record.textContent === 'Stop'")
        page.evaluate("new Promise((done) => setTimeout(done, 700))")
        page.evaluate("record.click()")
        page.until(
            "message.textContent.includes('A sound must have from 1 to 1600 samples (0.2 s)')"
        )


@pytest.mark.large
def test_the_page_of_a_whisper_hears(site, litertjs, tmp_path):
    folder, address = site
    converted = write_whisper(tmp_path / "whisper", weights(6))
    model = from_ctranslate2(converted, max_target_length=12)
    export_web(model, folder / "whisper", litertjs=litertjs)
    # As the file says it, in 16 bits.
    sound = (SOUNDS[0] * 32768).astype("<i2").astype(np.float32) / 32768
    expected = model.search([sound])
    marks = len(model.preprocessor.target_tokenizer.begin_ids)
    with contextlib.closing(Browser(tmp_path / "chromium")) as page:
        page.open(f"{address}/whisper/")
        page.until("document.body.dataset.ready === 'yes'", 60)
        assert "As exported: 3 of 3" in page.evaluate("check.textContent")
        page.choose("file", wav(sound, 16000), "a.wav")
        page.until("document.querySelectorAll('td[title]').length")
        text = page.evaluate("targets.firstElementChild.firstChild.data.slice(0, -1)")
        rows = page.evaluate("attention.querySelectorAll('tbody tr').length")
        shown = page.evaluate(
            "[...document.querySelectorAll('td[title]')].map((e) => +e.title)"
        )
    assert text == model.texts(expected)[0][0]
    alignment = np.reshape(shown, [rows, -1])
    length = expected.lengths[0, 0]
    # Without the marks that every target begins with, which are not written.
    assert rows == length - marks + 1
    ids = expected.token_ids[0, :1, :length]
    inputs = model.preprocessor.encoder_inputs([sound])
    start = np.full((1, 1), model.start_id, np.int32)
    inputs["decoder_token_ids"] = keras.ops.convert_to_tensor(np.concatenate([start, ids], 1))
    aligned = np.asarray(model.alignment_model(inputs, training=False))[0, marks:]
    np.testing.assert_allclose(alignment, aligned, atol=2e-3)


FRAMES = [
    np.random.default_rng(length).normal(size=(length, 2, 3)).astype("float32")
    for length in (9, 4, 12)
]


@pytest.mark.large
def test_the_page_of_a_model_of_frames_reads_a_file(site, litertjs, tmp_path):
    folder, address = site
    keras.utils.set_random_seed(7)
    preprocessor = FramePreprocessor.from_pairs(
        FRAMES, ["abcd", "cab", "dabcab"], CharacterTokenizer
    )
    model = recurrent(preprocessor, embedding_dim=8, hidden_dim=12, cell="gru")
    search = GenerationSettings(min_length=3)
    export_web(model, folder / "frames", search, litertjs=litertjs)
    file = io.BytesIO()
    np.save(file, FRAMES[0])
    with contextlib.closing(Browser(tmp_path / "chromium")) as page:
        page.open(f"{address}/frames/")
        page.until("document.body.dataset.ready === 'yes'", 60)
        assert page.evaluate("check.textContent").startswith("As exported: 3 of 3")
        page.choose("frames-file", file.getvalue(), "a.npy")
        page.until("targets.childElementCount")
        said = page.evaluate("document.getElementById('frames').textContent")
        assert said == "9 frames of 6 values"
        (text,) = page.evaluate("[...targets.children].map((one) => one.firstChild.data)")
        assert text[:-1] == model.generate(FRAMES[:1], search)[0]


@pytest.mark.parametrize("own_copy", [False, True])
def test_the_policy_allows_the_page_and_litertjs_alone(own_copy):
    page = _page("A <page>", own_copy)
    policy = page.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "unsafe-inline" not in policy and "'unsafe-eval'" not in policy
    assert ("https://" in policy) != own_copy
    inline = page.split('<script type="importmap">')[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy and page.count("<script") == 2
    assert "<title>A &lt;page&gt;</title>" in page and "%" not in page.replace("100%", "")


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_the_page_tokenizes_as_the_graph_does(tmp_path):
    module = tmp_path / "node_modules" / "@litertjs" / "core"
    module.mkdir(parents=True)
    # The runtime is not needed to tokenize.
    (module / "package.json").write_text('{"type": "module", "main": "index.js"}')
    (module / "index.js").write_text("export let loadLiteRt, loadAndCompile, Tensor;")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for script in ("seq2seq.js", "tokenizers.js"):
        shutil.copyfile(PAGE / script, tmp_path / script)
    letters = (
        "AbÇŞİıΑΣςσДяԱֆႠაᎠꭰẞßǅŉ\u0345\u0301'·.:_1 \t\u00a0\u3000\u2028\x85\x1c字😀\U00010570"
    )
    random.seed(1)
    texts = ["".join(random.choices(letters, k=random.randint(1, 12))) for _ in range(500)]
    texts += ["[END] [PAD]", "x"]
    texts += [
        "a".join(chr(c) for c in range(1, 0x3000)),
        "".join(map(chr, range(0xE000, 0x1F000))),
    ]
    cases = []
    for tokenizer in (CharacterTokenizer, SymbolTokenizer):
        for lowercase in (False, True):
            preprocessor = TextPreprocessor.from_pairs(
                [letters, "ab ΑΣ"],
                ["a", "b"],
                tokenizer,
                SymbolTokenizer,
                max_source_length=100_000,
                lowercase_source=lowercase,
            )
            source = preprocessor.source_tokenizer
            description = {
                "max_source_length": 100_000,
                "source": {
                    "split": tokenizer.__name__,
                    "lowercase": lowercase,
                    "unknown": 1,
                    "append": 3,
                    "vocabulary": source.get_vocabulary(),
                },
            }
            kept = [text for text in texts if source.split_text(text)]
            ids = preprocessor.tokenize_source(kept).to_list()
            cases.append({"description": description, "texts": kept, "ids": ids})
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    (tmp_path / "run.mjs").write_text(
        """
        import { readFileSync } from "node:fs";
        import { Tokenizer } from "./seq2seq.js";
        for (const { description, texts, ids } of JSON.parse(readFileSync("cases.json"))) {
          const tokenizer = new Tokenizer(description);
          texts.forEach((text, i) => {
            const received = tokenizer.tokenize(text);
            if (JSON.stringify(received) !== JSON.stringify(ids[i])) {
              throw new Error(`${JSON.stringify(text.slice(0, 80))}: ${received} ${ids[i]}`);
            }
          });
        }
        """
    )
    done = subprocess.run(
        ["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_sampling_and_a_folder_without_litertjs_are_refused(text_model, tmp_path):
    with pytest.raises(InputError, match="Sampling cannot be exported to a web page"):
        export_web(text_model, tmp_path / "page", GenerationSettings(sample=True))
    with pytest.raises(InputError, match="has no core/wasm. Run `npm install"):
        export_web(text_model, tmp_path / "page", litertjs=tmp_path)
    assert not list(tmp_path.iterdir())
