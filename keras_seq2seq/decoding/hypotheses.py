"""What a search gives."""

from typing import Any, NamedTuple


class Hypotheses(NamedTuple):
    """Generated sequences of a batch, the best first.

    Attributes:
        token_ids: `(batch, hypotheses, max_length)`, int32: the tokens, then the end token
            (absent where the greatest length cut the hypothesis), then padding (0).
        lengths: `(batch, hypotheses)`, int32: tokens before the end token.
        log_probs: `(batch, hypotheses)`, float32: `log P(y | x)`, the end token included;
            below -5e8 where fewer hypotheses exist than were asked for.
        scores: `(batch, hypotheses)`, float32: what the hypotheses are ordered by.
        token_log_probs: `(batch, hypotheses, max_length)`, float32: log probability of every
            token, 0 where padded; their sum is `log_probs`.
        alignments: `(batch, hypotheses, max_length, source_length)`, float32: attention over
            the source when each token was chosen, 0 where padded; `None` where the state did
            not ask for it.
    """

    token_ids: Any
    lengths: Any
    log_probs: Any
    scores: Any
    token_log_probs: Any
    alignments: Any = None


class Snapshot(NamedTuple):
    """A search between two steps.

    Attributes:
        live: The unfinished hypotheses.
        ended: The finished ones so far, the best first; at the end of the loop the result.
    """

    live: Hypotheses
    ended: Hypotheses
