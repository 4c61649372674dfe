"""What other libraries call the settings of generation, to say the right name."""

import dataclasses
import difflib
import functools
from typing import Any

from keras_seq2seq.errors import InputError

# Name elsewhere -> field of `GenerationSettings`.
OTHER_NAMES = {
    "alpha": "length_penalty",
    "attention": "alignments",
    "bad_words_ids": "suppress_ids",
    "beam": "num_beams",
    "beam_size": "num_beams",
    "beam_width": "num_beams",
    "beams": "num_beams",
    "coverage_beta": "coverage_penalty",
    "diversity_rate": "diversity_penalty",
    "diversity_strength": "diversity_penalty",
    "do_sample": "sample",
    "early_stopping": "patience",
    "len_penalty": "length_penalty",
    "lenpen": "length_penalty",
    "logit_bias": "bias_ids",
    "max_decoding_length": "max_length",
    "max_len": "max_length",
    "max_new_tokens": "max_length",
    "max_tokens": "max_length",
    "min_decoding_length": "min_length",
    "min_len": "min_length",
    "min_new_tokens": "min_length",
    "n": "num_hypotheses",
    "n_best": "num_hypotheses",
    "nbest": "num_hypotheses",
    "no_repeat_ngram": "no_repeat_ngram_size",
    "num_return_sequences": "num_hypotheses",
    "output_attentions": "alignments",
    "random_seed": "seed",
    "replace_unk": "replace_unknown",
    "replace_unknowns": "replace_unknown",
    "return_alignment": "alignments",
    "return_attention": "alignments",
    "sampling": "sample",
    "sampling_temperature": "temperature",
    "sampling_topk": "top_k",
    "sampling_topp": "top_p",
    "sequence_bias": "bias",
    "suppress_tokens": "suppress_ids",
    "topk": "top_k",
    "topp": "top_p",
    "width": "num_beams",
}


def refuses_other_names(settings: type) -> type:
    """A decorator of a dataclass of settings: `InputError` for a name that is no field, with
    the one that is meant."""
    helps = {item.name: item.metadata["help"] for item in dataclasses.fields(settings)}
    make: Any = settings.__init__  # type: ignore[misc]

    @functools.wraps(make)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in helps:
                raise InputError(_right_name(name, helps))
        make(self, *args, **kwargs)

    settings.__init__ = checked  # type: ignore[misc]
    return settings


def _right_name(name: str, helps: dict[str, str]) -> str:
    near = OTHER_NAMES.get(name) or next(iter(difflib.get_close_matches(name, helps)), None)
    if near is None:
        return f"There is no setting `{name}`. The settings are: {', '.join(helps)}."
    return f"There is no setting `{name}`; here it is `{near}`. {helps[near]}"
