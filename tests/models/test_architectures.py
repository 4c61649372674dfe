import re
from pathlib import Path

import pytest

from keras_seq2seq.data import TextPreprocessor
from keras_seq2seq.layers import DotProductAttention
from keras_seq2seq.models import PRESETS, SentenceEmbedding, recurrent, transformer
from keras_seq2seq.models.architectures import ATTENTIONS
from keras_seq2seq.tokenizers import SymbolTokenizer

DOCS = Path(__file__).parents[2] / "docs" / "models.md"


def shared_vocabulary_preprocessor(size):
    lines = [" ".join(f"w{i}" for i in range(size - 4))]
    return TextPreprocessor.from_pairs(
        lines,
        lines,
        SymbolTokenizer,
        SymbolTokenizer,
        max_source_length=63,
        max_target_length=63,
    )


@pytest.mark.parametrize("name", PRESETS)
def test_the_documentation_gives_the_parameters_of_a_preset(name):
    text = shared_vocabulary_preprocessor(8000)
    assert text.source_tokenizer.vocabulary_size() == 8000
    row = re.search(rf"\| `{name}` \|.*\| ([\d,]+) \|", DOCS.read_text("utf-8"))
    assert row, f"{name} is missing in {DOCS.name}"
    assert PRESETS[name].build(text).count_params() == int(row[1].replace(",", ""))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_attention_has_a_name(attention, preprocessor):
    model = recurrent(preprocessor, embedding_dim=4, hidden_dim=6, attention=attention)
    assert (model.alignment_model is None) == (attention == "none")


def test_one_vocabulary_can_be_shared_and_two_cannot(preprocessor):
    sizes = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2}
    text = shared_vocabulary_preprocessor(20)
    model = transformer(text, share_embeddings=True, tie_output=True, **sizes)
    assert model.encoder.embedding is model.decoder.embedding
    with pytest.raises(ValueError, match="one vocabulary. Received vocabularies of 10 and 10"):
        transformer(preprocessor, share_embeddings=True, **sizes)


def test_an_unknown_attention_is_refused(preprocessor):
    with pytest.raises(ValueError, match="`attention` must be one of none, dot, general"):
        recurrent(preprocessor, attention="bahdanau")


def test_a_preset_can_be_changed(preprocessor):
    model = PRESETS["rnn_tiny"].build(preprocessor, hidden_dim=6, attention="additive")
    assert model.decoder.hidden_dim == 6


def test_sentences_end_with_tokens_of_the_source_vocabulary(preprocessor):
    sizes = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2}
    tokenizer = preprocessor.source_tokenizer
    end = tokenizer.id_to_token(5)
    embedding = transformer(preprocessor, sentence_ends=end, **sizes).encoder.embedding
    assert isinstance(embedding, SentenceEmbedding)
    assert embedding.end_ids == [5]
    with pytest.raises(ValueError, match="tokens of the source vocabulary. Received: 'no!'"):
        transformer(preprocessor, sentence_ends="no!", **sizes)


def test_attention_weights_may_drop_other_shares(preprocessor):
    sizes = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2}
    model = transformer(preprocessor, dropout=0.3, **sizes)
    assert model.encoder.attention_dropout == model.decoder.attention_dropout == 0.3
    model = transformer(preprocessor, dropout=0.3, attention_dropout=0.0, **sizes)
    rates = {
        layer.dropout
        for layer in model._flatten_layers()
        if isinstance(layer, DotProductAttention)
    }
    assert rates == {0.0}
    with pytest.raises(ValueError, match="`attention_dropout` must be in"):
        transformer(preprocessor, attention_dropout=1.0, **sizes)
