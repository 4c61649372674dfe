"""Texts on the disk: the same pairs, reports and batches as of lists, whatever the file."""

import gzip
import json
import os
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.data import (
    Pairs,
    StoredTexts,
    read_corpora,
    read_folder,
    read_pack,
    read_parallel_records,
    read_records,
    read_tfrecords,
    split_by_source,
    training_data,
    write_pack,
)
from keras_seq2seq.data.corpora import are_corpora, corpus
from keras_seq2seq.data.different import DifferentSources, DifferentTexts
from keras_seq2seq.data.order import Repeats, batches_of
from keras_seq2seq.data.stored import index
from keras_seq2seq.data.stored import tabs as tabs_module
from keras_seq2seq.data.token_lengths import token_lengths
from keras_seq2seq.errors import InputError


@pytest.fixture
def on_disk(monkeypatch):
    """Every index is kept on the disk, however small the file."""
    monkeypatch.setattr(index, "LARGE", 0)


def rows_of(pairs):
    return list(zip(pairs.sources, pairs.targets, strict=True))


def lines_of(pairs):
    return "".join(f"{source}\t{target}\n" for source, target in rows_of(pairs))


@pytest.fixture
def tsv(tmp_path, pairs):
    path = tmp_path / "pairs.tsv"
    path.write_text(lines_of(pairs), "utf-8")
    return path


def batches(data, count):
    return [
        [array.numpy().tolist() for array in (*batch[0].values(), *batch[1:])]
        for batch in data.dataset.take(count)
    ]


# What the text door changes, leaves out, remarks or takes as it is.
TEXTS = st.text(
    st.sampled_from("ab \u00e9\u00a0\u00ad\u2028\u202f\u3000\u3042\ufeff\x01\x0b\x7f\x85\x00\r")
    | st.characters(codec="utf-8", exclude_characters="\n\t"),
    max_size=5,
)
LINES = st.lists(TEXTS, min_size=1, max_size=3).map("\t".join).map(str.encode)
BROKEN = LINES.map(lambda line: line + b"\xff\xc3")
USED = st.just(b"word\tWORD")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(LINES | USED | USED | BROKEN, min_size=1, max_size=12),
    st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_any_file_has_the_same_pairs_and_report(
    tmp_path_factory, lines, end, closed, marked, strict
):
    path = tmp_path_factory.mktemp("any") / "pairs.tsv"
    path.write_bytes(marked * b"\xef\xbb\xbf" + end.join(lines) + closed * end)

    def read(**kwargs):
        try:
            pairs, report = read_records(path, strict=strict, **kwargs)
        except InputError as error:
            return str(error)
        return rows_of(pairs), report

    assert read(on_disk=True) == read()


def test_lines_that_no_piece_holds_whole(tmp_path, monkeypatch):
    read = tabs_module.read_pieces
    monkeypatch.setattr(tabs_module, "read_pieces", lambda path, size: read(path, 64))
    lines = [f"{'s' * (n % 50)}x\t t{n}" if n % 3 else f"a{n}\tb{n}\r" for n in range(200)]
    path = tmp_path / "pairs.tsv"
    path.write_bytes("\n".join(lines).encode())
    stored, report = read_records(path, on_disk=True)
    expected, same = read_records(path)
    assert rows_of(stored) == rows_of(expected) and report == same


