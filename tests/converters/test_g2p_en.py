"""The GRUs of g2p_en give the phonemes of their equations."""

import importlib.util
import string
from pathlib import Path

import numpy as np
import pytest

from export import export_tflite
from export.litert_runner import LiteRTRunner
from keras_seq2seq.converters import from_g2p_en
from keras_seq2seq.errors import InputError


def archive(path, dim=8, units=8, seed=1):
    """Random weights in the archive's layout."""
    rng = np.random.default_rng(seed)
    shapes = {"enc_emb": (29, dim), "dec_emb": (74, dim), "fc_w": (74, units), "fc_b": (74,)}
    for side in ("enc", "dec"):
        shapes |= {f"{side}_w_ih": (3 * units, dim), f"{side}_w_hh": (3 * units, units)}
        shapes |= {f"{side}_b_ih": (3 * units,), f"{side}_b_hh": (3 * units,)}
    arrays = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    np.savez(path, **arrays)
    return path


def step(arrays, side, x, h):
    """One step of a GRU whose reset gate meets what the state was mapped to."""
    given = np.split(arrays[f"{side}_w_ih"] @ x + arrays[f"{side}_b_ih"], 3)
    kept = np.split(arrays[f"{side}_w_hh"] @ h + arrays[f"{side}_b_hh"], 3)
    reset, update = (1 / (1 + np.exp(-(given[i] + kept[i]))) for i in (0, 1))
    return update * h + (1 - update) * np.tanh(given[2] + reset * kept[2])


def phonemes(arrays, word):
    """The ids that it writes: rows of the archive, 3 ends."""
    rows = [3 + string.ascii_lowercase.index(c) if c.isascii() else 1 for c in word] + [2]
    h = np.zeros(arrays["enc_w_hh"].shape[1], "float32")
    for row in rows:
        h = step(arrays, "enc", arrays["enc_emb"][row], h)
    row, written = 2, []
    while len(written) < 20:
        h = step(arrays, "dec", arrays["dec_emb"][row], h)
        logits = arrays["fc_w"] @ h + arrays["fc_b"]
        logits[[0, 2]] = -np.inf  # Padding and beginning are never written.
        row = int(logits.argmax())
        if row == 3:
            break
        written.append(row)
    return written


def words(count, seed=3):
    rng = np.random.default_rng(seed)
    letters = list(string.ascii_lowercase)
    return ["".join(rng.choice(letters, rng.integers(1, 15))) for _ in range(count)]


def assert_same(path, count):
    model, arrays = from_g2p_en(path), dict(np.load(path))
    sources = [*words(count), "é"]
    vocabulary = model.preprocessor.target_tokenizer.get_vocabulary()
    expected = [" ".join(vocabulary[row] for row in phonemes(arrays, word)) for word in sources]
    assert model.generate(sources) == expected
    return model


def test_the_phonemes_are_those_of_the_equations(tmp_path):
    model = assert_same(archive(tmp_path / "weights.npz"), 200)
    vocabulary = model.preprocessor.target_tokenizer.get_vocabulary()
    assert vocabulary[3:8] == ["[END]", "AA0", "AA1", "AA2", "AE0"]
    assert vocabulary[-10:] == "UH2 UW UW0 UW1 UW2 V W Y Z ZH".split()


@pytest.mark.large
def test_ten_thousand_words_of_the_trained_model(tmp_path):
    spec = importlib.util.find_spec("g2p_en")  # Finds it, without importing it.
    if spec is None or spec.origin is None:
        pytest.skip("needs the weights in the package g2p-en: pip install --no-deps g2p-en")
    path = Path(spec.origin).with_name("checkpoint20.npz")
    model = assert_same(path, 10_000)
    export_tflite(model, tmp_path / "float32")
    runner = LiteRTRunner(tmp_path / "float32")
    sources = words(200, seed=4)
    assert [runner.generate(word)[0][0] for word in sources] == model.generate(sources)
    export_tflite(model, tmp_path / "int8", quantization="int8")
    assert (tmp_path / "int8" / "model.tflite").stat().st_size < 1_000_000
    eight = LiteRTRunner(tmp_path / "int8")
    found, expected = [eight.generate(word)[0][0] for word in sources], model.generate(sources)
    share = np.mean([one == other for one, other in zip(found, expected, strict=True)])
    print(f"8 bits: {100 * share:.1f} % of {len(sources)} words the same")
    assert share > 0.8


def test_another_archive_is_one_message(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        from_g2p_en(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("x")
    with pytest.raises(InputError, match=r"cannot be read as an \.npz archive"):
        from_g2p_en(tmp_path / "text.npz")
    for name, save in (("array.npz", np.save), ("objects.npz", np.savez)):
        with open(tmp_path / name, "wb") as file:
            save(file, np.array(["a", None]))
        with pytest.raises(InputError) as error:
            from_g2p_en(tmp_path / name)
        assert "pickle" not in str(error.value) and "\n" not in str(error.value)
    np.savez(tmp_path / "other.npz", enc_emb=np.zeros((29, 4), "float32"))
    with pytest.raises(InputError, match="dec_emb must have the shape"):
        from_g2p_en(tmp_path / "other.npz")
