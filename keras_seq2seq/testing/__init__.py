"""The contracts of encoders, decoders, attentions, rules and searches, for parts of your own.

Each check tries a part by itself and in a small model, in a few seconds, and raises
`ContractError`, an `AssertionError`, that says what differs, by how much, where, and the likely
cause. What an export needs is checked by `check_exports`, beside the exporters.
"""

from keras_seq2seq.testing.comparison import ContractError
from keras_seq2seq.testing.models import check_model
from keras_seq2seq.testing.parts import check_attention, check_decoder, check_encoder
from keras_seq2seq.testing.searches import check_rule, check_search

__all__ = [
    "ContractError",
    "check_attention",
    "check_decoder",
    "check_encoder",
    "check_model",
    "check_rule",
    "check_search",
]
