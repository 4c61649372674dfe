"""Every text recipe from made raw data to a run, a few steps of each; some to an artefact."""

import io
import random

import pytest
from rich.console import Console

from keras_seq2seq.settings import GenerationSettings
from tests.training.test_text_recipes import genes
from training.evaluation import evaluate_run
from training.recipes import load_recipe
from training.run.trainer import train
from training.run_directory import RunDirectory

pytestmark = pytest.mark.usefixtures("loaded_once")
NOUNS = ["cat", "dog", "horse", "car", "house", "tree", "bird", "ball"]
GERMAN = ["Katze", "Hund", "Pferd", "Auto", "Haus", "Baum", "Vogel", "Ball"]


def sentences(count, seed):
    chosen = random.Random(seed)
    for _ in range(count):
        first, second = chosen.randrange(8), chosen.randrange(8)
        yield (
            f"The {NOUNS[first]} sees a {NOUNS[second]}.",
            f"{GERMAN[first]} sieht {GERMAN[second]}.",
        )


def multi30k(folder):
    for seed, (name, count) in enumerate([("train", 80), ("val", 8), ("test_2016_flickr", 8)]):
        pairs = list(sentences(count, seed))
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in pairs)
            (folder / f"{name}.{language}").write_text(text, "utf-8")
    return folder


def multi30k_rnn(folder):
    return multi30k(folder)


def debian_synopsis(folder):
    rows = [
        f"package{i}\t{english} It does so {i} times a day.\t{NOUNS[i % 8]} tool number {i}\n"
        for i, (english, _) in enumerate(sentences(80, 1))
    ]
    (folder / "en_long_short.tsv").write_text("".join(rows), "utf-8")
    return folder


def babi(folder):
    for number, task in ((1, "where"), (8, "lists")):
        for part, count in (("train", 40), ("test", 8)):
            lines = []
            for noun in random.Random(count).choices(NOUNS, k=count):
                lines += [f"1 Mary took the {noun}.\n", f"2 What has Mary?\t{noun},{noun}\t1\n"]
            (folder / f"qa{number}_{task}_{part}.txt").write_text("".join(lines), "utf-8")
    return folder


def dna(folder):
    for side, kind in enumerate(("cds", "protein")):
        rows = [f">made CDS_{i}\n{gene[side]}\n" for i, gene in enumerate(genes(40))]
        (folder / f"made.{kind}.fasta").write_text("".join(rows), "utf-8")
    return folder


def words(folder, file_name, line):
    """The three parts of a recipe of words, a line each."""
    for part, count in (("train", 80), ("dev", 20), ("test", 20)):
        rows = map(line, random.Random(count).choices(NOUNS, k=count))
        (folder / file_name.format(part)).write_text("".join(rows), "utf-8")
    return folder / "made"


def histnorm(folder):
    return words(folder, "made.{}.txt", lambda word: f"{word.replace('s', 'ſ')}e\t{word}\n")


def sigmorphon2021_transformer(folder):
    return words(folder, "made_{}.tsv", lambda word: f"{word}\t{' '.join(word)}\n")


SMALL = {
    "hidden_dim": 16,
    "epochs": 1,
    "batch_size": 16,
    "batch_tokens": 0,
    "num_buckets": 1,
    "validation_decoded": 8,
    "average": 0,
    "average_of": "best",
}
CHANGES = {
    "multi30k": {
        "vocabulary_size": 90,
        "intermediate_dim": 16,
        "num_layers": 1,
        "num_heads": 2,
    },
    "multi30k_rnn": {"vocabulary_size": 90, "embedding_dim": 16},
    "debian_synopsis": {"vocabulary_size": 90, "embedding_dim": 16},
    "babi": {"num_layers": 1},
    "sigmorphon2021_transformer": {"num_layers": 1, "intermediate_dim": 16},
}
# Subwords of one vocabulary, copies, sentences: the others are made as the models of the tests
# of artefacts are.
WITH_ARTEFACT = (multi30k, debian_synopsis, babi)


@pytest.mark.large
@pytest.mark.parametrize(
    "make",
    [
        multi30k,
        multi30k_rnn,
        debian_synopsis,
        babi,
        dna,
        histnorm,
        sigmorphon2021_transformer,
    ],
)
def test_a_recipe_runs_from_raw_data_to_what_agrees(make, tmp_path):
    from export import export_formats, print_parity

    recipe = load_recipe(make.__name__)
    data = tmp_path / "data"
    data.mkdir()
    data = make(data)
    splits = recipe.load(data)
    config = recipe.CONFIG.replace(**SMALL, **CHANGES.get(make.__name__, {}))
    run, console = RunDirectory(tmp_path / "run"), Console(file=io.StringIO(), width=120)
    summary = train(config, splits, run, console)
    assert summary["epochs"] == 1 and summary["dropped_pairs"] == 0
    model, settings = run.load_model(), GenerationSettings()
    if hasattr(recipe, "evaluate"):
        shares = recipe.evaluate(model, data, settings)
        assert all(0 <= share <= 1 for share in shares.values())
    result = evaluate_run(run, settings=settings)
    monitor, metric = config.selection.monitor, config.selection.metric
    assert monitor in {**result, f"val_{monitor}": 0} or metric in result
    if make not in WITH_ARTEFACT:
        return
    export_formats(model, tmp_path / "exports", ["saved_model"], settings, console)
    sources = list(run.test_pairs().references())[:3]
    artefact = tmp_path / "exports" / "saved_model"
    assert print_parity(model, [artefact], sources, console)
