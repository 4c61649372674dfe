"""The command line as a person uses it: what it prints, and what it says to bad input."""

import gzip
import json
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from training.run_directory import RunDirectory
from training.settings import TrainingConfig

pytestmark = pytest.mark.usefixtures("loaded_once")
SMALL = ["--epochs", "1", "--hidden-dim", "8", "--embedding-dim", "4"]


@pytest.fixture(scope="module")
def run_dir(text_model, pairs, tmp_path_factory):
    """A run whose model is the random one."""
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "run")
    run.begin(TrainingConfig(), pairs, pairs)
    run.write_pairs(run.validation_file, pairs)
    text_model.save(run.model_file)
    return run.path


@pytest.fixture
def tsv(pairs, tmp_path):
    path = tmp_path / "pairs.tsv"
    rows = zip(pairs.sources, pairs.targets, strict=True)
    path.write_text("".join(f"{source}\t{target}\n" for source, target in rows))
    return path


def invoke(*arguments, input=None):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=input)


def one_line_error(result):
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    return line


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_parallel_files_compressed_too(tsv, pairs, tmp_path):
    sources, targets = tmp_path / "sources.txt", tmp_path / "targets.txt.gz"
    sources.write_text("\n".join(pairs.sources))
    targets.write_bytes(gzip.compress("\n".join(pairs.targets).encode()))
    result = invoke("train", sources, targets, "--print-config")
    assert result.exit_code == 0, result.output
    assert "Chosen from the data: " in result.stderr
    assert result.output == invoke("train", tsv, "--print-config").output


def test_generate_from_arguments(run_dir, text_model):
    result = invoke("generate", run_dir, "cab", "fee")
    expected = text_model.generate(["cab", "fee"])
    assert result.stdout == f"cab\t{expected[0]}\nfee\t{expected[1]}\n"


def test_generate_n_best_with_scores_from_standard_input_and_file(run_dir, tmp_path):
    options = ["--beam-size", 3, "--n-best", 2, "--scores"]
    result = invoke("generate", run_dir, *options, input="cab\nfee\n")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == ["cab", "cab", "fee", "fee"]
    assert all(float(line[1]) < 0 and len(line) == 3 for line in lines)
    (tmp_path / "words.txt").write_text("cab\nfee\n")
    again = invoke("generate", run_dir, "--file", tmp_path / "words.txt", *options)
    assert again.stdout == result.stdout


def test_generate_with_a_prefix_suppressed_and_allowed_targets(run_dir, tmp_path):
    result = invoke("generate", run_dir, "cab", "--prefix", "FF AA")
    assert result.exit_code == 0 and result.stdout.startswith("cab\tFF AA")
    result = invoke("generate", run_dir, "cab", "--suppress", "AA", "--suppress", "BB")
    assert not {"AA", "BB"} & set(result.stdout.split())
    result = invoke("generate", run_dir, "cab", "--bias", "DD=1000", "--max-length", 3)
    assert result.stdout == "cab\tDD DD DD\n"
    allowed = tmp_path / "allowed.txt"
    allowed.write_text("EE FF\nCC\n")
    result = invoke("generate", run_dir, "cab", "fee", "--allowed", allowed)
    targets = {line.split("\t")[1] for line in result.stdout.splitlines()}
    assert targets <= {"EE FF", "CC"}


def test_score_prints_totals_and_tokens(run_dir, text_model, tsv, pairs):
    result = invoke("score", run_dir, tsv, "--tokens")
    assert result.exit_code == 0, result.output
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[:2] for row in rows] == [
        [*pair] for pair in zip(pairs.sources, pairs.targets, strict=True)
    ]
    expected = text_model.score(pairs.sources, pairs.targets)
    for (_, target, total, tokens), log_prob in zip(rows, expected, strict=True):
        assert float(total) == pytest.approx(log_prob, abs=1e-3)
        assert len(tokens.split()) == len(target.split()) + 1


