"""The words around CTranslate2's weights: `config.json` and the vocabularies."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import (
    PAD_TOKEN,
    SPECIAL_TOKENS,
    START_ID,
)

# Logit of a token that the model never had: its probability is 0 in float32.
NEVER = -100.0


@dataclass(frozen=True)
class Specials:
    """Tokens of the model that have a role.

    Attributes:
        unknown: string.
        end: string.
        start: string, which begins a target; `None` where it begins with zeros.
    """

    unknown: str
    end: str
    start: str | None


class Vocabulary:
    """A vocabulary of the model in the order of this package: special tokens first.

    Args:
        tokens: The model's own, the index is the id.
        specials: Its special tokens.
        side: string. What it is called in messages.

    Attributes:
        tokens: As of `TableTokenizer`.
        rows: `(tokens,)`, int: the model's id of each, -1 where it has none.
        is_hidden: `(tokens,)`, bool: whether the model cannot write it: it has none, or it is
            there twice, since here beginning and end are two tokens.

    Raises:
        InputError: If the end token is missing.
    """

    def __init__(self, tokens: Sequence[str], specials: Specials, side: str):
        place = {token: index for index, token in enumerate(tokens)}
        if specials.end not in place:
            raise InputError(f"The {side} vocabulary lacks the end token {specials.end!r}.")
        start = -1 if specials.start is None else place.get(specials.start, -1)
        end = place[specials.end]
        first = [place.get(PAD_TOKEN, -1), place.get(specials.unknown, -1), start, end]
        taken = {row for row in first if row >= 0}
        kept = [row for row in range(len(tokens)) if row not in taken]
        self.tokens = [*SPECIAL_TOKENS, *(tokens[row] for row in kept)]
        self.rows = np.array([*first, *kept])
        self.is_hidden = self.rows < 0
        self.is_hidden[START_ID] |= start == end
        self._own = {tokens[row]: SPECIAL_TOKENS[i] for i, row in enumerate(first) if row >= 0}
        self._side = side
        self._known = set(self.tokens)

    def named(self, text: str) -> list[str]:
        """Tokens of the model, with spaces between, as this vocabulary calls them.

        Raises:
            InputError: If it lacks one.
        """
        names = [self._own.get(token, token) for token in text.split()]
        if missing := [token for token in names if token not in self._known]:
            raise InputError(
                f"The {self._side} vocabulary lacks the token {missing[0]!r}; a prefix is made "
                "of its tokens, with spaces between."
            )
        return names

    def taken_from(self, weights: np.ndarray) -> np.ndarray:
        """`(model's tokens, ...)` in the order of this vocabulary; zeros where it has none."""
        return np.where(
            self.rows.reshape(-1, *[1] * (weights.ndim - 1)) < 0, 0, weights[self.rows]
        ).astype(np.float32)


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a converted model.

    Raises:
        InputError: If it is missing or is not what it should be.
    """
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise InputError(f"{folder / 'config.json'} must hold an object.")
    return config


def read_vocabularies(folder: Path) -> tuple[list[str], list[str]]:
    """Source and target vocabulary of a converted model, one object where they are shared.

    Raises:
        InputError: If there are none, or they are not what they should be.
    """
    shared = read_tokens(folder, "shared_vocabulary")
    if shared is not None:
        return shared, shared
    if read_tokens(folder, "source_1_vocabulary") is not None:
        raise InputError(f"{folder} has several source vocabularies, which is not supported.")
    source, target = (
        read_tokens(folder, f"{side}_vocabulary") for side in ("source", "target")
    )
    if source is None or target is None:
        raise InputError(
            f"{folder} lacks its vocabularies: shared_vocabulary.json, or "
            "source_vocabulary.json and target_vocabulary.json (.txt too)."
        )
    return source, target


def read_tokens(folder: Path, name: str) -> list[str] | None:
    """The tokens of `name.json` or `name.txt`; `None` if there is neither.

    Raises:
        InputError: If it is not what it should be.
    """
    if (path := folder / f"{name}.json").is_file():
        tokens = read_json(path)
        if not isinstance(tokens, list) or not all(isinstance(one, str) for one in tokens):
            raise InputError(f"{path} must hold a list of strings.")
        return tokens
    if (path := folder / f"{name}.txt").is_file():
        try:
            return path.read_text("utf-8").removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8.") from error
    return None


def read_json(path: Path) -> Any:
    """What a file of a converted model holds.

    Raises:
        InputError: If it is missing or no JSON.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no such file. Give the folder that a CTranslate2 converter or `export "
            "--format safetensors` wrote."
        )
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}.") from error
