"""Text to ids and back, inside the graph, so that an exported model takes strings."""

from keras_seq2seq.tokenizers.bpe import BPETokenizer
from keras_seq2seq.tokenizers.byte_level_bpe import ByteLevelBPETokenizer
from keras_seq2seq.tokenizers.sentencepiece_file import SentencePieceFileTokenizer
from keras_seq2seq.tokenizers.sentencepiece_tokenizer import SentencePieceTokenizer
from keras_seq2seq.tokenizers.table_tokenizer import (
    CharacterTokenizer,
    SymbolTokenizer,
    TableTokenizer,
)
from keras_seq2seq.tokenizers.transcript_tokenizer import TranscriptTokenizer
from keras_seq2seq.tokenizers.vocabulary import build_vocabulary
from keras_seq2seq.tokenizers.word_tokenizer import WordTokenizer
from keras_seq2seq.tokenizers.wordpiece_tokenizer import WordPieceTokenizer

__all__ = [
    "BPETokenizer",
    "ByteLevelBPETokenizer",
    "CharacterTokenizer",
    "SentencePieceFileTokenizer",
    "SentencePieceTokenizer",
    "SymbolTokenizer",
    "TableTokenizer",
    "TranscriptTokenizer",
    "WordPieceTokenizer",
    "WordTokenizer",
    "build_vocabulary",
]
