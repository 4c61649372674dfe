"""A search among the tokens that a file names for the source, in the place of all."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.shortlist import Shortlist, read_shortlist
from keras_seq2seq.decoding import Listed, Values, listed_tokens, suppression
from keras_seq2seq.errors import InputError
from keras_seq2seq.models.model_settings import ModelSettings
from keras_seq2seq.models.parts import ENCODER_TOKEN_IDS, State
from keras_seq2seq.settings import GenerationSettings, option_name
from keras_seq2seq.special_tokens import PAD_ID, SPECIAL_TOKENS

# Values that are vectors over the vocabulary.
_VECTORS = ("suppressed", "token_biases")


class Shortlisting(ModelSettings):
    """Adds what `GenerationSettings.shortlist` asks for.

    The special tokens are in every list. They are the first of the vocabulary, so their places
    are their ids.
    """

    # Where the model `can_list`: entries to add to a state, so that a step gives the logits of
    # these tokens alone.
    listed: Callable[[Listed], State]

    @property
    def can_list(self) -> bool:
        """Whether a step can give the logits of chosen tokens alone."""
        return False

    def values(self, settings: GenerationSettings) -> dict[str, Any]:
        values = super().values(settings)
        if settings.shortlist is not None:
            values["shortlist"] = self._shortlist(settings).table
            values["always_listed"] = self._always_listed(settings)
        return values

    def check_settings(self, settings: GenerationSettings) -> int:
        max_length = super().check_settings(settings)
        if settings.shortlist is None:
            return max_length
        name = option_name("shortlist")
        if self.preprocessor.kind != "text":
            raise InputError(
                f"{name} is for sources of text, and those of this model are "
                f"{self.preprocessor.kind}. Leave it out."
            )
        if not self.can_list:
            raise InputError(
                f"{name} needs a decoder that gives the logits of chosen tokens alone. That of "
                "this model copies source tokens, or is not of this package. Leave it out."
            )
        if settings.ctc_weight:
            raise InputError(
                f"{name} and {option_name('ctc_weight')} exclude each other: CTC reads the "
                "whole vocabulary. Leave one of them out."
            )
        self._shortlist(settings)
        return max_length

    def _shortlist(self, settings: GenerationSettings) -> Shortlist:
        return read_shortlist(Path(settings.shortlist or ""), self.preprocessor)

    def _always_listed(self, settings: GenerationSettings) -> np.ndarray:
        """Ids that are in the list of every source: those that a setting names, too."""
        named: list[Sequence[int]] = [range(len(SPECIAL_TOKENS)), [*self._biases(settings)]]
        named += getattr(self._target, "begin_choices", [])
        allowed = self._allowed(settings, self._max_length(settings))
        if allowed is not None:
            named.append(np.ravel(allowed).tolist())
        always = self._shortlist(settings).common
        return np.union1d(always, [one for ids in named for one in ids]).astype(np.int32)

    def _listed(
        self,
        inputs: dict[str, Any],
        settings: GenerationSettings,
        values: Values | None,
        *,
        prefix_ids: tf.RaggedTensor | None = None,
        fixed_shapes: bool = False,
        few_sizes: bool = False,
    ) -> Listed:
        """The tokens among which a batch chooses. With `fixed_shapes` the batch has a size,
        and the list that of the file for it; `few_sizes` as of `listed_tokens`."""
        values = {**self.values(settings), **(values or {})}
        source_ids = inputs[ENCODER_TOKEN_IDS]
        size = None
        if fixed_shapes:
            least = len(values["always_listed"])
            most = self.decoder.vocabulary_size
            size = min(max(least, self._shortlist(settings).size_of(source_ids.shape[0])), most)
        return listed_tokens(
            source_ids,
            tf.convert_to_tensor(values["shortlist"], tf.int32),
            tf.convert_to_tensor(values["always_listed"], tf.int32),
            self.decoder.vocabulary_size,
            others=None if prefix_ids is None else prefix_ids.to_tensor(PAD_ID),
            size=size,
            few_sizes=few_sizes,
        )

    def _in_places(self, values: dict[str, Any], listed: Listed) -> dict[str, Any]:
        """The values with places in the list for ids."""
        changed = {name: listed.entries(values[name]) for name in _VECTORS if name in values}
        size = self.decoder.vocabulary_size
        if "allowed" in values:
            changed["allowed"] = listed.places(values["allowed"], size)
        return {**values, **changed}

    def _beginning_in_places(
        self, choices: Sequence[Any], first: Any, prefix_ids: Any, listed: Listed
    ) -> tuple[Sequence[Any], Any, Any]:
        """The arguments with places in the list for ids; of `first` the vector."""
        size = self.decoder.vocabulary_size
        choices = [listed.places(choice, size) for choice in choices]
        if first:
            first = listed.entries(suppression(first, size))
        if prefix_ids is not None:
            prefix_ids = prefix_ids.with_values(listed.places(prefix_ids.values, size))
        return choices, first, prefix_ids
