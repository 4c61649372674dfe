"""Descriptions of Debian packages to their one-line synopses: short summaries.

Data: `en_long_short.tsv` (`.gz` too), lines `name<TAB>description<TAB>synopsis`, or a folder
with it: the English descriptions of a Debian release (each package's own free licence), 61,464
packages. On a Debian machine the list comes with apt: set `Acquire::Languages "en";`, run
`apt-get update`, and read the `Translation-en` list with `apt-helper cat-file`. There is no
split: packages are split at random by synopsis, so that no synopsis of one part occurs in
another, 2,000 synopses for test and 1,000 to choose the best epoch. Of a description the first
50 words are read.

```
keras-seq2seq train --recipe debian_synopsis --data FILE --run-dir runs/pointer
keras-seq2seq train --recipe debian_synopsis --data FILE --run-dir runs/attention --no-copy
keras-seq2seq train --recipe debian_synopsis --data FILE --run-dir runs/transformer \\
    --preset transformer_tiny --no-copy --tie-output
keras-seq2seq evaluate runs/pointer --beam-size 4 --length-penalty 1
```

A synopsis copies names and terms of its description, many of them rare: the recipe's model is
a pointer-generator (See et al. 2017) over joint subwords, the second command is the same
without copying, the third a Transformer.

Published: none. The first eight words of the description score ROUGE-1, -2 and -L 28.9, 12.5
and 26.1 on the test part.

Reached, beam 4, length penalty 1, seed 1, one thread of a busy machine (Intel Xeon), ROUGE-1,
-2 and -L: the pointer-generator 45.8, 26.7 and 43.1 in 1 h 53 min; the Transformer, which does
not copy, 37.7, 17.9 and 35.3 (epochs 2 to 6 in 1 h 28 min); the recurrent model without copying
20.8, 7.4 and 19.4 (epochs 3 to 6 in 1 h 3 min), below the baseline: it writes what a synopsis
looks like, of hardly any package in particular.
"""

from pathlib import Path

from keras_seq2seq.data import Pairs, Splits, read_lines, split_by_source
from keras_seq2seq.data.disk import file_or_gz, is_folder
from keras_seq2seq.errors import InputError

from ..settings import TrainingConfig

WORDS = 50
TEST_SYNOPSES, VALIDATION_SYNOPSES = 2000, 1000

DATA = "FILE"

CONFIG = TrainingConfig(
    architecture="recurrent",
    attention="general",
    embedding_dim=128,
    hidden_dim=256,
    dropout=0.2,
    copy=True,
    share_embeddings=True,
    source_tokenizer="bpe",
    target_tokenizer="bpe",
    vocabulary_size=8000,
    joint_vocabulary=True,
    max_source_length=120,
    max_target_length=40,
    epochs=6,
    batch_size=64,
    learning_rate=1e-3,
    patience=6,
    metric="rouge",
    monitor="rouge_l",
    references="pair",
    validation_decoded=500,
    token_name="subword",
    sequence_name="synopsis",
)


def load(data: Path) -> Splits:
    """The packages of the file `data`, or of `en_long_short.tsv` in the folder `data`."""
    pairs = read_packages(file_or_gz(data / "en_long_short.tsv") if is_folder(data) else data)
    # By synopsis: packages of one source often share it.
    by_synopsis = Pairs(pairs.targets, pairs.sources)
    held_out = len(set(pairs.targets)) // 10
    splits = split_by_source(
        by_synopsis,
        validation_sources=min(VALIDATION_SYNOPSES, held_out),
        test_sources=min(TEST_SYNOPSES, held_out),
    )
    return Splits(
        *(
            Pairs(part.targets, part.sources)
            for part in (splits.train, splits.validation, splits.test or Pairs([], []))
        )
    )


def read_packages(path: Path) -> Pairs:
    """The first words of each description, and its synopsis.

    Raises:
        InputError: If a line has not three columns, or one of them is empty.
    """
    pairs = Pairs([], [])
    for number, line in enumerate(read_lines(path), 1):
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) != 3 or not all(columns):
            raise InputError(
                f"{path}, line {number}: expected name, tab, description, tab, synopsis: "
                f"{line[:60]!r}."
            )
        pairs.sources.append(" ".join(columns[1].split()[:WORDS]))
        pairs.targets.append(columns[2])
    return pairs


def first_words(description: str, count: int = 8) -> str:
    """The baseline: the beginning of the description."""
    return " ".join(description.split()[:count])
