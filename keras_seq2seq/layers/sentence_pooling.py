"""A vector a sentence in place of a vector a token."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError


@keras.saving.register_keras_serializable("keras_seq2seq")
class SentencePooling(keras.layers.Layer):
    """Sums the vectors of each sentence, each weighted by its place in the sentence.

    ```
    Mary went home . John left .   ->   [Mary went home .] [John left .]
    ```

    1. `m_i = sum_j l_j * x_ij / sqrt(J_i)`, over the `J_i` tokens `x_ij` of sentence `i`

    `l_j` is a learned vector for place `j`, so that the order of the words counts; the last
    of them serves all later places. A sentence ends with one of the end tokens, which belongs
    to it; what follows the last of them is a sentence too.

    Args:
        end_ids: ints, not 0. Ids of the tokens that end a sentence.
        max_places: int. Places with a vector of their own. Defaults to 32.

    Call arguments:
        sequence: `(batch, source_length, dim)`.
        token_ids: `(batch, source_length)`, int32; 0 is padding, which only ends a row.

    Returns:
        `(batch, sentences, dim)` and its mask `(batch, sentences)`, bool. `sentences` is the
        greatest number in the batch; on other backends than TensorFlow, whose shapes must be
        known beforehand, `source_length`.

    Raises:
        InputError: If there are no end ids, one of them is below 1, or `max_places` is.

    Reference:
        [Sukhbaatar et al., 2015](https://arxiv.org/abs/1503.08895), section 4.1, "position
        encoding"; learned, as in [Dehghani et al., 2019](https://arxiv.org/abs/1807.03819),
        section 3.1.
    """

    @checked
    def __init__(self, end_ids: Sequence[int], max_places: int = 32, **kwargs: Any):
        super().__init__(**kwargs)
        if not end_ids or min(end_ids) < 1:
            raise InputError(
                "`end_ids` must be ids above 0, at least one. Received: "
                f"end_ids={list(end_ids)}."
            )
        if max_places < 1:
            raise InputError(f"`max_places` must be at least 1. Received: {max_places}.")
        self.end_ids = [int(end_id) for end_id in end_ids]
        self.max_places = max_places

    def build(self, sequence_shape, token_ids_shape=None):
        self.places = self.add_weight(
            shape=(self.max_places, sequence_shape[-1]),
            initializer=keras.initializers.RandomNormal(mean=1.0, stddev=0.3),
            name="places",
        )
        self.built = True

    def call(self, sequence, token_ids):
        ops = keras.ops
        is_token = ops.cast(token_ids != 0, "int32")
        ends = ops.zeros_like(is_token)
        for end_id in self.end_ids:
            ends = ends + ops.cast(token_ids == end_id, "int32")
        # The number of ends before a token is the number of its sentence.
        sentence = ops.cumsum(ends, axis=1) - ends
        members = self._members(sentence, is_token)  # (B, sentences, S)
        sizes = ops.sum(members, axis=2)
        starts = ops.cumsum(sizes, axis=1) - sizes
        positions = ops.cumsum(is_token, axis=1) - is_token
        start = ops.sum(members * starts[:, :, None], axis=1)
        place = ops.clip(positions - start, 0, self.max_places - 1)
        places = ops.take(ops.cast(self.places, sequence.dtype), place, axis=0)
        pooled = ops.matmul(ops.cast(members, sequence.dtype), sequence * places)
        scale = ops.rsqrt(ops.cast(ops.maximum(sizes, 1), sequence.dtype))
        return pooled * scale[:, :, None], sizes > 0

    def _members(self, sentence: Any, is_token: Any) -> Any:
        """`(batch, sentences, source_length)`, int32: 1 where a token is of the sentence."""
        ops = keras.ops
        if keras.backend.backend() == "tensorflow":
            count = ops.max(sentence * is_token, initial=-1) + 1
        else:
            count = sentence.shape[1]
        numbers = ops.arange(count, dtype="int32")[None, :, None]
        return ops.cast(sentence[:, None, :] == numbers, "int32") * is_token[:, None, :]

    def compute_output_spec(self, sequence, token_ids):
        batch, _, dim = sequence.shape
        return (
            keras.KerasTensor((batch, None, dim), self.compute_dtype),
            keras.KerasTensor((batch, None), "bool"),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "end_ids": self.end_ids,
            "max_places": self.max_places,
        }
