"""Commands to actions: does a model compose what it has learned? The SCAN benchmark.

Data: `tasks_train_SPLIT.txt` and `tasks_test_SPLIT.txt` (`.gz` too) in one folder, lines
`IN: jump twice OUT: I_JUMP I_JUMP`, from github.com/brendenlake/SCAN (BSD). `--data
FOLDER/SPLIT` chooses the split:

```
keras-seq2seq train --recipe scan --data FOLDER/simple --run-dir runs/scan_simple
keras-seq2seq evaluate runs/scan_simple
```

- `simple`: 16,728 / 4,182 commands at random.
- `length`: at most 22 actions in training (16,990), 24 to 48 in test (3,920).
- `addprim_jump`: of the commands with `jump`, training has the bare `jump` alone, 1,467 times
  among 14,670; test has the 7,706 others.

The files have no validation part. 500 commands of the training part are held out, at random;
a command of one word, or one that occurs several times, is always trained on. These 500
resemble the training part, so on the two hard splits they say little about test.

In half of the training pairs a word and its action are swapped for others (`swap_aligned`):
the pairs of every split say that `jump`, `walk`, `run` and `look` stand where the others do,
and `left` where `right` does. So `jump twice` is trained on, made of `walk twice`.

The swaps were tried on a split made of the training part of addprim_jump alone: of `look` the
bare word, 872 times among 9,599, the 5,942 other commands with it as a test. After 5 epochs,
with `--ema 0.99` and a share of 0.3, 49.3 % of these were right and 51.0 % of the held-out
commands of training: the new combinations are learned as the others are. With a share of 0.7
52.0 % of the held-out commands were right; 0.5 lies between.

Exact match on test, greedy, one busy core (AMD EPYC), about 25 seconds an epoch:

- addprim_jump, seeds 1 and 2: 100.00 %; without swaps 0.0 %. With `--epochs 15` 87.05 and
  94.71 %: the average of weights is still behind.
- simple, `--swap-aligned 0`, seed 1: 99.98 %. Swaps leave it about as it is: after 5
  epochs with `--ema 0.99`, seed 1, 76.92 % without and 75.90 % with them.
- length, `--swap-aligned 0`, seed 1: 16.1 %. With swaps it was not run: they make no command
  longer.

Published exact match on test, in per cent (Lake & Baroni 2018): simple 99.8, length 13.8 (the
best architecture 20.8), addprim_jump 0.08 (best 1.2).
"""

import re
from collections.abc import Callable
from pathlib import Path

from keras_seq2seq.data import Pairs, Splits, read_lines, split_by_source
from keras_seq2seq.errors import InputError

from ..settings import TrainingConfig
from . import part_files

VALIDATION_COMMANDS = 500

DATA = "FOLDER/SPLIT"

CONFIG = TrainingConfig(
    architecture="lstm_attention",
    source_tokenizer="symbols",
    target_tokenizer="symbols",
    embedding_dim=64,
    hidden_dim=200,
    dropout=0.2,
    # The length split tests on longer targets than it trains on.
    max_source_length=9,
    max_target_length=48,
    swap_aligned=0.5,
    epochs=30,
    batch_size=64,
    learning_rate=2e-3,
    ema=0.999,
    patience=30,
    token_name="action",
    sequence_name="command",
)

_LINE = re.compile(r"IN: (\S.*) OUT: (\S.*)")


def load(data: Path) -> Splits:
    """Both files of a split, validation commands held out; `data` is `FOLDER/SPLIT`."""
    part = part_files(data, "tasks_{part}_{name}.txt", "split", DATA)
    return hold_out(read_commands(part("train")), read_commands(part("test")))


def read_commands(path: str | Path) -> Pairs:
    """Reads `IN: command OUT: actions` lines; `InputError` names a line that is not one."""
    pairs = Pairs([], [])
    for number, line in enumerate(read_lines(path), 1):
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            raise InputError(
                f"{path}, line {number}: expected `IN: command OUT: actions`: {line[:60]!r}."
            )
        pairs.sources.append(match[1])
        pairs.targets.append(match[2])
    return pairs


def hold_out(train: Pairs, test: Pairs) -> Splits:
    """Takes the validation commands from the training part; fewer if it is small."""
    kept = {
        source
        for source, answers in train.references().items()
        if len(answers) > 1 or len(source.split()) == 1
    }
    free = _where(train, lambda source: source not in kept)
    held_out = split_by_source(
        free, validation_sources=min(VALIDATION_COMMANDS, max(1, len(free) // 10))
    ).validation
    taken = set(held_out.sources)
    return Splits(_where(train, lambda source: source not in taken), held_out, test)


def _where(pairs: Pairs, keep: Callable[[str], bool]) -> Pairs:
    rows = [row for row in zip(pairs.sources, pairs.targets, strict=True) if keep(row[0])]
    return Pairs([source for source, _ in rows], [target for _, target in rows])
