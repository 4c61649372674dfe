"""Settings chosen from the data, each with its reason, where a user gives none."""

from itertools import islice
from typing import Any

import numpy as np

from keras_seq2seq.data import Pairs
from keras_seq2seq.wording import counted

from .config import TrainingConfig
from .measured import SIZES

# Symbols are few and come again and again: phonemes, actions, digits as words.
MOST_SYMBOLS = 1000
FEWEST_USES = 20
# Lines of more words than this are sentences, for which subwords are made.
FEWEST_WORDS = 4
SUBWORDS = 4000
# A few very long lines make every batch of their bucket slow.
OUTLIER = 4
# Lines that are looked at, the first ones.
MOST_LINES = 500_000
# Where a run stops by the clock.
MOST_EPOCHS = 10_000
# The sizes to choose from, in units; and the budget that is too short to measure in.
LADDER = (64, 96, 128, 192, 256, 384, 512)
SHORTEST = 1.0


class Suggestions:
    """What the data suggests of what a configuration leaves open.

    The tokenizers always, as far as the sides are text; for pairs of texts and
    `config.optimization.minutes` also sizes, regularization and greatest lengths.

    Args:
        config: What is given; its `origins` say what is not open.
        pairs: The training data.

    Attributes:
        settings: Name -> value.
        unmeasured: Name -> the largest value that the data bears, of what a run chooses by
            its measured speed when it begins: a layer of `resolve` with the name
            `UNMEASURED`.
        reasons: A line for each choice that says why.
        later: A line about what is `unmeasured`, if something is.
    """

    def __init__(self, config: TrainingConfig, pairs: Pairs):
        self.config = config
        self.settings: dict[str, Any] = {}
        self.unmeasured: dict[str, Any] = {}
        self.reasons: list[str] = []
        self.later: list[str] = []
        sides = {
            "source": [*islice(pairs.sources, MOST_LINES)],
            "target": [*islice(pairs.targets, MOST_LINES)],
        }
        texts = sides if config.data.source == "text" else {"target": sides["target"]}
        kinds = self._tokenizers(texts)
        if "bpe" in self.settings.values():
            size = min(SUBWORDS, max(200, len(pairs) // 4))
            self._choose("about one subword for four pairs", vocabulary_size=size)
        if config.optimization.minutes:
            self.settings.setdefault("epochs", MOST_EPOCHS)
            if config.data.source == "text":
                for side, lines in sides.items():
                    self._greatest_length(side, kinds[side], lines)
                self._sizes(len(pairs))
        for name in set(self.settings) & set(config.origins):
            del self.settings[name]

    def _choose(self, reason: str, **chosen: Any) -> None:
        open_ = {name: value for name, value in chosen.items() if self._is_open(name)}
        if open_:
            self.settings |= open_
            shown = ", ".join(f"{name} {value}" for name, value in open_.items())
            self.reasons.append(f"{shown}: {reason}")

    def _is_open(self, name: str) -> bool:
        return name in self.config.values and name not in self.config.origins

    def _tokenizers(self, texts: dict[str, list[str]]) -> dict[str, str]:
        """The tokenizer of each side, given or chosen; with one vocabulary it is one."""
        data = self.config.data
        names = {side: f"{side}_tokenizer" for side in texts}
        given = {s: getattr(data, n) for s, n in names.items() if n in self.config.origins}
        if data.joint_vocabulary:
            texts = dict.fromkeys(texts, [line for lines in texts.values() for line in lines])
        for side, lines in texts.items():
            if side in given:
                continue
            if data.joint_vocabulary and given:
                kind, reason = next(iter(given.values())), "one vocabulary for both sides"
            else:
                kind, reason = _tokenizer(lines, data.min_count)
            self._choose(reason, **{names[side]: kind})
        return {s: self.settings.get(n, getattr(data, n)) for s, n in names.items()}

    def _greatest_length(self, side: str, kind: str, lines: list[str]) -> None:
        if kind not in ("characters", "symbols", "words"):
            return  # Lengths are known when the subwords are.
        lengths = [len(line if kind == "characters" else line.split()) for line in lines]
        usual, longest = int(np.percentile(lengths, 99)), max(lengths)
        if longest > OUTLIER * usual:
            self._choose(
                f"99 % of the {side}s have at most {usual} tokens, the longest {longest}",
                **{f"max_{side}_length": OUTLIER * usual},
            )

    def _sizes(self, count: int) -> None:
        """Pairs that are seen often need a smaller model, and more noise."""
        minutes = self.config.optimization.minutes
        largest = 128 if count < 5_000 else 256 if count < 200_000 else LADDER[-1]
        open_ = [name for name in SIZES if self._is_open(name)]
        if "hidden_dim" not in open_:
            half = max(1, self.config.model.hidden_dim // 2)
            self._choose("half of --hidden-dim", embedding_dim=half)
        elif minutes < SHORTEST:
            reason = f"{minutes:g} minutes are too short to measure the speed"
            self._choose(reason, hidden_dim=LADDER[0], embedding_dim=LADDER[0] // 2)
        else:
            sizes = {"hidden_dim": largest, "embedding_dim": largest // 2}
            self.unmeasured = {name: sizes[name] for name in open_}
            self.later = [
                f"{', '.join(open_)}: not known yet; by the speed of the first steps, up to "
                f"{largest} units for {counted(count, 'pair')}"
            ]
        dropout = 0.3 if count < 5_000 else 0.2 if count < 50_000 else 0.1
        batch_size = 32 if count < 5_000 else 64 if count < 200_000 else 128
        self._choose(counted(count, "pair"), dropout=dropout)
        if not self.config.optimization.batch_tokens:
            self._choose(counted(count, "pair"), batch_size=batch_size)
        self._choose("for models of this size", learning_rate=2e-3)


def _tokenizer(lines: list[str], min_count: int) -> tuple[str, str]:
    words = [word for line in lines for word in line.split()]
    different = len(set(words))
    mean = len(words) / len(lines)
    if 1.5 < mean and different <= MOST_SYMBOLS and len(words) >= FEWEST_USES * different:
        return "symbols", f"{different:,} different words, {len(words):,} in all"
    if mean >= FEWEST_WORDS and min_count > 1:
        return "words", f"sentences, {different:,} different words, --min-count {min_count}"
    if mean >= FEWEST_WORDS:
        return "bpe", f"sentences, {different:,} different words"
    return "characters", f"{mean:.1f} words a line, {different:,} different ones"
