"""The command `request`: asks a running server, and needs no model and no TensorFlow."""

import sys
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError
from keras_seq2seq.serving.client import SIGNALS, Client

from .options import PATH, without_native_notes


@click.command()
@click.argument("url")
@click.argument("texts", nargs=-1)
@click.option(
    "--source",
    type=click.Choice(["text", *SIGNALS]),
    default="text",
    show_default=True,
    help="What the model reads; else than text, TEXTS are files.",
)
@click.option("--sample-rate", type=int, help="Of the model, for sound files.")
@click.option("--scores", is_flag=True, help="Print the log probability in front.")
@click.option(
    "--timeout", default=10.0, show_default=True, help="Seconds to wait for the answer."
)
@click.option(
    "--retries",
    default=2,
    show_default=True,
    type=click.IntRange(0),
    help="Times to send a request again that was not answered.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    help="Sent with the request, such as 'Authorization: Bearer TOKEN'; @FILE reads it from a "
    "file. May be given several times.",
)
@click.option("--ca", "ca_file", type=PATH, help="PEM of the server's authority.")
@click.option("--certificate", type=PATH, help="PEM of a certificate of your own.")
@click.option("--key", type=PATH, help="PEM of its key.")
@click.option("--prefix", "prefixes", help="What every target begins with.")
@click.option("--max-length", type=int, help="Target tokens at most.")
@click.option("--n-best", type=int, help="Hypotheses a source, up to the beam size.")
@click.option("--length-penalty", type=float, help="Of a beam search.")
@click.option("--temperature", type=float, help="Of an export that samples.")
@click.option("--seed", type=int, help="Of an export that samples.")
def request(
    url: str,
    texts: tuple[str, ...],
    source: str,
    sample_rate: int | None,
    scores: bool,
    timeout: float,
    retries: int,
    headers: tuple[str, ...],
    ca_file: Path | None,
    certificate: Path | None,
    key: Path | None,
    **options: Any,
) -> None:
    """Ask TensorFlow Serving at URL for the targets of TEXTS, or of standard input's lines.

    One line a hypothesis comes out: source, tab, (log probability, tab,) target. A source
    that the model cannot take comes out with an empty target and is named on standard error;
    the exit status is 1 then. What no
    option changes is as it was exported.

    \b
    Examples:
      keras-seq2seq request http://localhost:8501/v1/models/demo hello keras
      keras-seq2seq request grpc://localhost:8500/demo/versions/2 --scores < words.txt
      keras-seq2seq request http://localhost:8501/v1/models/demo hello --n-best 3
      keras-seq2seq request URL a.wav b.flac --source waveform --sample-rate 8000
      keras-seq2seq request https://HOST/v1/models/demo hello --header @key.txt
    """
    from keras_seq2seq.data.text import one_line_texts, texts_of_lines

    if sample_rate is not None and source != "waveform":
        raise InputError("--sample-rate is about sound; give --source waveform too.")
    # The messages of gRPC are TensorFlow's.
    with without_native_notes():
        client = Client(
            url,
            timeout,
            retries=retries,
            headers=_headers(headers),
            ca_file=ca_file,
            certificate_file=certificate,
            key_file=key,
        )
    names = one_line_texts("argument", texts)
    names = names or texts_of_lines("standard input", sys.stdin.buffer.read())
    sources = names if source == "text" else _signals(names, source, sample_rate)
    failed = False
    for name, answer in zip(names, client.generate(sources, **options), strict=True):
        if answer.error:
            failed = True
            click.echo(f"{name[:40]!r}: {answer.error}", err=True)
            # A line comes out for every source, as of `generate`.
            click.echo("\t".join([name, *[""] * (1 + scores)]))
        for text, log_prob in zip(answer.texts, answer.log_probs, strict=True):
            click.echo("\t".join([name, *([f"{log_prob:.4f}"] if scores else []), text]))
    if failed:
        sys.exit(1)


def _headers(texts: tuple[str, ...]) -> dict[str, str]:
    """`Name: value` each, or `@FILE` for a file of such lines: a secret on the command line is
    seen by everybody on the machine."""
    lines = []
    for text in texts:
        if not text.startswith("@"):
            lines.append(text)
            continue
        try:
            lines += Path(text[1:]).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{text[1:]} cannot be read: {error}.") from error
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise InputError("A header must look like `Name: value`. Received one without `:`.")
        headers[name.strip()] = value.strip()
    return headers


def _signals(files: list[str], source: str, sample_rate: int | None) -> list[Any]:
    """The arrays of the files, sound resampled to the sample rate of the model."""
    from keras_seq2seq.data.signal_files import signal_file
    from keras_seq2seq.data.signals import read_signal

    sounds = [file for file in files if not signal_file(file).is_array]
    if source == "waveform" and sounds and sample_rate is None:
        raise InputError(
            f"{sounds[0]}: sound is sent at the sample rate of the model, which its "
            "signatures.json tells. Give it with --sample-rate."
        )
    return [read_signal(file, sample_rate) for file in files]
