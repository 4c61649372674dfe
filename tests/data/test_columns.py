"""Columns by name and number, dictionaries, translation memories and catalogues."""

import gzip
import json

import pytest

from keras_seq2seq.data import Pairs, read_dataset, read_lexicon, read_records
from keras_seq2seq.errors import InputError

INFLECTION = "gehen\tging\tV;PST\ngehen\tgegangen\tV;PTCP\n"


def write(path, text):
    path.write_text(text, "utf-8")
    return path


def test_columns_by_number_need_no_header(tmp_path):
    path = write(tmp_path / "deu.tsv", INFLECTION)
    pairs, report = read_records(path, "1,3", "2")
    assert pairs == Pairs(["gehen V;PST", "gehen V;PTCP"], ["ging", "gegangen"])
    assert pairs.lines == [1, 2]
    assert report == [
        f"Noted, the first line as data, not as a header: 1. {path}, line 1 "
        "(gehen | ging | V;PST)"
    ]
    with pytest.raises(InputError, match="no column '4'. Its first line has: 3 columns"):
        read_records(path, "1,4", "2")
    with pytest.raises(InputError, match="name two, such as --source-column 1 --target-col"):
        read_records(path)


def test_columns_by_number_skip_the_header_that_a_csv_has(tmp_path):
    path = write(tmp_path / "deu.csv", "lemma,form,features\n" + INFLECTION.replace("\t", ","))
    by_number, report = read_records(path, "1,3", "2")
    assert by_number == read_records(path, "lemma,features", "form")[0]
    assert "the first line as the header: 1." in report[0] and "lemma | form" in report[0]


