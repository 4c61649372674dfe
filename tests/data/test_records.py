import gzip
import json

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.data.records import overlap, read_dataset, read_folder, read_records
from keras_seq2seq.data.tfrecords import read_tfrecords
from keras_seq2seq.errors import InputError

PAIRS = Pairs(["a cat, a dog", 'the "red" ball'], ["eine Katze", "der Ball"])
TEXTS = {
    "pairs.tsv": 'a cat, a dog\teine Katze\nthe "red" ball\tder Ball\n',
    "head.tsv": 'id\ten\tde\n1\ta cat, a dog\teine Katze\n2\tthe "red" ball\tder Ball\n',
    "pairs.csv": 'de,en\neine Katze,"a cat, a dog"\nder Ball,"the ""red"" ball"\n',
    "pairs.jsonl": json.dumps({"en": "a cat, a dog", "de": "eine Katze", "id": 7})
    + '\r\n{"de": " der\\tBall ", "en": "the \\"red\\"\\nball"}\n',
    "nested.jsonl": "".join(
        json.dumps({"translation": {"en": one, "de": other}}) + "\n"
        for one, other in zip(PAIRS.sources, PAIRS.targets, strict=True)
    ),
}


def names_of(name):
    if name == "pairs.tsv":
        return {}
    before = "translation." if name == "nested.jsonl" else ""
    return {"source": f"{before}en", "target": f"{before}de"}


@pytest.mark.parametrize("name", list(TEXTS))
@pytest.mark.parametrize("compressed", [False, True])
def test_every_form_holds_the_same_pairs(name, compressed, tmp_path):
    path = tmp_path / (f"{name}.gz" if compressed else name)
    content = b"\xef\xbb\xbf" + TEXTS[name].encode()
    path.write_bytes(gzip.compress(content) if compressed else content)
    assert read_records(path, **names_of(name)) == (PAIRS, [])


LINES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1)


