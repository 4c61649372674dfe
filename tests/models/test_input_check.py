import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.models import RecurrentDecoder, RecurrentEncoder, Seq2Seq, TokenEmbedding
from tests.zoo import frame_model


@pytest.fixture(scope="module")
def model():
    return Seq2Seq(
        RecurrentEncoder(TokenEmbedding(6, 4), 4), RecurrentDecoder(TokenEmbedding(6, 4), 4)
    )


@pytest.mark.parametrize(
    "inputs, message",
    [
        (np.ones((1, 2), int), "takes a dictionary of .*encoder_token_ids.* Received: ndarray"),
        ({"ids": np.ones((1, 2), int)}, r"Received: \['ids'\]"),
        (
            {"encoder_token_ids": np.ones(3, int)},
            r"must be int32 of shape \(any, any\). Received: int64 of shape \(3,\)",
        ),
        ({"encoder_token_ids": np.ones((1, 2))}, r"Received: float64 of shape \(1, 2\)"),
        (
            {"encoder_token_ids": [[5, 6], [9, 0]]},
            "ids from 0 to 5, .* Received: 2 others, the first is 6. Make the ids with",
        ),
        ({"encoder_token_ids": tf.constant([[-1]])}, "Received: 1 others, the first is -1"),
    ],
)
def test_ids_that_cannot_be_encoded_are_refused(model, inputs, message):
    with pytest.raises(InputError, match=message):
        model.encode(inputs)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_a_batch_of_nothing_is_refused(model, shape):
    with pytest.raises(InputError, match="needs at least one row and one position"):
        model.encode({"encoder_token_ids": np.zeros(shape, np.int32)})


def test_padding_alone_gives_finite_numbers(model):
    for tensor in model.encode({"encoder_token_ids": np.zeros((2, 3), np.int32)}).values():
        assert np.isfinite(tensor).all()


def test_frames_of_another_width_are_refused():
    model = frame_model("normalized with slopes, convolution")
    inputs = {
        tensor.name: np.ones([2, *(size or 3 for size in tensor.shape[1:])])
        for tensor in model.encoder_model.inputs
    }
    inputs["encoder_lengths"] = np.array([3, 2])
    model.encode(inputs)
    wide = inputs["encoder_features"].repeat(2, axis=-1)
    with pytest.raises(InputError, match="`encoder_features` must be float32 of shape"):
        model.encode(inputs | {"encoder_features": wide})
    with pytest.raises(InputError, match="`encoder_lengths` must be int32 .* float64"):
        model.encode(inputs | {"encoder_lengths": np.ones(2)})
