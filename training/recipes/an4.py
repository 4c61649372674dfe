"""Speech to text from few hours: names, numbers and commands, spelled by characters.

Data: AN4 (CMU Census database), 948 utterances of 74 speakers, 42 minutes, 13 mel cepstra at
100 frames a second, free for any use. `--data` is the file `an4_train.tar.gz` or the folder
`an4` that it unpacks to, with `etc/an4_train.fileids`, `etc/an4_train.transcription` and
`feat/`:

```
keras-seq2seq train --recipe an4 --data an4_train.tar.gz --run-dir runs/an4 --minutes 30
keras-seq2seq evaluate runs/an4 --ctc-weight 0.5      # metric: word error rate
```

The speakers are split with a fixed seed: 8 for test, 8 to choose the best epoch, 58 to train
on. No speaker is in two parts. (The published test set of 130 utterances is another one.)

Time: all 40 epochs in 24 minutes on one thread of a machine busy with other work (Intel Xeon);
`--minutes` makes the learning rate fall with the clock. Words wrong, of the test speakers, seed
1 (1,504,756 parameters):

| | greedy | beam 8 |
|---|---|---|
| attention alone | 18.2 % | 21.4 % |
| joint CTC/attention, `--ctc-weight 0.5` | 12.1 % | 10.7 % |

The weight was chosen on the validation speakers, of 0.2, 0.3, 0.5 and 0.7. A beam without
CTC finds targets that skip what was said. Attention alone does not even learn to align so
little speech; the auxiliary CTC loss on the encoder does (Kim et al. 2017). Published on the
official test set: joint CTC/attention of ESPnet, 7.6 % of words wrong.
"""

import random
from pathlib import Path

import numpy as np

from keras_seq2seq.data import Pairs, Signal, Splits
from keras_seq2seq.data.text import decode_lines
from keras_seq2seq.errors import InputError

from ..settings import TrainingConfig
from . import folder_or_archive

CEPSTRA = 13
HELD_OUT_SPEAKERS = 8

DATA = "an4_train.tar.gz"

CONFIG = TrainingConfig(
    source="features",
    # Held-out utterances may be longer than those trained on.
    max_source_length=800,
    max_target_length=80,
    target_tokenizer="characters",
    architecture="recurrent",
    embedding_dim=128,
    hidden_dim=256,
    num_layers=1,
    encoder_layers=2,
    cell="gru",
    attention="location",
    input_feeding="context",
    convolutions=2,
    convolution_strides=2,
    spec_augment=True,
    ctc_weight=1.0,
    dropout=0.3,
    label_smoothing=0.1,
    epochs=40,
    batch_size=16,
    num_buckets=6,
    learning_rate=1.5e-3,
    warmup_steps=200,
    global_clipnorm=1.0,
    monitor="token_error_rate",
    patience=40,
    validation_decoded=0,
    metric="wer",
    token_name="character",
    sequence_name="utterance",
)


def load(data: Path) -> Splits:
    """The utterances, split by speaker; `data` is the archive or the unpacked folder."""
    files = folder_or_archive(data, "an4/")

    def read(name: str) -> bytes:
        if name not in files:
            raise InputError(f"{data}: has no {name}. Give the archive or its folder `an4`.")
        return files[name]()

    names = decode_lines(f"{data}: an4_train.fileids", read("etc/an4_train.fileids"))
    transcripts = decode_lines(
        f"{data}: an4_train.transcription", read("etc/an4_train.transcription")
    )
    if len(names) != len(transcripts):
        raise InputError(
            f"{data}: {len(names)} utterances and {len(transcripts)} transcripts; there must "
            "be one each."
        )
    speakers = sorted({speaker_of(name) for name in names})
    if len(speakers) <= 2 * HELD_OUT_SPEAKERS:
        raise InputError(
            f"{data}: {len(speakers)} speakers; {2 * HELD_OUT_SPEAKERS} are held out."
        )
    random.Random(0).shuffle(speakers)
    parts = [Pairs([], []) for _ in range(3)]
    for name, transcript in zip(names, transcripts, strict=True):
        place = speakers.index(speaker_of(name)) // HELD_OUT_SPEAKERS
        part = parts[min(place, 2)]
        part.sources.append(Signal(name, read_cepstra(name, read(f"feat/{name}.mfc"))))
        # "YES (an251-fash-b)"
        part.targets.append(transcript.rsplit("(", 1)[0].strip())
    test, validation, train = parts
    return Splits(train, validation, test)


def speaker_of(name: str) -> str:
    """`"an4_clstk/fash/an251-fash-b"` -> `"fash"`."""
    return name.split("/")[-2]


def read_cepstra(name: str, content: bytes) -> np.ndarray:
    """A feature file of CMU Sphinx: a count, int32, and so many float32, big-endian.

    Returns:
        `(frames, 13)`, float32.

    Raises:
        InputError: If the count is not that of the file.
    """
    count = int.from_bytes(content[:4], "big", signed=True)
    if len(content) != 4 + 4 * count or count % CEPSTRA or not count:
        raise InputError(
            f"{name}: expected a count and frames of {CEPSTRA} numbers; received "
            f"{len(content)} bytes that say {count} numbers."
        )
    return np.frombuffer(content, ">f4", offset=4).astype(np.float32).reshape(-1, CEPSTRA)
