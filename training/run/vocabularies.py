"""The tokenizers of a configuration, learned from the training pairs."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from keras_seq2seq.data import Pairs
from keras_seq2seq.data.token_lengths import pieces_of
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import option_name
from keras_seq2seq.tokenizers import (
    CharacterTokenizer,
    SentencePieceTokenizer,
    SymbolTokenizer,
    TableTokenizer,
    WordPieceTokenizer,
    WordTokenizer,
)
from keras_seq2seq.tokenizers.table_tokenizer import lower

from ..settings import TrainingConfig
from .own_parts import OwnParts

PLAIN: dict[str, type[TableTokenizer]] = {
    "characters": CharacterTokenizer,
    "symbols": SymbolTokenizer,
    "words": WordTokenizer,
}

# Subwords, unless --vocabulary-size says otherwise.
DEFAULT_SIZE = 8000
# Lines that subwords are learned from at most: SentencePiece holds them in memory.
SUBWORD_LINES = 1_000_000


class Vocabulary:
    """How one side is tokenized: a tokenizer to be, with `from_lines` as a class has it.

    Args:
        config: Settings.
        side: `"source"` or `"target"`.
        own: Parts of the user's own, optional: a tokenizer of theirs comes first.

    Raises:
        InputError: If a setting does not apply to the tokenizer.
    """

    def __init__(self, config: TrainingConfig, side: str, own: OwnParts | None = None):
        self._config = config
        self._own = None if own is None else own.tokenizer(side)
        if self._own is not None and config.data.joint_vocabulary:
            raise InputError(
                f"--joint-vocabulary makes both tokenizers. Received: {side}_tokenizer of a "
                "module. Leave one of them out."
            )
        self.kind: str = getattr(config.data, f"{side}_tokenizer")
        self.lowercase: bool = getattr(config.data, f"lowercase_{side}")
        self.size = config.data.vocabulary_size
        if self.kind not in PLAIN and config.data.min_count > 1:
            raise InputError(
                f"{option_name('min_count')} does not apply to {self.kind}: its size is "
                f"{option_name('vocabulary_size')}. Received: {config.data.min_count}."
            )

    def from_lines(
        self, lines: Iterable[str], *, min_count: int = 1, **kwargs: Any
    ) -> TableTokenizer:
        """Learns the vocabulary, of subwords from `some` of many lines; keyword arguments as
        of the tokenizer's `from_lines`."""
        if self._own is not None:
            return self._own(self._config, [*lines])
        if isinstance(lines, Sequence):
            lines = self.some(lines)
        kwargs = {"lowercase": self.lowercase, **kwargs}
        if self.kind in PLAIN:
            size = self.size or None
            return PLAIN[self.kind].from_lines(
                lines, min_count=min_count, max_size=size, **kwargs
            )
        lines = [*lines]
        size = self.size or DEFAULT_SIZE
        if self.kind == "wordpiece":
            return WordPieceTokenizer.from_lines(lines, vocabulary_size=size, **kwargs)
        algorithm = "bpe" if self.kind == "bpe" else "unigram"
        return SentencePieceTokenizer.from_lines(
            lines, vocabulary_size=size, algorithm=algorithm, **kwargs
        )

    def some(self, lines: Sequence[str]) -> Sequence[str]:
        """The lines; of subwords, where they are more than `SUBWORD_LINES`, so many of them,
        evenly from the first to the last."""
        if self.kind in PLAIN or len(lines) <= SUBWORD_LINES:
            return lines
        rows = [row * len(lines) // SUBWORD_LINES for row in range(SUBWORD_LINES)]
        return Pairs(lines, lines).take(rows).sources


def text_tokenizers(
    config: TrainingConfig, train: Pairs, own: OwnParts | None = None
) -> tuple[TableTokenizer, TableTokenizer]:
    """Source and target tokenizer; with `--joint-vocabulary` of one vocabulary.

    Raises:
        InputError: If a joint vocabulary is asked for and the sides are split differently.
    """
    source, target = (Vocabulary(config, side, own) for side in ("source", "target"))
    names = {"source": "source_vocabulary", "target": "target_vocabulary"}
    if not config.data.joint_vocabulary:
        return (
            source.from_lines(
                train.sources, min_count=config.data.min_count, name=names["source"]
            ),
            target.from_lines(
                train.targets, min_count=config.data.min_count, name=names["target"]
            ),
        )
    if source.kind != target.kind:
        raise InputError(
            "--joint-vocabulary needs one tokenizer for both sides. Received: "
            f"--source-tokenizer {source.kind}, --target-tokenizer {target.kind}."
        )
    lines = chain(
        _lowered(source.some(train.sources), source.lowercase),
        _lowered(target.some(train.targets), target.lowercase),
    )
    learned = source.from_lines(lines, min_count=config.data.min_count, lowercase=False)
    return tuple(
        type(learned).from_config(
            learned.get_config() | {"name": names[side], "lowercase": vocabulary.lowercase}
        )
        for side, vocabulary in (("source", source), ("target", target))
    )


def _lowered(lines: Sequence[str], lowercase: bool) -> Iterator[str]:
    if not lowercase:
        yield from lines
        return
    for piece in pieces_of(lines):
        yield from (line.decode("utf-8") for line in lower(piece).numpy())
