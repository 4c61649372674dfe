#!/usr/bin/env bash
# sentencepiece 0.2.3: `hard_vocab_limit=False` gives any size below the one asked for.
#
# Expected of `vocab_size=1000`: about 1,000 pieces, or an error that says how many the text has.
# Seen, of a text of 12 words: a unigram model of 26 pieces, a BPE model of 69, no word about it.
# With the limit hard the same call raises and says the number. Embeddings that are made for 1,000
# tokens then have rows that nothing trains: ask the model for its size.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "sentencepiece==0.2.3"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import sentencepiece


def show(what, seen, expected):
    print(f"{what} -> {seen!r}")
    if seen != expected:
        sys.exit(f"This has changed: expected {expected!r}.")


print("sentencepiece", version("sentencepiece"))
stems = ["low", "new", "wide", "slow"]
words = [stem + end for stem in stems for end in ("", "er", "est")]
lines = [" ".join(words[(7 * i + j * j) % 12] for j in range(8)) for i in range(500)]


def pieces(algorithm, **settings):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=algorithm,
        vocab_size=1000,
        model_type=algorithm,
        minloglevel=2,
        **settings,
    )
    model = sentencepiece.SentencePieceProcessor(model_file=f"{algorithm}.model")
    return model.get_piece_size()


show("unigram", pieces("unigram", hard_vocab_limit=False), 26)
show("bpe", pieces("bpe", hard_vocab_limit=False), 69)
try:
    pieces("bpe")
    sys.exit("This has changed: a hard limit raised nothing.")
except RuntimeError as error:
    show("bpe, a hard limit", str(error).partition("set it to ")[2], "a value <= 69.")
PYTHON
