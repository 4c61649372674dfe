"""The folder for a device works on its own, and its tokenizer is the one in the graph."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from export import LiteRTRunner, export_tflite
from export.litert_runner import check
from export.plain_tokenizers import PlainTokenizer
from export.test_vectors import make_test_vectors, to_json
from keras_seq2seq.data import TextPreprocessor
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer
from tests import kotlin
from tests.cpp import assert_program_gives, compiled_program

JAVA = Path(__file__).parent / "kotlin"
# Of the targets of the model, with the end.
LONGEST = 8

# A process for which these are not installed.
ALONE = textwrap.dedent(
    """
    import runpy, sys
    class Without:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("tensorflow", "keras", "keras_nlp", "keras_seq2seq"):
                raise ModuleNotFoundError(name)
    sys.meta_path.insert(0, Without())
    sys.argv = ["litert_runner.py", *sys.argv[1:]]
    runpy.run_path("litert_runner.py", run_name="__main__")
    """
)


@pytest.fixture(scope="module")
def bundle(text_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "device"
    export_tflite(text_model, path, GenerationSettings(2, 2), model_name="Speller")
    return path


def run_alone(bundle, tmp_path, *arguments, **options):
    """Copies the folder away and runs its program where nothing of ours is installed."""
    folder = shutil.copytree(bundle, tmp_path / "copy")
    return subprocess.run(
        [sys.executable, "-c", ALONE, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_the_copied_folder_runs_alone(bundle, text_model, tmp_path):
    done = run_alone(bundle, tmp_path, "cab", "fee")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    expected = text_model.search(["cab", "fee"], GenerationSettings(2, 2))
    texts = [text for row in text_model.texts(expected) for text in row]
    assert [row[2] for row in rows] == texts
    received = [float(row[1]) for row in rows]
    assert received == pytest.approx(expected.log_probs.ravel().tolist(), abs=1e-3)


def test_the_file_alone_has_all_that_is_needed(bundle, text_model, tmp_path):
    alone = shutil.copy(bundle / "model.tflite", tmp_path / "alone.tflite")
    texts, _ = LiteRTRunner(alone).generate("cab")
    assert texts[0] == text_model.generate("cab", num_beams=2)
    with zipfile.ZipFile(alone) as archive:
        assert set(archive.namelist()) == {
            "signatures.json",
            "source_vocabulary.txt",
            "target_vocabulary.txt",
        }
        for name in archive.namelist():
            assert archive.read(name) == (bundle / name).read_bytes()


def test_a_folder_or_file_of_something_else_is_told(bundle, tmp_path):
    with pytest.raises(FileNotFoundError, match="no model.tflite and no signatures.json"):
        LiteRTRunner(tmp_path)
    (tmp_path / "other.tflite").write_bytes(b"TFL3")
    with pytest.raises(ValueError, match="no vocabularies at its end; give its folder"):
        LiteRTRunner(tmp_path / "other.tflite")


def test_a_line_that_does_not_fit_is_named_and_the_next_one_answered(bundle, tmp_path):
    done = run_alone(bundle, tmp_path, input="abcabcabc\ncab\n")
    assert done.returncode == 1
    assert "from 1 to 7 tokens. Received 9" in done.stderr
    assert done.stdout.startswith("cab\t")


def test_the_card_tells_sizes_and_settings(bundle, text_model):
    card = (bundle / "MODEL_CARD.md").read_text("utf-8")
    _, fields, body = card.split("---\n", 2)
    assert yaml.safe_load(fields)["library_name"] == "litert"
    assert body.startswith("\n# Speller\n") and "$" not in card
    assert f"{text_model.count_params():,}" in card
    assert "from 1 to 7 tokens" in card
    assert "| beam 2; num_beams 2, num_hypotheses 2 |" in card
    for language in ("Python", "Kotlin", "Swift", "C++"):
        assert f"## {language}" in card


def test_the_python_of_the_card_runs(bundle, monkeypatch, text_model):
    card = (bundle / "MODEL_CARD.md").read_text("utf-8")
    code = card.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(bundle)
    monkeypatch.syspath_prepend(str(bundle))
    names: dict = {}
    exec(code, names)
    example = json.loads((bundle / "test_vectors.json").read_text("utf-8"))["vectors"][4]
    assert names["texts"] == example["texts"] and str(example["encoder_token_ids"]) in card
    assert names["texts"][0] == text_model.generate(example["source"], num_beams=2)


def vectors_of(bundle):
    return json.loads((bundle / "test_vectors.json").read_text("utf-8"))["vectors"]


PROGRAM = """
import java.io.File
import org.tensorflow.lite.Interpreter

