"""The model that a fine-tuning begins with: that of `--from`, made to fit the new data."""

from itertools import chain
from typing import Any

from rich.console import Console

from keras_seq2seq.data import Pairs, Preprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq, load_model
from keras_seq2seq.models.rebuilding import rebuilt
from keras_seq2seq.models.trained_parts import enable_lora, freeze, ordinary
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.wording import counted

from ..run_directory import RunDirectory
from ..run_records import file_fingerprint
from ..settings import TrainingConfig
from ..settings.base import MAY_DIFFER, check_base
from .building import with_sampling
from .checks import report_new
from .optimization import precision
from .own_parts import OwnParts

# New tokens that are named.
NAMED = 50


def describe_base(
    config: TrainingConfig, run: RunDirectory, own: OwnParts
) -> dict[str, str] | None:
    """What a run records of the run that it goes on from; nothing of one that has begun.

    Raises:
        InputError: If that run has no model, the settings do not fit it, or it needs modules
            that were not given.
    """
    if not config.fine_tuning.base or run.config_file.exists():
        return None
    base = RunDirectory(config.fine_tuning.base)
    base.require_model()
    check_base(config, base.settings)
    if missing := [name for name in base.modules if name not in own.modules]:
        raise InputError(
            f"{base.path} was trained with parts of its user's own. Give --import "
            f"{' --import '.join(missing)}."
        )
    if own.parts and not base.modules:
        raise InputError(
            f"With --from the parts are those of {base.path}. Received a module with "
            f"{', '.join(own.parts)}. Leave one of them out."
        )
    return {"path": str(base.path), "model": file_fingerprint(base.model_file)}


def starting_model(
    config: TrainingConfig, run: RunDirectory, train: Pairs, console: Console
) -> Seq2Seq:
    """The model of `--from`, or that of the run itself where it has one already: its last
    checkpoint then gives the weights.

    Raises:
        InputError: If the base has changed since the run began, a tokenizer cannot grow, or
            positions do not reach.
    """
    if run.record_file.exists() and run.model_file.exists():
        return with_sampling(rebuilt(load_model(run.model_file, compile=False)), config)
    base = RunDirectory(config.fine_tuning.base)
    path = base.require_model()
    if file_fingerprint(path) != run.config.get("base", {}).get("model"):
        raise InputError(
            f"{path} is another model than when {run.path} began, which has no epoch of its "
            "own yet. Choose another --run-dir."
        )
    model = load_model(path, compile=False)
    preprocessor = model.preprocessor
    if config.fine_tuning.extend_vocabulary:
        preprocessor = _extended(config, model, train, console)
    report_new(preprocessor, train, console)
    lengths = {
        name: length
        for name in ("max_source_length", "max_target_length")
        if (length := getattr(config.data, name))
    }
    before, now = base.settings.values, config.values
    changed = {n: now[n] for n in MAY_DIFFER if n in now and now[n] != before.get(n)}
    if "attention_dropout" in changed and changed["attention_dropout"] is None:
        changed["attention_dropout"] = now["dropout"]
    weight = changed.pop("ctc_weight", None)
    return with_sampling(
        rebuilt(model, preprocessor.replace(**lengths), changed, weight), config
    )


def _extended(
    config: TrainingConfig, model: Seq2Seq, train: Pairs, console: Console
) -> Preprocessor:
    preprocessor: Any = model.preprocessor
    texts = {"source": train.sources, "target": train.targets}
    tokenizers = preprocessor.tokenizers
    for side, tokenizer in tokenizers.items():
        if not tokenizer.grows:
            raise InputError(
                f"--extend-vocabulary cannot add tokens to the {side}s' "
                f"{type(tokenizer).__name__}: its vocabulary is made as a whole. Characters, "
                "symbols and words can grow. Leave the option out."
            )
    is_one = config.data.joint_vocabulary or model.decoder.copies_source
    is_one = is_one or model.decoder.embedding is model.encoder.embedding
    changes = {}
    for side, tokenizer in tokenizers.items():
        sides = tokenizers if is_one else [side]
        grown = tokenizer.extended(
            chain.from_iterable(tokenizers[one].tokens_of(texts[one]) for one in sides),
            min_count=config.data.min_count,
            max_size=config.data.vocabulary_size or None,
        )
        changes[f"{side}_tokenizer"] = grown
        _say_new(side, tokenizer.vocabulary_size(), grown.get_vocabulary(), console)
    return preprocessor.replace(**changes)


def _say_new(side: str, old: int, vocabulary: list[str], console: Console) -> None:
    new = vocabulary[old:]
    line = f"No {side} token is new."
    if new:
        named = ", ".join(map(repr, new[:NAMED]))
        others = f" and {len(new) - NAMED} others" if len(new) > NAMED else ""
        line = (
            f"{counted(len(new), f'new {side} token')}: {named}{others}. Each begins as the "
            f"mean of the {old - len(SPECIAL_TOKENS)} old ones."
        )
    console.print(line, highlight=False, soft_wrap=True, markup=False)


def hold_parts(config: TrainingConfig, model: Seq2Seq, console: Console) -> Seq2Seq | None:
    """Freezes what `--freeze` names and gives adapters to the rest for `--lora-rank`.

    Returns:
        An `ordinary` copy, to be saved in the place of the model; `None` if all of it is
        trained.
    """
    tuning = config.fine_tuning
    lines = []
    if tuning.freeze:
        layers = freeze(model, tuning.freeze)
        lines.append(f"Frozen, {counted(len(layers), 'layer')}: {', '.join(layers)}.")
        if model.decoder.embedding is model.encoder.embedding:
            lines.append("Source and target share embeddings, which belong to the encoder.")
    if tuning.lora_rank:
        adapters = enable_lora(model, tuning.lora_rank)
        lines.append(
            f"Adapters of rank {tuning.lora_rank} on "
            f"{counted(len(adapters.reached), 'layer')}: "
            f"{', '.join(adapters.reached)}."
        )
        if adapters.left:
            lines.append(f"Without one, and not trained: {', '.join(adapters.left)}.")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    if not lines:
        return None
    with precision(config.optimization.precision):
        return ordinary(model)
