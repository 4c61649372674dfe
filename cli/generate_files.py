"""The command `generate-files`: more lines than one file, or one machine, holds."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError
from keras_seq2seq.wording import counted

from .engines import engine_argument
from .file_job import FileJob
from .options import console, generation_options, given
from .outputs import Command
from .runs import imported_modules


@click.command("generate-files", cls=Command)
@engine_argument
@click.argument("pattern")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.argument("beam", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM_OPTIONS]")
@click.option("--scores", is_flag=True, help="Write the log probability in front.")
@click.option("--json", "as_json", is_flag=True, help="All of it, one JSON object a source.")
@generation_options
def generate_files(
    source: Any,
    engine: str | None,
    pattern: str,
    out: Path,
    beam: tuple[str, ...],
    scores: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Generate a target for each line of many files: PATTERN, such as 'in/*.txt.gz'.

    OUT gets a file of answers for each of them, as `generate` writes it: written aside and
    moved to its place when it is whole. The same command goes on where it was killed: files
    that are there are not made again. A folder of another job is refused.

    A line that has no target comes out with an empty one. OUT/result.json counts files, lines,
    tokens, errors and seconds, OUT/counts/ those of each file, with the reasons. The exit
    status is 1 if a whole file cannot be read.

    Without BEAM_OPTIONS this process answers all files, one after the other. With them Apache
    Beam does (`pip install keras-seq2seq[beam]`): they are Beam's own, and name its runner.
    The workers must see the folders under the same names, and have this package.

    \b
    Examples:
      keras-seq2seq generate-files exports/demo/saved_model 'in/*.txt.gz' out
      keras-seq2seq generate-files runs/demo 'in/**/*.txt' out --engine xla --beam-size 4
      keras-seq2seq generate-files exports/demo/tflite 'in/*.txt' out -- \\
        --runner=DirectRunner --direct_num_workers=2 --direct_running_mode=multi_processing
    """
    if options["config"] is not None:
        from .options import generation_settings

        # As options: a worker reads no file of the one who began the job.
        options = generation_settings(options).to_dict()
    options.pop("config", None)
    if options.get("shortlist") is not None:  # A worker may run in another folder.
        options["shortlist"] = str(Path(options["shortlist"]).absolute())
    modules = tuple(module.__name__ for module in imported_modules())
    path = source.path.absolute()
    job = FileJob(
        path, pattern, out.absolute(), engine, given(options), scores, as_json, modules
    )
    for line in job.begin():
        console.print(line, highlight=False, soft_wrap=True)
    begin = time.perf_counter()
    names = job.waiting()
    if names and beam:
        try:
            from . import pipeline
        except ImportError as error:
            raise InputError(
                f"Beam's options need {error.name}: `pip install keras-seq2seq[beam]`."
            ) from error
        pipeline.run(job, names, beam)
    elif names:
        opened, sources = job.open(), job.sources()
        for number, name in enumerate(names, 1):
            job.answer(opened, name, sources[name])
            console.print(f"{number} of {len(names)}: {name}", highlight=False, soft_wrap=True)
    _say(job, len(names), time.perf_counter() - begin)


def _say(job: FileJob, answered: int, seconds: float) -> None:
    result = job.end(answered, seconds)
    line = ", ".join(
        counted(result[name], name.removesuffix("s"))
        for name in ("files", "lines", "tokens", "errors")
    )
    again = f"; {answered} of the files in {seconds:.0f} s now" if answered else "; all before"
    console.print(f"{job.out}: {line}{again}", highlight=False, soft_wrap=True)
    for name, why in result["failed"].items():
        click.echo(f"error: {name} was not made: {why}", err=True)
    if result["failed"]:
        sys.exit(1)
