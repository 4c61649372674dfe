"""SentencePiece models from elsewhere: the graph, plain Python and SentencePiece agree."""

import io

import keras
import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from export.plain_tokenizers import PlainTokenizer
from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.tokenizers import SentencePieceFileTokenizer

LINES = ["the quick brown fox", "a lazy dog sleeps", "Das Büro ist geöffnet", "ﬁne ½ ①"] * 20


def train(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=model,
        minloglevel=3,
        hard_vocab_limit=False,
        **{"vocab_size": 80, "normalization_rule_name": "nmt_nfkc", **options},
    )
    return model.getvalue()


MODELS = {
    "unigram": {},
    "bpe": {"model_type": "bpe"},
    "as it is": {"normalization_rule_name": "identity", "remove_extra_whitespaces": False},
    "no space in front": {"add_dummy_prefix": False},
    "bytes": {"vocab_size": 330, "byte_fallback": True},
    "bytes of bpe": {"vocab_size": 330, "byte_fallback": True, "model_type": "bpe"},
    "a symbol": {"user_defined_symbols": ["<sep>"]},
}


@pytest.fixture(scope="module", params=MODELS)
def trio(request):
    """The tokenizer, that of plain Python, and SentencePiece's own."""
    model = train(**MODELS[request.param])
    own = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [own.id_to_piece(i) for i in range(own.get_piece_size())]
    # Another order, some pieces missing, others that it does not have.
    kept = [piece for i, piece in enumerate(pieces[3:]) if i % 7][::-1]
    vocabulary = [*SPECIAL_TOKENS, "__en__", *kept, "more"]
    tokenizer = SentencePieceFileTokenizer(vocabulary, model, name="v", begin=["__en__"])
    description = {**tokenizer.description, "separator": "", "unknown": 1}
    plain = PlainTokenizer(description, vocabulary, tokenizer.scores)
    return tokenizer, plain, own


TEXT = st.text("abdeghoqu ö\tﬁ½①Ⅷ  　e\u0301▁", max_size=14) | st.sampled_from(LINES)


@given(text=TEXT)
@example(text="")
@example(text="  the  fox ")
@example(text="中文 the <sep> fox")
@settings(max_examples=60, deadline=None)
def test_all_three_split_alike(trio, text):
    tokenizer, plain, own = trio
    pieces = own.encode(text, out_type=str)
    assert plain.split(text) == ["__en__", *pieces]
    assert tokenizer.split_text(text) == pieces
    ids = tokenizer.tokenize([text])[0].numpy().tolist()
    assert plain.encode(text) == ids
    known = [pieces[i] if one != 1 else None for i, one in enumerate(ids[1:])]
    assert [tokenizer.id_to_token(one) for one in ids[1:] if one != 1] == [
        piece for piece in known if piece is not None
    ]


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_tokens_are_joined_alike(trio, data):
    tokenizer, plain, _ = trio
    ids = data.draw(st.lists(st.integers(5, tokenizer.vocabulary_size() - 1), max_size=12))
    (text,) = tokenizer.detokenize([[4, *ids, 3]]).numpy()
    assert text.decode() == plain.join(["__en__", *map(tokenizer.id_to_token, ids)])


def test_bytes_are_joined_to_the_text_that_they_were_split_of(trio):
    tokenizer, plain, own = trio
    text = "the 中文 fox 😀"
    pieces = own.encode(text, out_type=str)
    if not tokenizer.byte_fallback:
        return
    assert "<0xE4>" in pieces and plain.join(["__en__", *pieces]) == own.decode(pieces) == text


def test_texts_are_joined_without_what_they_begin_with(trio):
    tokenizer, plain, _ = trio
    tokens = ["__en__", "▁", "f", "o"]
    tokens = [token for token in tokens if token in tokenizer.get_vocabulary()]
    ids = [[tokenizer.token_to_id(token) for token in tokens] + [3]]
    (text,) = tokenizer.detokenize(ids).numpy()
    assert text.decode() == plain.join(tokens)
    assert "__en__" not in plain.join(tokens)


def test_it_is_saved_whole(trio):
    tokenizer, _, _ = trio
    config = keras.saving.serialize_keras_object(tokenizer)
    other = keras.saving.deserialize_keras_object(config)
    text = ["the lazy fox", "Büro"]
    assert other.tokenize(text).to_list() == tokenizer.tokenize(text).to_list()


def test_other_files_are_one_message():
    vocabulary = [*SPECIAL_TOKENS, "a"]
    with pytest.raises(InputError, match="cannot be read as a SentencePiece model"):
        SentencePieceFileTokenizer(vocabulary, b"\xff\xffnot a model")
    with pytest.raises(InputError, match="has no pieces"):
        SentencePieceFileTokenizer(vocabulary, b"")
    with pytest.raises(InputError, match="must be in the vocabulary"):
        SentencePieceFileTokenizer(vocabulary, train(), begin=["__en__"])