def test_generate_counts_what_is_unknown(run_dir):
    result = invoke("generate", run_dir, "caz", "zap")
    assert result.exit_code == 0
    assert result.stderr == "unknown to the model: 'z' (2), 'p' (1)\n"


def test_generate_as_json_with_everything(run_dir, text_model):
    options = ["--json", "--alignments", "--prefix", "AA", "--beam-size", 2, "--n-best", 2]
    result = invoke("generate", run_dir, "cab", *options)
    content = json.loads(result.stdout)
    assert content["source"] == "cab" and len(content["hypotheses"]) == 2
    best = content["hypotheses"][0]
    assert best["target"] == text_model.generate("cab", num_beams=2, prefixes="AA")
    assert best["tokens"] == [*best["target"].split(), "[END]"]
    assert sum(best["token_log_probs"]) == pytest.approx(best["log_prob"], abs=1e-3)
    assert [len(row) for row in best["alignments"]] == [4] * len(best["tokens"])


def test_generate_prints_alignments(run_dir, text_model):
    source, target, pairs = invoke("generate", run_dir, "cab", "--alignments").stdout.split(
        "\t"
    )
    weights = text_model.align([source], [target])[0][:-1, :3]
    expected = [f"{best}-{time}" for time, best in enumerate(weights.argmax(-1))]
    assert pairs.split() == expected


def test_generate_with_lists_and_files(run_dir, text_model, tmp_path):
    (tmp_path / "allowed.txt").write_text("AA\nBB CC\n")
    result = invoke("generate", run_dir, "cab", "--allowed", tmp_path / "allowed.txt")
    assert result.stdout in ("cab\tAA\n", "cab\tBB CC\n")
    (tmp_path / "prefixes.txt").write_text("AA\n\n")
    options = ["--suppress", "EE", "--suppress", "FF", "--bias", "BB=2.5"]
    result = invoke(
        "generate", run_dir, "cab", "fee", "--prefixes", tmp_path / "prefixes.txt", *options
    )
    expected = text_model.generate(
        ["cab", "fee"], prefixes=["AA", ""], suppress=["EE", "FF"], bias={"BB": 2.5}
    )
    assert [line.split("\t")[1] for line in result.stdout.splitlines()] == expected


def test_score_prints_log_probs_of_tokens(run_dir, text_model, tmp_path):
    (tmp_path / "pairs.tsv").write_text("cab\tCC AA BB\nfee\tFF\n")
    plain = invoke("score", run_dir, tmp_path / "pairs.tsv").stdout.splitlines()
    expected = text_model.score(["cab", "fee"], ["CC AA BB", "FF"])
    assert plain == [
        f"cab\tCC AA BB\t{expected[0]:.4f}",
        f"fee\tFF\t{expected[1]:.4f}",
    ]
    first, _ = invoke("score", run_dir, tmp_path / "pairs.tsv", "--tokens").stdout.splitlines()
    tokens = [part.rsplit(":", 1) for part in first.split("\t")[3].split()]
    assert [name for name, _ in tokens] == ["CC", "AA", "BB", "[END]"]
    assert sum(float(log_prob) for _, log_prob in tokens) == pytest.approx(
        expected[0], abs=1e-3
    )


def test_score_refuses_no_file(run_dir):
    assert "Expected one file of pairs or two" in one_line_error(invoke("score", run_dir))


def test_a_picture_of_the_search(run_dir, tmp_path):
    picture = tmp_path / "tree.svg"
    result = invoke("tree", run_dir, "cab", picture, "--beam-size", 3)
    assert result.exit_code == 0, result.output
    assert picture.stat().st_size > 1000


def test_generate_asks_on_a_terminal(run_dir, text_model, monkeypatch):
    monkeypatch.setattr("keras_seq2seq.cli.generate._source_lines", lambda texts, file: None)
    result = invoke("generate", run_dir, input="cab\ntoolongaword\nfee\n\n")
    assert result.exit_code == 0
    assert f"cab\t{text_model.generate('cab')}" in result.stdout
    assert f"fee\t{text_model.generate('fee')}" in result.stdout
    assert "has 12 tokens" in result.stderr