fun tokenize(text: String): IntArray = text.split(" ").map {{ it.toInt() }}.toIntArray()

fun main(arguments: Array<String>) {{
    val modelFile = File(arguments[0])
    for (text in arguments.drop(1)) {{
{code}
        println(best.joinToString(" ") + " " + logProbs[0][0])
    }}
}}
"""


@pytest.mark.large
@pytest.mark.skipif(kotlin.jars() is None, reason=kotlin.WITHOUT)
def test_the_kotlin_of_the_card_compiles_and_reads_the_arrays_that_come(bundle, tmp_path):
    card = (bundle / "MODEL_CARD.md").read_text("utf-8")
    code = card.split("```kotlin\n")[1].split("```")[0]
    vectors = [one for one in vectors_of(bundle) if "refused" not in one][:3]
    lines, expected = [], []
    for one in vectors:
        # As the file's tensor: the end, then padding.
        rows = [[*ids, 3, *[0] * (LONGEST - len(ids) - 1)] for ids in one["token_ids"]]
        parts = [one["encoder_token_ids"], *rows, one["log_probs"]]
        lines.append("|".join(" ".join(map(str, part)) for part in parts))
        best = " ".join(map(str, one["token_ids"][0]))
        expected.append(f"{best} {one['log_probs'][0]:.4f}")
    (tmp_path / "answers.txt").write_text("\n".join(lines))
    sources = [" ".join(map(str, one["encoder_token_ids"])) for one in vectors]
    arguments = [str(tmp_path / "model.tflite"), *sources]
    program = PROGRAM.format(code=code)
    said = kotlin.run(program, sorted(JAVA.glob("*.java")), tmp_path, arguments).splitlines()
    heads = [line.rpartition(" ") for line in said]
    assert [f"{ids} {float(number):.4f}" for ids, _, number in heads] == expected


def test_the_vectors_are_what_the_model_gives_and_have_odd_ones(bundle, text_model):
    vectors = vectors_of(bundle)
    taken = [vector for vector in vectors if "refused" not in vector]
    assert 10 <= len(vectors) <= 20
    search = text_model.search([v["source"] for v in taken], GenerationSettings(2, 2))
    assert [v["texts"] for v in taken] == text_model.texts(search)
    log_probs = [p for v in taken for p in v["log_probs"]]
    assert log_probs == pytest.approx(search.log_probs.ravel().tolist(), abs=1e-4)
    split = text_model.preprocessor.source_tokenizer.split_text
    lengths = [len(split(v["source"])) for v in vectors]
    assert 1 in lengths and 7 in lengths
    assert any(1 in v["encoder_token_ids"] for v in taken)
    refused = [v["source"] for v in vectors if "refused" in v]
    assert [len(split(source)) for source in refused] == [0, max(lengths)] and max(lengths) > 7


def test_the_runner_replays_the_vectors_and_names_what_differs(bundle, tmp_path):
    done = run_alone(bundle, tmp_path, "--check")
    first, second = done.stdout.splitlines()
    assert (done.returncode, first) == (0, "as exported: every test vector agrees")
    assert re.fullmatch(r"\d+\.\d ms a source, the mean of the test vectors", second)
    file = tmp_path / "copy" / "test_vectors.json"
    changed = json.loads(file.read_text("utf-8"))
    changed["vectors"][0]["token_ids"][0].append(5)
    changed["vectors"][1]["log_probs"][0] -= 0.1
    changed["vectors"][2]["encoder_token_ids"][0] += 1
    changed["vectors"][3]["refused"] = "no reason"
    file.write_text(json.dumps(changed), "utf-8")
    found = check(tmp_path / "copy")
    for number, (line, reason) in enumerate(
        zip(found, ["the best target", "log prob", "ids", "must be refused"], strict=True), 1
    ):
        assert line.startswith(f"vector {number}, ") and reason in line


def test_the_cpp_program_replays_the_vectors(bundle, tmp_path):
    program = compiled_program(bundle, tmp_path)
    count = sum("refused" not in vector for vector in vectors_of(bundle))

    def replay(file):
        done = subprocess.run(
            [program, bundle / "model.tflite", "--check", file], capture_output=True, text=True
        )
        return done.returncode, done.stdout.splitlines()[-1]

    file = bundle / "test_vectors.json"
    assert replay(file) == (0, f"{count} of {count} test vectors as exported")
    changed = tmp_path / "changed.json"
    text = file.read_text("utf-8")
    changed.write_text(text.replace('"token_ids": [[', '"token_ids": [[9, ', 2), "utf-8")
    assert replay(changed) == (1, f"{count - 2} of {count} test vectors as exported")


def test_vectors_of_the_models_own_data_are_its_sources(text_model, bundle):
    content = (bundle / "model.tflite").read_bytes()
    own = ["cab", "fee", "ab" * 30]
    made = make_test_vectors(text_model, GenerationSettings(2, 2), content, own)
    assert made["made_of"] == "sources of the model's data"
    sources = [vector["source"] for vector in made["vectors"]]
    assert {"cab", "fee"} <= set(sources) and own[2] not in sources[:3]
    lines = to_json(made).splitlines()
    assert json.loads(to_json(made)) == made and len(lines) == len(sources) + 2


def test_the_cpp_program_of_the_folder_compiles_and_agrees(bundle, text_model, tmp_path):
    sources = ["cab", "a", "fadedad"]
    ids = text_model.preprocessor.tokenize_source(sources).to_list()
    expected = text_model.search(sources, GenerationSettings(2, 2))
    assert_program_gives(bundle, ids, expected, tmp_path)
    arguments = ["--text", bundle / "target_vocabulary.txt", *map(str, ids[0])]
    done = subprocess.run(
        [tmp_path / "generate", bundle / "model.tflite", *arguments], capture_output=True
    )
    assert done.stdout.decode().splitlines() == text_model.texts(expected)[0]


# Scripts with and without case, spaces beyond ASCII, letters that lower-case by context.
LETTERS = st.one_of(
    # NumPy, on the way to TensorFlow, cuts zeros at the end.
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    st.sampled_from(
        "AbÇŞİıΑΣςσДяԱֆႠაᎠꭰẞßǅŉ\u0130\u0345\u0301'·.:_1 \t\u00a0\u3000\u2028\x85\x1c"
    ),
    st.characters(min_codepoint=0x10570, max_codepoint=0x10595),
)


def test_a_runner_prints_what_litert_notes_when_it_is_opened_and_never_later(bundle):
    code = (
        "from export.litert_runner import LiteRTRunner\n"
        "from export.native_notes import without_notes\n"
        f"with without_notes():\n    runner = LiteRTRunner({str(bundle)!r})\n"
        "print(runner.generate('cab'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr


@pytest.fixture(scope="module")
def runners(bundle):
    """Tokenizers with the runner of a folder that describes each of them."""
    sources = ["ab AB σς ΑΣ", "ß ẞ İ ǅ ı", "ა Დ 字 \u3000x"]
    made = []
    for tokenizer in (CharacterTokenizer, SymbolTokenizer):
        for lowercase in (False, True):
            preprocessor = TextPreprocessor.from_pairs(
                sources,
                ["a"] * 3,
                tokenizer,
                SymbolTokenizer,
                max_source_length=1000,
                lowercase_source=lowercase,
            )
            runner = LiteRTRunner(bundle)
            tokenizer_of_graph = preprocessor.source_tokenizer
            description = runner.description["source"] | tokenizer_of_graph.description
            runner.description |= {"source": description, "max_source_length": 1000}
            runner.source = PlainTokenizer(description, tokenizer_of_graph.get_vocabulary())
            made.append((runner, preprocessor))
    return made


@settings(deadline=None, max_examples=150)
@given(text=st.text(LETTERS, max_size=12))
def test_the_runner_splits_and_tokenizes_as_the_graph_does(text, runners):
    for runner, preprocessor in runners:
        assert runner.split(text) == preprocessor.source_tokenizer.split_text(text)
        if runner.split(text):
            expected = preprocessor.tokenize_source([text]).to_list()[0]
            assert runner.tokenize(text) == expected


def test_every_letter_is_lower_cased_as_in_the_graph(runners):
    letters = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code <= 0xDFFF]
    text = "a".join(letters)  # A letter between: no context for any of them.
    runner, preprocessor = runners[1]
    assert runner.split(text) == preprocessor.source_tokenizer.split_text(text)


def test_text_spelled_like_a_special_token_is_unknown(runners):
    runner, preprocessor = runners[2]
    expected = preprocessor.tokenize_source(["[END] [PAD]"]).to_list()[0]
    assert runner.tokenize("[END] [PAD]") == expected == [1, 1, 3]


def test_a_tokenizer_that_the_runner_does_not_know_is_refused(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "copy")
    file = folder / "signatures.json"
    file.write_text(file.read_text().replace("CharacterTokenizer", "Syllables"))
    with pytest.raises(ValueError, match="cannot split text as 'Syllables'"):
        LiteRTRunner(folder)


@pytest.mark.parametrize("source", [b"cab", ["cab"], ("cab",), None, 3, {"text": "cab"}])
def test_a_source_that_is_no_string_is_refused(bundle, source):
    message = f"must be one string. Received: {type(source).__name__}"
    with pytest.raises(ValueError, match=message):
        LiteRTRunner(bundle).generate(source)


@pytest.mark.parametrize("name", ["source_vocabulary.txt", "target_vocabulary.txt"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_vocabulary_that_was_damaged_is_found(bundle, tmp_path, name, damage):
    file = shutil.copytree(bundle, tmp_path / "copy") / name
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        whole_lines = content[: content.index(b"\n", len(content) // 2) + 1]
        changed = content.replace(b"A", b"X").replace(b"a", b"x")
        file.write_bytes(whole_lines if damage == "cut" else changed)
    with pytest.raises(ValueError, match=f"{name} of .*copy is not as it was exported"):
        LiteRTRunner(file.parent)


@pytest.mark.parametrize("size", [0, 10, 1000])
def test_a_model_that_was_cut_is_found_before_the_runtime_reads_it(bundle, tmp_path, size):
    folder = shutil.copytree(bundle, tmp_path / "copy")
    content = (folder / "model.tflite").read_bytes()
    (folder / "model.tflite").write_bytes(content[:size])
    with pytest.raises(ValueError, match="model.tflite is not as it was exported"):
        LiteRTRunner(folder)


def test_a_folder_of_an_older_version_tells_no_fingerprints_and_loads(
    bundle, tmp_path, text_model
):
    folder = shutil.copytree(bundle, tmp_path / "copy")
    description = json.loads((folder / "signatures.json").read_text())
    assert set(description.pop("files")) == {
        "model.tflite",
        "source_vocabulary.txt",
        "target_vocabulary.txt",
    }
    (folder / "signatures.json").write_text(json.dumps(description))
    texts, _ = LiteRTRunner(folder).generate("cab")
    assert texts[0] == text_model.generate("cab", num_beams=2)
