"""An auxiliary loss on the encoder: connectionist temporal classification."""

from typing import Any

import keras
from keras import ops

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers.dense import Dense


@keras.saving.register_keras_serializable("keras_seq2seq")
class CTCLoss(keras.layers.Layer):
    """Adds `weight * CTC(target | memory)` to the loss of a model in training.

    A projection of the encoder's memory to the target vocabulary, with padding as the blank,
    must say the target in order, whatever the decoder does: attention learns to read a memory
    that already has its alignment. With the cross-entropy of the decoder the loss is
    `CE + weight * CTC`, up to a factor that of the paper with
    `lambda = weight / (1 + weight)`. Like `CE` it is per target token. A target that needs
    more positions than the memory has does not count.

    It hands the logits of the decoder through: inference models, which begin at the encoder
    or the decoder, do not have it, and outside of training nothing is computed.

    Args:
        vocabulary_size: int. Target tokens, special ones included.
        weight: float, above 0. Defaults to 0.5.

    Call arguments:
        logits: The decoder's logits `(batch, target_length, vocabulary_size)`.
        memory: `(batch, source_length, memory_dim)`.
        mask: `(batch, source_length)`, bool.
        token_ids: The decoder's input `(batch, target_length)`, int32: the start token and
            the target without its end token.

    Returns:
        `logits`.

    Raises:
        InputError: If the size is below 1, or the weight is not above 0.

    Reference:
        [Kim et al., 2017](https://arxiv.org/abs/1609.06773), equation 14;
        [Graves et al., 2006](https://doi.org/10.1145/1143844.1143891).
    """

    @checked
    def __init__(self, vocabulary_size: int, weight: float = 0.5, **kwargs: Any):
        # The logits pass as they are; the projection casts for itself.
        super().__init__(**{"name": "ctc", **kwargs}, autocast=False)
        self.supports_masking = True
        if vocabulary_size < 1:
            raise InputError(
                "`vocabulary_size` must be at least 1. Received: "
                f"vocabulary_size={vocabulary_size}."
            )
        if not weight > 0:
            raise InputError(f"`weight` must be above 0. Received: weight={weight}.")
        self.vocabulary_size = vocabulary_size
        self.weight = weight
        self.projection = Dense(vocabulary_size, dtype=self.dtype_policy, name="projection")

    def build(self, logits_shape, memory_shape, mask_shape=None, token_ids_shape=None):
        self.projection.build((None, None, memory_shape[-1]))
        self.built = True

    def call(self, logits, memory, mask, token_ids, training=None):
        if training:
            self.add_loss(self.weight * self.loss_of(memory, mask, token_ids))
        return logits

    def loss_of(self, memory, mask, token_ids):
        """The loss per target token, a scalar."""
        labels = token_ids[:, 1:]
        is_token = ops.not_equal(labels, 0)
        label_lengths = ops.sum(ops.cast(is_token, "int32"), axis=1)
        lengths = ops.sum(ops.cast(mask, "int32"), axis=1)
        # Between equal neighbours the path needs a blank.
        repeated = ops.logical_and(labels[:, 1:] == labels[:, :-1], is_token[:, 1:])
        needed = label_lengths + ops.sum(ops.cast(repeated, "int32"), axis=1)
        fits = ops.logical_and(needed <= lengths, label_lengths > 0)
        # Not infinity times zero, which has no gradient: a row that does not fit has no label.
        counted = ops.where(fits, label_lengths, 0)
        outputs = ops.cast(self.projection(memory), "float32")
        losses = ops.ctc_loss(labels, outputs, counted, ops.maximum(lengths, 1), mask_index=0)
        total = ops.sum(ops.where(fits, losses, 0.0))
        return total / ops.cast(ops.maximum(ops.sum(counted), 1), "float32")

    def compute_output_spec(self, logits, memory, mask, token_ids, training=None):
        return keras.KerasTensor(logits.shape, logits.dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "weight": self.weight,
        }