def test_settings_of_generation_from_a_file_and_an_option_wins(run_dir, tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[generation]\nnum_beams = 3\nnum_hypotheses = 2\n")
    result = invoke("generate", run_dir, "cab", "--config", path)
    assert (
        result.stdout
        == invoke("generate", run_dir, "cab", "--beam-size", 3, "--n-best", 2).stdout
    )
    result = invoke("generate", run_dir, "cab", "--config", path, "--n-best", 1)
    assert len(result.stdout.splitlines()) == 1


def test_a_picture_of_attention(run_dir, tmp_path):
    result = invoke("attention", run_dir, "cab", tmp_path / "attention.png")
    assert result.exit_code == 0 and (tmp_path / "attention.png").stat().st_size > 1000


@pytest.mark.large
def test_export_then_parity_and_a_second_export_is_refused(run_dir, tmp_path):
    out = tmp_path / "exports"
    assert invoke("export", run_dir, out, "--beam-size", 2).exit_code == 0
    before = snapshot(out)
    assert "exists" in one_line_error(invoke("export", run_dir, out))
    assert snapshot(out) == before
    artefacts = sorted(out.iterdir())
    assert [path.name for path in artefacts] == ["saved_model", "tflite", "tflite_int8"]
    result = invoke("parity", run_dir, *artefacts, "--count", 20, "--json", out / "p.json")
    assert result.exit_code == 0, result.output
    rows = json.loads((out / "p.json").read_text())
    assert [row["passes"] for row in rows] == [True] * 4


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"one\tONE\ntwo\n", "line 2: not two columns (source, tab, target)"),
        (b"one\tONE\na\tb\tc\n", "line 2: not two columns"),
        (b"one\tONE\n\xe9t\xe9\tETE\n", "line 2: not UTF-8"),
        (b"one\t\n", "line 1: the target is empty"),
        (b"one\tONE\n", "too few to hold out"),
    ],
)
def test_training_refuses_bad_files(tmp_path, content, message):
    path = tmp_path / "pairs.tsv"
    if content is not None:
        path.write_bytes(content)
    line = one_line_error(invoke("train", path, "--strict", "--run-dir", tmp_path / "run"))
    assert message in line and str(path) in line or "too few" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.large
def test_from_json_lines_and_what_is_left_out_of_them_to_an_evaluated_model(pairs, tmp_path):
    rows = [{"en": s, "de": t} for s, t in zip(pairs.sources, pairs.targets, strict=True)]
    lines = [json.dumps(row) for row in rows[:300]]
    lines[7] = "{broken"
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines), "utf-8")
    test = "".join(f"{row['en']}\t{row['de']}\n" for row in rows[295:310])
    (tmp_path / "test.tsv").write_text(f"en\tde\n{test}", "utf-8")
    columns = ["--source-column", "en", "--target-column", "de"]
    arguments = ["train", tmp_path / "pairs.jsonl", "--run-dir", tmp_path / "run", *columns]
    assert "line 8: broken JSON" in one_line_error(invoke(*arguments, "--strict"))
    result = invoke(*arguments, "--test", tmp_path / "test.tsv", *SMALL)
    assert result.exit_code == 0, result.output
    assert f"Left out, broken JSON: 1. {tmp_path / 'pairs.jsonl'}, line 8" in result.output
    assert "Also in the training data: the sources of" in result.output
    assert "error rate" in result.output
    result = invoke("evaluate", tmp_path / "run", "--beam-size", 2)
    assert result.exit_code == 0 and "beam 2" in result.output
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["sequences"] == len({row["en"] for row in rows[295:310]})


def test_a_folder_needs_the_endings_of_its_files(tmp_path):
    line = one_line_error(invoke("train", tmp_path, "--run-dir", tmp_path / "run"))
    assert "Give the endings of its files, such as --source-column en" in line
    (tmp_path / "train.en").write_text("a\n")
    columns = ["--source-column", "en", "--target-column", "de"]
    line = one_line_error(invoke("train", tmp_path, "--run-dir", tmp_path / "run", *columns))
    assert "no train.en and train.de" in line


