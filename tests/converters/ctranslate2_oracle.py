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
from ctranslate2.specs import attention_spec, model_spec, transformer_spec

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
GEMMA_SIZES = {
    "vocab_size": SIZE,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
}


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
PLAIN = Words(["<pad>", "</s>", "<unk>", "<s>"])
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
    "umt5": (
        hf.UMT5ForConditionalGeneration,
        lambda: hf.UMT5Config(**T5_SIZES, d_kv=8, decoder_start_token_id=0),
        {},
        T5,
        0,
    ),
    "t5gemma": (
        hf.T5GemmaForConditionalGeneration,
        lambda: hf.T5GemmaConfig(
            encoder=hf.T5GemmaModuleConfig(**GEMMA_SIZES),
            decoder=hf.T5GemmaModuleConfig(**GEMMA_SIZES, is_decoder=True),
            vocab_size=SIZE,
        ),
        {},
        Words(["<pad>", "</s>", "<bos>", "<unk>"], bos="<bos>"),
        0,
    ),
}
DIM, HEADS, INNER = 16, 2, 24
ROTARY = {
    "rotary_dim": 4,
    "rotary_interleave": True,
    "rotary_base": 50,
    "rotary_scaling_type": attention_spec.RotaryScalingType.Linear,
    "rotary_scaling_factor": 2,
}
HALVES = {"rotary_dim": 0, "rotary_interleave": False, "rms_norm": True, "ffn_glu": True}
# What OpenNMT's converters write, and what no converter writes today but CTranslate2 runs:
# specifications, and the outputs of their keys.
SPECIFICATIONS = {
    "vectors": (
        lambda: transformer_spec.TransformerSpec.from_config(
            2, HEADS, with_relative_position=True
        ),
        DIM,
    ),
    "one_key": (
        lambda: transformer_spec.TransformerSpec.from_config(
            2, HEADS, multi_query_attention=True
        ),
        DIM // HEADS,
    ),
    "rotary": (
        lambda: transformer_spec.TransformerSpec(
            transformer_spec.TransformerEncoderSpec(2, HEADS, **ROTARY),
            transformer_spec.TransformerDecoderSpec(2, HEADS, **ROTARY),
        ),
        DIM,
    ),
    "rotary_halves": (
        lambda: transformer_spec.TransformerSpec(
            transformer_spec.TransformerEncoderSpec(2, HEADS, **HALVES),
            transformer_spec.TransformerDecoderSpec(2, HEADS, **HALVES),
        ),
        DIM,
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
            if "embed_tokens" in name and "<bos>" in words.names:
                # Its logits have no bias, and ours never writes the beginning.
                weight[words.names.index("<bos>")] *= 0.02
                weight[words.names.index("</s>")] *= 2
        if hasattr(model, "final_logits_bias"):
            bias = model.final_logits_bias.normal_(0, 0.5)
            bias[0, words.names.index("</s>")] += end_bias
            for name in ("<pad>", "<s>"):  # Ours never writes these.
                if name in words.names:
                    bias[0, words.names.index(name)] -= 20
    return model.eval()


def filled(spec, keys):
    """The specification with random weights, and words."""
    rng = np.random.default_rng(7)

    def size(name):
        """Rows of a weight, and columns."""
        if "embeddings" in name or "projection" in name:
            return SIZE, DIM
        if "relative_position" in name:
            return 2 * 3 + 1, DIM // HEADS
        if "self_attention" in name:
            return (DIM + 2 * keys if "linear_0" in name else DIM), DIM
        if "attention" in name:
            return (2 * keys if "linear_1" in name else DIM), DIM
        return (DIM, INNER) if "linear_1" in name else (INNER, DIM)

    def fill(layer, name, value):
        end = name.rpartition("/")[2]
        if value is None and end in ("gamma", "beta"):
            value = rng.normal(end == "gamma", 0.1, DIM)
        elif value is None:
            value = rng.normal(0, 0.5, size(name))
        elif end == "bias" and ("linear" in name or "projection" in name):
            value = rng.normal(0, 0.5, size(name)[0])
        else:
            return
        setattr(layer, end, value.astype("float32"))

    model_spec.visit_spec(spec, fill)
    bias = spec.decoder.projection.bias
    for name, more in (("</s>", 2), ("<pad>", -20), ("<s>", -20)):
        bias[PLAIN.names.index(name)] += more
    spec.register_source_vocabulary(PLAIN.names)
    spec.register_target_vocabulary(PLAIN.names)
    spec.config.decoder_start_token = "<pad>"
    return spec


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
    for name, (specification, keys) in SPECIFICATIONS.items():
        spec = filled(specification(), keys)
        spec.validate()
        (folder / name).mkdir()
        spec.save(str(folder / name))
        (folder / f"{name}.json").write_text(json.dumps(answers(folder / name)), "utf-8")


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
