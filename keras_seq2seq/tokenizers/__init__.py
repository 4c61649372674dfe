"""Text to ids and back, inside the graph, so that an exported model takes strings."""

from keras_seq2seq.tokenizers.table_tokenizer import (
    CharacterTokenizer,
    SymbolTokenizer,
    TableTokenizer,
)
from keras_seq2seq.tokenizers.vocabulary import build_vocabulary

__all__ = ["CharacterTokenizer", "SymbolTokenizer", "TableTokenizer", "build_vocabulary"]