@pytest.fixture
def dates(tmp_path):
    """Dates: every target is a word of its own."""
    rows = [
        f"{day}.{month}.\t2024-{month:02}-{day:02}\n"
        for month in (1, 2)
        for day in range(1, 29)
    ]
    (tmp_path / "dates.tsv").write_text("".join(rows))
    return tmp_path / "dates.tsv"


def test_tokenizers_are_chosen_from_the_data_and_an_option_wins(dates):
    result = invoke("train", dates, "--print-config")
    assert '\ntarget_tokenizer = "characters"\n' in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("Chosen from the data: source_tokenizer characters: 1.0 words a l")
    assert "; target_tokenizer characters: 1.0 words a line, " in line
    result = invoke("train", dates, "--print-config", "--target-tokenizer", "symbols")
    assert '\ntarget_tokenizer = "symbols"\n' in result.stdout
    assert "target_tokenizer" not in result.stderr


def test_training_refuses_a_target_vocabulary_that_misses_most_tokens(dates, tmp_path):
    arguments = ["train", dates, "--run-dir", tmp_path / "run", "--target-tokenizer", "symbols"]
    line = one_line_error(invoke(*arguments))
    assert "training targets misses 5 of 5 tokens of the validation targets: " in line
    assert "smaller tokens: --target-tokenizer characters." in line


def test_training_refuses_parallel_files_of_different_length(tmp_path):
    (tmp_path / "a").write_text("x\ny\n")
    (tmp_path / "b").write_text("X\n")
    arguments = ["train", tmp_path / "a", tmp_path / "b", "--run-dir", tmp_path / "run"]
    assert "has 2 lines and" in one_line_error(invoke(*arguments))


def test_training_refuses_a_vocabulary_that_misses_most_characters(tsv, tmp_path):
    other = tmp_path / "other.tsv"
    other.write_text("вода\tAA\n")
    arguments = ["train", tsv, "--validation", other, "--run-dir", tmp_path / "run"]
    assert "misses 4 of 4 tokens" in one_line_error(invoke(*arguments))


def test_training_refuses_a_run_of_another_configuration(run_dir, tsv):
    before = snapshot(run_dir)
    line = one_line_error(invoke("train", tsv, "--run-dir", run_dir, "--hidden-dim", 8))
    assert "another configuration: --hidden-dim was 256 and is now 8" in line
    assert snapshot(run_dir) == before


def test_training_refuses_a_folder_that_is_not_a_run(tsv, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    line = one_line_error(invoke("train", tsv, "--run-dir", tmp_path / "folder"))
    assert "is not a run of this program" in line


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--beam-size", "0", "cab"], "--beam-size must be at least 1. Received: 0."),
        (["--beam-size", "two", "cab"], "--beam-size must be a whole number. Received: 'two'"),
        (["--config", "nowhere.toml", "cab"], "nowhere.toml: no such file"),
        (["--n-best", "2", "cab"], "n-best 2"),
        (["--sample", "--beam-size", "2", "cab"], "exclude each other"),
        (["--top-p", "0", "cab"], "--top-p must be in (0, 1]. Received: 0.0"),
        (["--min-length", "5", "--max-length", "2", "cab"], "must not exceed"),
        (["cab", "--bias", "AA"], "Expected a token, an equals sign and a number"),
        (["cab", "--suppress-id", "x"], "Expected a token id"),
        (["--length-penalty", "1", "cab"], "does not apply to --beam-size 1"),
        (["--file", "nowhere.txt"], "nowhere.txt: no such file"),
        (["cab", "--file", "nowhere.txt"], "either texts or --file"),
        (["cab", "--prefix", "AA XX"], "prefix 'AA XX' has the token 'XX'"),
        (["cab", "--prefix", "AA", "--prefixes", "x"], "either --prefix or --prefixes"),
        (["cab", "--suppress", "XX"], "'XX' is no token of the target vocabulary"),
        (["cab", "--suppress-id", "AA"], "Expected a token id, a number such as 17"),
        (["cab", "--bias", "AA"], "Expected a token, an equals sign and a number"),
        (["cab", "--bias-id", "AA=1"], "Expected a token id, a number such as 17"),
        (["cab", "--allowed", "nowhere.txt"], "nowhere.txt: no such file"),
        (["cab", "--beam-size", "4", "--beam-groups", "3"], "must divide the beam size"),
        (["cab", "--coverage-penalty", "0.2"], "does not apply to --beam-size 1"),
    ],
)
def test_generation_refuses_bad_input(run_dir, arguments, message):
    assert message in one_line_error(invoke("generate", run_dir, *arguments))


