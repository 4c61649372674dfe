"""The page of the server, driven in headless Chromium."""

import io

import numpy as np
import pytest

from keras_seq2seq.serving.access import Keys
from keras_seq2seq.serving.batching import Limits
from keras_seq2seq.serving.measures import Measures
from keras_seq2seq.serving.server import Server
from keras_seq2seq.serving.tensors import Signature, Tensor
from keras_seq2seq.serving.versions import ServedModel
from tests.browser import CHROMIUM, Browser
from tests.serving.reverser import NOWHERE, OPTIONS, OUTPUTS, Reverser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


class Listener(Reverser):
    """Says how long a sound is and whether it is silent."""

    sample_rate = 8000
    has_attention = False

    def __init__(self):
        super().__init__()
        sound = {
            "waveform": Tensor("float32", (None, None)),
            "lengths": Tensor("int32", (None,)),
        }
        self.signatures = {
            "serving_default": Signature(sound, OUTPUTS),
            "generate": Signature({**sound, **OPTIONS}, OUTPUTS),
        }

    def predict(self, signature, inputs):
        (length,), loudest = inputs["lengths"], np.abs(inputs["waveform"]).max()
        said = f"{length} samples, {'loud' if loudest > 0.01 else 'silent'}"
        return {
            "text": np.array([[said.encode()]], object),
            "log_probs": np.full((1, 1), -0.2, np.float32),
            "scores": np.full((1, 1), -0.1, np.float32),
            "error": np.array([b""], object),
        }

    def stream(self, inputs):
        return None

    def attention(self, inputs):
        return None


