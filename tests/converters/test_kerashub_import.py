"""Models of KerasHub, rebuilt with this package's parts, say what KerasHub's own say."""

import json
import shutil
from functools import cache

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.converters import from_kerashub
from keras_seq2seq.converters.kerashub_tokenizers import tokens_of
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model
from tests.converters import kerashub_models

TEXT = ("bart", "t5", "mt5", "t5gemma")
SOURCES = ["the quick fox", "a sun noon", "after", "earth is round"]
TARGETS = ["a noon", "the fox", "sun", "round"]
_random = np.random.default_rng(0)
SOUNDS = [_random.normal(0, 0.2, n).astype("float32") for n in (4000, 2000, 6000, 5000)]


@cache
def theirs(kind):
    keras.utils.set_random_seed(1)
    return getattr(kerashub_models, kind)()


@cache
def ours(kind):
    is_sound = kind.startswith("moonshine")
    return from_kerashub(theirs(kind), max_source_length=8000 if is_sound else None)


def log_probs(model, inputs, labels, weights):
    """Of each target its log probability, by a model's logits."""
    logits = model({name: np.asarray(value) for name, value in inputs.items()})
    found = np.asarray(tf.nn.log_softmax(tf.cast(logits, tf.float32)))
    picked = np.take_along_axis(found, np.asarray(labels)[..., None], -1)[..., 0]
    return (picked * np.asarray(weights)).sum(1)


@pytest.mark.parametrize("kind", TEXT)
def test_log_probabilities_are_those_of_kerashub(kind):
    own = theirs(kind).preprocessor
    texts = {"encoder_text": SOURCES, "decoder_text": TARGETS}
    inputs, labels, weights = own(texts)
    if kind == "t5gemma":
        # What its `generate` reads, without the end token.
        read = own.generate_preprocess(texts)
        inputs |= {name: read[name] for name in read if name.startswith("encoder")}
    expected = log_probs(theirs(kind), inputs, labels, weights)
    given = ours(kind).preprocessor(SOURCES, TARGETS)
    np.testing.assert_allclose(log_probs(ours(kind), *given), expected, atol=1e-4)


def written_by_kerashub(kind, inputs):
    """The tokens of KerasHub's own greedy search, up to one that is no text."""
    task = theirs(kind)
    tokenizer = task.preprocessor.tokenizer
    inputs = {name: np.asarray(value) for name, value in inputs.items()}
    end = tokenizer.end_token_id
    given = int(inputs["decoder_padding_mask"][0].sum())
    names = tokens_of(tokenizer, task.backbone.vocabulary_size)
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    ids = np.asarray(task.generate_step(tensors, stop_token_ids=[end])["decoder_token_ids"])
    stops = {end, tokenizer.pad_token_id, int(inputs["decoder_token_ids"][0, 0])}
    found = []
    for row in ids[:, given:]:
        last = next((place for place, one in enumerate(row) if one in stops), len(row))
        found.append(([names[one] for one in row[:last]], last < len(row) and row[last] == end))
    return found


def assert_same_greedy(kind, sources, expected):
    model = ours(kind)
    hypotheses = model.search(sources)
    tokenizer = model.preprocessor.target_tokenizer
    start = len(tokenizer.begin)
    compared = []
    for row, (tokens, is_ended) in zip(hypotheses.token_ids[:, 0], expected, strict=True):
        received = [tokenizer.id_to_token(int(one)) for one in np.asarray(row)[start:]]
        if is_ended:
            assert received[: len(tokens) + 1] == [*tokens, "[END]"]
        # KerasHub writes padding and the beginning too; "<unk>" is ours by another name.
        names = ["[UNK]" if token == "<unk>" else token for token in tokens]
        assert received[: len(names)] == names
        compared.append(tuple(names))
    assert len(set(compared)) > 1 and sum(map(len, compared)) > 12


@pytest.mark.parametrize("kind", ["bart", "mt5", "t5gemma"])
def test_greedy_tokens_are_those_of_kerashub(kind):
    inputs = theirs(kind).preprocessor.generate_preprocess(SOURCES)
    assert_same_greedy(kind, SOURCES, written_by_kerashub(kind, inputs))


