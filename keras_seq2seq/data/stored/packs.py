"""Packs: corpora as shards of TFRecord files with an index, one folder to copy and train on.

```
corpus.pack/
  pack.json                      counts, sizes and fingerprints
  pairs-00000-of-00004.tfrecord  tf.train.Example: source, target, and weight if there is one
  pairs-00000-of-00004.index/    where each record is; token lengths, once they are known
  ...
```

The pairs are in the order of the corpora, so a run sees the batches that it would have seen
without packing. Records are read one by one from anywhere, by any backend, at the price of a
read of the file: TensorFlow's reader goes through a file from its beginning, and that of
array_record takes many times longer for a record.
"""

import hashlib
import json
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.disk import is_folder, read_array
from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.data.stored.texts import PairFile, StoredTexts, Texts, joined
from keras_seq2seq.data.stored.writer import OFFSETS, SIZES, WEIGHTS
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import write_new

RECORD = "pack.json"
_VERSION = 1
# A TFRecord is its length, 8 bytes, and three checksums of 4 bytes around it.
_BEFORE, _BEHIND = 12, 4
_SAMPLE = 2**16


def is_pack(path: str | Path) -> bool:
    """Whether this is the folder of a pack."""
    return is_folder(path) and (Path(path) / RECORD).exists()


@checked
def write_pack(path: str | Path, pairs: Pairs, shards: int, names: list[str]) -> dict[str, Any]:
    """Writes pairs as a pack, whole or not at all.

    Args:
        path: The folder to make.
        pairs: Pairs of texts.
        shards: int. Files to write; fewer where there are fewer pairs.
        names: What the pairs were read from, for the record.

    Returns:
        What `pack.json` holds.

    Raises:
        InputError: If the folder exists or cannot be written.
    """
    path = Path(path)
    shards = max(1, min(shards, len(pairs)))
    edges = [shard * len(pairs) // shards for shard in range(shards + 1)]
    record: dict[str, Any] = {"version": _VERSION, "pairs": len(pairs), "corpora": names}

    def write(folder: Path) -> None:
        folder.mkdir()
        examples = _examples(pairs)
        record["shards"] = [
            _write_shard(
                folder / f"pairs-{shard:05d}-of-{shards:05d}.tfrecord",
                islice(examples, end - begin),
                None if pairs.weights is None else pairs.weights[begin:end],
            )
            for shard, (begin, end) in enumerate(pairwise(edges))
        ]
        digests = "".join(shard["sha256"] for shard in record["shards"])
        record["fingerprint"] = hashlib.sha256(digests.encode()).hexdigest()
        (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")

    write_new(path, write)
    return record


def _examples(pairs: Pairs) -> Iterator[bytes]:
    from tensorflow.train import BytesList, Example, Feature, Features, FloatList

    for row, sides in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
        features = {
            name: Feature(bytes_list=BytesList(value=[text.encode()]))
            for name, text in zip(("source", "target"), sides, strict=True)
        }
        if pairs.weights is not None:
            features["weight"] = Feature(float_list=FloatList(value=[pairs.weights[row]]))
        example = Example(features=Features(feature=features))
        yield example.SerializeToString(deterministic=True)


def _write_shard(
    file: Path, examples: Iterator[bytes], weights: np.ndarray | None
) -> dict[str, Any]:
    import tensorflow as tf

    sizes = []
    with tf.io.TFRecordWriter(str(file)) as writer:
        for example in examples:
            writer.write(example)
            sizes.append(len(example))
    ends = np.cumsum(np.array(sizes, np.int64) + _BEFORE + _BEHIND)
    arrays: dict[str, np.ndarray] = {
        OFFSETS: ends - np.array(sizes, np.int64) - _BEHIND,
        SIZES: np.array(sizes, np.uint32),
        **({} if weights is None else {WEIGHTS: weights}),
    }
    folder = file.with_suffix(".index")
    folder.mkdir()
    for name, values in arrays.items():
        np.save(folder / name, values)
    return {
        "name": file.name,
        "pairs": len(sizes),
        "bytes": file.stat().st_size,
        "sha256": _sha256(file),
        "sample": _sample(file),
    }


def _sha256(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _sample(file: Path) -> str:
    """The fingerprint of the first, the middle and the last bytes."""
    size, digest = file.stat().st_size, hashlib.sha256()
    with open(file, "rb") as content:
        for place in (0, size // 2, max(0, size - _SAMPLE)):
            content.seek(place)
            digest.update(content.read(_SAMPLE))
    return digest.hexdigest()


@checked
def read_pack(path: str | Path, *, whole: bool = False) -> Pairs:
    """The pairs of a pack as `StoredTexts`.

    Args:
        path: Its folder.
        whole: bool. Look at all bytes of the shards, not at some. Defaults to `False`.

    Raises:
        InputError: If a shard is missing, truncated, or not the one that was written.
    """
    path = Path(path)
    if not is_pack(path):
        raise InputError(f"{path}: no pack; give a folder that `pack` wrote.")
    try:
        record = json.loads((path / RECORD).read_text("utf-8"))
        if record["version"] != _VERSION:
            raise InputError(f"{path}: a pack of another version. Pack the corpora again.")
        shards = [_read_shard(path, shard, whole) for shard in record["shards"]]
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: the pack cannot be read ({error}). Copy it from where it was, or pack "
            "the corpora again."
        ) from error
    return joined(shards, [1.0] * len(shards))


def _read_shard(path: Path, shard: dict[str, Any], whole: bool) -> Pairs:
    file = path / shard["name"]
    again = "Copy it from where it was, or pack the corpora again."
    if not file.exists():
        raise InputError(f"{file}: the shard is missing. {again}")
    if (size := file.stat().st_size) != shard["bytes"]:
        what = "is truncated" if size < shard["bytes"] else "is another one"
        raise InputError(
            f"{file}: the shard {what}, {size:,} bytes of {shard['bytes']:,}. {again}"
        )
    same = _sha256(file) == shard["sha256"] if whole else _sample(file) == shard["sample"]
    if not same:
        raise InputError(f"{file}: not the shard that was written: other bytes. {again}")
    folder = file.with_suffix(".index")
    arrays = {
        name: read_array(folder / name, "r")
        for name in (OFFSETS, SIZES, WEIGHTS)
        if (folder / name).exists()
    }
    if {len(values) for values in arrays.values()} != {shard["pairs"]}:
        raise InputError(f"{folder}: not the index of its shard. {again}")
    stored = PairFile(
        Texts(file), Texts(b""), arrays[OFFSETS], arrays[SIZES], _sides, folder=folder
    )
    sources, targets = (StoredTexts([stored], side) for side in (0, 1))
    return Pairs(sources, targets, [], arrays.get(WEIGHTS))


def _sides(example: bytes) -> tuple[bytes, bytes]:
    from tensorflow.train import Example

    features = Example.FromString(example).features.feature
    return features["source"].bytes_list.value[0], features["target"].bytes_list.value[0]
