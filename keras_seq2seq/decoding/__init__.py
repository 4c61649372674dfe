"""Generation from any model that can say `step(token, state) -> logits, changed state`.

One loop (`Search`), strategies that choose tokens (`GreedySearch`, `BeamSearch`,
`DiverseBeamSearch`, `Sampling`), rules that reshape log probabilities, filters for sampling,
and `score_tokens` for given targets. All of it runs inside a `tf.function`: the same code
serves Keras, SavedModel and TFLite.
"""

from keras_seq2seq.decoding.beam import BeamSearch
from keras_seq2seq.decoding.build import build_filters, build_rules, build_strategy
from keras_seq2seq.decoding.coverage import CoveragePenalty
from keras_seq2seq.decoding.ctc import JointCTC
from keras_seq2seq.decoding.diverse import DiverseBeamSearch
from keras_seq2seq.decoding.entries import stage_lengths
from keras_seq2seq.decoding.filters import Filter, MinP, Temperature, TopK, TopP
from keras_seq2seq.decoding.hypotheses import Hypotheses, Snapshot
from keras_seq2seq.decoding.independent import GreedySearch, Sampling
from keras_seq2seq.decoding.length import (
    GNMTLengthPenalty,
    LengthPenalty,
    LengthRule,
    WordReward,
)
from keras_seq2seq.decoding.loop import (
    ALIGNMENT,
    LINEAGE,
    Search,
    Strategy,
)
from keras_seq2seq.decoding.pieces import decode_by_pieces, num_threads
from keras_seq2seq.decoding.prompt import Prompt, SuppressAt
from keras_seq2seq.decoding.rules import (
    AllowedTargets,
    ForcedPrefix,
    MaxLength,
    MinLength,
    NoRepeatNGram,
    RepetitionPenalty,
    Rule,
    SuppressTokens,
    TokenBias,
    suppression,
    token_biases,
)
from keras_seq2seq.decoding.score import score_tokens
from keras_seq2seq.decoding.shortlist import Listed, listed_tokens
from keras_seq2seq.decoding.times import MarkTimes
from keras_seq2seq.decoding.tree import Node, SearchTree
from keras_seq2seq.decoding.values import Values, structure_of, value_specs

__all__ = [
    "ALIGNMENT",
    "LINEAGE",
    "AllowedTargets",
    "BeamSearch",
    "CoveragePenalty",
    "DiverseBeamSearch",
    "Filter",
    "ForcedPrefix",
    "GNMTLengthPenalty",
    "GreedySearch",
    "Hypotheses",
    "JointCTC",
    "LengthPenalty",
    "LengthRule",
    "Listed",
    "MarkTimes",
    "MaxLength",
    "MinLength",
    "MinP",
    "NoRepeatNGram",
    "Node",
    "Prompt",
    "RepetitionPenalty",
    "Rule",
    "Sampling",
    "Search",
    "SearchTree",
    "Snapshot",
    "Strategy",
    "SuppressAt",
    "SuppressTokens",
    "Temperature",
    "TokenBias",
    "TopK",
    "TopP",
    "Values",
    "WordReward",
    "build_filters",
    "build_rules",
    "build_strategy",
    "decode_by_pieces",
    "listed_tokens",
    "num_threads",
    "score_tokens",
    "stage_lengths",
    "structure_of",
    "suppression",
    "token_biases",
    "value_specs",
]
