"""Many files of lines to as many files of answers: each of them whole, or not there.

A file is answered from end to end by one process, aside, and moved to its place in one step.
So a job that is killed anywhere and repeated has every line once, whatever runs it.
"""

import glob
import gzip
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from keras_seq2seq import __version__
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import (
    check_folder,
    clear_leftovers,
    disk_errors,
    is_leftover,
    write_new,
    write_text,
)
from keras_seq2seq.settings import GenerationSettings, option_name
from keras_seq2seq.settings.declarations import settings_of

from .engines import digest_of, export_in, open_engine, search_of
from .source_lines import lines_of
from .targets import Writer

JOB_FILE, RESULT_FILE, COUNTS = "job.json", "result.json", "counts"
# Errors of lines whose words are kept, of each file.
MOST_ERRORS = 100
# Bytes at the beginning and at the end of a file that its fingerprint is of.
ENDS = 1 << 16
# Option of a field of `FileJob` that is called otherwise.
_OPTIONS = {"as_json": "json"}
NUMBERS = ("lines", "tokens", "errors", "unknown", "seconds")


@dataclass(frozen=True)
class FileJob:
    """What answers which files how. Plain values, so that it goes to other processes.

    Attributes:
        model: Folder of a run or of an export.
        pattern: string. The files, with `*` and `**`.
        out: Folder of the answers.
        engine: string, or `None`, as of `open_engine`.
        options: Generation options that were given.
        scores: bool. As of `generate`.
        as_json: bool. As of `generate`.
        modules: Modules of a user's own that the run needs.
    """

    model: Path
    pattern: str
    out: Path
    engine: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    scores: bool = False
    as_json: bool = False
    modules: tuple[str, ...] = ()

    def sources(self) -> dict[str, Path]:
        """The files by the names of their answers, relative to `out`.

        Raises:
            InputError: If there is none.
        """
        paths = sorted(glob.glob(self.pattern, recursive=True))
        found = [Path(path) for path in paths if os.path.isfile(path)]
        if not found:
            raise InputError(f"No file is named {self.pattern}. Check the pattern.")
        top = Path(os.path.commonpath([path.absolute().parent for path in found]))
        return {self._name(path.absolute().relative_to(top)): path for path in found}

    def _name(self, path: Path) -> str:
        is_packed = path.suffix.lower() == ".gz"
        name = path.with_suffix("") if is_packed else path
        return f"{name.as_posix()}{'.jsonl' if self.as_json else '.tsv'}{'.gz' * is_packed}"

    def begin(self) -> list[str]:
        """Makes the folder of the answers, or finds that it is of this job; removes what
        killed processes of this machine left in it.

        Returns:
            A line for each leftover that is not ours to remove.

        Raises:
            InputError: If the folder is of another job, or cannot be written.
        """
        check_folder(self.out)
        file, now = self.out / JOB_FILE, self._fingerprints()
        with disk_errors(self.out, "read"):
            there = file.is_file()
            others = [one for one in self.out.glob("*") if not is_leftover(one)]
        if not there and others:
            raise InputError(
                f"{self.out} has files of something else, such as {others[0].name}. Give a new "
                "folder."
            )
        if there:
            if different := _different(_read_json(file), now):
                raise InputError(
                    f"{self.out} holds the answers of another job: other "
                    f"{', '.join(different)}. Give a new folder, or repeat the same command."
                )
        else:
            write_text(file, json.dumps(now, indent=1))
        folders = {self.out, *(path.parent for path in self.out.glob("**/*"))}
        return [line for folder in sorted(folders) for line in clear_leftovers(folder)]

    def _fingerprints(self) -> dict[str, Any]:
        """What the answers depend on, by the words of a message."""
        names = ("engine", "scores", "as_json")
        options = search_of(self.options) | {name: getattr(self, name) for name in names}
        files = {name: _ends(path) for name, path in self.sources().items()}
        return {
            "model": digest_of(self.model),
            "options": json.loads(json.dumps(options, default=str)),
            "input files": files,
            "version of keras_seq2seq": __version__,
        }

    def open(self) -> Any:
        """The engine, in the process that answers."""
        for module in self.modules:
            import_module(module)
        source: Any = export_in(self.model)
        if source is None:
            from keras_seq2seq.training.run_directory import RunDirectory

            source = RunDirectory(self.model)
        return open_engine(source, self.engine, {"config": None, **self.options})

    def waiting(self) -> list[str]:
        """The names of the answers that are not there yet."""
        return [name for name in self.sources() if not (self.out / name).exists()]

    def answer(self, engine: Any, name: str, source: Path) -> dict[str, Any]:
        """Answers one file from end to end.

        Args:
            engine: As `open` gives it.
            name: Of the answers, of `sources`.
            source: Its lines.

        Returns:
            `NUMBERS`, and `first_errors`: `[line, why]`; or `failed`, why the file has none.
        """
        path, begin = self.out / name, time.perf_counter()
        writer = _CountingWriter(engine, self.scores, self.as_json)

        def write(new: Path) -> None:
            with _opened(new) as writer.file:
                writer.write(lines_of(source, may_be_empty=True))
            counts = writer.counts() | {"seconds": time.perf_counter() - begin}
            # Before the answers are in their place: where they are, these are too.
            write_text(self._counts_file(name), json.dumps(counts))

        if not path.exists():
            try:
                write_new(path, write)
            except InputError as error:
                # Else another worker was given the same file.
                if not path.exists():
                    write_text(self._counts_file(name), json.dumps({"failed": str(error)}))
        return self.counts(name)

    def counts(self, name: str) -> dict[str, Any]:
        """What `answer` returned for a file."""
        return _read_json(self._counts_file(name))

    def _counts_file(self, name: str) -> Path:
        return self.out / COUNTS / f"{name}.json"

    def end(self, answered: int, seconds: float) -> dict[str, Any]:
        """Sums up all files into `result.json`.

        Args:
            answered: int. Files of this run.
            seconds: float. Seconds of this run, by the clock.

        Returns:
            `NUMBERS` over all runs, `files`, and `failed`: file -> why it has no answers.
        """
        counts = {name: self.counts(name) for name in self.sources()}
        failed = {name: one["failed"] for name, one in counts.items() if "failed" in one}
        whole = [one for name, one in counts.items() if name not in failed]
        result = {name: sum(one[name] for one in whole) for name in NUMBERS}
        result |= {"files": len(whole), "failed": failed}
        result |= {"this run": {"files": answered, "seconds": seconds}}
        write_text(self.out / RESULT_FILE, json.dumps(result, indent=1))
        return result