@given(rows=st.lists(st.tuples(LINES, LINES), min_size=1, max_size=5))
def test_any_text_survives_json_lines(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    records = [{"source": source, "target": target} for source, target in rows]
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    expected = Pairs([source for source, _ in rows], [target for _, target in rows])
    assert read_records(path, strict=True) == (expected, [])


GOOD = '{"source": "a", "target": "b"}\n'
BAD = {
    "pairs.jsonl": [
        ('{"source": "a"\n', "broken JSON"),
        ('["a", "b"]\n', "no JSON object"),
        ('{"source": "a", "text": "b"}\n', "no key 'target'"),
        ('{"source": "a", "target": 3}\n', "the target is no text"),
        ('{"source": " ", "target": "b"}\n', "the source is empty"),
        (b'{"source": "\xe9", "target": "b"}\n', "not UTF-8"),
    ],
    "pairs.csv": [
        ("a,b,c\n", "not 2 columns as the header"),
        ("a,\n", "the target is empty"),
        (b"a,\xff\n", "not UTF-8"),
    ],
    "pairs.tsv": [
        ("a b\n", r"not two columns \(source, tab, target\)"),
        ("\tb\n", "the source is empty"),
        (b"a\t\xff\n", "not UTF-8"),
    ],
}
HEADS = {"pairs.jsonl": GOOD, "pairs.csv": "source,target\na,b\n", "pairs.tsv": "a\tb\n"}
CASES = [(name, *case) for name, cases in BAD.items() for case in cases]


@pytest.mark.parametrize(("name", "bad", "reason"), CASES)
def test_what_cannot_be_used_is_counted_with_its_line_or_an_error(name, bad, reason, tmp_path):
    path, head = tmp_path / name, HEADS[name].encode()
    bad = bad if isinstance(bad, bytes) else bad.encode()
    path.write_bytes(head + bad + head.splitlines(keepends=True)[-1] + bad)
    first = len(head.splitlines()) + 1
    pairs, report = read_records(path)
    assert pairs == Pairs(["a", "a"], ["b", "b"])
    (line,) = report
    assert f"line {first}" in line and f"line {first + 2}" in line and ": 2. " in line
    with pytest.raises(InputError, match=rf"{name}, line {first}: {reason}"):
        read_records(path, strict=True)
    path.write_bytes(head.splitlines(keepends=True)[0] * (name == "pairs.csv") + bad)
    with pytest.raises(InputError, match=f"no entry can be used. Left out, {reason}"):
        read_records(path)


def test_a_missing_column_and_a_missing_file_are_named(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("en,fr\na,b\n", "utf-8")
    with pytest.raises(
        InputError, match="no column 'de'. Its header has: en, fr. Name the col"
    ):
        read_records(path, "en", "de")
    path.write_text("", "utf-8")
    with pytest.raises(InputError, match="no entry can be used. It is empty"):
        read_records(path)
    with pytest.raises(InputError, match="other.csv: no such file"):
        read_records(tmp_path / "other.csv")


def test_a_row_over_several_lines_is_one_text(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text('source,target\n"a\nb",c\n,d\n', "utf-8")
    pairs, report = read_records(path)
    assert pairs == Pairs(["a b"], ["c"])
    assert pairs.lines == [2]
    assert report == [
        f"Left out, the source is empty: 1. {path}, line 4",
        f"Noted, lines that go on the row before them: 1. {path}, line 2 (2 lines)",
    ]


def test_dictionaries_of_any_library_are_pairs():
    rows = [{"translation": {"en": "a", "de": "b"}}, {"translation": {"en": "", "de": "c"}}]
    pairs, report = read_dataset(rows, "translation.en", "translation.de")
    assert pairs == Pairs(["a"], ["b"])
    assert report == ["Left out, the source is empty: 1. example 2"]
    tensors = tf.data.Dataset.from_tensor_slices({"pt": ["olá", "sim"], "en": ["hi", "yes"]})
    assert read_dataset(tensors, "pt", "en") == (Pairs(["olá", "sim"], ["hi", "yes"]), [])
    with pytest.raises(InputError, match="Example 1 of the dataset has no 'en'; it has: tra"):
        read_dataset(rows, "en", "de")


def test_a_dataset_of_hugging_face_is_read():
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_dict({"text": ["long", "words"], "summary": ["l", "w"]})
    assert read_dataset(made, "text", "summary") == (Pairs(["long", "words"], ["l", "w"]), [])


def test_a_folder_has_parts_under_any_of_their_names(tmp_path):
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.en").write_text(f"{name} one\n\ntwo\n", "utf-8")
        german = f"{name} eins\nleer\nzwei\n".encode()
        (tmp_path / f"{name}.de.gz").write_bytes(gzip.compress(german))
    splits, report = read_folder(tmp_path, "en", "de")
    assert splits.train == Pairs(["train one", "two"], ["train eins", "zwei"])
    assert splits.validation.sources[0] == "dev one" and splits.test.sources[0] == "test one"
    assert report[0].startswith("Left out, the source is empty: 3. ")
    with pytest.raises(InputError, match="train.en and .*train.de.gz, line 2: the source is"):
        read_folder(tmp_path, "en", "de", strict=True)
    with pytest.raises(InputError, match="no train.en and train.fr. Give the folder"):
        read_folder(tmp_path, "en", "fr")
    (tmp_path / "dev.en").write_text("one\n", "utf-8")
    with pytest.raises(InputError, match="dev.en has 1 line and .*dev.de.gz has 3"):
        read_folder(tmp_path, "en", "de")


def test_pairs_that_training_has_seen_are_counted():
    train = Pairs(["a", "a", "b"], ["1", "2", "3"])
    assert overlap(train, Pairs(["a", "b", "c", "a"], ["2", "9", "3", "9"])) == (3, 1)


def shard(path, rows, options=None):
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for row in rows:
            features = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
                for name, value in row.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


def test_shards_are_read_in_the_order_of_their_names(tmp_path):
    shard(tmp_path / "b-1.tfrecord", [{"en": "two", "de": "zwei"}, {"en": "three"}])
    shard(tmp_path / "b-0.tfrecord", [{"en": "one", "de": "eins"}])
    pairs, report = read_tfrecords(tmp_path / "b-*.tfrecord", "en", "de")
    assert pairs == Pairs(["one", "two"], ["eins", "zwei"])
    (line,) = report
    assert line.startswith("Left out, no feature 'de' of one string: 1. ")
    assert "b-1.tfrecord, record 2" in line
    with pytest.raises(InputError, match="b-1.tfrecord, record 2: no feature 'de'"):
        read_tfrecords(tmp_path / "b-*.tfrecord", "en", "de", strict=True)
    shard(tmp_path / "c.tfrecord.gz", [{"source": "a", "target": "b"}], "GZIP")
    assert read_tfrecords(tmp_path / "c.tfrecord.gz") == (Pairs(["a"], ["b"]), [])


def test_a_damaged_shard_is_named(tmp_path):
    path = tmp_path / "a.tfrecord"
    shard(path, [{"source": "a", "target": "b"}] * 3)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="a.tfrecord: damaged after record 2"):
        read_tfrecords(path)
    with pytest.raises(InputError, match="no such file"):
        read_tfrecords(tmp_path / "x-*.tfrecord")
