"""Generation from any model that can say `step(token, state) -> logits, changed state`.

One loop (`decode`), strategies that choose tokens (`GreedySearch`, `BeamSearch`), rules that
reshape log probabilities, and `score_tokens` for given targets. All of it runs inside a
`tf.function`, so the same code serves Keras, SavedModel and TFLite.
"""

from keras_seq2seq.decoding.beam import BeamSearch
from keras_seq2seq.decoding.greedy import GreedySearch
from keras_seq2seq.decoding.length import LengthPenalty
from keras_seq2seq.decoding.loop import Hypotheses, Strategy, decode
from keras_seq2seq.decoding.rules import Rule, SuppressTokens
from keras_seq2seq.decoding.score import score_tokens

__all__ = [
    "BeamSearch",
    "GreedySearch",
    "Hypotheses",
    "LengthPenalty",
    "Rule",
    "Strategy",
    "SuppressTokens",
    "decode",
    "score_tokens",
]
