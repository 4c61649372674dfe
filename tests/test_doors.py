"""What has no use, is of another time, or means something else than it seems: one line."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.table import Table

from export.litert_runner import Growing, LiteRTRunner
from export.native_notes import without_notes
from keras_seq2seq.cli import main
from keras_seq2seq.cli.options import console, generation_settings, print_written
from keras_seq2seq.data import Pairs, read_parallel_records
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from training.evaluation import evaluate_run
from training.evaluation.comparison import compare_runs
from training.evaluation.files import is_of_model
from training.evaluation.results import results_markdown
from training.run.building import build_model
from training.run.checks import without_effect
from training.run.own_parts import OwnParts
from training.run_directory import RunDirectory
from training.settings import TrainingConfig, resolve
from training.settings.files import recorded


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top_k": 3}, "--top-k needs --sample. Received: 3."),
        ({"top_p": 0.5, "num_beams": 2}, "--top-p needs --sample. Received: 0.5."),
        ({"temperature": 2.0}, "--temperature needs --sample. Received: 2.0."),
        ({"min_p": 0.1}, "--min-p needs --sample. Received: 0.1."),
        ({"seed": 7}, "--seed needs --sample. Received: 7."),
        (
            {"length_penalty": 1.0},
            "--length-penalty does not apply to --beam-size 1. Received: 1.0.",
        ),
        (
            {"length_penalty": 0.6, "sample": True},
            "--length-penalty does not apply to --beam-size 1. Received: 0.6.",
        ),
        (
            {"length_rule": "gnmt"},
            "--length-rule does not apply to --beam-size 1. Received: gnmt.",
        ),
        (
            {"num_beams": 2, "length_rule": "reward"},
            "--length-rule does not apply to --length-penalty 0.0. Received: reward.",
        ),
        (
            {"coverage_penalty": 0.2},
            "--coverage-penalty does not apply to --beam-size 1. Received: 0.2.",
        ),
        ({"num_beam_groups": 2}, "--beam-groups does not apply to --beam-size 1. Received: 2."),
        ({"patience": 2.0}, "--patience does not apply to --beam-size 1. Received: 2.0."),
        (
            {"num_beams": 4, "diversity_penalty": 1.0},
            "--diversity-penalty does not apply to --beam-groups 1. Received: 1.0.",
        ),
    ],
)
def test_a_setting_of_generation_without_a_use_is_refused(settings, message):
    with pytest.raises(InputError) as error:
        GenerationSettings(**settings)
    assert str(error.value) == message
    # An export of an earlier version has it.
    used = {name: settings[name] for name in ("num_beams", "sample") if name in settings}
    old = GenerationSettings(**used)
    assert GenerationSettings.from_file(old.to_dict() | settings) == old


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"plateau_factor": 0.3}, "--plateau-factor does not apply to --schedule cosine"),
        ({"sampling_steps": 7}, "--sampling-steps does not apply to --scheduled-sampling none"),
        (
            {"scheduled_sampling": "constant", "sampling_steps": 7},
            "--sampling-steps does not apply to --scheduled-sampling constant. Received: 7.",
        ),
        (
            {"batch_tokens": 100, "batch_size": 7},
            "--batch-size does not apply to --batch-tokens 100. Received: 7.",
        ),
        ({"average_of": "last"}, "--average-of does not apply to --average 0. Received: last"),
        ({"optimizer": "sgd", "beta_2": 0.9}, "--beta-2 does not apply to --optimizer sgd"),
        (
            {"architecture": "transformer", "convolution_strides": 3},
            "--convolution-strides does not apply to --convolutions 0. Received: 3",
        ),
        (
            {
                "architecture": "recurrent",
                "attention": "none",
                "input_feeding": "context",
            },
            "--input-feeding does not apply to --attention none. Received: context",
        ),
    ],
)
def test_a_setting_of_training_without_a_use_is_refused(settings, message, tmp_path):
    with pytest.raises(InputError, match=message):
        TrainingConfig(**settings)
    # A run of an earlier version has it, and is read.
    values = TrainingConfig(architecture=settings.get("architecture", "lstm")).to_dict()
    for section in values.values():
        section.update({n: v for n, v in settings.items() if n in section})
    record = {"settings": values, "origins": {}, "data": "0"}
    (tmp_path / "config.json").write_text(json.dumps(record))
    unused = list(settings)[-1]
    found = recorded(tmp_path / "config.json")
    assert found.values[unused] == TrainingConfig.from_dict(values).values[unused]
    assert found.values[unused] != settings[unused]


def test_what_a_stronger_source_leaves_without_a_use_is_left_out_and_said():
    weaker = {"schedule": "plateau", "plateau_factor": 0.3}
    config, left_out = resolve([("option", {"schedule": "constant"}), ("file", weaker)])
    assert config.optimization.plateau_factor == 0.5 and left_out == {"plateau_factor": 0.3}
    with pytest.raises(InputError, match="--plateau-factor does not apply"):
        resolve([("option", {"plateau_factor": 0.3}), ("file", {"schedule": "constant"})])


def test_what_has_no_use_without_another_goes_with_it():
    written = GenerationSettings(num_beams=4, num_beam_groups=2, diversity_penalty=0.2)
    assert GenerationSettings.from_file(written.to_dict() | {"num_beams": 1}) == (
        GenerationSettings()
    )


def test_a_file_of_settings_and_options_go_together(tmp_path, capsys):
    file = tmp_path / "settings.toml"

    def chosen(text, *, idle=(), **options):
        file.write_text(f"[generation]\n{text}\n")
        return generation_settings({"config": file, **options}, idle)

    defaults = "length_penalty = 0.0\nlength_rule = 'power'\nnum_hypotheses = 1"
    assert chosen(defaults, num_beams=1) == GenerationSettings()
    assert not capsys.readouterr().err
    beam = "num_beams = 4\nlength_penalty = 0.6\nnum_hypotheses = 2"
    best_alone = GenerationSettings(num_beams=4, length_penalty=0.6)
    assert chosen(beam, idle=["num_hypotheses"]) == best_alone
    assert capsys.readouterr().err == "warning: without a use, left out: num_hypotheses.\n"
    assert chosen("num_beams = 4\nlength_penalty = 0.6", num_beams=1) == GenerationSettings()
    assert capsys.readouterr().err == "warning: without a use, left out: length_penalty.\n"
    with pytest.raises(InputError, match="--length-penalty does not apply to --beam-size 1"):
        chosen("length_penalty = 0.6")
    with pytest.raises(InputError, match="--n-best changes nothing here; leave it out"):
        chosen(beam, idle=["num_hypotheses"], num_hypotheses=2)
    assert chosen(beam, idle=["num_hypotheses"], num_hypotheses=1) == best_alone


def test_more_than_the_best_target_is_not_asked_of_what_gives_one(text_model):
    with pytest.warns(UserWarning, match="`generate` gives the best target alone; `search`"):
        text_model.generate("cab", num_beams=2, num_hypotheses=2)
    with pytest.warns(UserWarning, match="`stream` gives the best target alone"):
        list(text_model.stream("cab", alignments=True))
    with pytest.raises(InputError, match="--replace-unknown has no use where the unknown"):
        text_model.generate("cab", replace_unknown=True, suppress=["[UNK]"])


def test_what_changes_nothing_in_training_is_said(tmp_path):
    one = {"architecture": "recurrent", "num_layers": 1, "dropout": 0.0, "r_drop": 2.0}
    lines = without_effect(TrainingConfig(**one, residual=True))
    assert lines == [
        "--residual joins a layer to the one before, and there is one layer: it changes "
        "nothing here.",
        "--r-drop 2 compares two passes, alike without dropout: it changes nothing here.",
    ]
    given = TrainingConfig(**{**one, "r_drop": 0.0}, clipnorm=3.0, global_clipnorm=2.0)
    assert without_effect(given)[0].startswith("--clipnorm 3 stands back behind --global-clip")
    assert not without_effect(given.replace(clipnorm=0.0))
    found = without_effect(TrainingConfig(**{**one, "r_drop": 0.0}, time_reduction=2))
    assert found == [
        "--time-reduction 2 is of each encoder layer but the first: it changes nothing here."
    ]
    two = {**one, "num_layers": 2, "dropout": 0.1}
    assert not without_effect(TrainingConfig(**two, residual=True))
    (tmp_path / "pairs.tsv").write_text("ab\tA B\n")
    pairs = tmp_path / "pairs.tsv"
    for arguments, message in (
        (
            ["--recipe", "cmudict_demo", "--validation", pairs, "--strict"],
            "--validation, --strict",
        ),
        ([pairs, "--data", pairs], "--data is that of a recipe"),
        ([pairs, "--validation", pairs, "--validation-sources", "3"], "are held out where"),
    ):
        result = invoke("train", *arguments, "--run-dir", tmp_path / "run")
        assert result.exit_code == 2 and message in result.stderr


def test_an_empty_line_of_parallel_files_costs_its_own_pair(tmp_path):
    source, target = tmp_path / "s", tmp_path / "t"
    source.write_bytes(b"a\n\nc\nd\xff\ne\n")
    target.write_text("A\nB\n \nD\nE\n")
    pairs, report = read_parallel_records(source, target)
    assert pairs == Pairs(["a", "e"], ["A", "E"]) and pairs.lines == [1, 5]
    # Lines are pairs and what is left out.
    assert sum(int(line.split(": ")[1].split(".")[0]) for line in report) == 3
    result = invoke("inspect", source, target)
    assert result.exit_code == 0 and "line 2" in result.output
    result = invoke("inspect", source, target, "--strict")
    assert result.exit_code == 2 and "line 2: the source is empty" in result.stderr


def test_a_pack_is_read_wherever_a_file_of_pairs_is(tmp_path):
    pairs, pack = tmp_path / "pairs.tsv", tmp_path / "corpus.pack"
    pairs.write_text("ab\tA B\nc\tC\n")
    assert invoke("pack", pairs, "--output", pack, "--shards", "2").exit_code == 0
    seen = [tmp_path / "of_pack.json", tmp_path / "of_pairs.json"]
    for file, others in zip((pack, pairs), seen, strict=True):
        result = invoke("inspect", file, "--validation", pack, "--json", others)
        assert result.exit_code == 0, result.output
    assert seen[0].read_text() == seen[1].read_text()
    result = invoke("pack", "--check", pack, "--shards", "2")
    assert result.exit_code == 2 and "--shards is about writing a pack" in result.stderr
    result = invoke("inspect", pack, "--source-column", "1")
    assert result.exit_code == 2 and "a pack has no columns" in result.stderr


def test_a_file_in_the_place_of_a_run_is_said(tmp_path):
    (tmp_path / "pairs.tsv").write_text("ab\tA B\n")
    command = ("train", tmp_path / "pairs.tsv", "--run-dir", tmp_path / "run", "--from")
    result = invoke(*command, tmp_path / "pairs.tsv")
    assert result.exit_code == 2 and "config.json: no such file; a run has one" in result.stderr


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"cab": 1}, "`sources` must be a list. Received: dict {'cab': 1}"),
        ({"cab"}, "`sources` must be a list. Received: set"),
        ("a\0b", "Source 1 of 1 holds a NUL character"),
        (["cab", 3.5], "Source 2 of 2 must be a string. Received: float 3.5"),
        (7, "`sources` must be a list. Received: int 7"),
    ],
)
def test_what_is_no_text_is_refused_from_python(text_model, sources, message):
    with pytest.raises(InputError, match=message):
        text_model.generate(sources)


@pytest.fixture(scope="module")
def run(text_model, pairs, tmp_path_factory):
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "run")
    some = Pairs(pairs.sources[:8], pairs.targets[:8])
    run.begin(TrainingConfig(), some, some, ["own_parts"])
    run.write_pairs(run.validation_file, some)
    text_model.save(run.model_file)
    run.write_json(run.metrics_file, {"parameters": 1, "imported": "elsewhere"})
    return run


def save_another(model, path):
    """A model that differs in one weight."""
    weight = model.trainable_weights[0]
    before = weight.numpy()
    weight.assign(before + 1)
    model.save(path)
    weight.assign(before)


def test_an_evaluation_is_of_the_model_that_is_there(run, text_model, monkeypatch):
    evaluate_run(run)
    assert is_of_model(run) and "run" in results_markdown([run])
    save_another(text_model, run.model_file)
    assert not is_of_model(run)
    for reads in (lambda: results_markdown([run]), lambda: compare_runs(run, run)):
        with pytest.raises(InputError, match="is of an earlier model than model.keras"):
            reads()
    # Results that are kept without their model have nothing that contradicts them.
    kept = run.model_file.rename(run.path / "elsewhere.keras")
    assert is_of_model(run) and "run" in results_markdown([run])
    kept.rename(run.model_file)
    # One of an older version does not say of which model it is.
    record = json.loads(run.evaluation_file.read_text())
    del record["model_sha256"]
    run.write_json(run.evaluation_file, record)
    assert is_of_model(run)


def test_a_model_that_is_replaced_while_it_is_evaluated_leaves_no_evaluation(
    run, text_model, monkeypatch
):
    text_model.save(run.model_file)
    before = run.evaluation_file.read_bytes() if run.evaluation_file.exists() else None
    load = RunDirectory.load_model

    def replaced(self):
        model = load(self)
        save_another(text_model, self.model_file)
        return model

    monkeypatch.setattr(RunDirectory, "load_model", replaced)
    with pytest.raises(InputError, match="was replaced while it was evaluated.*again when"):
        evaluate_run(run)
    after = run.evaluation_file.read_bytes() if run.evaluation_file.exists() else None
    assert after == before


def test_settings_of_a_run_with_parts_of_its_own_need_them(run, tmp_path):
    for path in (run.path, run.config_file):
        result = invoke("train", "--config", path, "--print-config")
        assert result.exit_code == 2
        assert "trained with parts of its user's own" in result.stderr
        assert "Give --import own_parts to use it." in result.stderr


def test_notes_of_native_code_are_held_back_and_nothing_else():
    code = (
        "import os\nfrom export.native_notes import without_notes\n"
        "with without_notes():\n"
        "    os.write(2, b'INFO: Created a delegate\\nERROR: broken\\n')\n"
        "os.write(2, b'INFO: later\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b"ERROR: broken\nINFO: later\n"
    before = os.fstat(2)
    with pytest.raises(KeyError), without_notes():
        raise KeyError
    assert os.path.samestat(os.fstat(2), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strict"], "--source-column, --target-column and --strict are about FILES"),
        (["--source-column", "a"], "are about FILES; give some, or leave them out"),
        (["--data", "x.tsv"], "--data is that of a recipe; give --recipe, or pairs as FILES"),
    ],
)
def test_an_option_of_evaluate_without_a_use_is_refused(
    text_model, pairs, tmp_path, arguments, message
):
    run = RunDirectory(tmp_path)
    run.begin(TrainingConfig(), pairs, pairs)
    text_model.save(run.model_file)
    result = invoke("evaluate", tmp_path, *arguments)
    assert result.exit_code == 2 and message in result.stderr


def test_what_an_option_leaves_without_a_use_in_a_file_is_left_out_and_said(tmp_path, capsys):
    path = tmp_path / "run.toml"
    path.write_text("[generation]\nnum_beams = 4\npatience = 2\n")
    assert generation_settings({"config": path}).patience == 2
    assert generation_settings({"config": path, "num_beams": 1}) == GenerationSettings()
    assert "warning: without a use, left out: patience." in capsys.readouterr().err
    with pytest.raises(InputError, match="--patience does not apply"):
        generation_settings({"config": path, "num_beams": 1, "patience": 3.0})


def module_of(**functions):
    module = types.ModuleType("mine")
    vars(module).update(functions)
    return OwnParts([module])


def fails(*arguments):
    raise KeyError("x")


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: module_of(metrics=3), "`metrics` of the module mine must be a function"),
        (lambda: module_of(metrics=fails).metrics(0), "`metrics` .* raises KeyError: 'x'"),
        (lambda: module_of(metrics=lambda: []).metrics(0), "raises TypeError: .*argument"),
        (lambda: module_of(callbacks=lambda *a: [3]).callbacks(0), "list of Callback .*: 3"),
        (lambda: module_of(callbacks=lambda *a: None).callbacks(0), "Received: None"),
        (
            lambda: module_of(source_tokenizer=lambda *a: None).tokenizer("source")(0),
            "must give a TableTokenizer. Received: None",
        ),
    ],
)
def test_what_a_module_gives_that_is_none_is_one_line(use, message):
    with pytest.raises(InputError, match=message):
        use()


def test_sizes_that_no_memory_holds_are_refused_before_the_work(preprocessor):
    config = TrainingConfig(hidden_dim=60_000, num_layers=900)
    with pytest.raises(InputError, match="takes more than 51,840 GB in training; this machine"):
        build_model(config, preprocessor)


def test_names_of_the_users_own_are_no_markup():
    with console.capture() as printed:
        print_written(Path("[bold]runs"))
        console.print(Table("[red]x"))
    assert "Written: [bold]runs" in printed.get() and "[red]x" in printed.get()


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_a_time_of_a_server_is_finite(tmp_path, value):
    result = invoke("serve", tmp_path, "--request-timeout", value)
    assert result.exit_code == 2 and "'--request-timeout'" in result.stderr


def test_an_input_longer_than_all_before_is_run_twice():
    seen = []

    def run(tokens):
        seen.append(tokens.size)
        return {"count": len(seen)}

    growing = Growing(run)
    counts = [growing(tokens=np.zeros((1, n)))["count"] for n in (3, 3, 2, 5, 4, 5)]
    assert seen == [3, 3, 3, 2, 5, 5, 4, 5] and counts == [2, 3, 4, 6, 7, 8]


def test_so_many_threads_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at most 1024. Received: 100000"):
        LiteRTRunner(tmp_path, 100_000)