@pytest.mark.parametrize("kind", ["moonshine", "moonshine_normalized"])
def test_a_sound_alone_is_that_of_kerashub(kind):
    own, expected, written = theirs(kind).preprocessor, [], []
    for sound, target in zip(SOUNDS, TARGETS, strict=True):
        inputs = own({"audio": sound[None], "text": [target]})
        expected += log_probs(theirs(kind), *inputs).tolist()
        if kind != "moonshine":
            continue
        read = own.generate_preprocess({"audio": sound[None]})
        # Its `generate` gives two tokens that begin a target, `fit` one.
        ids = np.zeros_like(read["decoder_token_ids"])
        ids[:, 0] = own.tokenizer.start_token_id
        prompt = {"decoder_token_ids": ids, "decoder_padding_mask": ids > 0}
        written += written_by_kerashub(kind, {**read, **prompt})
    # In one padded batch.
    given = ours(kind).preprocessor(SOUNDS, TARGETS)
    np.testing.assert_allclose(log_probs(ours(kind), *given), expected, atol=1e-4)
    if written:
        assert_same_greedy(kind, SOUNDS, written)


def test_silence_is_heard():
    own, sound = theirs("moonshine").preprocessor, SOUNDS[2].copy()
    sound[:3000] = 0
    inputs, labels, weights = own({"audio": sound[None], "text": ["sun"]})
    # KerasHub would mask as many samples at the end.
    assert np.asarray(inputs["encoder_padding_mask"]).sum() == 3000
    inputs["encoder_padding_mask"] = np.ones((1, len(sound)), bool)
    expected = log_probs(theirs("moonshine"), inputs, labels, weights)
    given = ours("moonshine").preprocessor([sound], ["sun"])
    np.testing.assert_allclose(log_probs(ours("moonshine"), *given), expected, atol=1e-4)


def test_a_whisper_hears_what_its_backbone_hears(tmp_path):
    backbone, ids = kerashub_models.whisper(tmp_path / "preset")
    model = from_kerashub(tmp_path / "preset", language="de", max_target_length=15)
    sound = SOUNDS[0]
    convert = keras_hub.layers.WhisperAudioConverter(max_audio_length=1)
    prompt = ["<|startoftranscript|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>"]
    tokens = [*(ids[mark] for mark in prompt), ids["Ġt"], ids["he"], ids["<|endoftext|>"]]
    row = np.array([tokens], "int32")
    hidden = backbone(
        {
            "encoder_features": np.asarray(convert(sound[None])),
            "decoder_token_ids": row[:, :-1],
            "decoder_padding_mask": np.ones_like(row[:, :-1]),
        }
    )["decoder_sequence_output"]
    logits = backbone.token_embedding(hidden, reverse=True)
    found = np.asarray(tf.nn.log_softmax(logits))[0]
    expected = found[np.arange(6), row[0, 1:]].sum()
    np.testing.assert_allclose(model.score([sound], ["the"]), expected, atol=2e-3)
    tokenizer = model.preprocessor.target_tokenizer
    assert tokenizer.token_to_id("<|1.00|>") == tokenizer.token_to_id("<|0.00|>") + 50
    # The language is found where none is given.
    assert len(from_kerashub(tmp_path / "preset").preprocessor.target_tokenizer.languages) == 2
    with pytest.raises(InputError, match="no language 'fr'. It has: de, en"):
        from_kerashub(tmp_path / "preset", language="fr")
    with pytest.raises(InputError, match="--source-end does not apply to .*WhisperBackbone"):
        from_kerashub(tmp_path / "preset", source_end=True)


@pytest.fixture(scope="module", params=["bart", "moonshine"])
def run(request, tmp_path_factory):
    """A folder of KerasHub as a run, made by the command line."""
    kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    theirs(kind).save_to_preset(str(folder / "preset"))
    # A folder of KerasHub does not say the lengths of its preprocessor.
    own = ours(kind).preprocessor
    lengths = ["--max-source-length", own.max_source_length]
    lengths += ["--max-target-length", own.max_target_length]
    invoke("import", folder / "preset", "--run-dir", folder / "run", *lengths)
    return kind, folder


