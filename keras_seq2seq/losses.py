"""Losses that Keras does not have."""

from typing import Any

import keras


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
        ValueError: If `label_smoothing` is not in [0, 1).

    Reference:
        [Szegedy et al., 2015](https://arxiv.org/abs/1512.00567), section 7.
    """

    def __init__(
        self,
        label_smoothing: float = 0.1,
        reduction: str = "mean_with_sample_weight",
        name: str = "smoothed_crossentropy",
        **kwargs: Any,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` must be in [0, 1). Received: "
                f"label_smoothing={label_smoothing}."
            )
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        log_probs = keras.ops.log_softmax(keras.ops.cast(y_pred, "float32"))
        labels = keras.ops.cast(y_true, "int32")[..., None]
        chosen = keras.ops.take_along_axis(log_probs, labels, axis=-1)[..., 0]
        spread = keras.ops.mean(log_probs, axis=-1)
        return -(1 - self.label_smoothing) * chosen - self.label_smoothing * spread

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
