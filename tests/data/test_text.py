"""The door for text: encodings, line ends, values, and lines that add up."""

import json
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.data import Pairs, read_parallel, read_records, read_texts
from keras_seq2seq.data.disk import is_file, read_bytes
from keras_seq2seq.data.readers import format_pairs, read_pairs
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.tables import comma_fields
from keras_seq2seq.data.text import NotText, check_texts, clean_text, split_lines
from keras_seq2seq.errors import InputError

UTF = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", UTF)
@pytest.mark.parametrize("name", ["pairs.tsv", "pairs.csv", "pairs.jsonl", "words.dict"])
def test_another_encoding_is_refused_by_its_name(tmp_path, encoding, name):
    path = tmp_path / name
    path.write_bytes("source,target\nein Mädchen,a girl\n".encode(encoding))
    shown = encoding.replace("-le", "LE").replace("-be", "BE").upper()
    with pytest.raises(InputError, match=f"the text is {shown}, not UTF-8.*iconv -f {shown}"):
        read_records(path)


def test_the_mark_of_another_encoding_is_refused_in_either_order():
    for mark in (b"\xff\xfe", b"\xfe\xff"):
        with pytest.raises(InputError, match="the text is UTF-16, not UTF-8"):
            split_lines("standard input", mark + b"a\0")


def test_a_few_zero_bytes_are_no_encoding():
    content = b"a\0b\n" + b"plain text\n" * 100
    assert split_lines("name", content)[0] == "a\0b"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_of_three_ways(tmp_path, end):
    path = tmp_path / "pairs.tsv"
    path.write_bytes(f"a\tb{end}c\td{end}".encode())
    assert read_records(path, strict=True) == (Pairs(["a", "c"], ["b", "d"]), [])


def test_tabs_and_breaks_inside_a_text_become_a_space():
    assert clean_text("\ufeff a\r\n b\u2028c\fd\te\x85f \u3000") == "a  b c d e f"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is no text"),
        (3, "is no text"),
        (float("nan"), "is no text"),
        (True, "is no text"),
        (["a"], "is no text"),
        ({"a": 1}, "is no text"),
        (" \n\ufeff", "is empty"),
        ("a\0", "holds a NUL character"),
        ("\ud83d", "holds half a surrogate pair"),
        (b"\xe9", "is not UTF-8"),
    ],
)
def test_what_is_no_text_says_why(value, reason):
    with pytest.raises(NotText, match=reason):
        clean_text(value)


def jsonl(folder, *values):
    path = folder / "pairs.jsonl"
    rows = [json.dumps({"source": value, "target": "b"}) for value in values]
    path.write_text("".join(f"{row}\n" for row in rows), "utf-8")
    return path


def test_values_that_are_no_texts_are_left_out_of_json_lines(tmp_path):
    path = jsonl(tmp_path, "a", None, 1.5, float("nan"), ["x"], "\ud83d", "a\0b")
    with path.open("a") as file:
        file.write("[" * 100_000 + "]" * 100_000 + "\n")
        file.write('{"\\ud83d": 1}\n')
    pairs, report = read_records(path)
    assert pairs == Pairs(["a"], ["b"]) and pairs.lines == [1]
    text = "\n".join(report)
    assert "the source is no text: 4. " in text and "line 2 (None)" in text
    assert "half a surrogate pair: 1. " in text and "line 6 ('\\ud83d')" in text
    assert "a NUL character: 1. " in text and "broken JSON: 1. " in text
    assert "no key 'source': 1. " in text and "\ud83d" not in text


def test_strange_texts_are_used_noted_and_an_error_where_strict(tmp_path):
    path = jsonl(tmp_path, "a\x07", "b" * 100_001)
    pairs, report = read_records(path)
    assert len(pairs) == 2
    assert report[0].startswith("Noted, control characters in the source: 1. ")
    assert report[1].startswith("Noted, more than 100,000 characters in the source: 1. ")
    with pytest.raises(InputError, match="line 1: control characters in the source"):
        read_records(path, strict=True)


def test_an_unclosed_quotation_mark_costs_one_line(tmp_path):
    path = tmp_path / "pairs.csv"
    rows = [f"w{i},x{i}" for i in range(500)]
    path.write_text("source,target\n" + "\n".join([*rows[:3], '"5 inch,y', *rows[3:]]), "utf-8")
    pairs, report = read_records(path)
    assert len(pairs) == 500 and pairs.lines[:4] == [2, 3, 4, 6]
    (line,) = report
    assert "is a quotation mark not closed: 1. " in line and "line 5" in line
    with pytest.raises(InputError, match="line 5: broken CSV"):
        read_records(path, strict=True)


