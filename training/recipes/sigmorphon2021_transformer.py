"""Spelling to pronunciation in many languages with a Transformer: SIGMORPHON 2021 again.

Data: that of the recipe `sigmorphon2021`, in the same parts.

```
keras-seq2seq train --recipe sigmorphon2021_transformer --data FOLDER/dut --run-dir runs/dut
keras-seq2seq evaluate runs/dut --beam-size 5 --patience 4
```

3 + 3 layers of width 128 with rotary positions, one setting for all languages.

Published, words wrong on test: a single Transformer (fairseq, 4 + 4 layers of 256, beam 5) 8.9
(arm_e), 16.9 (dut), 10.2 (fre), 0.1 (geo), 1.9 (hun), 8.5 (jpn_hira), 6.0 (vie_hanoi), mean
7.50 (Ashby et al. 2021).

Words wrong on test, beam 5, patience 4, seed 1 (1.4 million parameters, 40 epochs in 17 to 29
minutes on one thread of a busy machine, Intel Xeon), in the same order: 9.6, 17.6, 9.1, 0.0,
1.9, 5.9, 3.0; mean 6.73. The recurrent model of `sigmorphon2021` makes fewer mistakes, 5.93.
"""

from .sigmorphon2021 import CONFIG as RECURRENT
from .sigmorphon2021 import DATA, load

__all__ = ["CONFIG", "DATA", "load"]

CONFIG = RECURRENT.replace(
    architecture="transformer",
    encoder_layers=0,
    hidden_dim=128,
    intermediate_dim=512,
    num_layers=3,
    num_heads=4,
    positions="rotary",
    attention_dropout=0.1,
    epochs=40,
    batch_size=64,
    learning_rate=2e-3,
    patience=40,
)
