"""What kind of Transformer it is: the choices that one family makes and another does not."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import LayerNormalization
from keras_seq2seq.layers.dot_product_attention import check_cap
from keras_seq2seq.models.parts import check_sizes


def _gelu_sigmoid(x: Any) -> Any:
    return x * keras.ops.sigmoid(1.702 * x)


# Name -> function of a feed-forward layer; GELU as it is, and two approximations of it.
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": keras.activations.relu,
    "gelu": lambda x: keras.ops.gelu(x, approximate=False),
    "gelu_tanh": lambda x: keras.ops.gelu(x, approximate=True),
    "gelu_sigmoid": _gelu_sigmoid,
    "swish": keras.activations.silu,
    "tanh": keras.activations.tanh,
    "sigmoid": keras.activations.sigmoid,
}

NORMS = ("layer", "rms")


@keras.saving.register_keras_serializable("keras_seq2seq")
@dataclass(frozen=True)
class TransformerStyle:
    """Choices of a Transformer beside its sizes; the defaults are those of this package.

    Args:
        activation: string, of the feed-forward layers: `"relu"` (default), `"gelu"`,
            `"gelu_tanh"`, `"gelu_sigmoid"`, `"swish"`, `"tanh"` or `"sigmoid"`.
        gated: bool. `W_2 (f(W_1 x) * W_3 x)` in the feed-forward layers (Shazeer, 2020).
            Defaults to `False`.
        norm: string. `"layer"` (default), or `"rms"`: divided by the root of the mean square,
            without mean and shift (Zhang & Sennrich, 2019).
        epsilon: float. Added to the variance. Defaults to 1e-6.
        final_norm: bool. A normalization after blocks that normalize first. Defaults to
            `True`.
        post_norm: bool. What a sublayer that is normalized first puts out is normalized too,
            before it is added. Defaults to `False`.
        embedding_norm: bool. A normalization of the embeddings with their positions. Defaults
            to `False`.
        embedding_scale: float, optional. What embeddings are multiplied with. Defaults to
            the square root of their size.
        use_bias: bool. Biases inside the blocks. Defaults to `True`.
        head_dim: int, optional. Size of an attention head. Defaults to the width of the model
            divided by the heads.
        interleaved: bool. Sines and cosines of sinusoidal positions alternate. Defaults to
            `False`: in two halves.
        inclusive: bool. As of `SinusoidalPositions`. Defaults to `False`.
        first_position: int. Number of the first sinusoidal position. Defaults to 0.
        num_buckets: int. Of relative positions. Defaults to 32.
        max_distance: int. Of relative positions. Defaults to 128.
        relative_in_each: bool. Relative positions have a bias in every block, not one for
            all (Chung et al., 2023). Defaults to `False`.
        clipped_distance: int. Greatest distance that relative vectors tell from others.
            Defaults to 16.
        rotary_dim: int, optional, even. Dimensions of a head that rotary positions turn.
            Defaults to all.
        rotary_base: float. Of rotary positions. Defaults to 10000.
        rotary_factor: float. Positions are divided by it before they turn. Defaults to 1.
        attention_cap: float, optional. As `cap` of `DotProductAttention`. Defaults to none.
        logit_cap: float, optional. As of `TokenLogits`, of a decoder. Defaults to none.

    Raises:
        InputError: If a choice is unknown, a size below 1, or a cap not above 0.

    Reference:
        [Shazeer, 2020](https://arxiv.org/abs/2002.05202);
        [Zhang & Sennrich, 2019](https://arxiv.org/abs/1910.07467);
        [Chung et al., 2023](https://arxiv.org/abs/2304.09151).
    """

    activation: str = "relu"
    gated: bool = False
    norm: str = "layer"
    epsilon: float = 1e-6
    final_norm: bool = True
    post_norm: bool = False
    embedding_norm: bool = False
    embedding_scale: float | None = None
    use_bias: bool = True
    head_dim: int | None = None
    interleaved: bool = False
    inclusive: bool = False
    first_position: int = 0
    num_buckets: int = 32
    max_distance: int = 128
    relative_in_each: bool = False
    clipped_distance: int = 16
    rotary_dim: int | None = None
    rotary_base: float = 10000.0
    rotary_factor: float = 1.0
    attention_cap: float | None = None
    logit_cap: float | None = None

    def __post_init__(self) -> None:
        for name, known in (("activation", tuple(ACTIVATIONS)), ("norm", NORMS)):
            if getattr(self, name) not in known:
                raise InputError(
                    f"`{name}` must be one of {known}. Received: "
                    f"{name}={getattr(self, name)!r}."
                )
        check_sizes(
            head_dim=1 if self.head_dim is None else self.head_dim,
            num_buckets=self.num_buckets,
            max_distance=self.max_distance,
            clipped_distance=self.clipped_distance,
            rotary_dim=1 if self.rotary_dim is None else self.rotary_dim,
        )
        if not (self.rotary_base > 0 and self.rotary_factor > 0):
            raise ValueError(
                "`rotary_base` and `rotary_factor` must be above 0. Received: "
                f"{self.rotary_base} and {self.rotary_factor}."
            )

        for name in ("attention_cap", "logit_cap"):
            check_cap(name, getattr(self, name))

    def normalization(self, name: str) -> keras.layers.Layer:
        """A new normalization layer."""
        if self.norm == "rms":
            return keras.layers.RMSNormalization(epsilon=self.epsilon, name=name)
        return LayerNormalization(epsilon=self.epsilon, name=name)

    @property
    def function(self) -> Callable[[Any], Any]:
        """The activation."""
        return ACTIVATIONS[self.activation]

    def get_config(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TransformerStyle":
        return cls(**config)
