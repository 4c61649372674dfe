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

Reached, seed 1, beam 5, length penalty 1: 39.70 of Moses' tokens in lower case, 1.3 below the
published figure, with 2.1 million parameters for its 2.6; `bleu_lowercase` 39.74
(nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:2.6.0). 38 epochs in 1 hour 46 minutes on one
busy core (Intel Xeon), in two parts: the run was begun with 45 epochs and its cosine shortened
to 38 after epoch 26.
"""

from pathlib import Path

from keras_seq2seq.data import Pairs, Splits, read_parallel
from keras_seq2seq.data.disk import file_or_gz

from ..settings import TrainingConfig

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
    epochs=38,
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
    return read_parallel(*(file_or_gz(folder / f"{name}.{end}") for end in ("en", "de")))
