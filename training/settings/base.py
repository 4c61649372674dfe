"""The settings that a run takes of the run that it goes on from, and which of them stand."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings.declarations import shown

from .config import TrainingConfig, option_of
from .data import AUGMENTATION
from .files import recorded

# Origins of settings.
BASE, FINE_TUNING = "base", "fine-tuning"

# Of the model; what else there is says how large and of what kind its weights are.
MAY_DIFFER = ("dropout", "attention_dropout", "recurrent_dropout", "ctc_weight")
# Of the tokenizers; the others decide what a token is.
OF_NEW_TOKENS = ("vocabulary_size", "min_count")
LENGTHS = ("max_source_length", "max_target_length")
# Of how the base was trained. Its time and learning rate were for weights that knew nothing.
TAKEN = (
    "batch_size",
    "batch_tokens",
    "num_buckets",
    "precision",
    "optimizer",
    "beta_2",
    "weight_decay",
    "clipnorm",
    "global_clipnorm",
    "gradient_accumulation",
    "label_smoothing",
    "r_drop",
    "metric",
    "bleu_tokenizer",
    "references",
    "monitor",
    "token_name",
    "sequence_name",
)

# A fifth of the peak that the base was trained with; of a model that was trained elsewhere, a
# rate that is small enough for most. What begins anew, adapters and new tokens, takes five
# times that.
SHARE = 0.2
RATE = 1e-4
ANEW = 5
_ANEW = ("lora_rank", "extend_vocabulary")


def base_layers(
    layers: list[tuple[str, dict[str, Any]]], run_dir: Path | None
) -> list[tuple[str, dict[str, Any]]]:
    """The sources of settings, the strongest first, with those of `--from` behind them.

    A run that began already has what it took in its own record: the base may be gone.

    Raises:
        InputError: If the base is no run.
    """
    given: dict[str, Any] = {}
    for _, layer in reversed(layers):
        given |= {n: layer[n] for n in ("base", *_ANEW) if n in layer}
    if not (base := given.get("base")):
        return layers
    own = None if run_dir is None else run_dir / "config.json"
    if own is not None and os.path.exists(own):
        config = recorded(own)
        return layers + [
            (origin, {n: config.values[n] for n, o in config.origins.items() if o == origin})
            for origin in (BASE, FINE_TUNING)
        ]
    if run_dir is not None and os.path.abspath(base) == os.path.abspath(run_dir):
        raise InputError("--from and --run-dir are the same folder; choose another --run-dir.")
    config = recorded(Path(base) / "config.json")
    rate = _learning_rate(Path(base), config, any(given.get(name) for name in _ANEW))
    return [*layers, (BASE, _taken(config)), (FINE_TUNING, {"learning_rate": rate})]


def check_base(config: TrainingConfig, base: TrainingConfig) -> None:
    """Raises `InputError` for settings of a run that do not fit the model that it begins
    with."""
    new_tokens = config.fine_tuning.extend_vocabulary
    had, wanted = base.values, config.values
    fixed = [name for name in _fixed(base) if name not in LENGTHS]
    if new_tokens:
        fixed = [name for name in fixed if name not in OF_NEW_TOKENS]
    if had["architecture"] != wanted["architecture"]:
        fixed = ["architecture"]
    for name in fixed:
        if name in OF_NEW_TOKENS and name not in config.changed:
            continue
        if wanted[name] != had[name]:
            more = ". With --extend-vocabulary it is about the new ones"
            raise InputError(
                f"{option_of(name)} cannot be changed in the model of --from, where it is "
                f"{shown(had[name])}. Received: {shown(wanted[name])}. Leave it out"
                f"{more if name in OF_NEW_TOKENS else ''}."
            )
    if bool(had.get("ctc_weight")) != bool(wanted.get("ctc_weight")):
        raise InputError(
            "--ctc-weight cannot add or remove the CTC head of the model of --from, where it "
            f"is {had['ctc_weight']:g}. Received: {wanted['ctc_weight']:g}. Leave it out."
        )


def _fixed(base: TrainingConfig) -> list[str]:
    """The settings that describe the base's weights and tokens."""
    model = [name for name in base.model_values if name not in MAY_DIFFER]
    data = [name for name in base.to_dict()["data"] if name not in AUGMENTATION]
    return [*model, *data]


def _taken(base: TrainingConfig) -> dict[str, Any]:
    """What of a base's settings holds for a run that goes on from it."""
    names = [*base.model_values, *base.to_dict()["data"], *TAKEN]
    return {name: base.values[name] for name in names if name not in OF_NEW_TOKENS}


def _learning_rate(path: Path, base: TrainingConfig, anew: bool) -> float:
    rate = SHARE * base.optimization.learning_rate
    if _is_imported(path):
        rate = RATE
    elif base.fine_tuning.base:
        began_anew = any(getattr(base.fine_tuning, name) for name in _ANEW)
        rate = base.optimization.learning_rate / (ANEW if began_anew else 1)
    return float(f"{rate * (ANEW if anew else 1):.6g}")


def _is_imported(path: Path) -> bool:
    try:
        metrics: Mapping[str, Any] = json.loads((path / "metrics.json").read_text("utf-8"))
        return "imported" in metrics
    except (OSError, ValueError, TypeError):  # It is read with care where it is needed.
        return False
