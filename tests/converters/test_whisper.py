"""Whisper from CTranslate2's layout: the numbers of NumPy, its rules, and what is wrong."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.converters import from_ctranslate2
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model
from tests.converters.whisper_files import (
    CONFIG,
    ID,
    MELS,
    TOKENS,
    Reference,
    weights,
    write_whisper,
)

RANDOM = np.random.default_rng(8)
SOUNDS = [RANDOM.normal(0, 0.1, length).astype(np.float32) for length in (16000, 9000, 400)]
ARRAYS = weights()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_whisper(tmp_path_factory.mktemp("whisper") / "model", ARRAYS)


@pytest.fixture(scope="module")
def model(folder):
    return from_ctranslate2(folder, language="de")


@pytest.fixture(scope="module")
def reference():
    return Reference(ARRAYS)


def own_ids(model, ids):
    """Ids of the file -> of the model."""
    names = {"<|startoftranscript|>": "[START]", "<|endoftext|>": "[END]"}
    tokenizer = model.preprocessor.target_tokenizer
    return [tokenizer.token_to_id(names.get(TOKENS[one], TOKENS[one])) for one in ids]


PROMPT = [ID[name] for name in ("<|startoftranscript|>", "<|de|>", "<|transcribe|>")]
PROMPT.append(ID["<|notimestamps|>"])


def test_log_probabilities_are_those_of_the_equations(model, reference):
    ids = [*PROMPT, ID["a"], ID["Ġt"], ID["<|0.00|>"]]
    rows = tf.constant([own_ids(model, ids)] * len(SOUNDS), tf.int32)
    inputs = model.preprocessor.encoder_inputs(SOUNDS)
    logits = model({**inputs, "decoder_token_ids": rows}, training=False)
    found = tf.nn.log_softmax(logits).numpy()
    for row, sound in zip(found, SOUNDS, strict=True):
        expected = reference.log_probs(reference.encode(sound), ids)
        np.testing.assert_allclose(
            row[:, own_ids(model, range(len(TOKENS)))], expected, atol=1e-4
        )


def test_greedy_search_writes_the_same_tokens(model, reference):
    found = model.search(SOUNDS)
    for ids, length, sound in zip(found.token_ids, found.lengths, SOUNDS, strict=True):
        count = model.preprocessor.max_target_length - 3
        expected = reference.greedy(reference.encode(sound), PROMPT, count)
        assert ids[0, : length[0]].tolist() == own_ids(model, [*PROMPT[1:], *expected])


def test_no_beam_writes_what_is_suppressed(model):
    found = model.search(SOUNDS, num_beams=3, num_hypotheses=3)
    never = own_ids(model, CONFIG["suppress_ids"])
    assert not np.isin(found.token_ids[:, :, 3:], [*never, 0]).all(-1).any()
    assert not np.isin(
        found.token_ids[..., 3], own_ids(model, CONFIG["suppress_ids_begin"])
    ).any()
    written = found.token_ids[found.token_ids > 3]
    assert set(written) & set(own_ids(model, PROMPT[1:]))
    assert not set(written) & {one for one in never if one not in own_ids(model, PROMPT)}


def test_the_language_is_what_the_model_hears(folder, model, reference):
    hears = from_ctranslate2(folder)
    languages = own_ids(model, CONFIG["lang_ids"])
    expected = []
    for sound in SOUNDS:
        scores = reference.log_probs(reference.encode(sound), PROMPT[:1])[0]
        expected.append(languages[int(scores[CONFIG["lang_ids"]].argmax())])
    for beams in (1, 2):
        found = hears.search(SOUNDS, num_beams=beams)
        assert found.token_ids[:, 0, 0].tolist() == expected
    prefixed = hears.search(SOUNDS, prefixes="the")
    assert prefixed.token_ids[:, 0, 0].tolist() == expected
    assert (
        prefixed.token_ids[:, 0, 3] == model.preprocessor.target_tokenizer.token_to_id("Ġthe")
    ).all()


def test_marks_are_not_written_and_texts_come_back(model, folder):
    tokenizer = model.preprocessor.target_tokenizer
    ids = tokenizer.tokenize(["the tür", " the  end "])
    assert ids[0, :3].numpy().tolist() == own_ids(model, PROMPT[1:])
    assert tokenizer.id_to_token(int(ids[0, 3])) == "Ġthe"
    assert tokenizer.detokenize(ids).numpy().tolist() == ["the tür".encode(), b"the  end"]
    timed = from_ctranslate2(folder, language="de", timestamps=True)
    rows = [own_ids(model, [ID[name] for name in ("<|0.02|>", "Ġt", "<|0.10|>")])]
    assert tokenizer.detokenize(rows).numpy() == [b"t"]
    written = timed.preprocessor.target_tokenizer.detokenize(rows).numpy()
    assert written == [b"<|0.02|> t<|0.10|>"]


def test_it_comes_back_from_a_file_and_trains(model, tmp_path):
    model.save(tmp_path / "model.keras")
    back = load_model(tmp_path / "model.keras")
    for left, right in zip(model.search(SOUNDS), back.search(SOUNDS), strict=True):
        assert left is right or np.array_equal(left, right)
    inputs, labels, mask = back.preprocessor(SOUNDS, ["the", "the the", "he"])
    back.compile("sgd")
    before = back.get_layer("encoder_convolution_0").get_weights()[0]
    loss = back.train_on_batch(inputs, labels, mask)
    after = back.get_layer("encoder_convolution_0").get_weights()[0]
    assert np.isfinite(loss).all() and not np.array_equal(before, after)


def test_a_shorter_window_is_that_of_a_file_with_fewer_positions(folder, tmp_path):
    name = "encoder/position_encodings/encodings"
    fewer = write_whisper(tmp_path / "fewer", {**ARRAYS, name: ARRAYS[name][:30]})
    short = from_ctranslate2(folder, language="de", timestamps=True, window_seconds=0.6)
    sounds = [sound[:9600] for sound in SOUNDS]
    rows = tf.constant([own_ids(short, PROMPT)] * len(sounds), tf.int32)
    inputs = {**short.preprocessor.encoder_inputs(sounds), "decoder_token_ids": rows}
    expected = from_ctranslate2(fewer, language="de")(inputs, training=False)
    np.testing.assert_array_equal(short(inputs, training=False), expected)
    assert short.preprocessor.max_source_length == short.preprocessor.window == 9600
    # No mark of time is behind it.
    never = short.preprocessor.target_tokenizer.never
    assert "<|0.62|>" in never and "<|0.60|>" not in never


def _write(name, content):
    return lambda folder: (folder / name).write_text(json.dumps(content), "utf-8")


def _cut(folder):
    content = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(content[: len(content) // 2])


BAD = {
    "no config": (
        lambda folder: (folder / "config.json").unlink(),
        "config.json: no such file",
    ),
    "no model": (lambda folder: (folder / "model.bin").unlink(), "model.bin: no such file"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json: no such file"),
    "no vocabulary": (lambda f: (f / "vocabulary.json").unlink(), "lacks its vocabulary"),
    "cut": (_cut, "model.bin is cut short"),
    "another size": (_write("vocabulary.json", TOKENS[:-1]), "the vocabulary has"),
    "another tokenizer": (
        _write(
            "tokenizer.json",
            {
                "pre_tokenizer": {"type": "ByteLevel"},
                "model": {"vocab": {"x": 0}, "merges": []},
            },
        ),
        "is of another model",
    ),
    "no language token": (_write("config.json", {"lang_ids": [10**6]}), "lang_ids"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_folder_that_is_not_whole_gets_one_line(folder, tmp_path, kind):
    change, said = BAD[kind]
    shutil.copytree(folder, tmp_path / "model")
    change(tmp_path / "model")
    arguments = ["import", str(tmp_path / "model"), "--run-dir", str(tmp_path / "run")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.output.split())
    assert not (tmp_path / "run").exists()


def test_a_weight_that_is_missing_or_strange_is_named(tmp_path):
    for name in ("encoder/conv1/weight", "encoder/position_encodings/encodings"):
        arrays = {key: value for key, value in ARRAYS.items() if key != name}
        with pytest.raises(InputError, match=name):
            from_ctranslate2(write_whisper(tmp_path / name[:13], arrays))
    with pytest.raises(InputError, match="encoder/conv3/weight, which is not supported"):
        from_ctranslate2(
            write_whisper(
                tmp_path / "more", {**ARRAYS, "encoder/conv3/weight": np.zeros(3, "f4")}
            )
        )
    flat = {**ARRAYS, "encoder/conv1/weight": np.zeros((16, 3 * MELS), np.float32)}
    with pytest.raises(InputError, match="do not fit one another"):
        from_ctranslate2(write_whisper(tmp_path / "flat", flat))


def test_an_option_that_does_not_apply_is_refused(folder):
    for options, said in (
        ({"language": "xx"}, "no language 'xx'. It has: de, en"),
        ({"task": "sing"}, "must be one of transcribe, translate"),
        ({"source_prefix": "<|de|>"}, "--source-prefix does not apply"),
        ({"window_seconds": 1.02}, "0.02 to 1 seconds, in steps of 0.02. Received: .*1.02"),
        ({"window_seconds": 0.03}, "in steps of 0.02"),
    ):
        with pytest.raises(InputError, match=said):
            from_ctranslate2(folder, **options)


def test_sound_that_is_none_gets_one_line(model, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    for source, said in (
        (np.zeros(0, np.float32), "is empty"),
        (np.zeros(16001, np.float32), "at most 16000"),
        (np.full(100, np.nan, np.float32), "NaN or infinity"),
        (str(tmp_path / "text.wav"), "cannot be used"),
        (str(tmp_path / "none.wav"), "cannot be used"),
    ):
        with pytest.raises(InputError, match=said):
            model.generate(source)
