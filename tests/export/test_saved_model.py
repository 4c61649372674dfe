"""A SavedModel gives what the Keras model gives, in a process that has neither."""

import json
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from export import export_saved_model
from export.predictors import open_predictor
from keras_seq2seq.errors import InputError
from keras_seq2seq.pictures.attention import attention_of
from keras_seq2seq.serving.messages import read_source
from keras_seq2seq.settings import GenerationSettings
from tests.searches import BEAM, EVERY_RULE

# What a stranger runs: TensorFlow alone. Keras and this package cannot be imported there.
CLIENT = textwrap.dedent(
    """
    import json, sys
    class Without:
        # A finder for which Keras and this package are not installed.
        def __init__(self, finder):
            self.finder = finder
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("keras", "keras_seq2seq", "keras_nlp", "keras_hub"):
                return None
            return self.finder.find_spec(name, path, target)
    sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
    import tensorflow as tf
    request = json.load(sys.stdin)
    signature = tf.saved_model.load(request["path"]).signatures[request["signature"]]
    inputs = {name: tf.constant(value) for name, value in request["inputs"].items()}
    outputs = signature(**inputs)
    def plain(value):
        return value.decode() if isinstance(value, bytes) else value
    json.dump({
        name: {"values": [plain(v) for v in tensor.numpy().ravel().tolist()],
               "shape": list(tensor.shape)}
        for name, tensor in outputs.items()
    }, sys.stdout)
    """
)


