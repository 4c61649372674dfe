"""What an encoder and a decoder are: the seam that training, decoding and export share.

A *part* owns Keras layers and wires them. Called on Keras inputs it adds its layers to a
functional model; called on tensors it computes. So the same few lines make the training
model, the encoder model and the one-step decoder model, and these share every weight.

The state of a decoder is a flat dictionary of named tensors of fixed rank and dtype with the
batch first. `Decoder.step` returns **only the entries that a step changes**: what it leaves
out (the memory, its mask) is constant, and no search copies or reorders it.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import keras

from keras_seq2seq.errors import InputError, check_counts
from keras_seq2seq.layers import MemoryAttention

# Names of the inputs and outputs of the functional models.
ENCODER_TOKEN_IDS = "encoder_token_ids"  # (B, S) int32
ENCODER_FEATURES = "encoder_features"  # (B, S, F) float32
ENCODER_WAVEFORM = "encoder_waveform"  # (B, N) float32
ENCODER_LENGTHS = "encoder_lengths"  # (B,) int32, frames or samples before the padding
DECODER_TOKEN_IDS = "decoder_token_ids"  # (B, T) int32, the target shifted right
TOKEN = "token"  # (B,) int32, the token before the one to predict
LOGITS = "logits"  # (B, T, V), or (B, V) for one step
ALIGNMENT = "alignment"  # (B, T, S), or (B, S) for one step

Tensor = Any
State = dict[str, Tensor]


@dataclass(frozen=True)
class EncoderOutput:
    """What an encoder gives.

    Attributes:
        memory: `(batch, source_length, memory_dim)`, float: one vector a position.
        mask: `(batch, source_length)`, bool, `True` where there is source.
        states: One list a recurrent layer with its final state tensors `(batch, dim)`,
            first layer first; empty for an encoder without recurrence. An LSTM has `[h, c]`,
            a GRU `[h]`; the two directions of a bidirectional layer are concatenated.
        token_ids: `(batch, source_length)`, int32: the source token of each position;
            `None` where a position is not one token.
    """

    memory: Tensor
    mask: Tensor
    states: list[list[Tensor]] = field(default_factory=list)
    token_ids: Tensor | None = None


@dataclass(frozen=True)
class DecoderOutput:
    """What a decoder gives, for a whole target or for one step.

    Attributes:
        logits: `(batch, target_length, vocabulary_size)`, or `(batch, vocabulary_size)`.
        alignment: Attention weights over the source `(batch, target_length,
            source_length)`, or `(batch, source_length)`; `None` without attention.
        state: For one step, the entries of the state that changed; else empty.
        hidden: What the logits are computed of, `(batch, target_length, dim)`, or `(batch,
            dim)`.
    """

    logits: Tensor
    alignment: Tensor | None = None
    state: State = field(default_factory=dict)
    hidden: Tensor | None = None


class Part(ABC):
    """Base of encoders, decoders and bridges: a plain object with a configuration.

    Not a Keras layer: its layers become layers of the functional models, by name, so that
    `summary()` and `plot_model` show the real architecture. An argument of a constructor that
    has the name of a role (`embedding`, `attention`, ...) must be a part of this role.
    """

    role: ClassVar[str] = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        signature = inspect.signature(cls)
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            given = {}  # The constructor says what is missing.
        for name, value in given.items():
            if value is not None or signature.parameters[name].default is not None:
                check_role(name, value)
        return super().__new__(cls)

    @abstractmethod
    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, as plain values."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Part":
        return cls(**{name: _deserialize(value) for name, value in config.items()})


def _deserialize(value: Any) -> Any:
    if isinstance(value, list):
        return [_deserialize(one) for one in value]
    if isinstance(value, dict) and "class_name" in value:
        # A part records no dtype policy and takes the one that is set when it is made; so
        # must a layer in its configuration, else half of a model trained in mixed precision
        # would come back in it.
        config = {k: v for k, v in value.get("config", {}).items() if k != "dtype"}
        value = {**value, "config": config}
        return keras.saving.deserialize_keras_object(value)
    return value


# Of each role, the class that its parts are of.
_ROLES = {
    "encoder": "an Encoder, such as RecurrentEncoder",
    "decoder": "a Decoder, such as RecurrentDecoder",
    "embedding": "a SourceEmbedding, such as TokenEmbedding",
    "bridge": "a Bridge, such as DenseBridge",
    "attention": "a MemoryAttention, such as LuongAttention",
}
# What stands here for a layer of Keras, where it is clear.
_INSTEAD = {
    "Attention": 'LuongAttention(units, score="dot")',
    "AdditiveAttention": "BahdanauAttention(units)",
    "MultiHeadAttention": "a TransformerDecoder, whose attention has heads",
}


def check_role(role: str, value: Any) -> None:
    """Raises `InputError` for an argument of this name that is no such part; other names than
    those of roles pass."""
    is_attention = role == "attention" and isinstance(value, MemoryAttention)
    is_part = isinstance(value, Part) and value.role == role
    if role not in _ROLES or is_attention or is_part:
        return
    name = value.__name__ if isinstance(value, type) else type(value).__name__
    instead = _INSTEAD.get(name) if isinstance(value, keras.layers.Layer) else None
    if isinstance(value, keras.layers.Embedding):
        instead = f"TokenEmbedding({value.input_dim}, {value.output_dim})"
    if isinstance(value, type):
        received = f"the class {name}"
        instead = f"{name}(...)" if hasattr(value, "role") else None
    elif isinstance(value, str | int | float | bool | None):
        received = repr(value)
    else:
        received = f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
    raise InputError(
        f"`{role}` must be {_ROLES[role]}. Received: {received}. "
        + (f"Use {instead}, or write" if instead else "Write")
        + " a part around it: docs/your_own_part.md."
    )


def check_sizes(**sizes: int) -> None:
    """Raises `InputError` for a size that is no whole number of at least 1."""
    check_counts(**sizes)


def check_rates(**rates: float) -> None:
    """Raises `InputError` for a share that is not in [0, 1)."""
    for name, value in rates.items():
        if not 0 <= value < 1:
            raise InputError(f"`{name}` must be in [0, 1). Received: {name}={value}.")


class Encoder(Part):
    """Reads a source.

    Attributes:
        embedding: `SourceEmbedding`: what the source is made of.
        max_length: int. Source positions at most, the end token included; `None` for any.
    """

    role = "encoder"
    embedding: Any
    max_length: int | None = None

    def inputs(self) -> dict[str, Tensor]:
        """New Keras inputs by name: those of the embedding."""
        return self.embedding.inputs()

    @abstractmethod
    def __call__(self, inputs: dict[str, Tensor]) -> EncoderOutput: ...


class Decoder(Part):
    """Writes a target, as two views of the same layers.

    Stepping through a target token by token gives the logits of the whole-sequence view.
    """

    role = "decoder"

    # `TokenEmbedding` of the target.
    embedding: Any

    # Whether it writes ids of source tokens, so that both sides must have one vocabulary.
    copies_source: bool = False

    # Tokens that can be generated at most; `None` for a state that does not grow.
    max_length: int | None = None

    @property
    def vocabulary_size(self) -> int:
        """Number of target tokens, special ones included."""
        return self.embedding.vocabulary_size

    def shared_entries(self, state: State) -> Sequence[str]:
        """Names of the constant entries that may have one row for several rows of tokens, as
        the beams of one source are."""
        return ()

    def position_entries(self, state: State) -> dict[str, int]:
        """Names of the changing entries that hold what was at each position, each with the
        axis of its length.

        `step` also takes them without the room of positions to come, and makes them longer
        by one. Where the state has a `lineage` (see `Search`), one row of theirs serves all
        hypotheses of a source, which stand side by side at each position.
        """
        return {}

    @abstractmethod
    def initial_state(self, encoder_output: EncoderOutput) -> State:
        """The state before the first token, the memory included."""

    @abstractmethod
    def __call__(self, token_ids: Tensor, state: State) -> DecoderOutput:
        """The whole sequence: `token_ids` `(batch, target_length)` start with the start
        token; position `t` of the logits predicts the token after `token_ids[:, t]`."""

    @abstractmethod
    def step(self, token: Tensor, state: State) -> DecoderOutput:
        """One step: `token` `(batch,)`, logits `(batch, vocabulary_size)`."""
