"""The fixed workloads that other toolkits are timed on too: sizes, models, made-up text.

Weights are random and lengths forced: 25 source and 25 target tokens, the end token among
them. Importing this loads no TensorFlow.
"""

import random
from dataclasses import dataclass, replace
from typing import Any

LENGTH = 25
# In training, as the other toolkits' models have it.
DROPOUT = 0.1


@dataclass(frozen=True)
class Workload:
    """A model's sizes.

    Attributes:
        vocabulary_size: Tokens, of source and target alike, special ones included.
        hidden_dim: Width of a Transformer, units of a recurrent decoder.
        intermediate_dim: Width inside the feed-forward layers; 0 for a recurrent model.
        num_heads: Attention heads; 0 for a recurrent model.
        num_layers: Layers of the encoder, and of the decoder.
    """

    vocabulary_size: int
    hidden_dim: int
    intermediate_dim: int = 0
    num_heads: int = 0
    num_layers: int = 1

    @property
    def is_recurrent(self) -> bool:
        return self.num_heads == 0

    def multiply_adds(self) -> dict[str, float]:
        """Of the products, by part: `encoder` a source token, `decoder` a step with
        attention, `logits` a step, and `weights`, those that a step reads."""
        d, f, n = self.hidden_dim, self.intermediate_dim, self.num_layers
        if self.is_recurrent:
            embedding, half = d // 2, d // 2
            encoder = 2 * 4 * half * (embedding + half) + d * d
            weights = 4 * d * (embedding + d) + d * d + 2 * d * d
            attention = 2 * LENGTH * d
        else:
            encoder = n * (4 * d * d + 2 * d * f) + n * 2 * d * d
            weights = n * (6 * d * d + 2 * d * f)
            attention = n * (2 * LENGTH * d + LENGTH * d)
        logits = d * self.vocabulary_size
        return {
            "encoder": float(encoder),
            "decoder": float(weights + attention),
            "logits": float(logits),
            "weights": float(weights + logits),
        }


WORKLOADS = {
    # Embeddings of 256, a bidirectional LSTM of 2 x 256, an LSTM of 512 with attention.
    "rnn": Workload(8000, 512),
    "tiny": Workload(8000, 128, 256, 4, 4),
    "base": Workload(32000, 512, 2048, 8, 6),
}


def build_model(
    name: str, with_text: bool = False, longest: int = LENGTH, **changes: int
) -> Any:
    """The model of a workload, random weights.

    Args:
        name: Name of the workload.
        with_text: Whether it reads and writes strings, words `w4`, `w5`, ... of their ids.
        longest: Tokens at most, of source and target, the end token included.
        changes: Sizes in place of those of the workload.
    """
    from keras_seq2seq.data import TextPreprocessor
    from keras_seq2seq.layers import LuongAttention
    from keras_seq2seq.models import (
        RecurrentDecoder,
        RecurrentEncoder,
        Seq2Seq,
        TokenEmbedding,
        TransformerDecoder,
        TransformerEncoder,
    )
    from keras_seq2seq.special_tokens import SPECIAL_TOKENS
    from keras_seq2seq.tokenizers import SymbolTokenizer

    work = replace(WORKLOADS[name], **changes)
    dim = work.hidden_dim

    def embedding(size: int) -> TokenEmbedding:
        return TokenEmbedding(work.vocabulary_size, size)

    preprocessor = None
    if with_text:
        words = [f"w{number}" for number in range(len(SPECIAL_TOKENS), work.vocabulary_size)]
        tokenizers = [
            SymbolTokenizer([*SPECIAL_TOKENS, *words], name=f"{side}_vocabulary")
            for side in ("source", "target")
        ]
        preprocessor = TextPreprocessor(*tokenizers, longest - 1, longest - 1)
    if work.is_recurrent:
        return Seq2Seq(
            RecurrentEncoder(
                embedding(dim // 2), dim // 2, bidirectional=True, dropout=DROPOUT
            ),
            RecurrentDecoder(
                embedding(dim // 2), dim, attention=LuongAttention(dim), dropout=DROPOUT
            ),
            preprocessor,
        )
    sizes = (work.intermediate_dim, work.num_heads, work.num_layers)
    options = {"dropout": DROPOUT, "max_length": longest}
    return Seq2Seq(
        TransformerEncoder(embedding(dim), *sizes, **options),
        TransformerDecoder(embedding(dim), *sizes, **options),
        preprocessor,
    )


def made_up_lines(name: str, count: int, seed: int) -> list[str]:
    """Lines of 24 words of the workload's vocabulary, at random."""
    generator = random.Random(seed)
    most = WORKLOADS[name].vocabulary_size - 1
    return [
        " ".join(f"w{generator.randint(4, most)}" for _ in range(LENGTH - 1))
        for _ in range(count)
    ]