def call(path, signature, **inputs):
    request = {"path": str(path), "signature": signature, "inputs": inputs}
    done = subprocess.run(
        [sys.executable, "-c", CLIENT],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {
        name: np.array(output["values"]).reshape(output["shape"])
        for name, output in json.loads(done.stdout).items()
    }


@pytest.fixture(scope="module")
def signatures(text_saved_model):
    loaded = tf.saved_model.load(str(text_saved_model))
    yield loaded.signatures


@pytest.mark.large
def test_it_runs_where_neither_keras_nor_this_package_can_be_imported(
    text_saved_model, text_model, pairs
):
    sources = pairs.sources[:20]
    expected = text_model.search(sources, BEAM)
    outputs = call(text_saved_model, "serving_default", text=sources)
    assert outputs["text"].tolist() == text_model.texts(expected)
    np.testing.assert_allclose(outputs["log_probs"], expected.log_probs, atol=1e-4)
    np.testing.assert_allclose(outputs["scores"], expected.scores, atol=1e-4)
    np.testing.assert_array_equal(outputs["length"], expected.lengths)


def test_score_is_that_of_the_model(signatures, text_model, pairs):
    sources, targets = pairs.sources[:20], pairs.targets[:20]
    outputs = signatures["score"](source=tf.constant(sources), target=tf.constant(targets))
    np.testing.assert_allclose(
        outputs["log_probs"], text_model.score(sources, targets), atol=1e-4
    )
    np.testing.assert_allclose(
        tf.reduce_sum(outputs["token_log_probs"], -1), outputs["log_probs"], atol=1e-5
    )


def test_a_loop_written_by_hand_over_the_step_gives_the_greedy_result(
    signatures, text_model, pairs
):
    sources = pairs.sources[:10]
    state = dict(signatures["encode"](text=tf.constant(sources)))
    token = tf.fill([10], text_model.start_id)
    tokens = []
    for _ in range(text_model.max_length - 1):
        outputs = signatures["decode_step"](token=token, **state)
        # What the search suppresses: padding and start.
        logits = outputs["logits"].numpy()
        logits[:, [0, text_model.start_id]] = -np.inf
        token = tf.constant(logits.argmax(-1), tf.int32)
        tokens.append(token)
        state |= {name: value for name, value in outputs.items() if name in state}
    texts = text_model.preprocessor.target_tokenizer.detokenize(tf.stack(tokens, 1))
    assert [text.decode() for text in texts.numpy()] == text_model.generate(sources)


def test_names_shapes_and_dtypes_are_the_contract(signatures):
    names = {"serving_default", "generate", "score", "encode", "decode_step"}
    assert set(signatures) == names
    serving = signatures["serving_default"]
    assert serving.structured_input_signature[1] == {
        "text": tf.TensorSpec([None], tf.string, "text")
    }
    outputs = serving.structured_outputs
    assert {name: output.dtype for name, output in outputs.items()} == {
        "text": tf.string,
        "length": tf.int32,
        "log_probs": tf.float32,
        "scores": tf.float32,
        "error": tf.string,
        "token_ids": tf.int32,
        "token_log_probs": tf.float32,
    }
    _, inputs = signatures["generate"].structured_input_signature
    # Of rank 1, all of them: a server puts requests together along the first axis.
    assert {name: (spec.dtype, spec.shape.rank) for name, spec in inputs.items()} == {
        "text": (tf.string, 1),
        "prefix": (tf.string, 1),
        "max_length": (tf.int32, 1),
        "n_best": (tf.int32, 1),
        "length_penalty": (tf.float32, 1),
        "temperature": (tf.float32, 1),
        "seed": (tf.int32, 1),
    }


class Session:
    """A SavedModel as its graph: what is not fed has the graph's own default.

    `tf.saved_model.load` wants every input.
    """

    def __init__(self, path, signature):
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            meta_graph = tf.compat.v1.saved_model.load(self.session, ["serve"], str(path))
        self.signature = meta_graph.signature_def[signature]

    def __call__(self, **inputs):
        fetches = {name: info.name for name, info in self.signature.outputs.items()}
        feeds = {self.signature.inputs[name].name: value for name, value in inputs.items()}
        outputs = self.session.run(fetches, feeds)
        outputs["text"] = [[text.decode() for text in row] for row in outputs["text"]]
        return outputs


@pytest.fixture(scope="module")
def generate(text_saved_model):
    return Session(text_saved_model, "generate")


REQUESTS = [
    {},
    {"max_length": [4]},
    {"n_best": [3], "length_penalty": [2.0]},
    {"prefix": ["AA BB"]},
    {"prefix": ["", "CC", "AA AA"], "n_best": [1]},
]


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_a_request_may_change_settings_and_leave_out_inputs(generate, text_model, request_):
    sources = ["cab", "fee", "d"]
    settings = dict(request_)
    prefixes = settings.pop("prefix", ["", "", ""])
    settings = {name: value for name, (value,) in settings.items()}
    settings["num_hypotheses"] = settings.pop("n_best", 2)
    expected = text_model.search(
        sources,
        BEAM,
        prefixes=prefixes * 3 if len(prefixes) == 1 else prefixes,
        **settings,
    )
    received = generate(text=sources, **request_)
    assert received["text"] == text_model.texts(expected)
    np.testing.assert_allclose(received["scores"], expected.scores, atol=1e-4)
    np.testing.assert_array_equal(received["length"], expected.lengths)


UNSET = {
    "prefix": [""],
    "max_length": [0],
    "n_best": [0],
    "length_penalty": [-1e9],
    "temperature": [0.0],
    "seed": [-1],
}


def test_values_that_stand_for_those_of_the_export(generate, text_model):
    expected = text_model.search(["cab", "fee"], BEAM)
    received = generate(text=["cab", "fee"], **{name: v * 2 for name, v in UNSET.items()})
    assert received["text"] == text_model.texts(expected)
    np.testing.assert_allclose(received["scores"], expected.scores, atol=1e-4)


def test_every_source_of_a_batch_has_its_own_request(generate, text_model, pairs):
    """What a batching server does: requests of several clients in one run."""
    sources = pairs.sources[:6]
    requests = {
        "prefix": ["", "AA", "", "", "", "BB"],
        "max_length": [0, 12, 3, 0, 5, 0],
        "n_best": [1, 0, 3, 0, 2, 1],
        "length_penalty": [0.0, 2.0, -1e9, 1.0, -1e9, 0.3],
    }
    together = generate(text=sources, **requests)
    assert not any(together["error"])
    for row, source in enumerate(sources):
        one = {name: values[row : row + 1] for name, values in requests.items()}
        alone = generate(text=[source], **one)
        count = len(alone["text"][0])
        assert count == (requests["n_best"][row] or 2)
        assert together["text"][row] == alone["text"][0] + [""] * (3 - count)
        for name in ("scores", "log_probs", "length", "token_ids"):
            np.testing.assert_allclose(
                together[name][row, :count], alone[name][0], atol=1e-4, err_msg=name
            )
        assert (together["log_probs"][row, count:] < -5e8).all()


@pytest.mark.parametrize(
    "request_, message",
    [
        ({"max_length": -1}, "max_length must be from 1 to 12"),
        ({"max_length": 13}, "max_length must be from 1 to 12"),
        ({"n_best": 4}, "n_best must be from 1 to 3"),
        ({"length_penalty": -0.5}, "length_penalty must be at least 0"),
        ({"length_penalty": float("nan")}, "length_penalty must be at least 0"),
        ({"length_penalty": float("inf")}, "length_penalty must be at least 0"),
        ({"temperature": 0.5}, "temperature applies to sampling, and this export searches"),
        ({"seed": 3}, "seed applies to sampling, and this export searches"),
    ],
    ids=str,
)
def test_a_value_out_of_range_is_the_error_of_its_source(
    generate, text_model, request_, message
):
    batch = {name: [value, *UNSET[name]] for name, value in request_.items()}
    outputs = generate(text=["fee", "cab"], **batch)
    assert [error.decode() for error in outputs["error"]] == [message, ""]
    expected = text_model.search(["cab"], BEAM)
    assert outputs["text"] == [["", ""], *text_model.texts(expected)]


def test_a_prefix_that_does_not_fit_is_the_error_of_its_source(generate):
    prefixes = ["AA", "XX", "AA AA AA"]
    outputs = generate(text=["cab", "fee", "d"], prefix=prefixes, max_length=[2])
    first, second, third = (error.decode() for error in outputs["error"])
    assert first == "" and outputs["text"][0][0].startswith("AA")
    assert second == "the prefix has a token that the target vocabulary lacks"
    assert third == "the prefix has more tokens than the target may have"
    assert outputs["text"][1:] == [["", ""]] * 2


@pytest.fixture(scope="module")
def sampler(text_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "sampler"
    settings = GenerationSettings(sample=True, num_hypotheses=3, seed=4, top_k=4)
    export_saved_model(text_model, path, settings)
    return path, settings


@pytest.mark.large
def test_samples_are_those_of_the_model_and_a_request_changes_the_seed(sampler, text_model):
    path, settings = sampler
    sources = ["cab", "fee"]
    expected = text_model.texts(text_model.search(sources, settings))
    assert Session(path, "serving_default")(text=sources)["text"] == expected
    generate = Session(path, "generate")
    assert generate(text=sources)["text"] == expected
    for changes in ({"seed": 9}, {"temperature": 0.5, "seed": 2}):
        expected = text_model.texts(text_model.search(sources, settings, **changes))
        given = {name: [value] for name, value in changes.items()}
        assert generate(text=sources, **given)["text"] == expected
    outputs = generate(text=sources, temperature=[-1.0, 0.0], length_penalty=[-1e9, 1.0])
    assert [error.decode() for error in outputs["error"]] == [
        "temperature must be above 0",
        "length_penalty applies to beam search, and this export has none",
    ]


@pytest.mark.large
def test_every_rule_and_output_is_in_the_export(transformer_model, pairs, tmp_path):
    settings = replace(EVERY_RULE, length_rule="gnmt", length_penalty=0.7, alignments=True)
    export_saved_model(transformer_model, tmp_path / "model", settings)
    sources = pairs.sources[:12]
    expected = transformer_model.search(sources, settings)
    outputs = Session(tmp_path / "model", "serving_default")(text=sources)
    assert outputs["text"] == transformer_model.texts(expected, sources)
    for name in ("token_ids", "scores", "log_probs", "token_log_probs", "alignments"):
        np.testing.assert_allclose(outputs[name], getattr(expected, name), atol=1e-4)
    # A server shows its attention.
    engine = open_predictor(tmp_path / "model")
    body = json.dumps({"text": sources[0]}).encode()
    shown = engine.attention(read_source(body, engine.signatures).inputs)
    _, source, target, weights = attention_of(transformer_model, sources[0], settings)
    assert (shown["source"], shown["target"]) == (source, target)
    np.testing.assert_allclose(shown["weights"], weights, atol=2e-4)


def test_the_weights_are_written_once(text_saved_model, text_model):
    (data,) = (text_saved_model / "variables").glob("variables.data-*")
    assert 4 * text_model.count_params() <= data.stat().st_size
    # The rest describes the objects.
    assert data.stat().st_size < 4 * text_model.count_params() + 20_000
    assert data.stat().st_size < 6 * text_model.count_params()


def test_vocabularies_are_assets(text_saved_model, text_model):
    vocabulary = (text_saved_model / "assets" / "target_vocabulary.txt").read_text("utf-8")
    expected = text_model.preprocessor.target_tokenizer.get_vocabulary()
    assert vocabulary.splitlines() == expected


@pytest.mark.parametrize("cut", [True, False])
def test_a_vocabulary_that_was_cut_or_lost_is_found_when_it_is_opened(
    text_saved_model, tmp_path, cut
):
    path = shutil.copytree(text_saved_model, tmp_path / "copy")
    assert open_predictor(path) is not None
    file = path / "assets" / "target_vocabulary.txt"
    content = file.read_bytes()
    file.unlink()
    if cut:
        file.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"target_vocabulary.txt is not as it was exported"):
        open_predictor(path)


def test_unknown_characters_and_bytes_that_are_not_utf8_have_an_answer(signatures):
    outputs = signatures["serving_default"](text=tf.constant([b"zzz", b"a\xff"]))
    assert np.isfinite(outputs["log_probs"]).all()


def test_a_source_that_does_not_fit_has_an_error_and_the_others_their_answer(
    signatures, text_model
):
    search = BEAM
    outputs = signatures["serving_default"](text=tf.constant(["cab", "", "a" * 8, "fee"]))
    errors = [error.decode() for error in outputs["error"].numpy()]
    assert errors[0] == errors[3] == ""
    assert errors[1] == "the source is empty; give it text"
    assert errors[2] == "the source has 8 tokens; this model takes at most 7"
    expected = text_model.search(["cab", "fee"], search)
    np.testing.assert_allclose(outputs["log_probs"][::3], expected.log_probs, atol=1e-4)
    assert (outputs["text"].numpy()[1:3] == b"").all()
    assert (outputs["log_probs"].numpy()[1:3] < -5e8).all()
    assert (outputs["length"].numpy()[1:3] == 0).all()


def test_score_says_which_source_does_not_fit(signatures, text_model):
    outputs = signatures["score"](
        source=tf.constant(["", "cab"]), target=tf.constant(["AA", "CC AA"])
    )
    assert outputs["error"].numpy()[0] and not outputs["error"].numpy()[1]
    assert outputs["log_probs"][0] < -5e8
    expected = text_model.score(["cab"], ["CC AA"])[0]
    np.testing.assert_allclose(outputs["log_probs"][1], expected, atol=1e-4)


@pytest.mark.parametrize("text, message", [("", "is empty"), ("a" * 8, "has 8 tokens")])
def test_encode_fails_for_a_source_that_does_not_fit(signatures, text, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["encode"](text=tf.constant(["a", text]))


@pytest.mark.parametrize("texts", [[""], ["", "a" * 100_000]])
def test_a_batch_of_nothing_that_fits_is_answered(signatures, texts):
    outputs = signatures["serving_default"](text=tf.constant(texts))
    assert all(outputs["error"].numpy())


def test_a_request_without_a_source_is_an_error(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="needs at least one source"):
        signatures["serving_default"](text=tf.constant([], tf.string))


def test_nothing_is_overwritten(text_saved_model, text_model):
    before = sorted(path.stat().st_mtime_ns for path in text_saved_model.rglob("*"))
    with pytest.raises(InputError, match="exists. Choose another path"):
        export_saved_model(text_model, text_saved_model)
    assert sorted(path.stat().st_mtime_ns for path in text_saved_model.rglob("*")) == before


def test_a_path_that_cannot_be_written_leaves_nothing(text_model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export_saved_model(text_model, tmp_path / "file" / "export")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