def test_every_form_has_the_same_pairs(tmp_path, pairs, on_disk):
    rows = rows_of(pairs)[:30]
    files = {
        "a.jsonl": "".join(json.dumps({"source": s, "target": t}) + "\n" for s, t in rows),
        "b.csv": "source,target\n" + "".join(f'"{s}",{t}\n' for s, t in rows),
        "train.en": "".join(f"{s}\n" for s, _ in rows),
        "train.de": "".join(f"{t}\n" for _, t in rows),
        "valid.en": "one\n",
        "valid.de": "ONE\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "c.tsv.gz").write_bytes(gzip.compress(lines_of(pairs).encode()))
    with tf.io.TFRecordWriter(str(tmp_path / "d.tfrecord")) as writer:
        for row in rows:
            features = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
                for name, text in zip(("source", "target"), row, strict=True)
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    for name in ("a.jsonl", "b.csv", "c.tsv.gz"):
        (stored, said), (expected, report) = (
            read_records(tmp_path / name, on_disk=disk) for disk in (True, False)
        )
        assert rows_of(stored) == rows_of(expected) and said[:-1] == report
        assert isinstance(stored.sources, StoredTexts)
        assert f"Indexed {len(expected)} pairs of {tmp_path / name}: " in said[-1]
    stored, _ = read_tfrecords(tmp_path / "d.tfrecord", on_disk=True)
    files = tmp_path / "train.en", tmp_path / "train.de"
    parallel, _ = read_parallel_records(*files, on_disk=True)
    splits, _ = read_folder(tmp_path, "en", "de", on_disk=True)
    assert rows_of(stored) == rows_of(parallel) == rows_of(splits.train) == rows
    assert rows_of(splits.validation) == [("one", "ONE")]


def test_an_index_is_kept_until_the_file_changes(tsv, pairs, preprocessor, on_disk):
    stored, report = read_records(tsv, on_disk=True)
    folder = tsv.with_name("pairs.tsv.index")
    assert report == [f"Indexed 400 pairs of {tsv}: {folder}."]
    sizes = {"offsets.npy": 8, "sizes.npy": 4}
    for name, bytes_each in sizes.items():
        assert (folder / name).stat().st_size == 128 + 400 * bytes_each
    lengths = token_lengths(preprocessor.source_tokenizer, stored.sources)
    assert lengths.tolist() == [len(source) for source in pairs.sources]
    written = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert len(written) == 5
    again, report = read_records(tsv, on_disk=True)
    token_lengths(preprocessor.source_tokenizer, again.sources)
    assert report == [] and rows_of(again) == rows_of(pairs)
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == written
    (folder / "sizes.npy").write_bytes(b"broken")
    anew, report = read_records(tsv, on_disk=True)
    assert report and rows_of(anew) == rows_of(pairs)
    tsv.write_text("new\tNEW\nnot a pair\n")
    changed, report = read_records(tsv, on_disk=True)
    assert rows_of(changed) == [("new", "NEW")] and "Left out" in report[0]
    # What was left out is told again, and is an error where it has to be.
    assert read_records(tsv, on_disk=True)[1] == report[:1]
    with pytest.raises(InputError, match="line 2: not two columns"):
        read_records(tsv, on_disk=True, strict=True)


def test_lengths_by_a_tokenizer_that_cannot_tell_what_it_does_are_not_kept(tsv, on_disk):
    class Doubled:
        def tokenize(self, texts):
            return tf.strings.unicode_split(tf.strings.join([texts, texts]), "UTF-8")

    stored, _ = read_records(tsv, on_disk=True)
    lengths = token_lengths(Doubled(), stored.sources)
    np.testing.assert_array_equal(lengths, [2 * len(source) for source in stored.sources])
    (file,) = stored.sources.files
    assert not file.lengths and not [*file.folder.glob("source-*.npy")]


def test_an_index_goes_into_the_cache_where_the_folder_is_not_ours(
    tsv, tmp_path, monkeypatch, on_disk
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    _, (line,) = read_records(tsv, on_disk=True)
    assert str(tmp_path / "cache" / "keras_seq2seq") in line
    assert line.endswith("as the folder of the data cannot be written.")
    assert read_records(tsv, on_disk=True)[1] == []


def test_a_file_that_changes_while_it_is_read_is_named(tsv):
    stored, _ = read_records(tsv, on_disk=True)
    with open(tsv, "a") as file:
        file.write("more\tMORE\n")
    with pytest.raises(InputError, match="pairs.tsv was changed while it was read"):
        stored.sources[0]


@pytest.mark.parametrize("kwargs", [{"batch_size": 7}, {"batch_tokens": 40, "num_buckets": 3}])
def test_batches_are_those_of_lists_and_of_packs(tsv, pairs, preprocessor, kwargs):
    stored, _ = read_records(tsv, on_disk=True)
    write_pack(tsv.with_name("pairs.pack"), stored, 3, ["pairs.tsv"])
    pack = read_pack(tsv.with_name("pairs.pack"), whole=True)
    first, *others = (
        training_data(preprocessor, some.sources, some.targets, seed=3, **kwargs)
        for some in (pairs, stored, pack)
    )
    expected = batches(first, first.steps + 5)
    assert all(batches(data, first.steps + 5) == expected for data in others)
    for begin in (4, first.steps + 2):
        resumed = training_data(
            preprocessor, stored.sources, stored.targets, seed=3, initial_step=begin, **kwargs
        )
        assert batches(resumed, 3) == expected[begin : begin + 3]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=40),
    st.lists(st.integers(1, 6), min_size=4, max_size=4),
    st.randoms(use_true_random=False),
)
def test_batches_come_as_windows_of_their_groups_fill(buckets, sizes, random):
    order = random.sample(range(len(buckets)), len(buckets))
    found = batches_of(np.array(order), np.array(buckets), sizes)
    groups, of_bucket = tf.constant(buckets, tf.int64), tf.constant(sizes, tf.int64)
    windows = tf.data.Dataset.from_tensor_slices(order).group_by_window(
        key_func=lambda row: groups[row],
        reduce_func=lambda bucket, rows: rows.batch(of_bucket[bucket]),
        window_size_func=lambda bucket: of_bucket[bucket],
    )
    assert [
        found.rows[begin:end].tolist()
        for begin, end in zip(found.begins, found.ends, strict=True)
    ] == [window.numpy().tolist() for window in windows]


