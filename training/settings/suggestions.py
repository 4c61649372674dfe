"""Settings chosen from the data, each with its reason, for a user who gives none."""

from typing import Any

import numpy as np

from keras_seq2seq.data import Pairs
from keras_seq2seq.wording import counted

# Symbols are few and come again and again: phonemes, actions, digits as words.
MOST_SYMBOLS = 1000
FEWEST_USES = 20
# Lines of more words than this are sentences, for which subwords are made.
FEWEST_WORDS = 4
SUBWORDS = 4000
# A few very long lines make every batch of their bucket slow.
OUTLIER = 4


def choose_settings(pairs: Pairs, minutes: float) -> tuple[dict[str, Any], list[str]]:
    """Settings of `TrainingConfig` for text pairs and a time.

    Args:
        pairs: The training data.
        minutes: float. The time to train.

    Returns:
        Settings by name, and a line for each choice that says why.
    """
    settings: dict[str, Any] = {}
    reasons: list[str] = []

    def choose(reason: str, **chosen: Any) -> None:
        settings.update(chosen)
        shown = ", ".join(f"{name} {value}" for name, value in chosen.items())
        reasons.append(f"{shown}: {reason}")

    for side, lines in (("source", pairs.sources), ("target", pairs.targets)):
        kind, reason = _tokenizer(lines)
        choose(reason, **{f"{side}_tokenizer": kind})
    if "bpe" in settings.values():
        size = min(SUBWORDS, max(200, len(pairs) // 4))
        choose("about one subword for four pairs", vocabulary_size=size)
    for side, lines in (("source", pairs.sources), ("target", pairs.targets)):
        if settings[f"{side}_tokenizer"] == "bpe":
            continue  # Lengths are known when the subwords are.
        split = settings[f"{side}_tokenizer"] == "symbols"
        lengths = [len(line.split()) if split else len(line) for line in lines]
        usual, longest = int(np.percentile(lengths, 99)), max(lengths)
        if longest > OUTLIER * usual:
            choose(
                f"99 % of the {side}s have at most {usual} tokens, the longest {longest}",
                **{f"max_{side}_length": OUTLIER * usual},
            )
    count = len(pairs)
    # Pairs that are seen often need a smaller model, and more noise.
    size = 128 if count < 5_000 or minutes < 2 else 256 if count < 200_000 else 384
    choose(
        f"{counted(count, 'pair')} in {minutes:g} minutes",
        hidden_dim=size,
        embedding_dim=size // 2,
    )
    dropout = 0.3 if count < 5_000 else 0.2 if count < 50_000 else 0.1
    batch_size = 32 if count < 5_000 else 64 if count < 200_000 else 128
    choose(counted(count, "pair"), dropout=dropout, batch_size=batch_size)
    choose("for models of this size", learning_rate=2e-3)
    return settings, reasons


def _tokenizer(lines: list[str]) -> tuple[str, str]:
    words = [word for line in lines for word in line.split()]
    different = len(set(words))
    mean = len(words) / len(lines)
    if 1.5 < mean and different <= MOST_SYMBOLS and len(words) >= FEWEST_USES * different:
        return "symbols", f"{different:,} different words, {len(words):,} in all"
    if mean >= FEWEST_WORDS:
        return "bpe", f"sentences, {different:,} different words"
    return "characters", f"{mean:.1f} words a line, {different:,} different ones"