class _CountingWriter(Writer):
    """Counts what it cannot answer, and keeps the first reasons, in place of printing them."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self._errors: list[tuple[int, str]] = []
        self._failed = self._unknown = 0

    def say_error(self, number: int, what: str, why: str) -> None:
        self._failed += 1
        if len(self._errors) < MOST_ERRORS:
            self._errors.append((number, why))

    def say_unknown(self, unknown: dict[str, int]) -> None:
        self._unknown = sum(unknown.values())

    def counts(self) -> dict[str, Any]:
        return {
            "lines": self.answered,
            "tokens": self.tokens,
            "errors": self._failed,
            "unknown": self._unknown,
            "first_errors": self._errors,
        }


def _different(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs of two records of `FileJob`: options and files by their names."""
    names = []
    for what in now:
        old, new = before.get(what), now[what]
        if old == new:
            continue
        if not (isinstance(old, dict) and isinstance(new, dict)):
            names.append(what)
        elif what == "options":
            keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
            names += [_option(key) for key in keys]
        elif [*old.values()] != [*new.values()]:
            files = [key for key in {**old, **new} if old.get(key) != new.get(key)]
            more = f" and {len(files) - 1} more" if len(files) > 1 else ""
            names.append(f"{what} (of {files[0]}{more})")
        # Else the names of the answers alone, which follow an option.
    return names


def _option(name: str) -> str:
    """`as_json` -> `--json`, `num_beams` -> `--beam-size`."""
    declared = settings_of(GenerationSettings)
    return declared[name].option if name in declared else option_name(_OPTIONS.get(name, name))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file to write bytes to, packed if its name says so: the same bytes every time."""
    with open(path, "wb") as file:
        if path.suffix != ".gz":
            yield file
            return
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
            yield packed


def _ends(path: Path) -> list[Any]:
    """Bytes of a file, and a fingerprint of its beginning and its end."""
    with disk_errors(path, "read"), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(ENDS)
        file.seek(max(0, size - ENDS))
        return [size, hashlib.sha256(head + file.read(ENDS)).hexdigest()]


def _read_json(file: Path) -> dict[str, Any]:
    with disk_errors(file, "read"):
        text = file.read_bytes()
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}). Give a new folder.") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} is damaged: it must hold an object. Give a new folder.")
    return content
