"""Names that other libraries use are answered with ours."""

import dataclasses

import pytest

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.settings.other_names import OTHER_NAMES


def test_every_other_name_stands_for_a_setting():
    fields = {item.name for item in dataclasses.fields(GenerationSettings)}
    assert set(OTHER_NAMES.values()) <= fields and not set(OTHER_NAMES) & fields


@pytest.mark.parametrize(
    "name, message",
    [
        ("beam_size", "no setting `beam_size`; here it is `num_beams`. 1 is greedy search."),
        ("num_return_sequences", "here it is `num_hypotheses`"),
        ("max_new_tokens", "`max_length`. Target tokens at most, without the end token."),
        ("num_beam", "here it is `num_beams`"),
        ("zzz", "no setting `zzz`. The settings are: num_beams, "),
    ],
)
def test_an_unknown_name_is_answered(text_model, name, message):
    for make in (
        lambda: GenerationSettings(**{name: 4}),
        lambda: dataclasses.replace(GenerationSettings(), **{name: 4}),
        lambda: text_model.generate("ab", **{name: 4}),
        lambda: text_model.stream("ab", **{name: 4}),
        lambda: text_model.search_tree("ab", **{name: 4}),
    ):
        with pytest.raises(InputError, match=message):
            make()


def test_positions_and_names_of_our_own_are_taken():
    assert GenerationSettings(4, num_hypotheses=2).num_beams == 4
    assert GenerationSettings().top_k == 0
