"""A small Whisper with random weights in the layout that CTranslate2's converters write."""

import json

import numpy as np

from keras_seq2seq.converters.ctranslate2_file import ModelFile, write_model
from keras_seq2seq.tokenizers.byte_level_bpe import byte_characters

DIM, HEADS, INNER, LAYERS, MELS, POSITIONS, TARGETS = 16, 2, 24, 2, 80, 50, 20
MERGES = ["Ġ t", "h e", "Ġt he"]
PIECES = [*byte_characters(), "Ġt", "he", "Ġthe"]
MARKS = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|de|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
    *(f"<|{2 * step / 100:.2f}|>" for step in range(POSITIONS + 1)),
]
TOKENS = [*PIECES, *MARKS]
ID = {token: index for index, token in enumerate(TOKENS)}
CONFIG = {
    "suppress_ids": [1, 2, ID["<|startoftranscript|>"], ID["<|translate|>"]],
    "suppress_ids_begin": [ID["Ġ"], ID["<|endoftext|>"]],
    "lang_ids": [ID["<|en|>"], ID["<|de|>"]],
    "alignment_heads": [[1, 0]],
}


def weights(seed=1):
    """By name, float32."""
    random = np.random.default_rng(seed)
    arrays = {}

    def linear(name, rows, columns):
        arrays[f"{name}/weight"] = random.normal(0, columns**-0.5, (rows, columns))
        arrays[f"{name}/bias"] = random.normal(0, 0.1, rows)

    def norm(name):
        arrays[f"{name}/gamma"] = random.uniform(0.5, 1.5, DIM)
        arrays[f"{name}/beta"] = random.normal(0, 0.1, DIM)

    for index, channels in enumerate((MELS, DIM), 1):
        kernel = random.normal(0, (3 * channels) ** -0.5, (DIM, channels, 3))
        arrays[f"encoder/conv{index}/weight"] = kernel
        arrays[f"encoder/conv{index}/bias"] = random.normal(0, 0.1, DIM)
    arrays["encoder/position_encodings/encodings"] = random.normal(0, 0.3, (POSITIONS, DIM))
    arrays["decoder/position_encodings/encodings"] = random.normal(0, 0.3, (TARGETS, DIM))
    arrays["decoder/embeddings/weight"] = random.normal(0, 1, (len(TOKENS), DIM))
    for side in ("encoder", "decoder"):
        norm(f"{side}/layer_norm")
        for layer in range(LAYERS):
            block = f"{side}/layer_{layer}"
            linear(f"{block}/self_attention/linear_0", 3 * DIM, DIM)
            linear(f"{block}/self_attention/linear_1", DIM, DIM)
            norm(f"{block}/self_attention/layer_norm")
            if side == "decoder":
                for number, rows in enumerate((DIM, 2 * DIM, DIM)):
                    linear(f"{block}/attention/linear_{number}", rows, DIM)
                norm(f"{block}/attention/layer_norm")
            linear(f"{block}/ffn/linear_0", INNER, DIM)
            linear(f"{block}/ffn/linear_1", DIM, INNER)
            norm(f"{block}/ffn/layer_norm")
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def write_whisper(folder, arrays):
    """The folder of such a model."""
    folder.mkdir(parents=True)
    settings = {
        "encoder/num_heads": np.int16(HEADS),
        "decoder/num_heads": np.int16(HEADS),
        "decoder/activation": np.int8(3),
        "decoder/alignment_layer": np.int16(-1),
        "decoder/pre_norm": np.int8(1),
        "decoder/scale_embeddings": np.int8(0),
        "decoder/start_from_zero_embedding": np.int8(0),
    }
    file = ModelFile(
        "WhisperSpec",
        3,
        {**arrays, **{name: np.asarray(value) for name, value in settings.items()}},
        {"decoder/projection/weight": "decoder/embeddings/weight"},
    )
    write_model(folder / "model.bin", file)
    (folder / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    (folder / "vocabulary.json").write_text(json.dumps(TOKENS), "utf-8")
    vocab = {token: index for index, token in enumerate(PIECES)}
    tokenizer = {
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "model": {"type": "BPE", "vocab": vocab, "merges": MERGES},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    return folder


# The model in plain NumPy.


def mel_filters(bands, rate=16000, size=400):
    """Slaney's scale and norm, band by band."""

    def hertz(mel):
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top = 15 + 27 * np.log(rate / 2000) / np.log(6.4)
    corners = [hertz(mel) for mel in np.linspace(0, top, bands + 2)]
    filters = np.zeros((size // 2 + 1, bands))
    for band, (low, peak, high) in enumerate(
        zip(corners, corners[1:], corners[2:], strict=False)
    ):
        for place, frequency in enumerate(np.linspace(0, rate / 2, size // 2 + 1)):
            if low < frequency < high:
                side = low if frequency <= peak else high
                height = (frequency - side) / (peak - side)
                filters[place, band] = height * 2 / (high - low)
    return filters


def log_mel(sound, bands=MELS, seconds=POSITIONS / 50, rate=16000, size=400, stride=160):
    """`(frames, bands)`."""
    count = round(seconds * rate)
    padded = np.zeros(count)
    padded[: len(sound)] = sound
    padded = np.pad(padded, size // 2, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    frames = [padded[begin : begin + size] * window for begin in range(0, count, stride)]
    power = np.abs(np.fft.rfft(frames)) ** 2
    values = np.log10(np.maximum(power @ mel_filters(bands, rate, size), 1e-10))
    return (np.maximum(values, values.max() - 8) + 4) / 4


class Reference:
    """Log probabilities of a target, without masks or caches."""

    def __init__(self, arrays):
        self.arrays = {name: array.astype(np.float64) for name, array in arrays.items()}

    def linear(self, name, x):
        return x @ self.arrays[f"{name}/weight"].T + self.arrays[f"{name}/bias"]

    def norm(self, name, x):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * self.arrays[f"{name}/gamma"] + self.arrays[f"{name}/beta"]

    def attend(self, query, key, value, causal=False):
        outputs = []
        for q, k, v in zip(
            *(np.split(one, HEADS, -1) for one in (query, key, value)), strict=True
        ):
            scores = q @ k.T / np.sqrt(q.shape[-1])
            if causal:
                scores += np.triu(np.full(scores.shape, -np.inf), 1)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            outputs.append(scores / scores.sum(-1, keepdims=True) @ v)
        return np.concatenate(outputs, -1)

    def block(self, name, x, memory=None):
        own, ffn = f"{name}/self_attention", f"{name}/ffn"
        parts = self.linear(f"{own}/linear_0", self.norm(f"{own}/layer_norm", x))
        attended = self.attend(*np.split(parts, 3, -1), causal=memory is not None)
        x = x + self.linear(f"{own}/linear_1", attended)
        if memory is not None:
            cross = f"{name}/attention"
            query = self.linear(f"{cross}/linear_0", self.norm(f"{cross}/layer_norm", x))
            key, value = np.split(self.linear(f"{cross}/linear_1", memory), 2, -1)
            x = x + self.linear(f"{cross}/linear_2", self.attend(query, key, value))
        inner = gelu(self.linear(f"{ffn}/linear_0", self.norm(f"{ffn}/layer_norm", x)))
        return x + self.linear(f"{ffn}/linear_1", inner)

    def convolve(self, name, x, stride):
        kernel = self.arrays[f"{name}/weight"]
        padded = np.pad(x, [(1, 1), (0, 0)])
        places = range(0, len(x), stride)
        outputs = [np.einsum("kc,ock->o", padded[t : t + 3], kernel) for t in places]
        return gelu(np.array(outputs) + self.arrays[f"{name}/bias"])

    def encode(self, sound):
        x = self.convolve("encoder/conv1", log_mel(sound), 1)
        x = self.convolve("encoder/conv2", x, 2)
        x = x + self.arrays["encoder/position_encodings/encodings"]
        for layer in range(LAYERS):
            x = self.block(f"encoder/layer_{layer}", x)
        return self.norm("encoder/layer_norm", x)

    def log_probs(self, memory, ids):
        """`(len(ids), tokens)`: of what follows each."""
        table = self.arrays["decoder/embeddings/weight"]
        x = table[ids] + self.arrays["decoder/position_encodings/encodings"][: len(ids)]
        for layer in range(LAYERS):
            x = self.block(f"decoder/layer_{layer}", x, memory)
        logits = self.norm("decoder/layer_norm", x) @ table.T
        logits -= logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    def greedy(self, memory, prompt, count):
        """What CTranslate2's greedy search writes, at most so many."""
        ids = list(prompt)
        for step in range(count):
            scores = self.log_probs(memory, ids)[-1]
            scores[CONFIG["suppress_ids"]] = -np.inf
            if step == 0:
                scores[CONFIG["suppress_ids_begin"]] = -np.inf
            ids.append(int(scores.argmax()))
            if ids[-1] == ID["<|endoftext|>"]:
                return ids[len(prompt) : -1]
        return ids[len(prompt) :]


def gelu(x):
    from math import erf

    return x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))
