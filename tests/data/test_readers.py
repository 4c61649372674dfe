import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.data import Pairs, read_lines, read_pairs, read_parallel
from keras_seq2seq.data.readers import decode_lines
from keras_seq2seq.errors import InputError

# NUL characters can look like UTF-16.
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\ufeff"))
FIELD = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\t\ufeff"), min_size=1
).filter(str.strip)


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


@settings(deadline=None)
@given(
    st.lists(LINE, min_size=1), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans()
)
def test_lines_come_back_with_any_line_end_and_byte_order_mark(lines, end, last, mark):
    content = end.join(lines) + (end if last or not lines[-1] else "")
    encoded = content.encode("utf-8-sig" if mark else "utf-8")
    assert decode_lines("name", encoded) == lines


@settings(deadline=None, max_examples=50)
@given(pairs=st.lists(st.tuples(FIELD, FIELD), min_size=1), suffix=st.sampled_from(["", ".gz"]))
def test_a_written_tsv_reads_back(tmp_path_factory, pairs, suffix):
    path = tmp_path_factory.getbasetemp() / f"pairs.tsv{suffix}"
    content = "".join(f"{source}\t{target}\n" for source, target in pairs).encode("utf-8")
    path.write_bytes(gzip.compress(content, 1) if suffix else content)
    read = read_pairs(path)
    assert list(zip(read.sources, read.targets, strict=True)) == pairs
    assert len(read) == len(pairs)


def test_other_unicode_line_breaks_are_text(tmp_path):
    path = write(tmp_path / "lines", "a\u2028b\x85c\x0bd\x0ce\x1cf\n")
    assert read_lines(path) == ["a\u2028b\x85c\x0bd\x0ce\x1cf"]


def test_a_carriage_return_inside_a_line_is_text(tmp_path):
    assert read_lines(write(tmp_path / "lines", "a\rb\r\n")) == ["a\rb"]


def test_blank_lines_are_lines(tmp_path):
    assert read_lines(write(tmp_path / "lines", "a\n\nb\n\n")) == ["a", "", "b", ""]


def test_a_path_may_be_a_string(tmp_path):
    assert read_lines(str(write(tmp_path / "lines", "a"))) == ["a"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nothing.tsv: no such file. Check the path."):
        read_lines(tmp_path / "nothing.tsv")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="a folder; give a file"):
        read_lines(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path, content):
    with pytest.raises(InputError, match="the file is empty; it must hold at least one line"):
        read_lines(write(tmp_path / "empty", content))


def test_an_empty_gz_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="the file is empty"):
        read_lines(write(tmp_path / "empty.gz", gzip.compress(b"")))


def test_the_line_and_byte_that_are_not_utf8_are_named(tmp_path):
    path = write(tmp_path / "latin", b"good\ncaf\xe9 noir\n")
    with pytest.raises(InputError, match=r"line 2: not UTF-8 \(byte 0xe9 at column 4\)"):
        read_lines(path)


@pytest.mark.parametrize("cut", [1, 8, 20])
def test_a_truncated_gz_file_is_refused(tmp_path, cut):
    content = gzip.compress("".join(f"{i}\t{i * i}\n" for i in range(500)).encode())
    with pytest.raises(InputError, match=r"cannot be read \(Compressed file ended"):
        read_lines(write(tmp_path / "cut.gz", content[:-cut]))


def test_a_corrupt_gz_file_is_refused(tmp_path):
    content = bytearray(gzip.compress("".join(f"{i}\n" for i in range(500)).encode()))
    content[15] ^= 255
    with pytest.raises(InputError, match="corrupt.gz: cannot be read"):
        read_lines(write(tmp_path / "corrupt.gz", bytes(content)))


def test_a_file_that_is_not_gz_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read \(Not a gzipped file"):
        read_lines(write(tmp_path / "plain.gz", b"a\tb\n"))


@pytest.mark.parametrize(
    ("line", "columns"),
    [("one", "1 column,"), ("", "1 column,"), ("a\tb\tc", "3 columns,"), ("a\tb\t", "3 col")],
)
def test_a_line_without_two_columns_is_named(tmp_path, line, columns):
    path = write(tmp_path / "pairs.tsv", f"x\ty\n{line}\n")
    with pytest.raises(InputError, match=f"pairs.tsv, line 2: {columns}.*") as error:
        read_pairs(path)
    assert repr(line) in str(error.value)


@pytest.mark.parametrize(
    ("line", "name"), [("\ty", "source"), ("x\t", "target"), (" \ty", "s")]
)
def test_an_empty_column_is_named(tmp_path, line, name):
    path = write(tmp_path / "pairs.tsv", f"x\ty\n{line}\n")
    with pytest.raises(InputError, match=f"line 2: the {name}.* is empty; fill or remove it"):
        read_pairs(path)


def test_one_pair_is_enough(tmp_path):
    assert read_pairs(write(tmp_path / "pairs.tsv", "x\ty z")) == Pairs(["x"], ["y z"])


def test_parallel_files_give_the_pairs_of_a_tsv(tmp_path):
    source = write(tmp_path / "source", "a\nb c\n")
    target = write(tmp_path / "target.gz", gzip.compress("ä\n😀 d".encode()))
    expected = read_pairs(write(tmp_path / "pairs.tsv", "a\tä\nb c\t😀 d\n"))
    assert read_parallel(source, target) == expected


def test_parallel_files_of_different_length_are_refused(tmp_path):
    source, target = write(tmp_path / "s", "a\nb\n"), write(tmp_path / "t", "c\n")
    with pytest.raises(InputError, match="/s has 2 lines and .*/t has 1; parallel files must"):
        read_parallel(source, target)


@pytest.mark.parametrize(
    ("source", "target", "name"), [("a\n\n", "b\nc\n", "source"), ("a\nc", "b\n \n", "target")]
)
def test_an_empty_line_of_parallel_files_is_named(tmp_path, source, target, name):
    source, target = write(tmp_path / "s", source), write(tmp_path / "t", target)
    with pytest.raises(InputError, match=f"s and .*t, line 2: the {name} is empty"):
        read_parallel(source, target)


def test_a_repeated_source_has_all_its_targets_in_order():
    pairs = Pairs(["b", "a", "b", "b"], ["2", "1", "1", "2"])
    assert pairs.references() == {"b": ["2", "1", "2"], "a": ["1"]}
    assert list(pairs.references()) == ["b", "a"]
