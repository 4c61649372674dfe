"""Small random models of KerasHub's own classes, with tokenizers."""

import io

import keras
import keras_hub
import sentencepiece

from keras_seq2seq.tokenizers.byte_level_bpe import byte_characters

HUB = keras_hub.models
TEXTS = ["the quick brown fox", "the earth is round", "a sun afternoon", "after noon"]
LENGTH = 14


def bart_tokenizer():
    merges = ["Ġ a", "Ġ s", "Ġ n", "n o", "o n", "Ġs u", "Ġa f", "no on", "Ġsu n", "e r"]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcdefghijklmnopqrstuvwxyzĠ"]
    tokens += [merge.replace(" ", "") for merge in merges]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return HUB.BartTokenizer(vocabulary=vocabulary, merges=merges)


def sentencepiece_model(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, minloglevel=2, **options
    )
    return model.getvalue()


def t5_tokenizer():
    return HUB.T5Tokenizer(
        proto=sentencepiece_model(vocab_size=26, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    )


def gemma_tokenizer():
    return HUB.T5GemmaTokenizer(
        proto=sentencepiece_model(
            vocab_size=27,
            pad_id=0,
            eos_id=1,
            bos_id=2,
            unk_id=3,
            pad_piece="<pad>",
            bos_piece="<bos>",
            eos_piece="<eos>",
        )
    )


def moonshine_tokenizer():
    return HUB.MoonshineTokenizer(proto=sentencepiece_model(vocab_size=26))


def scattered(model, deviation, seed, of_embeddings=0.1):
    """The model, far from the symmetry of its beginning."""
    keras.utils.set_random_seed(seed)
    for weight in model.backbone.trainable_weights:
        stddev = of_embeddings if "embedding" in weight.path else deviation
        weight.assign(weight + keras.random.normal(weight.shape, stddev=stddev))
    model.compile(sampler="greedy")
    return model


LENGTHS = {"encoder_sequence_length": 20, "decoder_sequence_length": LENGTH}
SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}


def bart(preprocessor=True):
    tokenizer = bart_tokenizer()
    backbone = HUB.BartBackbone(
        tokenizer.vocabulary_size(), **SIZES, dropout=0.0, max_sequence_length=24
    )
    own = HUB.BartSeq2SeqLMPreprocessor(tokenizer, **LENGTHS) if preprocessor else None
    return scattered(HUB.BartSeq2SeqLM(backbone, own), 0.9, 1, of_embeddings=0.2)


def t5(gated=False, activation="relu", tied=True):
    tokenizer = t5_tokenizer()
    # More tokens than pieces, as published ones have.
    backbone = HUB.T5Backbone(
        tokenizer.vocabulary_size() + 2,
        **SIZES,
        dropout=0.0,
        key_value_dim=6,
        use_gated_activation=gated,
        activation=activation,
        tie_embedding_weights=tied,
    )
    own = HUB.T5Seq2SeqLMPreprocessor(tokenizer, **LENGTHS)
    return scattered(HUB.T5Seq2SeqLM(backbone, own), 0.5, 2, of_embeddings=0.5)


def mt5():
    return t5(True, lambda x: keras.activations.gelu(x, approximate=True), tied=False)


def t5gemma(attention_cap=0.5, logit_cap=3.0, tied=True):
    tokenizer = gemma_tokenizer()
    sizes = {}
    for side in ("encoder", "decoder"):
        sizes |= {
            f"{side}_hidden_dim": 16,
            f"{side}_intermediate_dim": 24,
            f"{side}_num_layers": 2,
            f"{side}_num_attention_heads": 4,
            f"{side}_num_key_value_heads": 2,
            f"{side}_head_dim": 8,
            f"{side}_layer_types": ["sliding_attention", "full_attention"],
        }
    backbone = HUB.T5GemmaBackbone(
        tokenizer.vocabulary_size(),
        **sizes,
        query_pre_attn_scalar=12.0,
        sliding_window=16,
        attn_logit_softcapping=attention_cap,
        final_logit_softcapping=logit_cap,
        tie_word_embeddings=tied,
    )
    own = HUB.T5GemmaSeq2SeqLMPreprocessor(tokenizer, **LENGTHS)
    return scattered(HUB.T5GemmaSeq2SeqLM(backbone, own), 0.5, 3)


def moonshine(normalize=False, gated_encoder=False):
    tokenizer = moonshine_tokenizer()
    backbone = HUB.MoonshineBackbone(
        vocabulary_size=tokenizer.vocabulary_size() + 2,
        filter_dim=16,
        encoder_num_layers=2,
        decoder_num_layers=2,
        hidden_dim=16,
        intermediate_dim=32,
        encoder_num_heads=2,
        decoder_num_heads=2,
        feedforward_expansion_factor=2,
        encoder_use_swiglu_activation=gated_encoder,
        pad_head_dim_to_multiple_of=6,
    )
    converter = keras_hub.layers.MoonshineAudioConverter(do_normalize=normalize)
    own = HUB.MoonshineAudioToTextPreprocessor(
        converter, tokenizer, decoder_sequence_length=LENGTH
    )
    return scattered(HUB.MoonshineAudioToText(backbone, own), 0.5, 4)


def moonshine_normalized():
    return moonshine(normalize=True, gated_encoder=True)


MARKS = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|de|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|notimestamps|>",
]


def whisper(folder):
    """A backbone and a tokenizer of one second of sound, in a folder."""
    pieces = {piece: place for place, piece in enumerate([*byte_characters(), "Ġt", "he"])}
    marks = {mark: len(pieces) + place for place, mark in enumerate(MARKS)}
    tokenizer = HUB.WhisperTokenizer(
        vocabulary=pieces,
        merges=["Ġ t", "h e"],
        special_tokens=marks,
        language_tokens={mark: marks[mark] for mark in ("<|en|>", "<|de|>")},
    )
    backbone = HUB.WhisperBackbone(
        vocabulary_size=len(pieces) + len(marks) + 51,
        **SIZES,
        max_encoder_sequence_length=100,
        max_decoder_sequence_length=20,
    )
    keras.utils.set_random_seed(5)
    for weight in backbone.weights:
        weight.assign(weight + keras.random.normal(weight.shape, stddev=0.3))
    backbone.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    return backbone, {**pieces, **marks}
