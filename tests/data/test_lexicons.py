import gzip

import pytest

from keras_seq2seq.data import Pairs, read_lexicon
from keras_seq2seq.errors import InputError


@pytest.fixture
def lexicon(tmp_path):
    def write(*lines):
        path = tmp_path / "lexicon.txt"
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        return path

    return write


def test_variant_stress_and_comment_are_removed(lexicon):
    path = lexicon("hello(2) HH EH0 L OW1 # a comment")
    assert read_lexicon(path) == Pairs(["hello"], ["HH EH L OW"])


def test_stress_is_kept_on_request(lexicon):
    path = lexicon("HELLO  HH AH0 L OW1")
    assert read_lexicon(path, keep_stress=True) == Pairs(["HELLO"], ["HH AH0 L OW1"])


def test_entries_that_differ_in_stress_alone_become_one(lexicon):
    path = lexicon("a AH0", "b B IY1", "a(2) EY1", "a(3) AH1")
    assert read_lexicon(path) == Pairs(["a", "b", "a"], ["AH", "B IY", "EY"])
    stressed = read_lexicon(path, keep_stress=True)
    assert stressed == Pairs(["a", "b", "a", "a"], ["AH0", "B IY1", "EY1", "AH1"])


def test_comment_lines_are_skipped(lexicon):
    assert read_lexicon(lexicon(";;; # CMUdict", "a AH0")) == Pairs(["a"], ["AH"])


def test_parentheses_and_digits_of_the_word_itself_stay(lexicon):
    path = lexicon("(paren P ER0", "a(b) EY1", "4u F AO1")
    assert read_lexicon(path).sources == ["(paren", "a(b)", "4u"]


def test_digits_that_are_no_stress_stay(lexicon):
    assert read_lexicon(lexicon("a AH3 AH12 1 x2")) == Pairs(["a"], ["AH3 AH12 1 x2"])


def test_a_compressed_lexicon_reads_the_same(lexicon, tmp_path):
    path = lexicon("a AH0", "be B IY1")
    compressed = tmp_path / "lexicon.gz"
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_lexicon(compressed) == read_lexicon(path)


@pytest.mark.parametrize("line", ["word", "", "word # comment"])
def test_a_line_without_phonemes_is_named(lexicon, line):
    path = lexicon(";;; comments count as lines", "a AH0", line)
    with pytest.raises(InputError, match="line 3: expected a word and its phonemes") as error:
        read_lexicon(path)
    assert repr(line) in str(error.value)


def test_a_missing_lexicon_is_named(tmp_path):
    with pytest.raises(InputError, match="nothing: no such file"):
        read_lexicon(tmp_path / "nothing")