def test_pairs_come_as_often_as_asked_for_and_weigh_what_they_should(preprocessor):
    sources, targets = ["ab", "cd", "ef", "fa"], ["AA BB", "CC DD", "EE FF", "FF AA"]
    times, weights = np.array([1, 2.5, 0.5, 0.5]), np.array([1, 0.5, 3, 3])
    data = training_data(
        preprocessor, sources, targets, batch_size=2, weights=weights, repeats=times
    )
    assert data.steps == 3
    third = Counter()
    for epoch in range(6):
        counts = Counter()
        part = data.dataset.skip(epoch * data.steps).take(data.steps)
        for inputs, _, token_weights in part:
            ids = inputs["encoder_token_ids"]
            found = preprocessor.source_tokenizer.detokenize(ids).numpy()
            for source, row in zip(found, token_weights.numpy(), strict=True):
                counts[source.decode()] += 1
                assert set(row) == {weights[sources.index(source.decode())]}
        assert counts["ab"] == 1 and counts["cd"] in (2, 3) and sum(counts.values()) == 5
        third += counts
    assert 0 < third["ef"] + third["fa"] < 12


def test_of_a_share_as_many_come_in_every_epoch():
    repeats = Repeats(np.full(10, 0.3), np.repeat([0, 1], 5))
    assert repeats.counts.tolist() == [2, 2]
    draws = [sorted(repeats.rows(1, epoch).tolist()) for epoch in range(8)]
    assert all(sum(row < 5 for row in rows) == 2 == len(rows) - 2 for rows in draws)
    assert repeats.rows(1, 3).tolist() == repeats.rows(1, 3).tolist()
    assert len({*map(tuple, draws)}) > 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("aéあ\U0001f600", min_size=1, max_size=12), min_size=1), st.data())
def test_different_texts_are_those_of_a_sorted_set(tmp_path_factory, texts, data):
    path = tmp_path_factory.mktemp("different") / "pairs.tsv"
    path.write_text("".join(f"{text}\tT\n" for text in texts), "utf-8")
    stored, _ = read_records(path, on_disk=True)
    found, expected = DifferentTexts(stored.sources), DifferentSources(texts)
    assert len(found) == len(expected)
    places = data.draw(st.lists(st.integers(0, len(expected) - 1), max_size=5))
    assert found.at(places) == expected.at(places)


def test_the_same_pairs_are_held_out(tsv, pairs):
    stored, _ = read_records(tsv, on_disk=True)
    parts, expected = (
        split_by_source(some, validation_sources=30, test_sources=10, seed=4)
        for some in (stored, pairs)
    )
    for name in ("train", "validation", "test"):
        assert rows_of(getattr(parts, name)) == rows_of(getattr(expected, name))