@pytest.mark.parametrize(
    "arguments, input, message",
    [
        ([""], None, "source 1: the source is empty"),
        (["cab", "abcdefabc"], None, "source 2: the source has 9 tokens; this model takes at"),
        (["cab", "--min-length-ratio", "9"], None, "would need at least 27 and at most 12"),
        ([], "a" * 100_000, "line 1: the source has 100000 tokens"),
        ([], b"cab\nn\xe3o\n", "line 2: the source is not UTF-8"),
    ],
)
def test_a_source_that_has_no_target_is_named_shortly(run_dir, arguments, input, message):
    result = invoke("generate", run_dir, *arguments, input=input)
    (line,) = result.stderr.strip().splitlines()
    assert result.exit_code == 1 and message in line and len(line) < 300


@pytest.mark.parametrize(
    "command",
    [["evaluate"], ["generate"], ["export"], ["parity"], ["attention"], ["tree"], ["score"]],
)
def test_a_run_without_a_model_is_refused(tmp_path, command):
    extra = {"export": ["out"], "parity": ["out"], "attention": ["a", "a.png"]}
    extra["tree"] = extra["attention"]
    arguments = [*command, tmp_path / "nowhere", *extra.get(command[0], [])]
    assert "holds no trained model" in one_line_error(invoke(*arguments))


def test_a_broken_model_file_is_refused(run_dir, tmp_path):
    shutil.copytree(run_dir, tmp_path / "run")
    model = tmp_path / "run" / "model.keras"
    model.write_bytes(model.read_bytes()[:5000])
    assert "cannot be loaded" in one_line_error(invoke("generate", tmp_path / "run", "cab"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--recipe", "unknown"], "There is no recipe 'unknown'; the recipes are: "),
        ([], "Expected one file or folder of pairs, or two"),
        (["a", "--recipe", "cmudict_demo"], "either files or --recipe"),
        (["a.tsv", "--dropout", "1"], "--dropout must be in [0, 1). Received: 1.0"),
        (["a.tsv", "--epochs", "0"], "--epochs must be at least 1. Received: 0"),
        (
            ["a.tsv", "--hidden-dim", "wide"],
            "--hidden-dim must be a whole number. Received: 'w",
        ),
        (["a.tsv", "--hidden-dim", "2147483648"], "--hidden-dim must be at most 65536. Receiv"),
        (["a.tsv", "--patience", "1e300"], "--patience must be a whole number. Received: '1e3"),
        (["a.tsv", "--seed", "9" * 5000], "--seed must be a whole number. Received: '999"),
        (["a.tsv", "--cell", "gru"], "--cell does not apply to --architecture lstm_attention"),
        (["a.tsv", "--config", "nowhere.toml"], "nowhere.toml: no such file"),
        (["--recipe", "cmudict_lstm_attention"], "needs its data: --data"),
    ],
)
def test_training_refuses_bad_options(tmp_path, arguments, message):
    result = invoke("train", *arguments, "--run-dir", tmp_path / "run")
    assert message in one_line_error(result)


def test_a_wrong_flag_has_status_2(tmp_path):
    result = invoke("train", "a.tsv", "--run-dir", tmp_path / "run", "--unknown", "1")
    assert "No such option '--unknown'. See main train --help." in one_line_error(result)


