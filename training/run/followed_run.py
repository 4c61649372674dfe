"""A run that another process writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError

from ..run_directory import RunDirectory


class FollowedRun(RunDirectory):
    """Reads what the first process of a run has in its folder, and writes nothing.

    Args:
        path: The folder, which all processes must see.
    """

    @contextmanager
    def held(self) -> Iterator[None]:
        yield

    def begin(self, *arguments: Any, **options: Any) -> list[str]:
        if not self.config_file.exists():
            raise InputError(
                f"{self.path} is not there, although process 0 has begun a run in it. All "
                "processes must see one folder: give one on a shared disk."
            )
        return []

    def withdraw(self) -> None:
        pass

    def remove_checkpoint(self) -> None:
        pass

    def record_changes(self, *arguments: Any) -> None:
        pass

    def write_history(self, history: list[dict[str, float]]) -> None:
        pass

    def write_json(self, path: Path, content: Any) -> None:
        pass

    def write_pairs(self, *arguments: Any) -> None:
        pass

    def write_vocabulary(self, preprocessor: Any) -> None:
        pass
