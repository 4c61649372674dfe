"""The contract of a whole model: two views of the same layers that agree."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.decoding import BeamSearch
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.models.parts import ALIGNMENT, DECODER_TOKEN_IDS, TOKEN
from keras_seq2seq.models.seq2seq import why_not_loaded
from keras_seq2seq.special_tokens import PAD_ID
from keras_seq2seq.testing.comparison import (
    ContractError,
    array_of,
    require,
    require_equal,
    require_finite,
)
from keras_seq2seq.testing.samples import (
    Inputs,
    Targets,
    padding_alone,
    row_alone,
    sample_sources,
    sample_targets,
    with_padding,
)

LOGITS_AXES = ("row", "position", "token")
# Sums of products have 11 or 8 bits.
TOLERANCES = {"mixed_float16": 0.02, "mixed_bfloat16": 0.1}
MIXES_POSITIONS = (
    "Usually something mixes positions without the mask: a convolution with "
    'padding="same", a mean or a normalization over all positions, a recurrent layer '
    "without `mask=`."
)


def check_model(
    model: Seq2Seq,
    inputs: Inputs | None = None,
    *,
    precisions: Sequence[str] = ("mixed_bfloat16",),
    atol: float = 1e-5,
) -> None:
    """Checks everything that generation and export rely on.

    Step by step is the whole sequence, with caches of fixed size and with growing ones;
    beams of a source may read one memory; a later token changes no earlier logit; padding
    changes nothing; a row of a batch is the row alone; a source of padding alone gives finite
    numbers; every weight learns and a gradient step lowers the loss; the saved model is the
    model; in mixed precision it steps and learns too; a beam search scores its hypotheses as
    teacher forcing does.

    Args:
        model: `Seq2Seq`, of any weights; it has the same afterwards.
        inputs: Encoder inputs of at least two sources, the second one shorter. By default made
            at random.
        precisions: Policies of mixed precision to try, of `"mixed_float16"` and
            `"mixed_bfloat16"`.
        atol: float. Largest difference in float32. Defaults to 1e-5.

    Raises:
        ContractError: An `AssertionError` that says what differs, by how much, where, and the
            likely cause.
        InputError: If no sources can be made up.
    """
    if not isinstance(model, Seq2Seq):
        raise InputError(f"`model` must be a Seq2Seq. Received: {model!r:.60}.")
    inputs = inputs or sample_sources(model.encoder)
    targets = sample_targets(model.decoder)
    logits = whole_logits(model, inputs, targets.token_ids)
    _check_views(model, inputs, targets, logits, atol)
    _check_one_memory(model, inputs, targets, atol)
    check_sources(model, inputs, targets, logits, atol)
    check_learns(model, inputs, targets, logits)
    check_saved(model, inputs, targets, logits)
    for precision in precisions:
        check_precision(model, inputs, targets, precision)
    _check_search(model, inputs, targets)


def whole_logits(model: Seq2Seq, inputs: Inputs, token_ids: np.ndarray) -> np.ndarray:
    """Logits of the whole-sequence view."""
    return array_of(model({**inputs, DECODER_TOKEN_IDS: token_ids}, training=False))


def step_logits(
    model: Seq2Seq, inputs: Inputs, token_ids: np.ndarray, growing: bool = False
) -> np.ndarray:
    """Logits of the one-step view; with `growing` its caches begin empty."""
    state = model.encode(inputs)
    if growing:
        nothing = np.array([], "int32")
        state |= {
            name: keras.ops.take(state[name], nothing, axis=axis)
            for name, axis in model.position_entries.items()
        }
    logits = []
    for token in token_ids.T:
        now, changed = model.step(token, state)
        require(
            set(changed) <= set(state),
            "A step returns entries that the initial state lacks: "
            f"{sorted(set(changed) - set(state))}. Put them into `initial_state`, with the "
            "values they have before the first token.",
        )
        for name, tensor in changed.items():
            require(
                tensor.dtype == state[name].dtype,
                f"A step changes the dtype of the entry {name!r} from {state[name].dtype} to "
                f"{tensor.dtype}. A loop needs one dtype: cast it back.",
            )
        state = {**state, **changed}
        logits.append(array_of(now))
    return np.stack(logits, 1)


def _check_views(
    model: Seq2Seq, inputs: Inputs, targets: Targets, logits: np.ndarray, atol: float
) -> None:
    token_ids = targets.token_ids
    require_finite("The logits", logits, LOGITS_AXES, "")
    require_equal(
        "Step by step is not the whole sequence",
        step_logits(model, inputs, token_ids),
        logits,
        axes=LOGITS_AXES,
        atol=atol,
        cause="`step` must compute one position of what `__call__` computes: usually it does "
        "not return an entry of the state that it changed, or reads a stale one.",
    )
    if model.position_entries:
        require_equal(
            "With caches that grow, step by step is not the whole sequence",
            step_logits(model, inputs, token_ids, growing=True),
            logits,
            axes=LOGITS_AXES,
            atol=atol,
            cause="`step` must also take the `position_entries` without the room of positions "
            "to come, and make them longer by one.",
        )
    half = token_ids.shape[1] // 2
    changed = token_ids.copy()
    changed[:, half:] = np.where(changed[:, half:] > 4, changed[:, half:] - 1, 5 - 1)
    require_equal(
        "A later target token changes an earlier logit",
        whole_logits(model, inputs, changed)[:, :half],
        logits[:, :half],
        axes=LOGITS_AXES,
        atol=atol,
        cause="The whole-sequence view looks ahead: it needs a causal mask, or a recurrence "
        "that runs forward alone.",
    )
    if model.alignment_model is not None:
        weights = array_of(model.alignment_model({**inputs, DECODER_TOKEN_IDS: token_ids}))
        state = model.encode(inputs)
        token = keras.ops.convert_to_tensor(token_ids[:, 0])
        step = model.decoder_model({TOKEN: token, **state}, training=False)
        require_equal(
            "The attention weights of the first step are not those of the whole sequence",
            step[ALIGNMENT],
            weights[:, 0],
            axes=("row", "source position"),
            atol=atol,
            cause="Both views must give the weights with which the memory was read.",
        )


def _check_one_memory(model: Seq2Seq, inputs: Inputs, targets: Targets, atol: float) -> None:
    """`shared_entries` of one row a source give what a row for each beam gives."""
    if not model.shared_entries:
        return
    state = model.encode(inputs)

    def twice(tensor: Any) -> Any:
        return keras.ops.repeat(tensor, 2, axis=0)

    token = twice(targets.token_ids[:, 0])
    repeated = {name: twice(tensor) for name, tensor in state.items()}
    shared = repeated | {name: state[name] for name in model.shared_entries}
    require_equal(
        "Beams that read one memory are not those with a memory each",
        model.decoder.step(token, shared).logits,
        model.decoder.step(token, repeated).logits,
        axes=("row", "token"),
        atol=atol,
        cause="Entries that `shared_entries` names have one row for several rows of tokens; "
        "leave out of it what `step` cannot read so.",
    )


def check_sources(
    model: Seq2Seq, inputs: Inputs, targets: Targets, logits: np.ndarray, atol: float
) -> None:
    """What surrounds a source in its batch changes nothing."""
    token_ids = targets.token_ids
    require_equal(
        "Padding behind the sources changes the logits",
        whole_logits(model, with_padding(inputs), token_ids),
        logits,
        axes=LOGITS_AXES,
        atol=atol,
        cause=MIXES_POSITIONS,
    )
    last = len(token_ids) - 1
    require_equal(
        f"Row {last} of a batch is not the row alone",
        whole_logits(model, row_alone(inputs, last), token_ids[last:]),
        logits[last:],
        axes=LOGITS_AXES,
        atol=atol,
        cause=MIXES_POSITIONS,
    )
    require_finite(
        "The logits of a source of padding alone",
        whole_logits(model, padding_alone(inputs), token_ids),
        LOGITS_AXES,
        "Usually a softmax of minus infinities, or a mean over no positions: divide by at "
        "least 1, hide with a finite number.",
    )


def check_learns(model: Seq2Seq, inputs: Inputs, targets: Targets, logits: np.ndarray) -> None:
    """Every weight has a gradient, and following it lowers the loss, which `logits` give."""
    if keras.backend.backend() != "tensorflow":
        raise InputError("The checks need the TensorFlow backend of Keras.")
    given = {**inputs, DECODER_TOKEN_IDS: targets.token_ids}
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss(logits: Any) -> Any:
        return cross_entropy(targets.labels, logits, targets.labels != PAD_ID)

    before = float(loss(logits))
    with tf.GradientTape() as tape:
        value = loss(model(given, training=True))
    gradients = tape.gradient(value, model.trainable_weights)
    without = [
        weight.path
        for weight, gradient in zip(model.trainable_weights, gradients, strict=True)
        if gradient is None
    ]
    require(
        not without,
        f"Weights have no gradient and cannot learn: {', '.join(without)}. Usually they are "
        "not used, or an operation has none (argmax, rounding, a cast to integers).",
    )
    weights = model.get_weights()
    after = np.inf
    for rate in (0.05, 0.005):
        keras.optimizers.SGD(rate).apply(gradients, model.trainable_weights)
        after = float(loss(model(given, training=False)))
        model.set_weights(weights)
        if after < before:
            return
    raise ContractError(
        f"A gradient step does not lower the loss: it was {before:.6g} and is {after:.6g}. "
        "Usually an operation has a wrong gradient of its own, or `training=True` changes more "
        "than dropout does."
    )


def arguments_of(config: Any) -> Any:
    """A configuration without what Keras adds when a layer is built, and without dtypes."""
    if isinstance(config, dict):
        added = ("dtype", "build_config")
        return {key: arguments_of(v) for key, v in config.items() if key not in added}
    if isinstance(config, list | tuple):
        return [arguments_of(value) for value in config]
    return config


def check_saved(model: Seq2Seq, inputs: Inputs, targets: Targets, logits: np.ndarray) -> None:
    """What is loaded from a file is the model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        try:
            loaded = keras.saving.load_model(path, compile=False)
        except (TypeError, ValueError) as error:
            raise ContractError(
                f"The saved model cannot be loaded: {why_not_loaded(error)} "
                "Usually a class lacks `@keras.saving.register_keras_serializable(...)`, or "
                "its `get_config` does not give the arguments of its constructor."
            ) from error
    for name, part in (("encoder", model.encoder), ("decoder", model.decoder)):
        received = arguments_of(getattr(loaded, name).get_config())
        expected = arguments_of(part.get_config())
        require(
            received == expected,
            f"The configuration of the loaded {name} is {received} in place of {expected}. "
            "Usually `get_config` leaves out an argument of the constructor.",
        )
    require_equal(
        "The loaded model is not the saved one",
        whole_logits(loaded, inputs, targets.token_ids),
        logits,
        axes=LOGITS_AXES,
        cause="Usually a weight belongs to no layer of the model, so it is not saved, or "
        "`get_config` leaves out an argument of the constructor.",
    )


