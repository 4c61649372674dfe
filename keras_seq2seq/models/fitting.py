"""What `compile`, `fit`, `evaluate` and `summary` of a model do beyond Keras' own."""

from typing import Any

import keras
import tensorflow as tf

from keras_seq2seq.data.dataset import TrainingData
from keras_seq2seq.errors import InputError
from keras_seq2seq.garbage import not_collecting
from keras_seq2seq.losses import SmoothedCrossentropy
from keras_seq2seq.special_tokens import PAD_ID
from keras_seq2seq.token_accuracy import TokenAccuracy


class Fitting:
    """What a functional model of teacher forcing gains; mixed into `Seq2Seq`."""

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = "auto",
        *,
        weighted_metrics: Any = "auto",
        **kwargs: Any,
    ) -> None:
        """`keras.Model.compile` with the loss and accuracy that mask padding as defaults.

        The loss is the mean over the tokens that are not padding (label 0), whether `fit` is
        given weights, of tokens or of rows, or none. Unweighted `metrics` count padding.
        """
        if isinstance(loss, str) and loss == "auto":
            loss = SmoothedCrossentropy(0.0)
        if isinstance(weighted_metrics, str) and weighted_metrics == "auto":
            weighted_metrics = [TokenAccuracy()]
        super().compile(  # type: ignore[misc]
            optimizer, loss, weighted_metrics=weighted_metrics, **kwargs
        )

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if (optimizer := getattr(self, "optimizer", None)) is not None:
            optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.fit`; a `tf.data.Dataset` is taken as it is, without a warning that it
        is not shuffled."""
        _check_batches(x)
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)
        self._build_optimizer()
        return super().fit(x, *args, **kwargs)  # type: ignore[misc]

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`."""
        _check_batches(x)
        return super().evaluate(x, *args, **kwargs)  # type: ignore[misc]

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        self._build_optimizer()
        return super().train_on_batch(*args, **kwargs)  # type: ignore[misc]

    @not_collecting()
    def train_step(self, *args: Any) -> Any:
        return super().train_step(*args)  # type: ignore[misc]

    def _build_optimizer(self) -> None:
        """Makes the optimizer's variables before the step is traced.

        Keras makes them within it, each with a condition, and TensorFlow then traces the step
        a second time: for a small Transformer that is most of what comes before its first step.
        """
        optimizer = getattr(self, "optimizer", None)
        if optimizer is None or optimizer.built or keras.backend.backend() != "tensorflow":
            return
        with self.distribute_strategy.scope():  # type: ignore[attr-defined]
            optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ) -> Any:
        if y is None:
            raise InputError(
                "There are no labels to learn. Give batches (inputs, labels, weights), as "
                "`training_data` makes them."
            )
        weights = _token_weights(y, sample_weight)
        return super().compute_loss(x, y, y_pred, weights, training)  # type: ignore[misc]

    def compute_metrics(self, x, y, y_pred, sample_weight=None) -> Any:
        weights = _token_weights(y, sample_weight)
        return super().compute_metrics(x, y, y_pred, weights)  # type: ignore[misc]

    def summary(self, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.summary` of the training model: layers that the one-step decoder shares
        have the shapes of whole sequences."""
        nodes_of: Any = self
        own = {id(node) for nodes in nodes_of._nodes_by_depth.values() for node in nodes}
        calls = [layer._inbound_nodes for layer in nodes_of.layers]
        every = [list(nodes) for nodes in calls]
        # Keras shows the shape of a layer's last call, which here is that of another model.
        for nodes in calls:
            nodes[:] = [node for node in nodes if id(node) in own]
        try:
            return super().summary(*args, **kwargs)  # type: ignore[misc]
        finally:
            for nodes, before in zip(calls, every, strict=True):
                nodes[:] = before


def _check_batches(x: Any) -> None:
    """Refuses texts, pairs and what holds a dataset, in the place of batches of tensors."""
    is_list = isinstance(x, list | tuple)
    if x is None or isinstance(x, str | TrainingData) or (is_list and x and _is_text(x[0])):
        what = type(x).__name__
        raise InputError(
            "Batches of tensors are taken: `training_data(preprocessor, sources, targets)` has "
            f"them as its `dataset`, with its `steps` an epoch. Received: {what}."
        )


def _is_text(value: Any) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    return any(isinstance(one, str | bytes) for one in values)


def _token_weights(labels: Any, weights: Any) -> Any:
    """A weight for each label: 0 for padding, for the others that of the token or of its row,
    or 1."""
    if labels is None:
        return weights
    present = keras.ops.cast(keras.ops.not_equal(labels, PAD_ID), "float32")
    if weights is None:
        return present
    weights = keras.ops.cast(weights, "float32")
    return present * keras.ops.reshape(weights, (keras.ops.shape(labels)[0], -1))
