"""What is kept of every hypothesis, token by token, and how it grows."""

import tensorflow as tf

from keras_seq2seq.special_tokens import PAD_ID

# Name -> `(batch, hypotheses, max_length, ...)`: `token_ids` int32, `token_log_probs` float32
# and, where attention is recorded, `alignments` float32 `(..., max_length, source_length)`.
Tracks = dict[str, tf.Tensor]

# What a step shows of every live hypothesis beside its probabilities: name of a track ->
# `(batch, num_beams, ...)`.
Observed = dict[str, tf.Tensor]


def empty(shape: list, alignment: tf.Tensor | None) -> Tracks:
    """Tracks of a shape `(batch, hypotheses, max_length)` before the first token; with the
    attention where a state has an `alignment` `(batch, source_length)`."""
    tracks = {
        "token_ids": tf.fill(shape, tf.constant(PAD_ID, tf.int32)),
        "token_log_probs": tf.fill(shape, 0.0),
    }
    if alignment is not None:
        source_length = alignment.shape[-1] or tf.shape(alignment)[-1]
        tracks["alignments"] = tf.fill([*shape, source_length], 0.0)
    return tracks


def gather(tensors: dict[str, tf.Tensor], chosen: tf.Tensor | None) -> dict[str, tf.Tensor]:
    """The chosen hypotheses `(batch, count)` of each row; `None` chooses all as they are."""
    if chosen is None:
        return tensors
    return {name: tf.gather(tensor, chosen, batch_dims=1) for name, tensor in tensors.items()}


def extend(
    tracks: Tracks,
    parents: tf.Tensor | None,
    time: tf.Tensor,
    token_ids: tf.Tensor,
    token_log_probs: tf.Tensor,
    observed: Observed,
) -> Tracks:
    """The tracks of the parents with one more token.

    Args:
        tracks: Tracks of the live hypotheses.
        parents: `(batch, count)`, int32: the hypotheses that go on; `None` for all in order.
        time: int32 scalar. Where the token is written.
        token_ids: `(batch, count)`, int32.
        token_log_probs: `(batch, count)`, float32.
        observed: What this step shows of the live hypotheses.

    Returns:
        Tracks of `count` hypotheses.
    """
    values = {
        "token_ids": token_ids,
        "token_log_probs": token_log_probs,
        **gather(observed, parents),
    }
    return {
        name: _write(track, values[name], time)
        for name, track in gather(tracks, parents).items()
    }


def merge(first: Tracks, second: Tracks, chosen: tf.Tensor) -> Tracks:
    """The chosen of the hypotheses of both, counted through."""
    both = {name: tf.concat([track, second[name]], 1) for name, track in first.items()}
    return gather(both, chosen)


def _write(track: tf.Tensor, value: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
    length = track.shape[2] or tf.shape(track)[2]
    here = tf.reshape(tf.range(length) == time, [1, 1, length] + [1] * (len(track.shape) - 3))
    return tf.where(here, value[:, :, None], track)
