"""What a run learns from: kind of the sources, tokenizers, vocabularies, greatest lengths."""

from dataclasses import dataclass

from keras_seq2seq.settings.declarations import Settings, setting

TOKENIZERS = ("characters", "symbols", "words", "sentencepiece", "bpe", "wordpiece")
TEXT = {"source": ("text",)}
SOUND = {"source": ("waveform",)}
# What changes the pairs of training at random. Says nothing of weights or tokens.
AUGMENTATION = ("speed_perturbation", "added_noise", "swap_aligned")
LONGEST = 10_000_000


@dataclass(frozen=True)
class DataSettings(Settings):
    """Data and tokenizers."""

    source: str = setting(
        "text",
        "What sources are: features are frames in .npy files, waveform is sound files.",
        choices=("text", "features", "waveform"),
    )
    sample_rate: int = setting(
        0,
        "Samples a second of a waveform, others are resampled; 0 for the first file's.",
        bounds="[0, 10000000]",
        needs=SOUND,
    )
    source_tokenizer: str = setting(
        "characters",
        "How sources are split; bpe is SentencePiece's. Chosen from the data if not given.",
        choices=TOKENIZERS,
        needs=TEXT,
    )
    target_tokenizer: str = setting(
        "symbols",
        "How targets are split. Chosen from the data if not given.",
        choices=TOKENIZERS,
    )
    vocabulary_size: int = setting(
        0,
        "Tokens of a vocabulary at most; 0 for 8000 subwords, and all of other tokens.",
        bounds="[0, 10000000]",
    )
    joint_vocabulary: bool = setting(
        False, "One vocabulary for sources and targets, learned from both.", needs=TEXT
    )
    lowercase_source: bool = setting(False, "Lower-case the sources.", needs=TEXT)
    lowercase_target: bool = setting(False, "Lower-case the targets.")
    min_count: int = setting(
        1, "Tokens seen less often become unknown.", bounds="[1, 1000000000]"
    )
    max_source_length: int = setting(
        0, "Source tokens at most; 0 for the longest in the data.", bounds=f"[0, {LONGEST}]"
    )
    max_target_length: int = setting(
        0, "Target tokens at most; 0 for the longest in the data.", bounds=f"[0, {LONGEST}]"
    )
    speed_perturbation: float = setting(
        0.0,
        "Change the speed of sound or frames in training by up to this share; pitch moves too.",
        bounds="[0, 1)",
        needs={"source": ("features", "waveform")},
    )
    added_noise: float = setting(
        0.0,
        "The strongest noise that training adds to sound, as a share of its loudness.",
        bounds="[0, 100]",
        needs=SOUND,
    )
    swap_aligned: float = setting(
        0.0,
        "Share of the pairs in which training swaps a token and its translation for others, "
        "such as one name for another; for words and symbols.",
        bounds="[0, 1]",
        needs=TEXT,
    )
