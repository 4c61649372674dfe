"""KerasHub's tokenizers as tokenizers of this package, with the same pieces."""

from collections.abc import Sequence
from typing import Any

from keras_nlp.tokenizers import BytePairTokenizer, SentencePieceTokenizer

from keras_seq2seq.converters.ctranslate2_vocabulary import Specials, Vocabulary
from keras_seq2seq.errors import InputError
from keras_seq2seq.tokenizers import (
    ByteLevelBPETokenizer,
    SentencePieceFileTokenizer,
    TableTokenizer,
)

# How a line break is shown in a vocabulary, whose tokens are lines.
_LINE_BREAKS = {"\n": "␤", "\r": "␍"}


def tokens_of(tokenizer: Any, size: int) -> list[str]:
    """The token of each id of a model; one that the tokenizer lacks is `<unused_ID>`.

    Args:
        tokenizer: Of KerasHub.
        size: int. Tokens of the model.

    Raises:
        InputError: If the tokenizer has more than the model, or is of another kind.
    """
    _check_kind(tokenizer)
    if isinstance(tokenizer, SentencePieceTokenizer):
        places = {tokenizer.id_to_token(i): i for i in range(tokenizer.vocabulary_size())}
    else:
        # Those of a Whisper stand beside its vocabulary.
        places = tokenizer.vocabulary | getattr(tokenizer, "_special_token_dict", {})
    last = max(places.values(), default=-1)
    if last >= size:
        raise InputError(
            f"The tokenizer has a token with the id {last}, the model {size} tokens: it is the "
            "tokenizer of another model."
        )
    tokens = [""] * size
    for token, place in places.items():
        tokens[place] = token.translate(str.maketrans(_LINE_BREAKS))
    # A token that would be there twice is none that a text is split into.
    seen: set[str] = set()
    for place, token in enumerate(tokens):
        if not token or token in seen:
            tokens[place] = f"<unused_{place}>"
        seen.add(tokens[place])
    return tokens


def tokenizer_as_ours(
    tokenizer: Any, vocabulary: Sequence[str], **options: Any
) -> TableTokenizer:
    """A tokenizer with the same pieces and the ids of a vocabulary.

    Args:
        tokenizer: `BytePairTokenizer` or `SentencePieceTokenizer` of KerasHub.
        vocabulary: As of `TableTokenizer`.
        **options: `name`, `begin`, as of `TableTokenizer`.

    Raises:
        InputError: If it is of another kind.
    """
    _check_kind(tokenizer)
    if isinstance(tokenizer, SentencePieceTokenizer):
        return SentencePieceFileTokenizer(vocabulary, tokenizer.proto, **options)
    has_space = bool(tokenizer.add_prefix_space)
    return ByteLevelBPETokenizer(vocabulary, merges_of(tokenizer), has_space, **options)


def merges_of(tokenizer: Any) -> list[str]:
    """The pairs that become one piece of a `BytePairTokenizer`."""
    return [merge for merge in tokenizer.merges if not merge.startswith("#version:")]


def _check_kind(tokenizer: Any) -> None:
    if not isinstance(tokenizer, (BytePairTokenizer, SentencePieceTokenizer)):
        raise InputError(
            f"The tokenizer is a {type(tokenizer).__name__} of KerasHub, which is not "
            "supported: byte pairs and SentencePiece are."
        )


def vocabulary_of(tokenizer: Any, tokens: list[str], start: int) -> Vocabulary:
    """A model's tokens in this package's order; `start` is the id that begins targets."""
    unknown = next((one for one in ("<unk>", "[UNK]") if one in tokens), "")
    specials = Specials(unknown, tokens[tokenizer.end_token_id], tokens[start])
    return Vocabulary(tokens, specials, "target")


def ids_of(value: Any) -> list[int]:
    """What KerasHub's `StartEndPacker` puts in front: nothing, an id or several."""
    if value is None:
        return []
    return [int(one) for one in value] if isinstance(value, (list, tuple)) else [int(value)]