def test_a_field_whose_lines_look_like_rows_is_left_out_whole(tmp_path):
    path = tmp_path / "pairs.csv"
    inner = "".join(f"w{i},x{i}\n" for i in range(7))
    path.write_text(f'source,target\na,b\n"5 inch,y\n{inner}15",z\nc,d\n', "utf-8")
    pairs, report = read_records(path)
    assert pairs == Pairs(["a", "c"], ["b", "d"]) and pairs.lines == [2, 12]
    (line,) = report
    assert "a field whose lines look like rows" in line and ": 9. " in line
    assert "line 3 (9 lines" in line


def test_a_long_field_of_a_csv_is_a_text_and_the_limit_of_the_module_stays(tmp_path):
    import csv

    limit = csv.field_size_limit()
    path = tmp_path / "pairs.csv"
    path.write_text(f"source,target\n{'a' * 140_000},b\nc\rd,e\n", "utf-8")
    pairs, report = read_records(path)
    assert len(pairs.sources[0]) == 140_000 and pairs.sources[1] == "c d"
    assert len(report) == 1 and csv.field_size_limit() == limit


PIECES = st.sampled_from(["a", '"', '""', ",", "\n", "\r", "\0", "\t", "é", "\u2028", " "])


@settings(deadline=None, max_examples=300)
@given(st.lists(PIECES, max_size=60).map("".join))
def test_lines_of_any_csv_add_up(content):
    lines = content.split("\n")
    skipped = Skipped()
    rows = list(comma_fields("name, line", lines, skipped))
    assert len(rows) + len(skipped) + sum(skipped.noted.values()) == len(lines)
    numbers = [number for number, _ in rows]
    assert numbers == sorted(set(numbers))


# Anything that a string of Python can be, halves of surrogate pairs among it.
ANYTHING = st.text(st.characters(codec=None, exclude_categories=[]), max_size=8)


@settings(deadline=None, max_examples=200)
@given(rows=st.lists(st.tuples(ANYTHING, ANYTHING), min_size=1, max_size=6))
def test_what_a_reader_accepts_survives_the_files_of_a_run(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    records = [json.dumps({"source": source, "target": target}) for source, target in rows]
    path.write_text("".join(f"{record}\n" for record in records), "utf-8")
    try:
        pairs, report = read_records(path)
    except InputError as error:
        assert "no entry can be used" in str(error)
        return
    left_out = sum(
        int(re.search(r": (\d+)\. ", line)[1]) for line in report if line.startswith("Left")
    )
    assert len(pairs) + left_out == len(rows)
    written = path.with_name("validation.tsv")
    written.write_text(format_pairs(pairs), "utf-8")
    assert read_pairs(written) == pairs


@pytest.mark.parametrize("text", ["a\tb", "a\nb", "b\r", " ", "\ufeffa", "\ud83d"])
def test_a_text_that_would_not_come_back_is_not_written(text):
    with pytest.raises(InputError, match="The target of pair 2"):
        format_pairs(Pairs(["a", "b"], ["c", text]))


def test_parallel_files_with_tabs_and_spaces_are_read_as_their_texts(tmp_path):
    (tmp_path / "s").write_bytes(b"a\tb\r\n c\n")
    (tmp_path / "t").write_bytes(b"x \ny\rz\n")
    pairs = read_parallel(tmp_path / "s", tmp_path / "t")
    assert pairs == Pairs(["a b", "c"], ["x", "y z"]) and pairs.lines == [1, 2]


def test_texts_that_are_asked_go_the_way_of_training(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(b"\xef\xbb\xbf one\ttwo \r\n\nthree\n")
    assert read_texts(path) == ["one two", "", "three"]
    path.write_bytes(b"a\nb\0\n")
    with pytest.raises(InputError, match="line 2: the text holds a NUL character"):
        read_texts(path)


@pytest.mark.parametrize("value", [None, 3, "\ud83d", "\udce9", b"\xe9"])
def test_a_list_from_python_names_what_is_no_text(value):
    with pytest.raises(InputError, match="Source 2 of 2 is (no text|not valid Unicode)"):
        check_texts("Source", ["a", value])
    check_texts("Source", ["", "é", "😀", b"\xc3\xa9"])


def test_pairs_are_as_many_sources_as_targets():
    with pytest.raises(InputError, match="one target a source. Received: 1 sources and 2"):
        Pairs(["a"], ["b", "c"])


@pytest.mark.parametrize("path", ["x" * 300, "a/" + "y" * 5000, "\0"])
def test_a_path_that_cannot_be_asked_about_is_no_file(path):
    assert not is_file(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_bytes(path)


def test_a_folder_that_may_not_be_searched_is_said_so(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(InputError, match=r"a.tsv: cannot be read \(Permission denied\)"):
        read_bytes(tmp_path / "a.tsv")


def test_readers_need_no_tensorflow():
    code = (
        "import sys, keras_seq2seq.data.records, keras_seq2seq.data.manifests;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
