"""Historical spelling to modern spelling, a word at a time.

Data: `NAME.train.txt`, `NAME.dev.txt` and `NAME.test.txt` (`.gz` too) in one folder, lines
`historical<TAB>modern`, an empty line between sentences, from github.com/coastalcph/histnorm
(Bollmann 2019): `german-ridges` (science, 1482-1652; CC BY 3.0), `slovene-goo300k-bohoric`
(CC BY-SA 4.0) and others. `--data FOLDER/NAME` chooses the corpus, `--data FOLDER/NAME/25000`
its first 25,000 training words:

```
keras-seq2seq train --recipe histnorm --data FOLDER/german-ridges/25000 --run-dir runs/ridges
keras-seq2seq evaluate runs/ridges --beam-size 5
```

As in the paper's experiments, words are in lower case and NFC, digits that both sides share
are 0, and lines are left out on which a side is empty or all punctuation. Every word counts
as often as it occurs, with the spelling of that place alone: a model that sees no context
cannot be right about a word that has two.

Published word accuracy at 25,000 training words of RIDGES (Bollmann 2019): neural (attention)
84.24, statistical with a language model (cSMTiser) 85.86.

Reached there, beam 5: word accuracy 85.74 with seed 1 and 85.99 with seed 2 (character error
rates 4.74 and 4.78); 25 minutes, at the lowest priority on a busy machine (AMD EPYC,
`--intra-op-threads 1`). Location attention with context feeding, a second layer of the encoder
and a moving average of weights are what won on the recipe `sigmorphon2021`. With none of them
(`--architecture lstm_attention --ema 0 --global-clipnorm 0 --beta-2 0.999`) it was 84.77, seed
1. Copying was not tried, and each different pair as often as the root of its count only in a
run too short to tell.

On the first 10,000 words of `slovene-goo300k-bohoric` the same change takes word errors on test
from 15.54 to 11.71 % (seed 1, beam 5; `--data FOLDER/slovene-goo300k-bohoric/10000`).
"""

import unicodedata
from pathlib import Path

from keras_seq2seq.data import Pairs, Splits, read_lines
from keras_seq2seq.errors import InputError

from ..settings import TrainingConfig
from . import part_files

DATA = "FOLDER/NAME"

CONFIG = TrainingConfig(
    architecture="recurrent",
    encoder_layers=2,
    attention="location",
    input_feeding="context",
    source_tokenizer="characters",
    target_tokenizer="characters",
    references="pair",
    embedding_dim=64,
    hidden_dim=256,
    dropout=0.3,
    max_source_length=64,
    max_target_length=64,
    epochs=20,
    batch_size=64,
    learning_rate=2e-3,
    beta_2=0.98,
    global_clipnorm=1.0,
    ema=0.995,
    label_smoothing=0.1,
    patience=20,
    validation_decoded=0,
    token_name="character",
    sequence_name="word",
)


def load(data: Path) -> Splits:
    """The three files of a corpus; `data` is `FOLDER/NAME` or `FOLDER/NAME/WORDS`."""
    words = int(data.name) if data.name.isdigit() else None
    corpus = data.parent if words is not None else data
    part = part_files(corpus, "{name}.{part}.txt", "corpus", DATA)
    train, *others = (read_words(part(name)) for name in ("train", "dev", "test"))
    return Splits(Pairs(train.sources[:words], train.targets[:words]), *others)


def read_words(path: Path) -> Pairs:
    """The words of a file, normalized as described above."""
    pairs = Pairs([], [])
    for line in read_lines(path):
        columns = [unicodedata.normalize("NFC", text.strip()) for text in line.split("\t")]
        if len(columns) != 2 or not all(columns) or any(map(_is_punctuation, columns)):
            continue
        source, target = (text.lower() for text in columns)
        if source == target:
            source = target = "".join("0" if c in "0123456789" else c for c in source)
        pairs.sources.append(source)
        pairs.targets.append(target)
    if not len(pairs):
        raise InputError(f"{path}: no line `historical<TAB>modern`.")
    return pairs


def _is_punctuation(text: str) -> bool:
    return all(unicodedata.category(character).startswith("P") for character in text)
