"""Searches against exhaustive enumeration over random step functions."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.decoding import (
    AllowedTargets,
    BeamSearch,
    CoveragePenalty,
    DiverseBeamSearch,
    ForcedPrefix,
    GreedySearch,
    LengthPenalty,
    Sampling,
    Search,
    SearchTree,
    SuppressTokens,
)

START, END = 0, 1


class RandomModel:
    """A recurrent step function with random weights, and the same in NumPy."""

    def __init__(self, vocabulary_size: int, seed: int, batch_size: int = 1):
        rng = np.random.default_rng(seed)
        self.vocabulary_size = vocabulary_size
        self.embeddings = rng.normal(size=(vocabulary_size, 4)).astype("float32")
        self.recurrent = rng.normal(size=(4, 4)).astype("float32")
        self.output = 2 * rng.normal(size=(4, vocabulary_size)).astype("float32")
        self.bias = rng.normal(size=(batch_size, vocabulary_size)).astype("float32")

    def state(self):
        batch_size = len(self.bias)
        return {"hidden": tf.zeros([batch_size, 4]), "bias": tf.constant(self.bias)}

    def step(self, token, state):
        hidden = tf.tanh(tf.gather(self.embeddings, token) + state["hidden"] @ self.recurrent)
        return hidden @ self.output + state["bias"], {"hidden": hidden}

    def log_prob(self, tokens, row=0):
        hidden, total, previous = np.zeros(4), 0.0, START
        for token in tokens:
            hidden = np.tanh(self.embeddings[previous] + hidden @ self.recurrent)
            logits = hidden @ self.output + self.bias[row]
            total += logits[token] - np.log(np.sum(np.exp(logits)))
            previous = token
        return total


class AttendingModel(RandomModel):
    """The same with attention over three source positions, of which the last is padding."""

    MASK = np.array([True, True, False])

    def state(self):
        state = super().state()
        return {**state, "alignment": tf.zeros([len(self.bias), 3])}

    def step(self, token, state):
        logits, changed = super().step(token, state)
        changed["alignment"] = tf.nn.softmax(4 * changed["hidden"][:, :3]) * [1.0, 1.0, 0.0]
        return logits, changed

    def attention(self, tokens):
        """`(tokens, 3)`: the weights when each token was chosen."""
        hidden, rows, previous = np.zeros(4), [], START
        for token in tokens:
            hidden = np.tanh(self.embeddings[previous] + hidden @ self.recurrent)
            weights = np.exp(4 * hidden[:3])
            rows.append(weights / weights.sum() * [1, 1, 0])
            previous = token
        return np.array(rows)


def run(model, strategy, max_length, rules=(), limits=None):
    return Search(
        model.step,
        model.state(),
        strategy,
        max_length=max_length,
        start_id=START,
        rules=rules,
        limits=limits,
    ).decode()


def all_hypotheses(model, max_length, alpha, row=0):
    """Every sequence that ends, or is cut at `max_length`: `(score, tokens)`, best first."""
    going_on = [token for token in range(model.vocabulary_size) if token != END]
    ended = [
        (*prefix, END)
        for length in range(max_length)
        for prefix in itertools.product(going_on, repeat=length)
    ]
    cut = list(itertools.product(going_on, repeat=max_length))
    scored = [(model.log_prob(y, row) / len(y) ** alpha, y) for y in ended + cut]
    return sorted(scored, reverse=True)


def tokens_of(row):
    """The tokens of a padded row of ids; id 0 is both padding and a token here."""
    return [int(token) for token in row]


@settings(deadline=None, max_examples=40)
@given(
    vocabulary_size=st.integers(2, 4),
    max_length=st.integers(1, 3),
    alpha=st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    patience=st.sampled_from([1.0, math.inf]),
    seed=st.integers(0, 10_000),
)
def test_a_beam_as_large_as_the_space_is_exhaustive(
    vocabulary_size, max_length, alpha, patience, seed
):
    model = RandomModel(vocabulary_size, seed)
    expected = all_hypotheses(model, max_length, alpha)
    strategy = BeamSearch(
        len(expected), END, length_rule=LengthPenalty(alpha), patience=patience
    )
    result = run(model, strategy, max_length)
    np.testing.assert_allclose(result.scores[0], [score for score, _ in expected], atol=1e-5)
    for ids, length, (_, tokens) in zip(
        result.token_ids[0].numpy(), result.lengths[0].numpy(), expected, strict=True
    ):
        padded = [*tokens, *[0] * (max_length - len(tokens))]
        assert tokens_of(ids) == padded
        assert length == len([token for token in tokens if token != END])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), alpha=st.sampled_from([0.0, 1.0]))
def test_a_beam_of_one_is_greedy(seed, alpha):
    model = RandomModel(6, seed, batch_size=3)
    greedy = run(model, GreedySearch(END), 8)
    beam = run(model, BeamSearch(1, END, length_rule=LengthPenalty(alpha)), 8)
    np.testing.assert_array_equal(greedy.token_ids, beam.token_ids)
    np.testing.assert_array_equal(greedy.lengths, beam.lengths)
    np.testing.assert_allclose(greedy.log_probs, beam.log_probs, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    num_beams=st.integers(1, 5),
    alpha=st.sampled_from([0.0, 0.7]),
)
def test_a_log_prob_is_that_of_its_tokens(seed, num_beams, alpha):
    model = RandomModel(5, seed, batch_size=2)
    result = run(model, BeamSearch(num_beams, END, length_rule=LengthPenalty(alpha)), 6)
    for row in range(2):
        for ids, length, log_prob, score, parts in zip(
            *(tensor[row].numpy() for tensor in result[:5]), strict=True
        ):
            ended = length < 6
            tokens = tokens_of(ids[: length + ended])
            assert not ended or tokens[-1] == END
            assert log_prob == pytest.approx(model.log_prob(tokens, row), abs=1e-4)
            assert parts.sum() == pytest.approx(log_prob, abs=1e-4)
            assert score == pytest.approx(log_prob / len(tokens) ** alpha, abs=1e-4)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), num_beams=st.integers(2, 4))
def test_a_batch_gives_what_its_rows_give_alone(seed, num_beams):
    batch = RandomModel(5, seed, batch_size=3)
    together = run(batch, BeamSearch(num_beams, END), 7)
    for row in range(3):
        alone = RandomModel(5, seed, batch_size=3)
        alone.bias = alone.bias[row : row + 1]
        single = run(alone, BeamSearch(num_beams, END), 7)
        np.testing.assert_array_equal(single.token_ids[0], together.token_ids[row])
        np.testing.assert_allclose(single.scores[0], together.scores[row], atol=1e-5)


def chain(probabilities):
    """A model of first-order transitions: `probabilities[previous][next]`."""
    log_probs = tf.math.log(tf.constant(probabilities, tf.float32))

    class Chain:
        def state(self):
            return {"time": tf.zeros([1, 1])}

        def step(self, token, state):
            return tf.gather(log_probs, token), {"time": state["time"] + 1}

    return Chain()


def test_a_finished_hypothesis_keeps_its_score():
    # P(end) = 0.60 at once; the runner-up "a end" has 0.36; after the end all is uniform.
    # A search that goes on after the end would take 0.60 down to 0.60 / 3 and less.
    third = [1 / 3] * 3
    model = chain([[1e-9, 0.60, 0.40], third, [0.05, 0.90, 0.05]])
    result = run(model, BeamSearch(2, END), 6)
    np.testing.assert_allclose(np.exp(result.log_probs[0]), [0.60, 0.36], rtol=1e-4)
    assert tokens_of(result.token_ids[0, 0]) == [END, 0, 0, 0, 0, 0]
    assert tokens_of(result.token_ids[0, 1]) == [2, END, 0, 0, 0, 0]


def test_the_length_penalty_turns_the_order():
    model = chain([[1e-9, 0.60, 0.40], [1 / 3] * 3, [0.02, 0.96, 0.02]])
    by_mean = run(model, BeamSearch(2, END, length_rule=LengthPenalty(1.0)), 6)
    # ln 0.60 / 1 = -0.511; ln(0.40 * 0.96) / 2 = -0.479.
    np.testing.assert_allclose(by_mean.scores[0], [-0.4786, -0.5108], atol=1e-3)
    np.testing.assert_allclose(np.exp(by_mean.log_probs[0]), [0.384, 0.60], rtol=1e-3)


@settings(deadline=None, max_examples=25)
@given(
    max_length=st.integers(1, 3),
    alpha=st.sampled_from([0.0, 0.7]),
    beta=st.sampled_from([0.2, 3.0]),
    seed=st.integers(0, 10_000),
)
def test_with_a_coverage_penalty_it_is_exhaustive_too(max_length, alpha, beta, seed):
    model = AttendingModel(3, seed)

    def score(tokens):
        attention = np.clip(model.attention(tokens).sum(0)[model.MASK], 1e-6, 1)
        ranked = model.log_prob(tokens) / len(tokens) ** alpha
        return ranked + beta * np.log(attention).sum()

    every = [tokens for _, tokens in all_hypotheses(model, max_length, 0)]
    expected = sorted(((score(tokens), tokens) for tokens in every), reverse=True)
    strategy = BeamSearch(
        len(every),
        END,
        length_rule=LengthPenalty(alpha),
        patience=math.inf,
        coverage=CoveragePenalty(beta, model.MASK[None]),
    )
    result = run(model, strategy, max_length)
    np.testing.assert_allclose(result.scores[0], [s for s, _ in expected], atol=1e-4)
    for rank, (_, tokens) in enumerate(expected):
        weights = result.alignments[0, rank].numpy()
        np.testing.assert_allclose(weights[: len(tokens)], model.attention(tokens), atol=1e-4)
        assert not weights[len(tokens) :].any()


@pytest.mark.parametrize("penalty", [0.0, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_diverse_beams_of_one_group_are_a_beam(seed, penalty):
    model = AttendingModel(6, seed, batch_size=2)
    beam = run(model, BeamSearch(4, END, 3, LengthPenalty(0.6)), 7)
    diverse = run(model, DiverseBeamSearch(4, 1, penalty, END, 3, LengthPenalty(0.6)), 7)
    for expected, received in zip(beam, diverse, strict=True):
        np.testing.assert_array_equal(received, expected)


def diverse_reference(model, row, size, num_groups, penalty, max_length):
    """Diverse beam search in plain Python; a group that cannot improve counts no more."""
    live = [[((), 0.0)] for _ in range(num_groups)]
    pools = [[] for _ in range(num_groups)]
    for time in range(max_length):
        counts = np.zeros(model.vocabulary_size)
        for group in range(num_groups):
            full = sorted(pools[group], reverse=True)[size - 1 : size]
            if full and (not live[group] or live[group][0][1] <= full[0][0]):
                continue
            candidates = sorted(
                (
                    (model.log_prob((*past, token), row), (*past, token))
                    for past, _ in live[group]
                    for token in range(model.vocabulary_size)
                ),
                key=lambda c: penalty * counts[c[1][-1]] - c[0],
            )[: 2 * size]
            chosen = counts.copy()
            for log_prob, tokens in candidates[:size]:
                if tokens[-1] == END or time + 1 == max_length:
                    pools[group].append((log_prob, tokens))
                    chosen[END] += tokens[-1] == END
            live[group] = [(y, p) for p, y in candidates if y[-1] != END][:size]
            live[group].sort(key=lambda hypothesis: -hypothesis[1])
            for tokens, _ in live[group]:
                chosen[tokens[-1]] += 1
            counts = chosen
    best = [sorted(pool, reverse=True)[:size] for pool in pools]
    return sorted((item for pool in best for item in pool), reverse=True)


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 2),
    num_groups=st.integers(2, 3),
    penalty=st.sampled_from([0.0, 0.5, 2.0]),
)
def test_diverse_beams_are_those_of_plain_python(seed, size, num_groups, penalty):
    model = RandomModel(6, seed, batch_size=2)
    strategy = DiverseBeamSearch(size * num_groups, num_groups, penalty, END, patience=math.inf)
    result = run(model, strategy, 4)
    for row in range(2):
        expected = diverse_reference(model, row, size, num_groups, penalty, 4)
        np.testing.assert_allclose(
            result.scores[row, : len(expected)], [s for s, _ in expected], atol=1e-4
        )


def test_greater_diversity_gives_more_different_first_tokens():
    model = RandomModel(8, 5)

    def first_tokens(penalty):
        result = run(model, DiverseBeamSearch(4, 4, penalty, END), 5)
        return len(set(result.token_ids[0, :, 0].numpy().tolist()))

    assert first_tokens(0.0) == 1
    assert first_tokens(50.0) == 4


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 10_000),
    targets=st.sets(st.lists(st.integers(2, 4), max_size=3).map(tuple), min_size=1, max_size=9),
)
def test_constrained_search_is_the_enumeration_of_the_allowed_targets(seed, targets):
    model = RandomModel(5, seed)
    ended = [(*target, END) for target in targets]
    table = np.zeros((len(ended), 4), "int32")
    for row, target in zip(table, ended, strict=True):
        row[: len(target)] = target
    expected = sorted(((model.log_prob(y), y) for y in ended), reverse=True)
    result = run(
        model, BeamSearch(12, END, patience=math.inf), 4, rules=[AllowedTargets(table)]
    )
    exists = result.log_probs[0].numpy() > -5e8
    assert exists.sum() == len(expected)
    np.testing.assert_allclose(
        result.log_probs[0].numpy()[exists], [p for p, _ in expected], atol=1e-4
    )
    for ids, (_, tokens) in zip(result.token_ids[0].numpy(), expected, strict=False):
        assert tokens_of(ids[: len(tokens)]) == list(tokens)
    for strategy in (GreedySearch(END), BeamSearch(2, END), Sampling(5, END)):
        for ids, length in zip(
            *(t[0].numpy() for t in run(model, strategy, 4, [AllowedTargets(table)])[:2]),
            strict=True,
        ):
            if length or ids[0] == END:
                assert tuple(tokens_of(ids[: length + 1])) in ended


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), prefix=st.lists(st.integers(2, 3), max_size=3))
def test_with_a_prefix_it_is_the_enumeration_of_what_begins_with_it(seed, prefix):
    model = RandomModel(4, seed)
    expected = [
        (score, tokens)
        for score, tokens in all_hypotheses(model, 3, 0)
        if list(tokens[: len(prefix)]) == prefix
    ]
    rule = ForcedPrefix(
        tf.reshape(tf.constant(prefix, tf.int32), [1, -1]), tf.constant([len(prefix)])
    )
    result = run(model, BeamSearch(60, END, patience=math.inf), 3, rules=[rule])
    exists = result.log_probs[0].numpy() > -5e8
    np.testing.assert_allclose(
        result.log_probs[0].numpy()[exists], [p for p, _ in expected], atol=1e-4
    )
    assert (result.token_ids[0].numpy()[exists][:, : len(prefix)] == prefix).all()


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    limits=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    strategy=st.sampled_from(
        [GreedySearch(END), BeamSearch(3, END), DiverseBeamSearch(4, 2, 0.5, END)]
    ),
)
def test_a_limit_of_a_row_is_a_search_of_that_length(seed, limits, strategy):
    model = RandomModel(5, seed, batch_size=3)
    together = run(model, strategy, 6, limits=tf.constant(limits))
    for row, limit in enumerate(limits):
        alone = run(model, strategy, limit)
        np.testing.assert_array_equal(together.token_ids[row, :, :limit], alone.token_ids[row])
        assert not together.token_ids[row, :, limit:].numpy().any()
        np.testing.assert_allclose(together.scores[row], alone.scores[row], atol=1e-5)


@pytest.mark.parametrize(
    "strategy", [GreedySearch(END), BeamSearch(3, END), DiverseBeamSearch(4, 2, 0.5, END)]
)
def test_alignments_and_token_log_probs_are_those_of_the_tokens(strategy):
    model = AttendingModel(5, 3)
    result = run(model, strategy, 6)
    for ids, length, parts, weights in zip(
        *(result[i][0].numpy() for i in (0, 1, 4, 5)), strict=True
    ):
        tokens = tokens_of(ids[: length + (length < 6)])
        steps = [model.log_prob(tokens[: t + 1]) for t in range(len(tokens))]
        np.testing.assert_allclose(parts[: len(tokens)], np.diff([0, *steps]), atol=1e-4)
        np.testing.assert_allclose(weights[: len(tokens)], model.attention(tokens), atol=1e-4)
        assert not parts[len(tokens) :].any() and not weights[len(tokens) :].any()


def test_a_search_tree_holds_the_results_and_their_beginnings():
    model = RandomModel(5, 2)
    arguments = {"max_length": 5, "start_id": START}
    beam = BeamSearch(3, END)
    tree = SearchTree.of(Search(model.step, model.state(), beam, **arguments).stream(), END)
    result = run(model, beam, 5)
    ranked = sorted((node.rank, index) for index, node in enumerate(tree.nodes) if node.score)
    assert [rank for rank, _ in ranked] == [0, 1, 2]
    for rank, index in ranked:
        tokens = [tree.nodes[i].token_id for i in tree.path(index)]
        assert tokens == tokens_of(result.token_ids[0, rank, : len(tokens)])
        assert tree.nodes[index].score == pytest.approx(float(result.scores[0, rank]))
        for depth, i in enumerate(tree.path(index), 1):
            log_prob = model.log_prob(tokens[:depth])
            assert tree.nodes[i].log_prob == pytest.approx(log_prob, abs=1e-4)
    assert len(tree.nodes) >= 10
    assert all(tree.nodes[node.parent].depth == node.depth - 1 for node in tree.nodes[1:])


def test_the_loop_stops_when_every_row_is_done():
    steps = []

    class Counting(RandomModel):
        def step(self, token, state):
            tf.py_function(lambda: steps.append(1), [], [])
            logits, changed = super().step(token, state)
            return logits + 50 * tf.one_hot(END, self.vocabulary_size), changed

    run(Counting(4, 0), GreedySearch(END), 100)
    assert len(steps) == 1
    steps.clear()
    run(Counting(4, 0), BeamSearch(2, END), 100)
    assert len(steps) <= 3


def test_suppressed_tokens_never_come_out_and_others_keep_their_probability():
    model = RandomModel(5, 7)
    result = run(model, BeamSearch(4, END), 5, rules=[SuppressTokens([2, 3])])
    assert not np.isin(result.token_ids, [2, 3]).any()
    length = int(result.lengths[0, 0])
    tokens = tokens_of(result.token_ids[0, 0, : length + (length < 5)])
    assert float(result.log_probs[0, 0]) == pytest.approx(model.log_prob(tokens), abs=1e-4)


def test_fewer_hypotheses_than_beams_are_marked_impossible():
    result = run(RandomModel(2, 0), BeamSearch(4, END), 1)
    assert np.all(result.log_probs[0, :2] > -100)
    assert np.all(result.log_probs[0, 2:] < -5e8)


def test_one_trace_serves_every_batch_size():
    model = RandomModel(5, 0)
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None, 5])], autograph=False)
    def function(bias):
        traces.append(1)
        state = {"hidden": tf.zeros([tf.shape(bias)[0], 4]), "bias": bias}
        return Search(
            model.step, state, BeamSearch(3, END), max_length=4, start_id=START
        ).decode()

    for batch_size in (1, 2, 5):
        assert function(tf.zeros([batch_size, 5])).token_ids.shape == (batch_size, 3, 4)
    assert len(traces) == 1


def test_a_step_that_makes_up_state_is_refused():
    model = RandomModel(3, 0)
    model.step = lambda token, state: (tf.zeros([1, 3]), {"other": token})
    with pytest.raises(ValueError, match="may change only entries of its state.*other"):
        run(model, GreedySearch(END), 2)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"num_beams": 0}, "`num_beams` must be at least 1"),
        ({"num_beams": 2, "num_hypotheses": 3}, "from 1 to `num_beams`"),
        ({"num_beams": 2, "patience": 0.0}, "`patience` must be above 0"),
    ],
)
def test_bad_beam_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BeamSearch(end_id=END, **settings)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"num_groups": 3}, "`num_groups` must divide `num_beams`. Received: num_groups=3"),
        ({"diversity_penalty": -1.0}, "`diversity_penalty` must be at least 0"),
        ({"num_hypotheses": 5}, "from 1 to `num_beams`"),
    ],
)
def test_bad_diverse_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DiverseBeamSearch(
            **{"num_beams": 4, "num_groups": 2, "diversity_penalty": 0.5, "end_id": END}
            | settings
        )


def test_a_step_that_does_not_show_its_attention_is_refused():
    model = RandomModel(3, 0)
    state = {**model.state(), "alignment": tf.zeros([1, 2])}
    with pytest.raises(ValueError, match="asks for the attention, but the step returns no"):
        Search(model.step, state, GreedySearch(END), max_length=2, start_id=START).decode()


def test_a_negative_length_penalty_is_refused():
    with pytest.raises(ValueError, match="`alpha` must be at least 0. Received: alpha=-1"):
        LengthPenalty(-1)
