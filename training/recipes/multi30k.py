"""English to German: captions of Multi30k, in joint subwords.

Data: `train`, `val` and `test_2016_flickr`, each `.en` and `.de` (`.gz` too), raw text, in one
folder, from github.com/multi30k/dataset (research, non-commercial; the captions of the
pictures are Flickr30k's). 29,000 / 1,014 / 1,000 pairs.

```
keras-seq2seq train --recipe multi30k --data FOLDER --run-dir runs/transformer
keras-seq2seq evaluate runs/transformer --beam-size 5 --length-penalty 1
```

Transformer-Tiny of Wu et al. (2021): 4 + 4 layers of width 128, feed-forward 256, 4 heads,
dropout 0.3 but none of attention weights, one SentencePiece vocabulary of 6,000 for both sides
and one matrix for all embeddings. (`multi30k_rnn` is a recurrent model of the same data.) Both
sides are in lower case, as in the published figures. `bleu_lowercase` is sacreBLEU of the
texts as they read (its tokenization 13a), the published figures are BLEU of tokenized text:
close, not the same number.

Published BLEU on test 2016, tokenized, lower case, beam 5: Transformer-Tiny 41.02 (Wu et al.
2021).

Reached by the Transformer, seed 1, beam 5, length penalty 1: `bleu_lowercase` 38.45
(nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:2.6.0); 38.42 of Moses' tokens in lower case,
2.6 below the published figure. 60 epochs in 1 hour 43 minutes on one core of a busy machine
(AMD EPYC); validation 39.23, where a length penalty of 0.6 gives 39.09 and one of 1.4 39.19,
and an average of the last ten epochs was no better. The recurrent model: not yet trained in
full, its settings are a first choice.
"""

from pathlib import Path

from keras_seq2seq.data import Pairs, Splits, read_lines
from keras_seq2seq.errors import InputError

from ..config import TrainingConfig
from . import file_or_gz

DATA = "FOLDER"

CONFIG = TrainingConfig(
    architecture="transformer",
    hidden_dim=128,
    intermediate_dim=256,
    num_layers=4,
    num_heads=4,
    dropout=0.3,
    attention_dropout=0.0,
    source_tokenizer="sentencepiece",
    target_tokenizer="sentencepiece",
    vocabulary_size=6_000,
    joint_vocabulary=True,
    lowercase_source=True,
    lowercase_target=True,
    share_embeddings=True,
    tie_output=True,
    max_source_length=80,
    max_target_length=80,
    epochs=45,
    batch_tokens=4096,
    learning_rate=4e-3,
    beta_2=0.98,
    warmup_steps=1000,
    schedule="cosine",
    label_smoothing=0.1,
    clipnorm=0.0,
    average=5,
    average_of="last",
    patience=60,
    metric="bleu_lowercase",
    monitor="bleu_lowercase",
    references="pair",
    validation_decoded=500,
    token_name="subword",
    sequence_name="caption",
)


def load(data: Path) -> Splits:
    """The three pairs of files in the folder `data`."""
    names = ("train", "val", "test_2016_flickr")
    return Splits(*(read_captions(data, name) for name in names))


def read_captions(folder: Path, name: str) -> Pairs:
    """A part, line by line; a tab inside a caption is read as a space."""
    english, german = (
        [line.replace("\t", " ").strip() for line in read_lines(file_or_gz(folder / file))]
        for file in (f"{name}.en", f"{name}.de")
    )
    if len(english) != len(german):
        raise InputError(
            f"{folder}: {name}.en has {len(english)} lines and {name}.de has {len(german)}; "
            "parallel files must have the same number of lines."
        )
    return Pairs(english, german)