def test_keys_are_joined_as_columns_are(tmp_path):
    rows = [{"lemma": "gehen", "form": "ging", "features": "V;PST"}]
    path = write(tmp_path / "deu.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    expected = Pairs(["gehen V;PST"], ["ging"])
    assert read_records(path, "lemma,features", "form") == (expected, [])
    assert read_dataset(rows, "lemma,features", "form") == (expected, [])


@pytest.mark.parametrize("name", ["copy.tsv", "copy.jsonl"])
def test_one_column_for_both_sides_is_said(tmp_path, name):
    text = '{"a": "x"}\n' if name.endswith("l") else "a\tb\nx\ty\n"
    path = write(tmp_path / name, text)
    pairs, report = read_records(path, "a", "a")
    assert pairs == Pairs(["x"], ["x"])
    assert report == [f"Noted, one column for source and target: 1. {path} (a)"]
    with pytest.raises(InputError, match="one column for source and target"):
        read_records(path, "a", "a", strict=True)


def test_nothing_in_a_dataset_is_left_out_not_an_error():
    rows = [{"a": None, "b": "x"}, {"a": "y", "b": "z"}]
    pairs, report = read_dataset(rows, "a", "b")
    assert pairs == Pairs(["y"], ["z"])
    assert report == ["Left out, the source is no text: 1. example 1 (None)"]


LEXICONS = {
    "plain": "the dh ah\nthe dh iy\n<unk> spn\n",
    "lexiconp.txt of Kaldi": "the 1.0 dh ah\nthe 0.25 dh iy\n<unk> 1 spn\n",
    "silence probabilities of Kaldi": "the 1.0 0.2 1.1 0.9 dh ah\n"
    "the 0.25 0.2 1.1 0.9 dh iy\n<unk> 1.0 0.0 0.0 0.0 spn\n",
    "dictionary of MFA": "the\t0.99\t0.16\t2.17\t1.13\tdh ah\n"
    "the\t1e-05\t0.16\t2.17\t1.13\tdh iy\n<unk>\t1.0\t0.0\t0.0\t0.0\tspn\n",
    "some with a probability": "the\t0.9\tdh ah\nthe dh iy\n<unk>\tspn\n",
}


@pytest.mark.parametrize("form", list(LEXICONS))
def test_probabilities_are_no_phonemes(tmp_path, form):
    path = write(tmp_path / "lexicon.txt", LEXICONS[form])
    expected = Pairs(["the", "the", "<unk>"], ["dh ah", "dh iy", "spn"])
    assert read_lexicon(path) == expected
    assert read_records(path) == (expected, [])


def test_digits_that_are_phonemes_stay(tmp_path):
    path = write(tmp_path / "lexicon.txt", "a 1 x2\nb 2\n")
    assert read_lexicon(path).targets == ["1 x2", "2"]
    # One column of probabilities, then a tone.
    path = write(tmp_path / "lexiconp.txt", "a 0.5 1 x\nb 0.5 y\n")
    assert read_lexicon(path).targets == ["1 x", "y"]


def test_a_dictionary_is_read_by_its_name_and_keeps_its_stress(tmp_path):
    path = write(
        tmp_path / "cmu.dict", ";;; head\nHELLO(2)  HH EH0 L OW1\n\nice cream\tAY1 S\n"
    )
    pairs, report = read_records(path)
    assert pairs == Pairs(["HELLO", "ice cream"], ["HH EH0 L OW1", "AY1 S"])
    assert pairs.lines == [2, 4]
    assert "Left out, not a word and its phonemes: 1." in report[0] and "line 3" in report[0]
    assert report[1].startswith("Noted, comment lines: 1.")
    write(path, "HELLO  HH EH0 # rare\n")
    assert read_records(path)[1][0].startswith("Noted, comments behind an entry, not read: 1.")


TMX = """<?xml version="1.0" encoding="UTF-16"?>
<!DOCTYPE tmx [<!ENTITY name "expanded">]>
<tmx version="1.4"><header/><body>
<tu><tuv xml:lang="en-US"><seg>Press <ph>&lt;b&gt;</ph><hi>OK</hi>.</seg></tuv>
    <tuv xml:lang="de"><seg>OK &amp; weiter</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>alone</seg></tuv></tu>
<tu><tuv lang="EN"><seg>old &name;</seg></tuv><tuv lang="DE"><seg>alt</seg></tuv></tu>
</body></tmx>
"""


def test_a_translation_memory_gives_the_units_with_both_languages(tmp_path):
    pytest.importorskip("lxml")
    path = tmp_path / "memory.tmx"
    path.write_bytes(TMX.encode("utf-16"))
    pairs, report = read_records(path, "en", "de")
    # The entity is not expanded.
    assert pairs == Pairs(["Press OK.", "old"], ["OK & weiter", "alt"])
    assert report == [f"Left out, the target is no text: 1. {path}, line 6 (None)"]
    with pytest.raises(InputError, match="Give its languages, such as --source-column en"):
        read_records(path)
    path.write_text("<tmx><body>", "utf-8")
    with pytest.raises(InputError, match="cannot be read as TMX"):
        read_records(path, "en", "de")


PO = """msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\n"

msgid "a cat"
msgstr "eine Katze"

#, fuzzy
msgid "a dog"
msgstr "ein Hase"

msgid "not yet"
msgstr ""

msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d Datei"
msgstr[1] "%d Dateien"

#~ msgid "gone"
#~ msgstr "weg"
"""


def test_a_catalogue_gives_what_is_translated(tmp_path):
    pytest.importorskip("polib")
    path = write(tmp_path / "de.po", PO)
    pairs, report = read_records(path)
    assert pairs == Pairs(["a cat"], ["eine Katze"]) and pairs.lines == [4]
    assert [line.split(":")[0] for line in report] == [
        "Left out, a fuzzy entry",
        "Left out, an entry that is not translated",
        "Left out, an entry with plural forms",
        "Left out, an obsolete entry",
    ]
    assert read_records(path, "msgstr", "msgid")[0] == Pairs(["eine Katze"], ["a cat"])
    with pytest.raises(InputError, match="a fuzzy entry"):
        read_records(path, strict=True)
    compressed = tmp_path / "de.po.gz"
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_records(compressed)[0] == pairs
    write(path, 'msgid "a"\nmsgid nonsense\n')
    with pytest.raises(InputError, match="cannot be read as a catalogue"):
        read_records(path)


def test_a_header_that_is_read_as_a_pair_is_said(tmp_path):
    path = write(tmp_path / "pairs.tsv", "Source\tTarget\na\tb\n")
    pairs, report = read_records(path)
    assert len(pairs) == 2
    assert report[0].startswith(
        "Noted, a first line that looks like a header, read as a pair: 1"
    )
    assert len(read_records(path, "Source", "Target")[0]) == 1
