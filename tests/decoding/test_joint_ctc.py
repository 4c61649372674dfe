"""Joint CTC/attention decoding against every path and every target, one by one."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.decoding import BeamSearch, GreedySearch, JointCTC, Search, SuppressTokens

BLANK, START, END = 0, 1, 2
VOCABULARY = 5  # Tokens 3 and 4 can be said.
POSITIONS = 4


def logits_of(seed, positions=POSITIONS, rows=1):
    return (
        np.random.default_rng(seed)
        .normal(0, 1.5, (rows, positions, VOCABULARY))
        .astype("float32")
    )


def said_by_path(path):
    """Runs of one label become one label; blanks are left out."""
    return tuple(label for label, _ in itertools.groupby(path) if label != BLANK)


def every_probability(logits):
    """Probability of every label sequence of one source, path by path."""
    probabilities = np.exp(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))
    total: dict = {}
    for path in itertools.product(range(VOCABULARY), repeat=len(logits)):
        share = np.prod([probabilities[t, label] for t, label in enumerate(path)])
        total[said_by_path(path)] = total.get(said_by_path(path), 0.0) + share
    return total


def silent_step(token, state):
    """A decoder for which every token is as probable."""
    return tf.zeros([tf.shape(token)[0], VOCABULARY]), {}


def step_through(joint, logits, tokens, mask=None, step=silent_step):
    """The scores of every step along the tokens, `(steps, rows, V)`."""
    mask = np.ones(logits.shape[:2], bool) if mask is None else mask
    state = joint.start(tf.constant(logits), tf.constant(mask))
    scores, take = [], joint.joined(step)
    for token in (START, *tokens):
        score, changed = take(tf.fill([len(logits)], token), state)
        state |= changed
        scores.append(score.numpy())
    return np.array(scores)


@pytest.mark.parametrize("prefix", [(), (3,), (3, 4), (3, 3), (4, 3, 4), (3, 3, 4)])
def test_every_next_token_has_the_probability_of_all_paths(prefix):
    logits = logits_of(1)
    total = every_probability(logits[0])
    joint = JointCTC(1.0, END, START, POSITIONS)
    received = np.exp(step_through(joint, logits, prefix)[-1, 0])

    def begins(start):
        return sum(share for said, share in total.items() if said[: len(start)] == start)

    # What CTC says of the end token's own label belongs to no target.
    beyond = begins((*prefix, END))
    whole = begins(prefix) - beyond
    for token in (3, 4):
        assert received[token] == pytest.approx(begins((*prefix, token)) / whole, abs=1e-5)
    assert received[END] == pytest.approx(total.get(prefix, 0.0) / whole, abs=1e-5)
    assert received[BLANK] == 0
    assert received.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("positions", [1, 2, 3, 7, 30])
def test_a_target_has_the_probability_of_tensorflows_ctc_loss(positions):
    logits = logits_of(2, positions, rows=3)
    # Nothing for the tokens that no target has, so that no share is lost to them.
    logits[:, :, [START, END]] = -1e4
    target = [3, 4, 4, 3][: max(1, positions // 2)]
    scores = step_through(JointCTC(1.0, END, START, positions), logits, target)
    received = sum(scores[i, :, token] for i, token in enumerate([*target, END]))
    expected = -tf.nn.ctc_loss(
        np.tile(target, (3, 1)).astype("int32"),
        logits,
        [len(target)] * 3,
        [positions] * 3,
        logits_time_major=False,
        blank_index=BLANK,
    )
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)


def test_what_lies_behind_a_source_does_not_matter():
    logits = logits_of(3, 5)
    joint = JointCTC(1.0, END, START, 8)
    alone = step_through(joint, logits, (3, 4, 4))
    padded = np.concatenate([logits, logits_of(4, 3)], axis=1)
    mask = np.arange(8)[None] < 5
    np.testing.assert_allclose(
        np.exp(step_through(joint, padded, (3, 4, 4), mask)), np.exp(alone), atol=1e-5
    )


def test_impossible_prefixes_stay_numbers():
    logits = logits_of(5, 2)
    scores = step_through(JointCTC(0.5, END, START, 2), logits, (3, 4, 3, 4, 4))
    assert np.isfinite(scores).all()


def biased_step(token, state):
    """A decoder with a mind of its own, that depends on the last token."""
    table = tf.constant(np.random.default_rng(9).normal(0, 1, (VOCABULARY, VOCABULARY)))
    return tf.gather(tf.cast(table, tf.float32), token), {}


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_wide_beam_finds_the_best_of_all_targets(weight):
    logits, longest = logits_of(6, 3), 3
    joint = JointCTC(weight, END, START, 3)
    best, best_score = None, -np.inf
    for length in range(longest + 1):
        for target in itertools.product((3, 4), repeat=length):
            scores = step_through(joint, logits, target, step=biased_step)
            score = sum(scores[i, 0, token] for i, token in enumerate([*target, END]))
            if score > best_score:
                best, best_score = target, score
    state = joint.start(tf.constant(logits), tf.ones((1, 3), tf.bool))
    hypotheses = Search(
        joint.joined(biased_step),
        state,
        BeamSearch(5, END, patience=10.0),
        max_length=longest + 1,
        start_id=START,
        rules=[SuppressTokens([BLANK, START])],
        from_logits=False,
    ).decode()
    found = hypotheses.token_ids[0, 0].numpy()
    assert tuple(found[: int(hypotheses.lengths[0, 0])]) == best
    assert float(hypotheses.log_probs[0, 0]) == pytest.approx(best_score, abs=1e-4)


def test_without_ctc_the_scores_are_the_decoders():
    state = {"x": tf.zeros((2, 1))}
    joint = JointCTC(0.0, END, START, POSITIONS)
    arguments = {"max_length": 6, "start_id": START}
    expected = Search(biased_step, state, GreedySearch(END), **arguments).decode()
    entries = joint.start(tf.constant(logits_of(7, rows=2)), tf.ones((2, POSITIONS), tf.bool))
    received = Search(
        joint.joined(biased_step),
        state | entries,
        GreedySearch(END),
        from_logits=False,
        **arguments,
    ).decode()
    np.testing.assert_array_equal(received.token_ids, expected.token_ids)
    np.testing.assert_allclose(received.log_probs, expected.log_probs, atol=1e-5)
