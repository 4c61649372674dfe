"""The run of a process that is not the first: a copy of its own, which nobody keeps.

Saving a model is work of all processes together where they share its weights, so all do the
same, each in a folder; that of the first process is the run.
"""

import shutil
from pathlib import Path

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import disk_errors

from ..run_directory import RunDirectory


def copy_run(run: RunDirectory, folder: str | Path) -> RunDirectory:
    """What a run has to resume from, in another folder.

    Args:
        run: As the first process has begun it.
        folder: An empty one.

    Raises:
        InputError: If the run is not there.
    """
    if not run.config_file.exists():
        raise InputError(
            f"{run.path} is not there, although process 0 has begun a run in it. All processes "
            "must see one folder: give one on a shared disk."
        )
    copy = RunDirectory(folder)
    with disk_errors(run.path, "read"):
        for name in ("config_file", "history_file", "metrics_file", "model_file"):
            if (file := getattr(run, name)).exists():
                shutil.copyfile(file, getattr(copy, name))
        for name in ("checkpoint", "epochs"):
            if (there := getattr(run, name)).exists():
                shutil.copytree(there, getattr(copy, name))
    return copy
