"""A job of files on Apache Beam: one call answers one file from end to end.

Beam gives out the names of files and nothing else goes through it, so that a worker that dies
costs the file it was at, and no other.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions

from .file_job import NUMBERS, FileJob


class AnswerFile(beam.DoFn):
    """Answers the files that it is given, with an engine opened once a worker."""

    def __init__(self, job: FileJob):
        self.job = job
        self._engine: Any = None

    def setup(self) -> None:
        self._engine = self.job.open()

    def process(self, element: tuple[str, str]) -> Iterator[str]:
        name, source = element
        counts = self.job.answer(self._engine, name, Path(source))
        for number in NUMBERS:
            Metrics.counter("keras_seq2seq", number).inc(round(counts.get(number, 0)))
        yield name


def run(job: FileJob, names: Sequence[str], arguments: Sequence[str]) -> None:
    """Answers these files with Beam's own options, such as `--runner=FlinkRunner`."""
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    sources = job.sources()
    with beam.Pipeline(options=PipelineOptions(list(arguments))) as pipeline:
        _ = (
            pipeline
            | "files" >> beam.Create([(name, str(sources[name])) for name in names])
            | "a worker each" >> beam.Reshuffle()
            | "answers" >> beam.ParDo(AnswerFile(job))
        )