@pytest.mark.parametrize(
    "command",
    "train evaluate generate export parity demo score tree attention".split(),
)
def test_every_command_has_help_with_an_example(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"keras-seq2seq {command}" in result.output


def test_help_imports_no_tensorflow():
    code = (
        "import sys; from keras_seq2seq.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "command",
    [
        ["attention", "RUN", "cab", "OUT.png"],
        ["tree", "RUN", "cab", "OUT.svg"],
        ["parity", "RUN", "nowhere", "--json", "OUT"],
        ["compare", "RUN", "RUN", "--json", "OUT"],
        ["results", "RUN", "--output", "OUT"],
        ["inspect", "PAIRS", "--json", "OUT"],
        ["export", "RUN", "OUT"],
        ["train", "PAIRS", "--run-dir", "OUT"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("where", ["file/below/OUT", "x" * 300])
def test_where_nothing_can_be_written_is_told_before_the_work(
    run_dir, tsv, tmp_path, command, where
):
    (tmp_path / "file").touch()
    names = {"RUN": run_dir, "PAIRS": tsv}
    places = {f"OUT{end}": tmp_path / f"{where}{end}" for end in ("", ".png", ".svg")}
    before = snapshot(run_dir)
    result = invoke(*({**names, **places}.get(part, part) for part in command))
    line = one_line_error(result)
    assert "Not a directory" in line or "File name too long" in line
    assert snapshot(run_dir) == before


@pytest.mark.parametrize("command", ["generate", "evaluate", "report", "results", "compare"])
def test_a_path_that_is_too_long_is_told(tmp_path, command):
    arguments = {"compare": ["b"], "generate": ["cab"]}.get(command, [])
    line = one_line_error(invoke(command, tmp_path / ("x" * 300), *arguments))
    assert "File name too long" in line


def test_a_picture_is_made_with_its_folder(run_dir, tmp_path):
    result = invoke("attention", run_dir, "cab", tmp_path / "new" / "deep" / "a.png")
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "new" / "deep").iterdir()] == ["a.png"]


@pytest.mark.parametrize("file", ["history.jsonl", "metrics.json", "evaluation.json"])
def test_damaged_records_are_one_line(run_dir, tsv, tmp_path, file):
    run = tmp_path / "run"
    shutil.copytree(run_dir, run)
    for name in ("history.jsonl", "metrics.json", "evaluation.json"):
        (run / name).write_text("{}\n" if name != "history.jsonl" else "")
    (run / "outputs.jsonl").write_text("")
    for content in (b"", b"{", b"[]", b'{"epoch": "x"}\n', b"\xff"):
        (run / file).write_bytes(content)
        for command in (["report", run], ["results", run], ["compare", run, run]):
            assert one_line_error(invoke(*command)), command


def test_a_finished_run_without_its_metrics_is_not_trained_over(
    run_dir, tsv, tmp_path, monkeypatch
):
    run = tmp_path / "run"

    def stop(*arguments):
        raise RuntimeError("stopped")  # What is refused would be withdrawn.

    with monkeypatch.context() as patch:
        patch.setattr("keras_seq2seq.training.run.preparation.build_preprocessor", stop)
        assert isinstance(invoke("train", tsv, "--run-dir", run).exception, RuntimeError)
    shutil.copy(run_dir / "model.keras", run)
    (run / "history.jsonl").write_text('{"epoch": 1, "loss": 1.0, "val_loss": 1.0}\n')
    before = snapshot(run)
    line = one_line_error(invoke("train", tsv, "--run-dir", run))
    assert "holds history.jsonl and model.keras of a training, but neither" in line
    assert snapshot(run) == before


def test_an_error_before_the_first_step_is_not_hidden(run_dir, tsv, tmp_path, monkeypatch):
    def fail(*arguments, **others):
        raise RuntimeError("before any callback")

    monkeypatch.setattr("keras_seq2seq.models.Seq2Seq.fit", fail)
    result = invoke("train", tsv, "--run-dir", tmp_path / "run", *SMALL)
    assert "before any callback" in str(result.exception)
