"""Pairs of texts from shards of TFRecord files."""

from collections.abc import Iterator
from pathlib import Path

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.disk import files_in
from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.data.rows import SOURCE, TARGET, collect_pairs
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.stored.index import stored_pairs
from keras_seq2seq.data.tables import Row
from keras_seq2seq.errors import InputError


@checked
def read_tfrecords(
    pattern: str | Path,
    source: str | None = None,
    target: str | None = None,
    *,
    strict: bool = False,
    on_disk: bool = False,
) -> tuple[Pairs, list[str]]:
    """Reads `tf.train.Example` records with one string feature a side, shard by shard.

    Args:
        pattern: A file, or several by a name with `*`, in the order of their names; gzip if
            the names end in `.gz`.
        source: Feature of the sources. Defaults to `"source"`.
        target: Feature of the targets. Defaults to `"target"`.
        strict: bool. The first record that cannot be used is an error. Defaults to `False`.
        on_disk: bool. As of `read_records`. Defaults to `False`.

    Returns:
        `Pairs`, and the lines of the report.

    Raises:
        InputError: If there is no such file, one is damaged, or no record can be used.
    """
    skipped, names = Skipped(strict), (source or SOURCE, target or TARGET)
    if on_disk:
        return stored_tfrecords(pattern, names, skipped), skipped.lines()
    return collect_pairs(str(pattern), _rows(_shards(pattern), names, skipped), skipped)


def stored_tfrecords(pattern: str | Path, names: tuple[str, str], skipped: Skipped) -> Pairs:
    """The pairs of shards as `StoredTexts`; what is left out is counted in `skipped`.

    Raises:
        InputError: As of `read_tfrecords`.
    """
    files = _shards(pattern)

    def rows(own: Skipped) -> Iterator[Row]:
        return _rows(files, names, own)

    return stored_pairs(str(pattern), files, rows, skipped, key=names)


def _shards(pattern: str | Path) -> list[Path]:
    pattern = Path(pattern)
    files = files_in(pattern.parent, pattern.name)
    if not files:
        raise InputError(f"{pattern}: no such file. Check the path.")
    return files


def _rows(files: list[Path], names: tuple[str, str], skipped: Skipped) -> Iterator[Row]:
    import tensorflow as tf

    for file in files:
        compression = "GZIP" if file.suffix == ".gz" else ""
        number, where = 0, f"{file}, record"
        try:
            for number, record in enumerate(tf.data.TFRecordDataset(file, compression), 1):  # noqa: B007
                place = f"{where} {number}"
                try:
                    example = tf.train.Example.FromString(record.numpy())
                except Exception as error:  # Protocol buffers have errors of their own.
                    skipped.add(place, "no tf.train.Example", str(error))
                    continue
                features = example.features.feature
                values = [features[name].bytes_list.value for name in names]
                wrong = [n for n, value in zip(names, values, strict=True) if len(value) != 1]
                if wrong:
                    listed = ", ".join(sorted(features))
                    reason = f"no feature {wrong[0]!r} of one string"
                    skipped.add(place, reason, f"there is {listed}")
                else:
                    yield where, number, (values[0][0], values[1][0])
        except tf.errors.OpError as error:
            raise InputError(
                f"{file}: damaged after record {number} ({error.message})."
            ) from error
