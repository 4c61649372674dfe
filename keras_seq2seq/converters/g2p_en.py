"""The model of the package g2p_en: English letters to phonemes with two GRUs."""

import string
from pathlib import Path

import numpy as np

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.disk import array_errors
from keras_seq2seq.data.text_preprocessor import TextPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import (
    CopyBridge,
    RecurrentDecoder,
    RecurrentEncoder,
    Seq2Seq,
    TokenEmbedding,
)
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer

_VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split()
_CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split()

# Rows of the archive: padding, unknown, end, letters; padding, unknown, start, end, phonemes
# in the order of their letters, vowels with stress 0, 1 and 2, and UW once without.
_PHONEMES = sorted([*_CONSONANTS, "UW", *(f"{v}{stress}" for v in _VOWELS for stress in "012")])
_LETTER_ROWS = [0, 1, -1, 2, *range(3, 3 + len(string.ascii_lowercase))]
_LAST = 20  # Phonemes that its own loop writes at most.


@checked
def from_g2p_en(path: str | Path, *, max_source_length: int = 64) -> Seq2Seq:
    """Rebuilds the GRU encoder-decoder of g2p_en 2 from its archive, with the same phonemes.

    Letters `a` to `z` to ARPAbet with stress; other characters are unknown. As g2p_en, it
    writes what is not in a dictionary: its dictionaries and rules for numbers are not here.

    Args:
        path: `checkpoint20.npz` of the package `g2p-en`.
        max_source_length: int. Letters of a word at most. Defaults to 64.

    Raises:
        InputError: If the file is missing, or another one.
    """
    arrays = _read(Path(path))
    preprocessor = TextPreprocessor(
        CharacterTokenizer(
            [*SPECIAL_TOKENS, *string.ascii_lowercase], name="source_vocabulary"
        ),
        SymbolTokenizer([*SPECIAL_TOKENS, *_PHONEMES], name="target_vocabulary"),
        max_source_length,
        _LAST,
    )
    source, target = preprocessor.source_tokenizer, preprocessor.target_tokenizer
    dim, units = arrays["enc_emb"].shape[1], arrays["enc_w_hh"].shape[1]
    model = Seq2Seq(
        RecurrentEncoder(TokenEmbedding(source.vocabulary_size(), dim), units, cell="gru"),
        RecurrentDecoder(
            TokenEmbedding(target.vocabulary_size(), dim),
            units,
            cell="gru",
            bridge=CopyBridge(),
        ),
        preprocessor,
    )
    layers = {layer.name: layer for layer in model.layers}
    letters = np.where(np.array(_LETTER_ROWS)[:, None] < 0, 0, arrays["enc_emb"][_LETTER_ROWS])
    layers["encoder_embedding"].set_weights([letters])
    layers["decoder_embedding"].set_weights([arrays["dec_emb"]])
    for side, name in (("enc", "encoder_gru_0"), ("dec", "decoder_gru_0")):
        layers[name].set_weights(
            [
                _gates(arrays[f"{side}_w_ih"]).T,
                _gates(arrays[f"{side}_w_hh"]).T,
                np.stack([_gates(arrays[f"{side}_b_ih"]), _gates(arrays[f"{side}_b_hh"])]),
            ]
        )
    layers["decoder_logits"].set_weights([arrays["fc_w"].T, arrays["fc_b"]])
    return model


def _gates(weights: np.ndarray) -> np.ndarray:
    """Reset, update, new -> update, reset, new, along the first axis."""
    reset, update, new = np.split(weights, 3)
    return np.concatenate([update, reset, new])


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"{path}: no such file. Give checkpoint20.npz of the package g2p-en.")
    with array_errors(path, "an .npz archive"), np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    embedding = arrays.get("enc_emb", np.zeros((0, 0)))
    units = arrays.get("enc_w_hh", np.zeros((0, 0))).shape[-1]
    dim = embedding.shape[-1]
    expected: dict[str, tuple[int, ...]] = {"enc_emb": (len(_LETTER_ROWS) - 1, dim)}
    tokens = len(SPECIAL_TOKENS) + len(_PHONEMES)
    expected |= {"dec_emb": (tokens, dim), "fc_w": (tokens, units), "fc_b": (tokens,)}
    for side in ("enc", "dec"):
        expected |= {f"{side}_w_ih": (3 * units, dim), f"{side}_w_hh": (3 * units, units)}
        expected |= {f"{side}_b_ih": (3 * units,), f"{side}_b_hh": (3 * units,)}
    for name, shape in expected.items():
        if name not in arrays or arrays[name].shape != shape:
            found = arrays[name].shape if name in arrays else "none"
            raise InputError(
                f"{path} is not the archive of g2p_en 2: {name} must have the shape {shape}. "
                f"Received: {found}."
            )
    return arrays