def invoke(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


def sources_of(kind, folder):
    """Sources for Python, and in a file for the command line."""
    if kind == "bart":
        (folder / "sources.txt").write_text("\n".join(SOURCES), "utf-8")
        return SOURCES
    for index, sound in enumerate(SOUNDS):
        np.save(folder / f"{index}.npy", sound)
    paths = [str(folder / f"{index}.npy") for index in range(len(SOUNDS))]
    (folder / "sources.txt").write_text("\n".join(paths), "utf-8")
    return SOUNDS


@pytest.mark.large
def test_a_folder_becomes_a_run_that_generates_trains_and_is_exported(run):
    kind, folder = run
    sources = sources_of(kind, folder)
    model = load_model(folder / "run" / "model.keras")
    expected = ours(kind).generate(sources)
    assert model.generate(sources) == expected
    lines = invoke("generate", folder / "run", "--file", folder / "sources.txt").stdout
    assert [line.split("\t")[-1] for line in lines.splitlines()] == expected
    inputs, labels, mask = model.preprocessor(sources, TARGETS)
    name = "encoder_0_inner" if kind == "bart" else "encoder_convolutions"
    before = [np.array(weight) for weight in model.get_layer(name).get_weights()]
    model.compile("sgd")
    assert np.isfinite(model.train_on_batch(inputs, labels, mask)).all()
    after = model.get_layer(name).get_weights()
    assert all(not np.array_equal(*pair) for pair in zip(before, after, strict=True))
    out, form = folder / "exports", {"bart": "saved_model", "moonshine": "tflite"}[kind]
    invoke("export", folder / "run", out, "--format", form)
    invoke("parity", folder / "run", out / form, "--file", folder / "sources.txt")


def without(name):
    return lambda folder: (folder / name).unlink()


def with_config(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")

    return change


def cut(folder):
    path = folder / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:2000])


BAD = {
    "no weights": (without("model.weights.h5"), "lacks model.weights.h5"),
    "no tokenizer": (without("tokenizer.json"), "lacks tokenizer.json"),
    "no merges": (without("assets/tokenizer/merges.txt"), "cannot be loaded by KerasHub"),
    "cut": (cut, "cannot be loaded by KerasHub"),
    "a causal model": (
        with_config(class_name="GPT2Backbone"),
        "holds a GPT2Backbone of KerasHub; this program reads BartBackbone",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_folder_that_is_not_whole_gets_one_line(kind, tmp_path, preset):
    change, said = BAD[kind]
    shutil.copytree(preset, tmp_path / "preset")
    change(tmp_path / "preset")
    result = invoke("import", tmp_path / "preset", "--run-dir", tmp_path / "run", status=2)
    assert said in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bart_preset") / "preset"
    theirs("bart").save_to_preset(str(folder))
    return folder


def test_an_option_that_does_not_apply_is_refused(preset, tmp_path):
    arguments = "--run-dir", tmp_path / "run", "--target-prefix", "<s>"
    result = invoke("import", preset, *arguments, status=2)
    assert "--target-prefix does not apply to preset" in result.stderr
    with pytest.raises(InputError, match="--source-end does not apply"):
        from_kerashub(theirs("moonshine"), source_end=True)
    with pytest.raises(InputError, match="--language does not apply"):
        from_kerashub(theirs("moonshine"), language="en")


def test_what_is_no_task_with_its_tokenizer_is_named():
    task = theirs("bart")
    with pytest.raises(InputError, match="has no preprocessor"):
        from_kerashub(keras_hub.models.BartSeq2SeqLM(task.backbone, preprocessor=None))
    with pytest.raises(InputError, match="BartBackbone is no BartSeq2SeqLM, "):
        from_kerashub(task.backbone)
    with pytest.raises(InputError, match="no such folder"):
        from_kerashub("nowhere")
    words = keras_hub.tokenizers.WordPieceTokenizer(vocabulary=["[UNK]", "a"])
    with pytest.raises(InputError, match="WordPieceTokenizer of KerasHub, which is not"):
        tokens_of(words, 5)
    with pytest.raises(InputError, match="id 41, the model 30 tokens"):
        tokens_of(task.preprocessor.tokenizer, 30)


def test_lengths_are_those_of_the_preprocessor_or_what_is_asked_for():
    own = ours("bart").preprocessor
    assert (own.max_source_length, own.max_target_length) == (19, kerashub_models.LENGTH - 1)
    short = from_kerashub(theirs("t5gemma"), max_source_length=5, max_target_length=30)
    # Its decoder sees 16 positions before each.
    assert (short.preprocessor.max_source_length, short.preprocessor.max_target_length) == (
        5,
        16,
    )


def test_pieces_that_hold_line_breaks_are_shown():
    tokens = ["<s>", "<pad>", "</s>", "a", "aa", "\n", "\n\n", "␤"]
    vocabulary = {token: place for place, token in enumerate(tokens)}
    tokenizer = keras_hub.models.BartTokenizer(vocabulary=vocabulary, merges=["a a"])
    assert tokens_of(tokenizer, 8)[4:] == ["aa", "␤", "␤␤", "<unused_7>"]
