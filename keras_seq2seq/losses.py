"""Losses that Keras does not have."""

from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError


@keras.saving.register_keras_serializable("keras_seq2seq")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of integer labels with label smoothing.

    `loss = (1 - e) (-log p(y)) + e mean_v(-log p(v))` with `e = label_smoothing`: the
    cross-entropy with a target distribution that keeps `1 - e` on the label and spreads `e`
    evenly over all `V` tokens. Keras smooths one-hot labels alone.

    Args:
        label_smoothing: float in [0, 1). 0 is `SparseCategoricalCrossentropy`.
        reduction: string. Defaults to `"mean_with_sample_weight"`: with weights that are 0
            where padded, the mean over the tokens that are not.
        name: string.

    Call arguments:
        y_true: `(batch, length)`, int.
        y_pred: logits `(batch, length, vocabulary_size)`.

    Raises:
        InputError: If `label_smoothing` is not in [0, 1).

    Reference:
        [Szegedy et al., 2015](https://arxiv.org/abs/1512.00567), section 7.
    """

    @checked
    def __init__(
        self,
        label_smoothing: float = 0.1,
        reduction: str = "mean_with_sample_weight",
        name: str = "smoothed_crossentropy",
        **kwargs: Any,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise InputError(
                "`label_smoothing` must be in [0, 1). Received: "
                f"label_smoothing={label_smoothing}."
            )
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = keras.ops.cast(y_true, "int32")
        logits = keras.ops.cast(y_pred, "float32")
        return _smoothed_crossentropy(labels, logits, self.label_smoothing)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def _smoothed_crossentropy(labels: Any, logits: Any, label_smoothing: float) -> Any:
    """`(batch, length)` losses, `log sum exp(x) - (1 - e) x_y - e mean(x)`.

    The logits are the largest tensor of a training step. Its gradient, `softmax(x) - (1 - e)
    onehot(y) - e / V`, keeps the softmax of the forward pass and is changed at one place a
    row; differentiated operation by operation it takes as long as the products that make the
    logits.
    """
    ops = keras.ops
    size = logits.shape[-1]
    row_labels = ops.reshape(labels, (-1, 1))

    @ops.custom_gradient
    def losses_of(rows: Any) -> Any:
        probabilities = ops.softmax(rows, axis=-1)
        # `max p = exp(max x - norm)`, and at least 1 / V: no logarithm of nearly nothing.
        norm = ops.max(rows, axis=-1, keepdims=True) - ops.log(
            ops.max(probabilities, axis=-1, keepdims=True)
        )
        chosen = ops.take_along_axis(rows, row_labels, axis=-1)
        spread = ops.mean(rows, axis=-1, keepdims=True)
        losses = norm - (1 - label_smoothing) * chosen - label_smoothing * spread

        def gradient(upstream: Any) -> Any:
            slope = probabilities
            if label_smoothing:
                slope = slope - label_smoothing / size
            numbers = ops.arange(ops.shape(rows)[0], dtype="int32")[:, None]
            places = ops.concatenate([numbers, row_labels], axis=-1)
            at_label = -(1 - label_smoothing) * upstream[:, 0]
            return ops.scatter_update(slope * upstream, places, at_label, reduction="add")

        return losses, gradient

    return ops.reshape(losses_of(ops.reshape(logits, (-1, size))), ops.shape(labels))


@keras.saving.register_keras_serializable("keras_seq2seq")
class RDropCrossentropy(SmoothedCrossentropy):
    """Cross-entropy that also asks two passes under dropout to agree: R-Drop.

    A batch holds every pair twice, the second half as the first
    (`keras_seq2seq.data.TrainingData.twice`), so that dropout gives two distributions `p` and
    `q` for each token. With the smoothed cross-entropy of each pass,

    `loss = (CE_p + CE_q) / 2 + alpha / 4 (KL(p, q) + KL(q, p))`

    a token, which is half of equation 4 of the paper. A batch whose halves have not the same
    targets, such as one of `evaluate`, has the cross-entropy alone.

    Args:
        alpha: float, at least 0: the weight of the agreement. Defaults to 5.0, the paper's
            for translation.
        label_smoothing: float in [0, 1). Defaults to 0.1.
        reduction: string. Defaults to `"mean_with_sample_weight"`.
        name: string.

    Call arguments:
        y_true: `(batch, length)`, int.
        y_pred: logits `(batch, length, vocabulary_size)`.

    Raises:
        InputError: If `alpha` is below 0, or `label_smoothing` not in [0, 1).

    Reference:
        [Liang et al., 2021](https://arxiv.org/abs/2106.14448).
    """

    @checked
    def __init__(
        self,
        alpha: float = 5.0,
        label_smoothing: float = 0.1,
        reduction: str = "mean_with_sample_weight",
        name: str = "r_drop_crossentropy",
        **kwargs: Any,
    ):
        super().__init__(label_smoothing, reduction=reduction, name=name, **kwargs)
        if not alpha >= 0:
            raise InputError(f"`alpha` must be at least 0. Received: alpha={alpha}.")
        self.alpha = alpha

    def call(self, y_true: Any, y_pred: Any) -> Any:
        ops = keras.ops
        log_probs = ops.log_softmax(ops.cast(y_pred, "float32"))
        batch = ops.shape(y_true)[0]
        half = batch // 2
        # A batch of odd size compares all rows but the last, and finds its halves different.
        first, second = log_probs[:half], log_probs[half : 2 * half]
        is_twice = ops.logical_and(
            ops.equal(2 * half, batch),
            ops.all(ops.equal(y_true[:half], y_true[half : 2 * half])),
        )
        difference = (ops.exp(first) - ops.exp(second)) * (first - second)
        disagreement = ops.sum(difference, axis=-1)  # KL(p, q) + KL(q, p)
        both = ops.concatenate([disagreement, disagreement], axis=0)
        both = ops.pad(both, [[0, batch - 2 * half], [0, 0]])
        scale = ops.cast(is_twice, "float32") * self.alpha / 4
        return super().call(y_true, y_pred) + scale * both

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}
