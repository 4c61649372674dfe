"""English to German with a recurrent model: the captions of Multi30k again.

Data: that of the recipe `multi30k`, in the same parts and subwords.

```
keras-seq2seq train --recipe multi30k_rnn --data FOLDER --run-dir runs/rnn
keras-seq2seq evaluate runs/rnn --beam-size 5 --length-penalty 1
```

A bidirectional LSTM encoder and an LSTM decoder of 256 units with attention (Luong et al.
2015, `"general"`), one matrix for the embeddings of both sides, 4.5 million parameters.

Published, for the other direction, German to English, on the same test captions in lower
case: a bidirectional GRU with attention 28.1 (the notebooks of bentrevett/pytorch-seq2seq).

Reached, seed 1, beam 5, length penalty 1: `bleu_lowercase` 35.26
(nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:2.6.0), 35.23 of Moses' tokens in lower
case; 15 epochs in 42 minutes on one busy core (Intel Xeon).
"""

from .multi30k import CONFIG as TRANSFORMER
from .multi30k import DATA, load

__all__ = ["CONFIG", "DATA", "load"]

CONFIG = TRANSFORMER.replace(
    architecture="recurrent",
    embedding_dim=256,
    hidden_dim=256,
    tie_output=False,
    num_layers=1,
    epochs=15,
    batch_tokens=2048,
    learning_rate=2e-3,
    warmup_steps=500,
    global_clipnorm=1.0,
    average=3,
    validation_decoded=300,
)
