"""The contracts of the parts of a model, each by itself and inside a small model."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_seq2seq.layers import LuongAttention, MemoryAttention
from keras_seq2seq.models import (
    DenseBridge,
    RecurrentDecoder,
    RecurrentEncoder,
    Seq2Seq,
    TokenEmbedding,
    ZeroBridge,
)
from keras_seq2seq.models.parts import Decoder, Encoder, EncoderOutput, check_role
from keras_seq2seq.testing.comparison import (
    array_of,
    require,
    require_equal,
    require_finite,
)
from keras_seq2seq.testing.models import MIXES_POSITIONS, TOLERANCES, arguments_of, check_model
from keras_seq2seq.testing.samples import (
    Inputs,
    lengths_of,
    row_alone,
    sample_sources,
    with_padding,
)

MEMORY_AXES = ("row", "source position", "unit")


def check_encoder(
    encoder: Encoder,
    inputs: Inputs | None = None,
    *,
    precisions: Sequence[str] = ("mixed_bfloat16",),
    atol: float = 1e-5,
) -> None:
    """Checks what an encoder promises to decoders.

    Shapes and dtypes of the memory, its mask and the final states; padding behind the sources
    changes none of them, and a row of a batch is the row alone. Then everything of
    `check_model`, with a small recurrent decoder with attention.

    Args:
        encoder: The encoder, of any weights.
        inputs: As of `check_model`.
        precisions: As of `check_model`.
        atol: float. Largest difference in float32. Defaults to 1e-5.

    Raises:
        ContractError: As `check_model`.
        InputError: As `check_model`.

    Example:

    ```python
    check_encoder(MyEncoder(TokenEmbedding(20, 8), hidden_dim=16))
    ```
    """
    check_role("encoder", encoder)
    attention = LuongAttention(7, name="check_attention")
    # A first look, which also makes the layers.
    output = encoder_output(encoder)
    decoder = RecurrentDecoder(
        TokenEmbedding(13, 6),
        8,
        attention=attention,
        bridge=DenseBridge() if output.states else ZeroBridge(),
        name="check_decoder",
    )
    model = Seq2Seq(encoder, decoder)
    inputs = inputs or sample_sources(encoder)
    _check_encoder_output(encoder, inputs, atol)
    check_model(model, inputs, precisions=precisions, atol=atol)


def encoder_output(encoder: Encoder) -> EncoderOutput:
    """What the encoder gives on Keras inputs, if it has the form that is promised."""
    encoder.embedding.build(getattr(encoder, "name", "encoder"))
    output = encoder(encoder.inputs())
    require(
        isinstance(output, EncoderOutput),
        f"An encoder returns an EncoderOutput. Received: {type(output).__name__}.",
    )
    mask = keras.backend.standardize_dtype(output.mask.dtype)
    require(
        mask == "bool" and len(output.mask.shape) == 2,
        "The mask is bool of shape (batch, source_length), True where there is source. "
        f"Received: {mask} of shape {output.mask.shape}.",
    )
    require(
        len(output.memory.shape) == 3 and output.memory.shape[-1] is not None,
        "The memory is (batch, source_length, memory_dim), its last size known. Received: "
        f"shape {output.memory.shape}.",
    )
    for tensor in (tensor for layer in output.states for tensor in layer):
        require(
            len(tensor.shape) == 2,
            f"A final state is (batch, dim). Received: shape {tensor.shape}.",
        )
    return output


def _check_encoder_output(encoder: Encoder, inputs: Inputs, atol: float) -> None:
    given = encoder.inputs()
    output = encoder(given)
    states = [tensor for layer in output.states for tensor in layer]
    model = keras.Model(given, [output.memory, output.mask, *states])

    def run(sources: Inputs) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        memory, mask, *states = map(array_of, model(sources, training=False))
        return np.where(mask[:, :, None], memory, 0), mask, states

    memory, mask, states = run(inputs)
    axes = next(iter(inputs)), "source position"
    require(
        mask.any(1).all(),
        "The mask hides a whole source. True means that there is source; `token_ids != 0` for "
        "ids.",
    )
    length = next(array.shape[1] for array in inputs.values() if array.ndim > 1)
    if encoder.embedding.compiles:
        require(
            memory.shape[1] <= max(length, encoder.embedding.output_length(length)),
            f"The memory of {length} source positions has {memory.shape[1]}.",
        )
    longer = run(with_padding(inputs))
    last = len(lengths_of(inputs)) - 1
    alone = run(row_alone(inputs, last))
    for what, (received, its_mask, its_states), rows in (
        ("Padding behind the sources changes", longer, slice(None)),
        (f"For row {last} of a batch and the row alone differs", alone, slice(last, None)),
    ):
        size = min(received.shape[1], memory.shape[1])
        require_equal(
            f"{what} the mask of the encoder",
            its_mask[:, :size],
            mask[rows, :size],
            axes=axes,
            cause="Positions of padding must be False.",
        )
        require_equal(
            f"{what} the memory of the encoder",
            received[:, :size],
            memory[rows, :size],
            axes=MEMORY_AXES,
            atol=atol,
            cause=MIXES_POSITIONS,
        )
        require(
            not its_mask[:, size:].any() and not mask[rows, size:].any(),
            f"{what} the number of positions of a source. Positions of padding must be False.",
        )
        for index, (state, expected) in enumerate(zip(its_states, states, strict=True)):
            require_equal(
                f"{what} final state {index} of the encoder",
                state,
                expected[rows],
                axes=("row", "unit"),
                atol=atol,
                cause=MIXES_POSITIONS,
            )


def check_decoder(
    decoder: Decoder,
    encoder: Encoder | None = None,
    *,
    precisions: Sequence[str] = ("mixed_bfloat16",),
    atol: float = 1e-5,
) -> None:
    """Checks what a decoder promises to training, search and export: `check_model` with a
    small encoder.

    Args:
        decoder: The decoder, of any weights.
        encoder: The encoder to read, for a decoder that does not fit any. Defaults to a small
            bidirectional recurrent one, of the decoder's vocabulary.
        precisions: As of `check_model`.
        atol: float. Largest difference in float32. Defaults to 1e-5.

    Raises:
        ContractError: As `check_model`.

    Example:

    ```python
    check_decoder(MyDecoder(TokenEmbedding(20, 8), hidden_dim=16))
    ```
    """
    check_role("decoder", decoder)
    if encoder is None:
        encoder = RecurrentEncoder(
            TokenEmbedding(decoder.vocabulary_size, 6), 8, bidirectional=True
        )
    check_model(Seq2Seq(encoder, decoder), precisions=precisions, atol=atol)


def check_attention(
    attention: MemoryAttention,
    *,
    precisions: Sequence[str] = ("mixed_bfloat16",),
    atol: float = 1e-5,
) -> None:
    """Checks what an attention promises to a recurrent decoder.

    One step is a row of the whole target; what the mask hides has no weight and no influence;
    weights are shares; a source of padding alone gives finite numbers; the layer is rebuilt
    from its configuration and is close in mixed precision. Then everything of `check_decoder`,
    with a recurrent decoder that has the attention.

    Args:
        attention: The layer, not built yet.
        precisions: As of `check_model`.
        atol: float. Largest difference in float32. Defaults to 1e-5.

    Raises:
        ContractError: As `check_model`.

    Example:

    ```python
    check_attention(MyAttention(units=7))
    ```
    """
    check_role("attention", attention)
    rng = np.random.default_rng(0)
    query = rng.normal(size=(2, 3, 8)).astype("float32")
    # As wide as the query: there are scores that need it.
    memory = rng.normal(size=(2, 5, 8)).astype("float32")
    mask = np.array([[True] * 5, [True] * 3 + [False] * 2])
    layer = _copy_of(attention)
    steps = _attend(layer, query, memory, mask)
    if not attention.uses_alignment:
        whole = layer(query, memory, mask)
        for name, received, expected in zip(("output", "weights"), steps, whole, strict=True):
            require_equal(
                f"The {name} of one step are not a row of the whole target's",
                received,
                expected,
                axes=("row", "target position", "unit"),
                atol=atol,
                cause="A query is (batch, dim) for one step, (batch, target_length, dim) else; "
                "an attention that looks at its last weights says `uses_alignment = True`.",
            )
    output, weights = steps
    require(
        (weights >= -atol).all() and (weights.sum(-1) <= 1 + 1e-3).all(),
        "The weights are no shares: they are negative, or more than 1 together. `weigh` gives "
        "a softmax over the source positions.",
    )
    hidden = np.where(mask[:, None], 0, weights)
    require_equal(
        "A position that the mask hides has a weight",
        hidden,
        np.zeros_like(hidden),
        axes=("row", "target position", "source position"),
        atol=1e-6,
        cause="Scores of hidden positions must be very low before the softmax.",
    )
    changed = np.where(mask[:, :, None], memory, 9).astype("float32")
    require_equal(
        "What the mask hides changes the output",
        _attend(layer, query, changed, mask)[0],
        output,
        axes=("row", "target position", "unit"),
        atol=atol,
        cause="Only the weighted memory may enter, not a mean or a convolution of all of it.",
    )
    for name, array in zip(
        ("output", "weights"),
        _attend(layer, query, memory, np.zeros_like(mask)),
        strict=True,
    ):
        require_finite(
            f"The {name} for a source of padding alone",
            array,
            ("row", "target position", "unit"),
            "Hide positions with a finite number, not with minus infinity.",
        )
    config = attention.get_config()
    require(
        arguments_of(type(attention).from_config(config).get_config()) == arguments_of(config),
        "The layer made from the configuration has another one. Usually `get_config` leaves "
        "out an argument of the constructor.",
    )
    for precision in precisions:
        half = type(attention).from_config({**config, "dtype": precision})
        _attend(half, query, memory, mask)
        half.set_weights(layer.get_weights())
        require_equal(
            f"In {precision} the output is far from that in float32",
            _attend(half, query, memory, mask)[0],
            output,
            axes=("row", "target position", "unit"),
            atol=TOLERANCES[precision],
            cause="Sums over many positions and softmax need float32 inside.",
        )
    decoder = RecurrentDecoder(TokenEmbedding(13, 6), 16, attention=attention)
    check_decoder(decoder, precisions=precisions, atol=atol)


def _copy_of(attention: MemoryAttention) -> MemoryAttention:
    """The same layer with weights of its own."""
    return type(attention).from_config(attention.get_config())


def _attend(layer: Any, query: Any, memory: Any, mask: Any) -> tuple[np.ndarray, np.ndarray]:
    """Output and weights, step by step."""
    alignment = layer.first_alignment(keras.ops.convert_to_tensor(mask))
    outputs, weights = [], []
    for time in range(query.shape[1]):
        output, alignment = layer(query[:, time], memory, mask, alignment=alignment)
        outputs.append(array_of(output))
        weights.append(array_of(alignment))
    return np.stack(outputs, 1), np.stack(weights, 1)
