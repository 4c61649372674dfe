"""The command `transcribe`: recordings of any length, with times."""

import sys
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError

from .options import BEST_ALONE, PATH, generation_options, generation_settings, print_error
from .outputs import Command
from .runs import run_argument


@click.command(cls=Command)
@run_argument
@click.argument("sounds", nargs=-1, required=True, type=PATH)
@generation_options
def transcribe(run: Any, sounds: tuple[Path, ...], **options: Any) -> None:
    """Write what is said in SOUNDS, recordings of any length, and when.

    For a model of sound that writes times, such as a Whisper imported with --timestamps. One
    line a segment comes out, as they are found: file, start and end in seconds, and text, with
    tabs between. A window that comes out badly is sampled at higher temperatures.

    \b
    Examples:
      keras-seq2seq transcribe runs/whisper meeting.wav
      keras-seq2seq transcribe runs/whisper *.wav --beam-size 5
    """
    from keras_seq2seq.models.transcription import transcribe as segments_of

    settings = generation_settings(options, BEST_ALONE)
    model = run.load_model()
    model.check_settings(settings)
    failed = False
    for sound in sounds:
        try:
            for one in segments_of(model, sound, settings):
                text = " ".join(one.text.split())
                click.echo(f"{sound}\t{one.start:.2f}\t{one.end:.2f}\t{text}")
        except InputError as error:
            print_error(error)
            failed = True
    sys.exit(1 if failed else 0)
