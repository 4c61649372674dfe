"""What an epoch is made of: the compiled model of a configuration, and its batches."""

from keras_seq2seq.data import Pairs, Preprocessor, training_data
from keras_seq2seq.data.augmentation import Augmentation
from keras_seq2seq.data.dataset import TrainingData
from keras_seq2seq.data.token_swaps import TokenSwaps
from keras_seq2seq.models import Seq2Seq, backend_generates
from keras_seq2seq.token_accuracy import TokenAccuracy

from ..settings import TrainingConfig
from .building import build_loss, build_model
from .distribution import ALONE, Processes
from .optimization import build_optimizer, precision
from .own_parts import OwnParts


def batches(
    config: TrainingConfig,
    preprocessor: Preprocessor,
    train: Pairs,
    initial_epoch: int = 0,
    initial_step: int = 0,
    processes: Processes = ALONE,
    swaps: TokenSwaps | None = None,
) -> TrainingData:
    """The batches of a run, from an epoch (from 0) and a step of it on; the rows of this
    process."""
    settings = config.optimization
    data = training_data(
        preprocessor,
        train.sources,
        train.targets,
        batch_size=settings.batch_size,
        batch_tokens=settings.batch_tokens or None,
        num_buckets=settings.num_buckets,
        seed=config.run.seed,
        initial_epoch=initial_epoch,
        initial_step=initial_step,
        weights=train.weights,
        repeats=train.repeats,
        augmentation=Augmentation(config.data.speed_perturbation, config.data.added_noise),
        swaps=swaps,
    )
    return processes.shared(data, twice=bool(settings.r_drop))


def compiled(
    config: TrainingConfig,
    preprocessor: Preprocessor,
    steps: int,
    own: OwnParts,
    model: Seq2Seq | None = None,
) -> Seq2Seq:
    """The model of a configuration, new weights, or one that is there, ready for `fit`.

    Args:
        config: Settings.
        preprocessor: Of the model.
        steps: int. Batches an epoch.
        own: Parts of the user's own.
        model: Optional.
    """
    if model is None:
        with precision(config.optimization.precision):
            model = build_model(config, preprocessor, own)
    # Compiling the whole step for every bucket's shape costs more than it saves on a CPU;
    # JAX has no other way to run more than an operation at a time.
    model.compile(
        build_optimizer(config, config.optimization.epochs * steps),
        build_loss(config),
        weighted_metrics=[TokenAccuracy(), *own.metrics(config)],
        jit_compile=not backend_generates(),
    )
    model.optimizer.build(model.trainable_variables)
    return model