class Watcher(Listener):
    """Says how many frames there are and the sum of their values."""

    sample_rate = 0

    def __init__(self):
        super().__init__()
        frames = {
            "features": Tensor("float32", (None, None, 6)),
            "lengths": Tensor("int32", (None,)),
        }
        self.signatures = {"serving_default": Signature(frames, OUTPUTS)}

    def predict(self, signature, inputs):
        outputs = super().predict(signature, {**inputs, "waveform": inputs["features"]})
        said = f"{inputs['lengths'][0]} frames, {inputs['features'].sum():.4f}"
        return outputs | {"text": np.array([[said.encode()]], object)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def address():
    from tests.servers import http_server

    text = Reverser()
    text.streams = True
    models = {
        name: ServedModel(name, lambda: {1: NOWHERE}, lambda path, engine=engine: engine)
        for name, engine in {
            "text": text,
            "sound": Listener(),
            "frames": Watcher(),
        }.items()
    }
    with http_server(Server(models, Limits(), Measures(), Keys(["secret"]))) as url:
        yield url.partition("/v1")[0]


def shown(browser, name):
    return browser.evaluate(f"document.getElementById('{name}').innerText")


def send(browser, text):
    browser.evaluate(f"source.value = {text!r}; form.requestSubmit()")


def choose(browser, name):
    browser.evaluate(
        f"at('model').value = '{name}'; at('model').dispatchEvent(new Event('change'))"
    )


@pytest.fixture(scope="module")
def page(browser, address):
    """The page, after its key was asked for and given."""
    browser.open(f"{address}/")
    browser.evaluate("globalThis.at = (id) => document.getElementById(id)")
    browser.until("message.textContent.includes('an API key is needed')")
    assert browser.evaluate("!at('key-field').hidden")
    browser.evaluate("at('key').value = 'secret'")
    send(browser, "cab")
    browser.until("at('targets').children.length")
    return browser


def test_hypotheses_attention_and_latency_of_a_text(page):
    choose(page, "text")
    page.evaluate("at('n-best').value = 2")
    send(page, "ca <b>")
    page.until("at('attention').querySelectorAll('td[title]').length === 36")
    assert [line for line in shown(page, "targets").splitlines() if line] == [
        *(">b< ac", "log probability -0.200, score -0.100") * 2
    ]
    assert "ms, the first after" in shown(page, "time")
    heads = page.evaluate("[...document.querySelectorAll('thead th')].map(e => e.textContent)")
    assert heads == [*"ca␣<b>"]
    rows = page.evaluate("[...document.querySelectorAll('tbody th')].map(e => e.textContent)")
    assert rows == [*">b<␣ac"]
    weights = page.evaluate("[...document.querySelectorAll('td[title]')].map(e => +e.title)")
    assert weights == np.eye(6)[::-1].ravel().tolist()
    page.evaluate("at('n-best').value = 0")
    send(page, "")
    page.until("message.textContent === 'empty'")
    assert page.evaluate("at('result').hidden")
    send(page, "poison")
    page.until("message.textContent === 'poisoned'")


def test_a_sound_is_recorded_and_sent_at_the_rate_of_the_model(page):
    choose(page, "sound")
    assert page.evaluate("at('text-field').hidden && !at('sound-field').hidden")
    assert page.evaluate("at('send').disabled")
    page.evaluate("at('record').click()")
    page.until("at('record').textContent === 'Stop'")
    page.evaluate("new Promise((done) => setTimeout(done, 1500))")
    page.evaluate("at('record').click()")
    page.until("at('targets').children.length")
    said = shown(page, "targets").splitlines()[0]
    assert said.endswith("samples, loud")
    assert 4000 < int(said.split()[0]) < 30_000
    assert "s at 8000 samples a second" in shown(page, "sound")


def test_a_sound_file_of_another_rate_and_two_channels(page):
    choose(page, "sound")
    page.evaluate(
        """(() => {
          globalThis.choose = (content) => {
            const chosen = new DataTransfer();
            chosen.items.add(new File([content], "a.wav"));
            at("file").files = chosen.files;
            at("targets").replaceChildren();
            at("file").dispatchEvent(new Event("change"));
          };
          const count = 16000, bytes = new DataView(new ArrayBuffer(44 + 4 * count));
          const text = (at, word) =>
            [...word].forEach((one, i) => bytes.setUint8(at + i, one.charCodeAt(0)));
          const whole = (at, size, value) => bytes[`setInt${size}`](at, value, true);
          text(0, "RIFF"); whole(4, 32, 36 + 4 * count); text(8, "WAVEfmt ");
          whole(16, 32, 16); whole(20, 16, 1); whole(22, 16, 2); whole(24, 32, 16000);
          whole(28, 32, 64000); whole(32, 16, 4); whole(34, 16, 16);
          text(36, "data"); whole(40, 32, 4 * count);
          // The channels cancel each other out.
          for (let i = 0; i < 2 * count; i++) whole(44 + 2 * i, 16, i % 2 ? 9000 : -9000);
          choose(bytes.buffer);
        })()"""
    )
    page.until("at('targets').children.length")
    assert shown(page, "targets").splitlines()[0] == "8000 samples, silent"
    page.evaluate("choose('no sound')")
    page.until("message.textContent.startsWith('This sound cannot be read')")


def test_frames_of_a_file_of_numpy(page):
    choose(page, "frames")
    assert page.evaluate("!at('frames-field').hidden && at('send').disabled")

    def give(content, name="a.npy"):
        page.evaluate("at('targets').replaceChildren()")
        page.choose("frames-file", content, name)

    def saved(array):
        file = io.BytesIO()
        np.save(file, array)
        return file.getvalue()

    values = np.random.default_rng(3).normal(size=(4, 2, 3))
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    for array, total in (
        (values, values.astype(np.float32).sum()),
        (values.astype(">f4"), values.astype(np.float32).sum()),
        (pixels, pixels.sum() / 255),
    ):
        give(saved(array))
        page.until("at('targets').children.length")
        assert shown(page, "targets").splitlines()[0] == f"4 frames, {total:.4f}"
        assert shown(page, "frames") == "4 frames of 6 values"
    assert "made with --alignments" in shown(page, "unseen")
    for content, message in (
        (b"no array", "This is no .npy file"),
        (saved(pixels.astype(int)), "This file has i8 of shape (4, 6)."),
        (saved(np.asfortranarray(values)), "row by row"),
        (saved(values)[:-1], "This file is cut."),
        (saved(np.full((2, 6), np.nan)), "This file has NaN or infinity."),
    ):
        give(content)
        page.until(f"message.textContent.includes({message!r})")
    give(saved(values[:, :1]))
    page.until("message.textContent.includes('features must have the shape')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_in_light_and_dark(page, scheme):
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=390,
        height=844,
        deviceScaleFactor=1,
        mobile=True,
    )
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    page.call("Emulation.setEmulatedMedia", features=media)
    choose(page, "text")
    send(page, "a long source " * 8)
    page.until("at('attention').childElementCount")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    colours = page.evaluate(
        "['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name]"
        ".match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + +part, 0) / 3)"
    )
    ink, paper = colours
    assert (ink < 90 and paper > 200) if scheme == "light" else (ink > 200 and paper < 60)
    page.call("Emulation.clearDeviceMetricsOverride")
