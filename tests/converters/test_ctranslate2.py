"""Models in CTranslate2's layout: what goes out comes back, and what is wrong is said."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from export import export_tflite
from export.litert_runner import LiteRTRunner
from keras_seq2seq.cli import main
from keras_seq2seq.converters import from_ctranslate2, to_ctranslate2
from keras_seq2seq.converters.ctranslate2_file import ModelFile, read_model, write_model
from keras_seq2seq.converters.ctranslate2_positions import known_waves
from keras_seq2seq.data import TextPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import SinusoidalPositions
from keras_seq2seq.models import (
    RecurrentEncoder,
    Seq2Seq,
    TokenEmbedding,
    TransformerDecoder,
    TransformerEncoder,
    TransformerStyle,
    load_model,
)
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.tokenizers import SymbolTokenizer
from tests.zoo import EMBEDDINGS_NORMALIZED, GATED, TURNED

WORDS = [*SPECIAL_TOKENS, *(f"w{index}" for index in range(20))]
SOURCES, TARGETS = ["w4 w5 w6", "w7", "w8 w9 w10 w11 w12"], ["w7 w8", "w9", "w10 w11"]
LONGEST = {"max_source_length": 12, "max_target_length": 10}

KINDS = {
    "gated, relative": {"positions": "relative", "style": GATED, "output_bias": True},
    "relative vectors": {
        "positions": "relative_vectors",
        "style": TransformerStyle(clipped_distance=3),
    },
    "all tied, rotary, normalized on both sides": {
        "positions": "rotary",
        "style": dataclasses.replace(TURNED, rotary_dim=4, norm="rms"),
    },
    "learned, normalized last": {
        "positions": "learned",
        "normalize_first": False,
        "style": dataclasses.replace(EMBEDDINGS_NORMALIZED, interleaved=False),
        "shared": False,
    },
    "waves, logits of their own": {
        "style": TransformerStyle(
            activation="swish",
            inclusive=True,
            interleaved=True,
            first_position=2,
            final_norm=False,
            embedding_scale=3.0,
            epsilon=1e-5,
        ),
        "shared": False,
        "tied": False,
        "begin": (["w1"], ["w2", "w3"]),
    },
}


def build(shared=True, tied=True, begin=((), ()), output_bias=False, **kind):
    keras.utils.set_random_seed(3)
    preprocessor = TextPreprocessor(
        SymbolTokenizer(WORDS, name="source_vocabulary", begin=begin[0]),
        SymbolTokenizer(WORDS, name="target_vocabulary", begin=begin[1]),
        *LONGEST.values(),
    )
    source = TokenEmbedding(len(WORDS), 16, reads_end=tied)
    target = source if shared else TokenEmbedding(len(WORDS), 16)
    model = Seq2Seq(
        TransformerEncoder(source, 24, 2, 2, max_length=13, **kind),
        TransformerDecoder(
            target, 20, 2, 1, max_length=11, tie_output=tied, output_bias=output_bias, **kind
        ),
        preprocessor,
    )
    for weight in model.weights:
        weight.assign(2 * weight + 0.1 * keras.random.normal(weight.shape, seed=5))
    return model


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    """A model and its folder."""
    model = build(**KINDS[request.param])
    folder = tmp_path_factory.mktemp("models") / "model"
    to_ctranslate2(model, folder)
    return model, folder


def returned(folder, model, **options):
    begins = {
        f"{side}_prefix": " ".join(tokenizer.begin)
        for side, tokenizer in model.preprocessor.tokenizers.items()
    }
    source_end = model.encoder.embedding.reads_end
    return from_ctranslate2(folder, source_end=source_end, **LONGEST, **begins, **options)


def assert_same(model, other):
    np.testing.assert_allclose(
        other.score(SOURCES, TARGETS), model.score(SOURCES, TARGETS), atol=1e-4
    )
    found, expected = (one.search(SOURCES, num_beams=3, max_length=6) for one in (other, model))
    np.testing.assert_array_equal(found.token_ids, expected.token_ids)


def test_what_goes_out_comes_back(pair, tmp_path):
    model, folder = pair
    back = returned(folder, model)
    assert back.decoder.positions == model.decoder.positions
    assert back.preprocessor.target_tokenizer.get_vocabulary() == WORDS
    assert_same(model, back)
    back.save(tmp_path / "model.keras")
    scores = load_model(tmp_path / "model.keras").score(SOURCES, TARGETS)
    np.testing.assert_allclose(scores, back.score(SOURCES, TARGETS), atol=1e-6)


def reordered(folder, to, names, order):
    """The same model with other names and another order of its words, as elsewhere."""
    shutil.copytree(folder, to)
    file = read_model(folder / "model.bin")
    variables = {
        name: np.array(array)[order]
        if "embeddings" in name and name.endswith("/weight") or "projection" in name
        else np.array(array)
        for name, array in file.variables.items()
    }
    write_model(to / "model.bin", dataclasses.replace(file, variables=variables))
    tokens = [names.get(WORDS[index], WORDS[index]) for index in order]
    for path in to.glob("*vocabulary.json"):
        path.write_text(json.dumps(tokens), "utf-8")
    config = json.loads((to / "config.json").read_text("utf-8"))
    config = {key: names.get(value, value) for key, value in config.items()}
    (to / "config.json").write_text(json.dumps(config), "utf-8")


def test_words_of_another_order_and_other_names_of_special_tokens(pair, tmp_path):
    model, folder = pair
    names = {"[UNK]": "<unk>", "[START]": "<begin>", "[END]": "</s>"}
    order = np.random.default_rng(2).permutation(len(WORDS))
    reordered(folder, tmp_path / "other", names, order)
    other = returned(tmp_path / "other", model)
    vocabulary = other.preprocessor.target_tokenizer.get_vocabulary()
    assert vocabulary[:4] == list(SPECIAL_TOKENS) and vocabulary != WORDS
    np.testing.assert_allclose(
        other.score(SOURCES, TARGETS), model.score(SOURCES, TARGETS), atol=1e-4
    )
    assert other.generate(SOURCES, max_length=6) == model.generate(SOURCES, max_length=6)


def rewritten(folder, to, change):
    """The model with its variables changed."""
    if to != folder:
        shutil.copytree(folder, to)
    file = read_model(folder / "model.bin")
    variables = {name: np.array(array) for name, array in file.variables.items()}
    change(variables)
    write_model(to / "new", dataclasses.replace(file, variables=variables))
    (to / "new").replace(to / "model.bin")
    return to


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "model"
    to_ctranslate2(build(), folder)
    return folder


def test_eight_bits_are_read_with_their_scales(plain, tmp_path):
    name, embedding = "decoder/layer_0/ffn/linear_0/weight", "decoder/embeddings/weight"

    def quantize(variables):
        for one in (name, embedding):
            scale = 127 / np.abs(variables[one]).max(1)
            variables[f"{one}_scale"] = scale.astype(np.float32)
            variables[one] = np.rint(variables[one] * scale[:, None]).astype(np.int8)

    def dequantize(variables):
        for one in (name, embedding):
            scale = 127 / np.abs(variables[one]).max(1, keepdims=True)
            variables[one] = (np.rint(variables[one] * scale) / scale).astype(np.float32)

    eight, expected = (
        from_ctranslate2(rewritten(plain, tmp_path / step.__name__, step), **LONGEST)
        for step in (quantize, dequantize)
    )
    assert_same(expected, eight)


def assert_same_weights(model, other):
    found = {weight.path: weight for weight in other.weights}
    for weight in model.weights:
        np.testing.assert_allclose(found[weight.path], weight, atol=1e-6, err_msg=weight.path)


def test_a_relative_bias_in_every_block_comes_back(tmp_path):
    style = dataclasses.replace(GATED, relative_in_each=True)
    model = build(positions="relative", style=style)
    to_ctranslate2(model, tmp_path / "model")
    back = from_ctranslate2(tmp_path / "model", **LONGEST)
    # Two blocks of the encoder, where they differ; one bias of the decoder is one for all.
    assert back.encoder.style == style
    assert not back.decoder.style.relative_in_each
    weights = {weight.path: weight for weight in back.weights}
    for index in (0, 1):
        bias = f"encoder_{index}_relative/bias"
        expected = next(weight for weight in model.weights if weight.path == bias)
        np.testing.assert_array_equal(weights[bias], expected)


def test_dimensions_that_turn_together_may_stand_side_by_side(tmp_path):
    # Of heads of 8 dimensions the first 4 turn: in pairs 0 1, 2 3, or here 0 2, 1 3.
    model = build(positions="rotary", style=TransformerStyle(rotary_dim=4))
    to_ctranslate2(model, tmp_path / "halves")

    def interleave(variables):
        for name in variables:
            if name.endswith("rotary_interleave"):
                variables[name] = np.asarray(np.int8(1))
            if "self_attention/linear_0" in name:
                rows = variables[name].reshape(3, 2, 8, -1)  # Queries, keys, values.
                rows[:2] = rows[:2][:, :, [0, 2, 1, 3, 4, 5, 6, 7]]
                variables[name] = rows.reshape(variables[name].shape)

    folder = rewritten(tmp_path / "halves", tmp_path / "pairs", interleave)
    assert_same_weights(model, from_ctranslate2(folder, **LONGEST))


def test_caps_that_a_converter_leaves_out_can_be_given(tmp_path):
    caps = {"attention_cap": 0.3, "logit_cap": 2.0}
    kind = {"positions": "rotary", "output_bias": True}
    capped = build(style=TransformerStyle(**caps), **kind)
    plain = build(style=TransformerStyle(), **kind)
    plain.set_weights(capped.get_weights())
    to_ctranslate2(plain, tmp_path / "model")
    assert np.abs(plain.score(SOURCES, TARGETS) - capped.score(SOURCES, TARGETS)).min() > 0.1
    assert_same(capped, returned(tmp_path / "model", capped, **caps))
    with pytest.raises(InputError, match="no caps of scores and logits"):
        to_ctranslate2(capped, tmp_path / "other")
    with pytest.raises(InputError, match="`logit_cap` must be above 0"):
        returned(tmp_path / "model", capped, logit_cap=0.0)


def test_heads_that_share_keys_get_them_each_and_a_window_is_a_greatest_length(plain, tmp_path):
    def share(variables):
        for name in list(variables):
            scope, _, end = name.rpartition("/linear_")
            if end[:2] == ("0/" if "self_" in scope else "1/") and "attention" in scope:
                rows = variables[name]
                asking = [16, 24, 32, 40] if "self_" in scope else [8, 16, 24]
                *asked, key, _, value, _ = np.split(rows, asking)
                variables[name] = np.concatenate([*asked, key, value])
                variables[f"{scope}/num_heads_kv"] = np.asarray(np.int32(1))
                variables[f"{scope}/sliding_window"] = np.asarray(np.int32(7))

    def repeat(variables):
        for name in variables:
            scope, _, end = name.rpartition("/linear_")
            if end[:2] == ("0/" if "self_" in scope else "1/") and "attention" in scope:
                rows = variables[name]
                first = 16 if "self_" in scope else 0
                for begin in (first, first + 16):
                    rows[begin + 8 : begin + 16] = rows[begin : begin + 8]

    shared, repeated = (
        from_ctranslate2(rewritten(plain, tmp_path / change.__name__, change), **LONGEST)
        for change in (share, repeat)
    )
    assert_same_weights(repeated, shared)
    assert shared.preprocessor.max_source_length == shared.preprocessor.max_target_length == 6


def test_a_target_may_begin_with_zeros(plain, tmp_path):
    def zeros(variables):
        variables["decoder/start_from_zero_embedding"] = np.asarray(np.int8(1))

    def zero_row(variables):
        variables["decoder/embeddings/weight"][WORDS.index("[START]")] = 0

    expected = from_ctranslate2(rewritten(plain, tmp_path / "b", zero_row), **LONGEST)
    folder = rewritten(plain, tmp_path / "a", zeros)
    tokens = ["<s>" if word == "[START]" else word for word in WORDS]
    (folder / "shared_vocabulary.json").write_text(json.dumps(tokens), "utf-8")
    begun = from_ctranslate2(folder, **LONGEST)
    # Its own token for the beginning is a word like others: the first of them.
    assert begun.preprocessor.target_tokenizer.get_vocabulary() == [
        *SPECIAL_TOKENS,
        "<s>",
        *WORDS[4:],
    ]
    received, wanted = (
        model(model.preprocessor(SOURCES, TARGETS)[0]).numpy() for model in (begun, expected)
    )
    np.testing.assert_allclose(received[:, :, 5:], wanted[:, :, 4:], atol=1e-4)


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("interleaved", [False, True])
def test_tables_of_waves_are_known_by_their_numbers(interleaved, inclusive, first):
    layer = SinusoidalPositions(interleaved, inclusive, first)
    table = np.asarray(layer(np.zeros((1, 9, 6), "float32")))[0]
    # By hand: the second wave at the third position.
    angle = (first + 2) * 10000 ** -(1 / 2 if inclusive else 1 / 3)
    assert table[2, 2 if interleaved else 1] == pytest.approx(np.sin(angle), abs=1e-6)
    assert table[2, 3 if interleaved else 4] == pytest.approx(np.cos(angle), abs=1e-6)
    found = {"interleaved": interleaved, "inclusive": inclusive, "first_position": first}
    assert known_waves(table) == found
    assert known_waves(table.astype("float16")) == found
    assert known_waves(table + 0.1) is None


NUMBERS = st.sampled_from(["float32", "float16", "int8", "int16", "int32"])


@given(
    arrays=st.dictionaries(
        st.text("ab/_0", min_size=1, max_size=8),
        st.tuples(NUMBERS, st.lists(st.integers(0, 3), max_size=3)),
        max_size=4,
    )
)
@settings(max_examples=30, deadline=None)
def test_a_file_is_read_as_it_was_written(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("file") / "model.bin"
    variables = {
        name: np.arange(np.prod(shape), dtype=dtype).reshape(shape)
        for name, (dtype, shape) in arrays.items()
    }
    aliases = {"alias": next(iter(variables))} if variables else {}
    write_model(path, ModelFile("Spec", 3, variables, aliases))
    file = read_model(path)
    assert (file.name, file.revision, file.aliases) == ("Spec", 3, aliases)
    assert set(file.variables) == set(variables)
    for name, array in variables.items():
        assert file[name].dtype == array.dtype
        np.testing.assert_array_equal(file[name], array)


def test_bfloat16_is_the_upper_half_of_a_float32(tmp_path):
    path = tmp_path / "model.bin"
    write_model(
        path, ModelFile("Spec", 1, {"x": np.array([0x3FC0, 0xC000], "uint16").view("int16")})
    )
    content = path.read_bytes()
    place = content.index(b"x\0") + 2 + 1 + 4  # Name, rank, one size.
    assert content[place] == 2
    path.write_bytes(content[:place] + b"\5" + content[place + 1 :])
    np.testing.assert_array_equal(read_model(path).weight("x"), [1.5, -2.0])


def test_a_file_that_is_cut_anywhere_is_one_message(plain, tmp_path):
    content = (plain / "model.bin").read_bytes()
    path = tmp_path / "model.bin"
    for end in [0, 1, 7, *range(20, len(content), 997), len(content) - 1]:
        path.write_bytes(content[:end])
        with pytest.raises(InputError, match="is cut short|no CTranslate2 model"):
            read_model(path)


def test_sizes_that_do_not_fit_are_not_allocated(tmp_path):
    path = tmp_path / "model.bin"
    write_model(path, ModelFile("Spec", 1, {"x": np.zeros((2, 3), "float32")}))
    content = path.read_bytes()
    place = content.index(b"x\0") + 3
    path.write_bytes(content[:place] + b"\xff" * 8 + content[place + 8 :])
    with pytest.raises(InputError, match="does not have 24 bytes"):
        read_model(path)


def run_import(path, run, *options):
    return CliRunner().invoke(main, ["import", str(path), "--run-dir", str(run), *options])


def without(name):
    return lambda folder: (folder / name).unlink()


def named(name):
    def change(folder):
        content = (folder / "model.bin").read_bytes()
        old, new = b"\x10\0TransformerSpec\0", len(name) + 1
        assert old in content
        new_name = bytes([new, 0]) + name.encode() + b"\0"
        (folder / "model.bin").write_bytes(content.replace(old, new_name))

    return change


def with_variable(name, value):
    def change(folder):
        rewritten(folder, folder, lambda variables: variables.update({name: value}))

    return change


def shorter(folder):
    path = folder / "shared_vocabulary.json"
    path.write_text(json.dumps(WORDS[:-1]), "utf-8")


def configured(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")

    return change


def cut(folder):
    path = folder / "model.bin"
    path.write_bytes(path.read_bytes()[:-100])


SELF = "encoder/layer_0/self_attention/"
BROKEN = [
    (without("config.json"), [], "config.json: no such file"),
    (without("model.bin"), [], "model.bin: no such file"),
    (without("shared_vocabulary.json"), [], "lacks its vocabularies"),
    (shorter, [], "the source vocabulary has 23 tokens, the model 24"),
    (cut, [], "is cut short"),
    (named("TransformerDecoderSpec"), [], "holds a TransformerDecoderSpec"),
    (
        with_variable("decoder/layer_0/self_attention/q_norm/gamma", np.ones(8, "float32")),
        [],
        "decoder/layer_0/self_attention/q_norm/gamma, which is not supported",
    ),
    (
        with_variable(f"{SELF}rotary_dim", np.asarray(np.int32(4))),
        [],
        "encoder/layer_1 has rotary positions of its own",
    ),
    (
        with_variable(f"{SELF}relative_position_keys", np.ones((7, 8), "float32")),
        [],
        "lacks encoder/layer_1/self_attention/relative_position_keys",
    ),
    (
        with_variable(f"{SELF}num_heads_kv", np.asarray(np.int32(1))),
        [],
        "do not fit 2 heads of 8, 1 of them with keys",
    ),
    (with_variable("decoder/alibi", np.asarray(np.int8(1))), [], "decoder/alibi, which is not"),
    (
        with_variable("decoder/layer_0/ffn/linear_1/weight", np.ones((16, 3), "float32")),
        [],
        "its weights do not fit one another",
    ),
    (
        with_variable("encoder/num_heads", np.asarray(np.int16(0))),
        [],
        "its weights do not fit one another",
    ),
    (configured(eos_token="</s>"), [], "lacks the end token '</s>'"),
    (configured(decoder_start_token=None), [], "give it as --target-prefix"),
    (configured(), ["--source-prefix", "__en__"], "lacks the token '__en__'"),
    (configured(), ["--source-tokenizer", "none.spm"], "none.spm: no such file"),
]


@pytest.mark.parametrize(("change", "options", "message"), BROKEN)
def test_what_cannot_come_in_is_one_line_and_nothing_is_written(
    plain, tmp_path, change, options, message
):
    folder = tmp_path / "model"
    shutil.copytree(plain, folder)
    change(folder)
    result = run_import(folder, tmp_path / "run", *options)
    assert result.exit_code == 2
    assert message in result.output and result.output.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("loaded_once")
def test_an_import_is_a_run_for_the_other_commands(plain, tmp_path):
    run = tmp_path / "run"
    limits = ["--max-source-length", "12", "--max-target-length", "10"]
    result = run_import(plain, run, *limits)
    assert result.exit_code == 0, result.output
    assert "--source-tokenizer FILE" in " ".join(result.output.split())
    expected = build().generate(SOURCES[0])
    result = CliRunner().invoke(main, ["generate", str(run), SOURCES[0]])
    assert result.output.strip() == f"{SOURCES[0]}\t{expected}"
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text(f"{SOURCES[0]}\t{expected}\n{SOURCES[1]}\tw9\n", "utf-8")
    result = CliRunner().invoke(main, ["evaluate", str(run), str(pairs)])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(main, ["score", str(run), str(pairs)])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(main, ["results", str(run)])
    assert "| imported |" in result.output and "Measured" not in result.output
    for command, message in (
        ("evaluate", "has no test or validation pairs. Give a file."),
        ("report", "was imported: there is no training to report."),
    ):
        result = CliRunner().invoke(main, [command, str(run)])
        assert result.exit_code == 2 and message in result.output
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["export", str(run), str(out), "--format", "ctranslate2"])
    assert result.exit_code == 0, result.output
    file, own = read_model(out / "ctranslate2" / "model.bin"), read_model(plain / "model.bin")
    for name, array in own.variables.items():
        np.testing.assert_allclose(file[name], array, atol=1e-6)
    # What is there stays.
    before = (run / "model.keras").read_bytes()
    assert run_import(plain, run, *limits).exit_code == 2
    assert (run / "model.keras").read_bytes() == before


def test_prefixes_are_read_and_written_on_a_device_too(tmp_path):
    model = build(begin=(["w1"], ["w2", "w3"]), positions="relative", style=GATED)
    export_tflite(model, tmp_path / "lite", GenerationSettings(num_beams=2, max_length=6))
    runner = LiteRTRunner(tmp_path / "lite")
    expected = model.search(SOURCES, num_beams=2, max_length=6)
    assert (expected.token_ids[:, 0, :2] == [WORDS.index("w2"), WORDS.index("w3")]).all()
    for row, source in enumerate(SOURCES):
        texts, outputs = runner.generate(source)
        assert texts == model.texts(expected)[row][:1]
        np.testing.assert_allclose(outputs["log_probs"][0], expected.log_probs[row], atol=1e-3)
    with pytest.raises(ValueError, match="from 2 to 12 tokens"):
        runner.generate(" ")


def test_a_source_of_its_prefix_alone_is_empty(tmp_path):
    model = build(begin=(["w1"], []))
    with pytest.raises(InputError, match="Source 1 of 1 is empty"):
        model.generate([" "])
    assert model.generate("w4", max_length=2) != model.generate("w5", max_length=2)


def test_models_that_the_layout_lacks_are_refused(tmp_path):
    without = build(positions="none")
    with pytest.raises(InputError, match="no encoder-decoder without positions"):
        to_ctranslate2(without, tmp_path / "model")
    other = Seq2Seq(
        RecurrentEncoder(TokenEmbedding(24, 16), 16),
        build(shared=False).decoder,
        without.preprocessor,
    )
    with pytest.raises(InputError, match="Received: RecurrentEncoder of TokenEmbedding"):
        to_ctranslate2(other, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "pretrained.md").read_text("utf-8")
    blocks = re.findall(r"<!-- tested -->\n```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile("\n".join(blocks), "pretrained.md", "exec"), names)
    assert len(blocks) == 3 and capsys.readouterr().out.endswith("True\n")
    assert names["same"].generate("a small") == names["model"].generate("a small")
