"""The share of right tokens under teacher forcing, cheap enough for every step."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("keras_seq2seq")
class TokenAccuracy(keras.metrics.MeanMetricWrapper):
    """Share of the positions whose label has the greatest logit, the weights counted.

    `keras.metrics.SparseCategoricalAccuracy` looks for the place of the greatest logit, which
    takes several passes over the logits; this takes one. Of equal greatest logits any may be
    the label.

    Args:
        name: string. Defaults to `"accuracy"`.
        dtype: As of `keras.metrics.Metric`.

    Update arguments:
        y_true: `(batch, length)`, int.
        y_pred: logits `(batch, length, vocabulary_size)`.
        sample_weight: `(batch, length)`, optional; 0 where padded.
    """

    def __init__(self, name: str = "accuracy", dtype: Any = None):
        super().__init__(_is_greatest, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


def _is_greatest(y_true: Any, y_pred: Any) -> Any:
    ops = keras.ops
    # Rows and their greatest as `SmoothedCrossentropy` has them: TensorFlow finds them once.
    rows = ops.reshape(y_pred, (-1, y_pred.shape[-1]))
    labels = ops.reshape(ops.cast(y_true, "int32"), (-1, 1))
    chosen = ops.take_along_axis(rows, labels, axis=-1)
    is_greatest = chosen >= ops.max(rows, axis=-1, keepdims=True)
    return ops.reshape(ops.cast(is_greatest, keras.backend.floatx()), ops.shape(y_true))
