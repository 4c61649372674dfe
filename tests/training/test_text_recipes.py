"""Recipes of text and symbols on made data of the same form."""

import gzip
import random

import pytest

from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from training.recipes import babi, dna, histnorm

STORIES = """1 Mary got the milk there.
2 What is Mary carrying? \tmilk\t1
3 John moved to the office.
4 Who is in the office?\tJohn,Mary\t3
1 The garden is west of the office.
2 Where is the garden?\twest\t1
"""


@pytest.fixture
def stories(tmp_path):
    for name in ("qa10_late_train", "qa2_early_train", "qa2_early_test"):
        (tmp_path / f"{name}.txt").write_text(STORIES, "utf-8")
    (tmp_path / "qa10_late_test.txt.gz").write_bytes(gzip.compress(STORIES.encode()))
    return tmp_path


def test_a_question_comes_with_the_story_so_far(stories):
    splits = babi.load(stories / "2")
    first = "Mary got the milk there ."
    assert splits.train == Pairs(
        [
            f"What is Mary carrying ? {first}",
            f"Who is in the office ? {first} John moved to the office .",
        ],
        ["milk", "John Mary"],
    )
    assert splits.validation.targets == ["west"]
    assert splits.test.targets == ["milk", "John Mary", "west"]


def test_tasks_are_taken_together_by_number_or_alone(stories):
    assert babi.tasks(stories) == ["qa2_early", "qa10_late"]
    assert len(babi.load(stories).test) == 6
    assert len(babi.load(stories / "10").test) == 3
    with pytest.raises(InputError, match="Give the folder, or FOLDER/N .*; there is: 2, 10"):
        babi.load(stories / "3")
    with pytest.raises(InputError, match="there is: none"):
        babi.load(stories.parent)


@pytest.mark.parametrize(
    "text, message",
    [
        ("Mary went.\n", "line 1: expected `N sentence`"),
        ("2 Mary went.\n", "line 1: expected `N sentence`"),
        ("1 Mary went.\n2 Where?\t \t1\n", "line 2: the question has no answer"),
    ],
)
def test_a_line_that_is_no_story_is_named(tmp_path, text, message):
    (tmp_path / "story.txt").write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        babi.read_stories(tmp_path / "story.txt")


CODONS = {"AAA": "K", "GAA": "E", "TTG": "L", "GTG": "V", "CAT": "H"}


def genes(count, seed=0):
    """Genes of codons of `CODONS`, GTG or TTG or ATG first, with their proteins."""
    chosen = random.Random(seed)
    made = []
    for _ in range(count):
        codons = chosen.choices(list(CODONS), k=chosen.choice([31, 32, 40]))
        sequence = "".join([chosen.choice(["ATG", "GTG", "TTG"]), *codons, "TAA"])
        made.append((sequence, "M" + "".join(CODONS[codon] for codon in codons)))
    return made


@pytest.fixture
def fasta(tmp_path):
    coding, proteins = (
        "".join(
            f">x some words CDS_{number}\n{gene[side][:60]}\n{gene[side][60:]}\n"
            for number, gene in enumerate(genes(60))
        )
        for side in (0, 1)
    )
    (tmp_path / "made.cds.fasta").write_text(coding, "utf-8")
    (tmp_path / "made.protein.fasta.gz").write_bytes(gzip.compress(proteins.encode()))
    return tmp_path


def test_genes_are_read_and_no_gene_is_in_two_parts(fasta):
    assert dna.read_genes(fasta) == genes(60)
    parts = dna.split_genes(genes(60))
    assert [len(part) for part in parts] == [48, 6, 6]
    assert sorted(gene for part in parts for gene in part) == sorted(genes(60))


@pytest.mark.parametrize("residues", [1, 31, 32, 33, 64, 65])
def test_windows_hold_every_codon_once_and_none_is_without_a_residue(residues):
    sequence = "ATG" * residues + "TAA"
    pairs = dna.windows_of([(sequence, "M" * residues)])
    codons = " ".join(pairs.sources).split()
    assert codons == ["^", *["ATG"] * residues, "TAA"]
    assert "".join(pairs.targets).replace(" ", "") == "M" * residues
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        assert 1 <= len(target.split()) <= dna.WINDOW
        assert len(source.split()) <= dna.CONFIG.data.max_source_length


class Translator:
    """Knows the code, in the place of a model."""

    def generate(self, sources, settings=None):
        table = CODONS | {"ATG": "M", "TAA": ""}
        return [
            " ".join(table[c] for c in s.split() if c != "^").replace("L", "M", 1)
            for s in sources
        ]


def test_whole_genes_are_the_windows_joined(fasta):
    sequence = "ATG" + "AAA" * 70 + "TAA"
    assert dna.translate(Translator(), [sequence, "GAATAA"]) == ["M" + "K" * 70, "E"]
    shares = dna.evaluate(Translator(), fasta, None)
    assert 0.5 < shares["residues"] < 1 and shares["whole genes (6)"] < 1


def test_genes_that_do_not_fit_their_proteins_are_named(fasta):
    path = fasta / "made.cds.fasta"
    path.write_text(path.read_text("utf-8").replace("TAA\n", "\n", 1), "utf-8")
    with pytest.raises(InputError, match=r"CDS_0 has \d+ bases, .* expected 3 bases a residue"):
        dna.load(fasta)
    path.write_text(path.read_text("utf-8").replace("CDS_1\n", "CDS_0\n"), "utf-8")
    with pytest.raises(InputError, match=r"line \d+: CDS_0 occurs twice"):
        dna.load(fasta)
    path.write_text("ACGT\n", "utf-8")
    with pytest.raises(InputError, match="line 1: a FASTA file begins with `>`"):
        dna.load(fasta)
    path.unlink()
    with pytest.raises(InputError, match=r"expected one file \*.cds.fasta .*, found 0"):
        dna.load(fasta)


WORDS = "VND\tund\n1482\t1482\n,\t,\n\nſi 3\tsie 4\nleer\t\nd\u00fcn\tdu\u0308n\n"


def test_historical_words_are_normalized_as_in_the_paper(tmp_path):
    for part in ("train", "dev", "test"):
        (tmp_path / f"made.{part}.txt").write_text(WORDS, "utf-8")
    splits = histnorm.load(tmp_path / "made")
    expected = Pairs(["vnd", "0000", "ſi 3", "dün"], ["und", "0000", "sie 4", "dün"])
    assert splits.train == splits.test == expected
    assert histnorm.load(tmp_path / "made" / "2").train == Pairs(
        ["vnd", "0000"], ["und", "0000"]
    )
    for data in (tmp_path, tmp_path / "other", tmp_path / "other" / "20"):
        with pytest.raises(InputError, match="--data FOLDER/NAME; there is: made"):
            histnorm.load(data)
