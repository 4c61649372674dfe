"""Random small models of the families through transformers and CTranslate2, and what
CTranslate2 says of them: run by a Python that has ctranslate2, transformers and torch.

    python tests/converters/ctranslate2_oracle.py FOLDER

Writes FOLDER/FAMILY/ (the converted model), FOLDER/FAMILY_int8/ and so on, and for each
FOLDER/NAME.json. With a second argument it translates with that converted model instead.
"""

import json
import sys
from pathlib import Path

import ctranslate2
import numpy as np
import torch
import transformers as hf
from ctranslate2.converters import TransformersConverter

SIZE, COUNT, LONGEST = 60, 100, 20
SIZES = {
    "vocab_size": SIZE,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 20,
    "max_position_embeddings": 64,
}
T5_SIZES = {"vocab_size": SIZE, "d_model": 16, "d_ff": 24, "num_layers": 2, "num_heads": 2}


class Words:
    """In the place of a tokenizer: names of the ids."""

    def __init__(self, first, last=(), bos="<s>"):
        fill = SIZE - len(first) - len(last)
        self.names = [*first, *(f"w{index}" for index in range(fill)), *last]
        self.bos_token, self.eos_token = bos, "</s>"
        self.unk_token, self.pad_token = "<unk>", "<pad>"
        self.unk_token_id, self.num_madeup_words = self.names.index("<unk>"), 0
        self.special_tokens_map = {}

    def get_vocab(self):
        return {name: index for index, name in enumerate(self.names)}

    def convert_ids_to_tokens(self, index):
        return self.names[index]


BART = ["<s>", "<pad>", "</s>", "<unk>"]
T5 = Words(["<pad>", "</s>", "<unk>"], bos=None)
LAST = SIZE - 1

# Class, configuration, what its converter wants to know beside, words, bias of the end token.
FAMILIES = {
    "marian": (
        hf.MarianMTModel,
        lambda: hf.MarianConfig(
            **SIZES,
            activation_function="swish",
            scale_embedding=True,
            pad_token_id=LAST,
            eos_token_id=0,
            decoder_start_token_id=LAST,
        ),
        {},
        Words(["</s>", "<unk>"], ["<pad>"]),
        4,
    ),
    "bart": (
        hf.BartForConditionalGeneration,
        lambda: hf.BartConfig(**SIZES, activation_function="gelu"),
        {"normalize_before": False, "normalize_embedding": True},
        Words(BART),
        5,
    ),
    "mbart": (
        hf.MBartForConditionalGeneration,
        lambda: hf.MBartConfig(
            **SIZES,
            scale_embedding=True,
            decoder_start_token_id=2,
            tokenizer_class="MBart50Tokenizer",
        ),
        {"normalize_before": True, "normalize_embedding": True},
        Words(BART),
        4,
    ),
    "m2m100": (
        hf.M2M100ForConditionalGeneration,
        lambda: hf.M2M100Config(**SIZES, scale_embedding=True, decoder_start_token_id=2),
        {},
        Words(BART),
        16,
    ),
    "pegasus": (
        hf.PegasusForConditionalGeneration,
        lambda: hf.PegasusConfig(
            **SIZES,
            activation_function="relu",
            scale_embedding=True,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        ),
        {"normalize_before": True, "normalize_embedding": False},
        T5,
        4,
    ),
    "t5": (
        hf.T5ForConditionalGeneration,
        lambda: hf.T5Config(
            **T5_SIZES,
            d_kv=8,
            decoder_start_token_id=0,
            relative_attention_num_buckets=8,
            relative_attention_max_distance=16,
        ),
        {},
        T5,
        0,
    ),
    "t5_gated": (
        hf.T5ForConditionalGeneration,
        lambda: hf.T5Config(
            **T5_SIZES, d_kv=6, decoder_start_token_id=0, feed_forward_proj="gated-gelu"
        ),
        {},
        T5,
        0,
    ),
}


def random_weights(model, words, end_bias):
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "embed_positions" in name:
                continue
            if weight.ndim == 1:
                weight.add_(0.1 * torch.randn_like(weight))
            else:
                weight.normal_(0, 0.6 if "ttn" in name or "Attention" in name else 0.35)
        if hasattr(model, "final_logits_bias"):
            bias = model.final_logits_bias.normal_(0, 0.5)
            bias[0, words.names.index("</s>")] += end_bias
            for name in ("<pad>", "<s>"):  # Ours never writes these.
                if name in words.names:
                    bias[0, words.names.index(name)] -= 20
    return model.eval()


def answers(folder):
    """What CTranslate2 says of random sources and targets."""
    translator = ctranslate2.Translator(str(folder), compute_type="float32", intra_threads=1)
    rng = np.random.default_rng(3)
    words = [f"w{index}" for index in range(SIZE - 4)]
    sources, targets = (
        [rng.choice(words, rng.integers(1, 12)).tolist() for _ in range(COUNT)]
        for _ in range(2)
    )
    given = [[*source, "</s>"] for source in sources]
    settings = {"min_decoding_length": 0, "max_decoding_length": LONGEST, "return_scores": True}
    greedy = translator.translate_batch(given, beam_size=1, **settings)
    beam = translator.translate_batch(given, beam_size=4, length_penalty=0, **settings)
    return {
        "sources": sources,
        "targets": targets,
        "log_probs": [one.log_probs for one in translator.score_batch(given, targets)],
        "greedy": [one.hypotheses[0] for one in greedy],
        "beam": [one.hypotheses[0] for one in beam],
        "beam_scores": [one.scores[0] for one in beam],
    }


def make(folder):
    for family, (kind, configuration, extra, words, end_bias) in FAMILIES.items():
        config = configuration()
        for name, value in extra.items():
            setattr(config, name, value)
        random_weights(kind(config), words, end_bias).save_pretrained(folder / f"{family}_hf")

        class Converter(TransformersConverter):
            def load_tokenizer(self, *args, words=words, **kwargs):
                return words

        for quantization in (None, "int8", "float16", "bfloat16"):
            name = f"{family}_{quantization}" if quantization else family
            path = folder / name
            Converter(str(folder / f"{family}_hf")).convert(
                str(path), quantization=quantization
            )
            (folder / f"{name}.json").write_text(json.dumps(answers(path)), "utf-8")


def translate(folder, requests):
    """Greedy tokens and log probabilities, of a file of sources and targets."""
    given = json.loads(Path(requests).read_text("utf-8"))
    translator = ctranslate2.Translator(str(folder), compute_type="float32")
    found = translator.translate_batch(
        given["sources"],
        beam_size=1,
        min_decoding_length=0,
        max_decoding_length=given["max_length"],
        suppress_sequences=[["[PAD]"], ["[START]"]],
    )
    scores = translator.score_batch(given["sources"], given["targets"])
    print(
        json.dumps(
            {
                "greedy": [one.hypotheses[0] for one in found],
                "log_probs": [one.log_probs for one in scores],
            }
        )
    )


if __name__ == "__main__":
    if len(sys.argv) == 2:
        make(Path(sys.argv[1]))
    else:
        translate(sys.argv[1], sys.argv[2])