def test_corpora_by_name_number_and_pattern(tmp_path, pairs, on_disk):
    for name in ("web-1", "web-2", "news"):
        (tmp_path / f"{name}.tsv").write_text(f"{name}\tN\nboth\tB\nno pair\n")
    one, report = read_corpora([tmp_path / "web-*.tsv", f"{tmp_path / 'news.tsv'}:2.5"])
    names = ["web-1", "both", "web-2", "both", "news", "both"]
    assert list(one.sources) == names and one.repeats.tolist() == [1, 1, 1, 1, 2.5, 2.5]
    assert report[0].startswith("Left out, not two columns (source, tab, target): 3. ")
    assert one.sources[1:6:4][1] == "both" and one.sources.take([5, 0])[1] == "web-1"
    assert rows_of(one.take(np.array([4, 2]))) == [("news", "N"), ("web-2", "N")]
    two = [corpus(tmp_path / f"{name}.tsv") for name in ("web-1", "news")]
    assert are_corpora(two)
    (tmp_path / "news.tsv").write_text("lines\nalone\n")
    assert not are_corpora(two)
    for name, message in (
        ("missing.tsv", "missing.tsv: no such file"),
        ("none-*.tsv", "none-\\*.tsv: no such file"),
        ("news.tsv:0", "more than 0 and at most 1000 times an epoch. Received: 0"),
    ):
        with pytest.raises(InputError, match=message):
            read_corpora([tmp_path / name])


def test_weights_of_a_column(tmp_path, on_disk):
    path = tmp_path / "pairs.jsonl"
    rows = [2, "0.5", 0, None, True, "nan", 1]
    lines = (json.dumps({"source": f"s{n}", "target": "t", "w": w}) for n, w in enumerate(rows))
    path.write_text("\n".join(lines))
    for kwargs in ({}, {"on_disk": True}, {"on_disk": True}):
        pairs, report = read_records(path, weight="w", **kwargs)
        assert pairs.weights.tolist() == [2, 0.5, 1] and list(pairs.sources)[-1] == "s6"
        assert report[0].startswith("Left out, the weight is no number above 0: 4. ")
    table = tmp_path / "pairs.tsv"
    table.write_text("s\tt\t3\nu\tv\tx\n")
    assert read_records(table, "1", "2", weight="3")[0].weights.tolist() == [3]
    table.with_name("a.dict").write_text("A  AH\n")
    with pytest.raises(InputError, match="a file of this form has no column 'w'"):
        read_records(table.with_name("a.dict"), weight="w")


def test_a_pack_says_what_is_wrong_with_it(tmp_path, pairs):
    weighted = Pairs(pairs.sources[:9], pairs.targets[:9], [], np.arange(1, 10, dtype="f4"))
    record = write_pack(tmp_path / "pack", weighted, 4, ["here"])
    assert [shard["pairs"] for shard in record["shards"]] == [2, 2, 2, 3]
    back = read_pack(tmp_path / "pack")
    assert rows_of(back) == rows_of(weighted) and back.weights.tolist() == [*range(1, 10)]
    examples, _ = read_tfrecords(tmp_path / "pack" / "*.tfrecord")
    assert rows_of(examples) == rows_of(weighted)
    with pytest.raises(InputError, match="pack exists"):
        write_pack(tmp_path / "pack", weighted, 4, ["here"])
    shard = tmp_path / "pack" / record["shards"][1]["name"]
    content = shard.read_bytes()
    for other, message in (
        (content[:-3], "the shard is truncated"),
        (content + b"x", "the shard is another one"),
        (content.replace(b"source", b"sOurce"), "not the shard that was written"),
        (None, "the shard is missing"),
    ):
        shard.unlink()
        if other is not None:
            shard.write_bytes(other)
        with pytest.raises(InputError, match=message):
            read_pack(tmp_path / "pack")
        shard.write_bytes(content)
    other = tmp_path / "pack" / record["shards"][3]["name"]
    np.save(
        shard.with_suffix(".index") / "sizes.npy",
        np.load(other.with_suffix(".index") / "sizes.npy"),
    )
    with pytest.raises(InputError, match="not the index of its shard"):
        read_pack(tmp_path / "pack")
    (tmp_path / "pack" / "pack.json").write_text("{}")
    with pytest.raises(InputError, match="the pack cannot be read"):
        read_pack(tmp_path / "pack")
    for path in (tmp_path, shard, tmp_path / "none"):
        with pytest.raises(InputError, match="no pack; give a folder that `pack` wrote"):
            read_pack(path)
