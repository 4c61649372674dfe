"""Spelling to pronunciation in eight languages: the SIGMORPHON 2021 shared task, one setting.

Data: `LANG_train.tsv`, `LANG_dev.tsv` and `LANG_test.tsv` (`.gz` too) in one folder, lines
`word<TAB>p h o n e s`, from the task's repository (github.com/sigmorphon/2021-task1; mined
from Wiktionary with WikiPron, CC BY-SA 3.0). `--data FOLDER/LANG` chooses the language:

```
keras-seq2seq train --recipe sigmorphon2021 --data FOLDER/dut --run-dir runs/dut
keras-seq2seq evaluate runs/dut --beam-size 5 --patience 4
```

The medium task has 8,000 / 1,000 / 1,000 words of `arm_e`, `dut`, `fre`, `geo`, `hun`,
`jpn_hira` and `vie_hanoi` (and three languages more), the high task 33,344 / 4,168 / 4,168 of
`eng_us`. Each word has one pronunciation; words of one part do not occur in another.

Published word error rates on test (Ashby et al. 2021), in the order arm_e, dut, fre, geo,
hun, jpn_hira, vie_hanoi: the official baseline, an ensemble of ten transducers, 7.0, 14.7,
8.5, 0.0, 1.8, 5.2, 2.5; a single Transformer (fairseq, 4 + 4 layers of 256, beam 5) 8.9,
16.9, 10.2, 0.1, 1.9, 8.5, 6.0. The official baseline on eng_us: 41.94.

Words wrong on test, this configuration, beam 5, patience 4, seed 1 (2.1 million parameters, 30
epochs of 30 to 60 seconds on one thread of a busy machine, Intel Xeon): arm_e 6.8, dut 16.1,
fre 9.5, geo 0.0, hun 1.3, jpn_hira 5.6, vie_hanoi 2.2; mean 5.93 (published: the ten
transducers 5.67, the Transformer 7.50). The second encoder layer and the decoder's reading of
its last context were chosen on validation, of dut (12.2 without, 10.6 with both) and fre (9.7,
9.2).

Patience matters: with label smoothing the improbable continuations are about equally probable,
ends among them, and a search that stops after five ends can stop before the best one (geo,
validation: 0.8 with patience 1, 0.0 with 4).
"""

from pathlib import Path

from keras_seq2seq.data import Splits, read_pairs

from ..settings import TrainingConfig
from . import part_files

DATA = "FOLDER/LANG"

CONFIG = TrainingConfig(
    architecture="recurrent",
    # It knows where it looked last: phones come in the order of their letters.
    attention="location",
    input_feeding="context",
    encoder_layers=2,
    embedding_dim=128,
    hidden_dim=256,
    dropout=0.3,
    # Some held-out words are longer than every word of the training part.
    max_source_length=64,
    max_target_length=64,
    epochs=30,
    batch_size=32,
    num_buckets=6,
    learning_rate=1e-3,
    beta_2=0.98,
    warmup_steps=500,
    global_clipnorm=1.0,
    label_smoothing=0.1,
    ema=0.999,
    patience=30,
    validation_decoded=0,
    token_name="phone",
    sequence_name="word",
)


def load(data: Path) -> Splits:
    """The three files of a language; `data` is `FOLDER/LANG`."""
    part = part_files(data, "{name}_{part}.tsv", "language", DATA)
    return Splits(*(read_pairs(part(name)) for name in ("train", "dev", "test")))