def check_precision(model: Seq2Seq, inputs: Inputs, targets: Targets, precision: str) -> None:
    """The same parts made under a policy of mixed precision step and learn."""
    with _policy(precision):
        half = type(model).from_config(model.get_config())
        half.set_weights(model.get_weights())
        logits = half({**inputs, DECODER_TOKEN_IDS: targets.token_ids}, training=False)
        require(
            keras.backend.standardize_dtype(logits.dtype) == "float32",
            f"In {precision} the logits are {logits.dtype}. They must be float32: give the "
            'last layer dtype="float32".',
        )
        whole = array_of(logits)
        require_equal(
            f"In {precision} step by step is not the whole sequence",
            step_logits(half, inputs, targets.token_ids),
            whole,
            axes=LOGITS_AXES,
            atol=TOLERANCES[precision] * max(1.0, float(np.abs(whole).max()) / 4),
            cause="Sums over many positions, softmax and normalization need float32 inside.",
        )
        check_learns(half, inputs, targets, whole)


@contextmanager
def _policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _check_search(model: Seq2Seq, inputs: Inputs, targets: Targets) -> None:
    """The log probability of every hypothesis is that of its tokens."""
    max_length = targets.token_ids.shape[1]

    @tf.function(autograph=False)
    def search() -> Any:
        given = {name: tf.constant(array) for name, array in inputs.items()}
        strategy = BeamSearch(3, model.end_id, num_hypotheses=3)
        return model.decode(given, strategy, max_length)

    result = search()
    labels = result.token_ids.numpy()
    count = labels.shape[1]
    labels = labels.reshape(-1, labels.shape[-1])
    starts = np.full((len(labels), 1), model.start_id)
    ends = np.where(labels == model.end_id, PAD_ID, labels)
    read = np.concatenate([starts, ends[:, :-1]], 1).astype("int32")
    repeated = {name: np.repeat(array, count, axis=0) for name, array in inputs.items()}
    scored = model.score_tokens({**repeated, DECODER_TOKEN_IDS: read}, labels)
    require_equal(
        "A hypothesis of a beam search has not the log probability that teacher forcing gives "
        "its tokens",
        result.log_probs,
        array_of(scored).sum(-1).reshape(-1, count),
        axes=("row", "hypothesis"),
        atol=1e-4,
        cause="The state of one hypothesis reaches another: every entry of the state must "
        "have the batch first.",
    )
