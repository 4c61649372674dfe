"""What a model is made of: one class an architecture, with its own settings alone."""

import functools
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from keras_seq2seq.settings.declarations import Bounds, Setting, Settings, setting, settings_of

SHARE = "[0, 1)"
WIDTH = "[1, 65536]"
LAYERS = "[1, 1000]"
ATTENTIONS = ("none", "dot", "general", "concat", "additive", "location", "monotonic")


@dataclass(frozen=True)
class ModelSettings(Settings):
    """What every architecture has."""

    architecture: ClassVar[str]

    hidden_dim: int = setting(
        256,
        "Units of a recurrent layer, or width of a Transformer.",
        bounds=WIDTH,
        tuned=(128, 256, 384, 512),
    )
    num_layers: int = setting(
        1, "Layers of the encoder, and of the decoder.", bounds=LAYERS, tuned=(1, 2, 3)
    )
    dropout: float = setting(
        0.1,
        "Share of the values dropped in training.",
        bounds=SHARE,
        tuned=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    )


@dataclass(frozen=True)
class RecurrentSizes(Settings):
    """What every recurrent architecture has."""

    embedding_dim: int = setting(
        128, "Size of an embedding.", bounds=WIDTH, tuned=(64, 128, 256)
    )
    recurrent_dropout: float = setting(
        0.0, "Share of the recurrent state dropped in training.", bounds=SHARE
    )


@dataclass(frozen=True)
class ComposedSettings(ModelSettings):
    """What an architecture has whose source, output and loss are composed too."""

    encoder_layers: int = setting(
        0, "Layers of the encoder alone; 0 for --num-layers.", bounds="[0, 1000]"
    )
    tie_output: bool = setting(False, "Logits from the target embeddings.")
    share_embeddings: bool = setting(
        False, "Source and target share embeddings; needs --joint-vocabulary."
    )
    copy: bool = setting(
        False, "Copy source tokens (pointer-generator); needs attention, --joint-vocabulary."
    )
    convolutions: int = setting(
        0, "Convolutions over the source in front of the encoder.", bounds="[0, 100]"
    )
    convolution_strides: int = setting(
        2,
        "Positions that each convolution makes one of.",
        bounds="[1, 1000]",
        needs={"convolutions": Bounds("[1, inf)")},
    )
    spec_augment: bool = setting(
        False, "Hide stretches and bands of features or sound in training (SpecAugment)."
    )
    frequency_warp: float = setting(
        0.0,
        "Stretch the frequencies of sound in training by up to this share, as another vocal "
        "tract does.",
        bounds=SHARE,
    )
    dynamic_range: float = setting(
        0.0,
        "Decibels below the greatest energy of a sound that are heard, such as 25; 0 for all.",
        bounds="[0, inf)",
    )
    picture_cells: bool = setting(
        False, "Each place of a picture is a position of its own, for attention to choose."
    )
    sentence_ends: str = setting(
        "", "Tokens that end a sentence, with spaces between: the encoder reads sentences."
    )
    ctc_weight: float = setting(
        0.0, "Weight of an auxiliary CTC loss on the encoder.", bounds="[0, inf)"
    )


@dataclass(frozen=True)
class LSTMSettings(RecurrentSizes, ModelSettings):
    """The source in one vector."""

    architecture: ClassVar[str] = "lstm"


@dataclass(frozen=True)
class LSTMAttentionSettings(RecurrentSizes, ModelSettings):
    """A bidirectional LSTM with Luong attention."""

    architecture: ClassVar[str] = "lstm_attention"


@dataclass(frozen=True)
class RecurrentSettings(RecurrentSizes, ComposedSettings):
    """A recurrent model of chosen parts."""

    architecture: ClassVar[str] = "recurrent"

    cell: str = setting("lstm", "Cell of the layers.", choices=("lstm", "gru", "simple_rnn"))
    bidirectional: bool = setting(True, "The encoder reads both ways.")
    attention: str = setting(
        "general",
        "Attention of the decoder.",
        choices=ATTENTIONS,
        tuned=("general", "additive", "location"),
    )
    input_feeding: str = setting(
        "none",
        "What the decoder reads of its last attention.",
        choices=("none", "attention", "context"),
        tuned=("none", "attention"),
        needs={"attention": ATTENTIONS[1:]},
    )
    residual: bool = setting(False, "Residual connections between layers.")
    time_reduction: int = setting(
        1,
        "Each encoder layer but the first joins so many positions.",
        bounds="[1, 1000]",
    )


@dataclass(frozen=True)
class TransformerSettings(ComposedSettings):
    """A Transformer."""

    architecture: ClassVar[str] = "transformer"

    intermediate_dim: int = setting(
        0,
        "Width inside feed-forward layers; 0 for 4 times --hidden-dim.",
        bounds="[0, 1000000]",
    )
    num_heads: int = setting(4, "Attention heads.", bounds="[1, 1024]", tuned=(2, 4, 8))
    positions: str = setting(
        "sinusoidal",
        "How positions are told.",
        choices=("sinusoidal", "learned", "rotary", "relative", "relative_vectors", "none"),
        tuned=("sinusoidal", "rotary", "relative"),
    )
    attention_dropout: float | None = setting(
        None,
        "Share of the attention weights dropped; as --dropout if not given.",
        bounds=SHARE,
    )
    normalize_first: bool = setting(True, "Normalize before the sublayers.")


# Value of `--architecture` -> its settings. One more class here is one more architecture.
ARCHITECTURES: dict[str, type[ModelSettings]] = {
    declared.architecture: declared
    for declared in (
        LSTMSettings,
        LSTMAttentionSettings,
        RecurrentSettings,
        TransformerSettings,
    )
}


def architecture_setting() -> Setting:
    """The setting that chooses one of `ARCHITECTURES`."""
    return Setting(
        name="architecture",
        type=str,
        default=LSTMAttentionSettings.architecture,
        help="Model to build.",
        choices=tuple(ARCHITECTURES),
        option="--architecture",
        tuned=("recurrent", "transformer"),
    )


def model_settings() -> dict[str, Setting]:
    """The settings of all architectures by name, in the order of the classes."""
    return _settings_of_all(tuple(ARCHITECTURES.items()))


@functools.lru_cache
def _settings_of_all(architectures: tuple[tuple[str, Any], ...]) -> dict[str, Setting]:
    # A configuration asks for them once a setting.
    settings: dict[str, Setting] = {}
    for _, architecture in architectures:
        for name, declared in settings_of(architecture).items():
            having = architectures_with(name)
            only = f" For {', '.join(having)}." if len(having) < len(architectures) else ""
            settings.setdefault(name, replace(declared, help=declared.help + only))
    return settings


def architectures_with(name: str) -> list[str]:
    """The architectures that have a setting."""
    return [key for key, declared in ARCHITECTURES.items() if name in settings_of(declared)]


def build_model_settings(architecture: Any, settings: dict[str, Any]) -> ModelSettings:
    """The settings of an architecture; `InputError` for an unknown one."""
    return ARCHITECTURES[architecture_setting().checked(architecture)](**settings)
