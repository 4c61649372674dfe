"""The command `request`: asks a running server, and needs no model and no TensorFlow."""

import sys

import click

from keras_seq2seq.client import Client


@click.command()
@click.argument("url")
@click.argument("texts", nargs=-1)
@click.option("--scores", is_flag=True, help="Print the log probability in front.")
@click.option(
    "--timeout", default=10.0, show_default=True, help="Seconds to wait for the answer."
)
def request(url: str, texts: tuple[str, ...], scores: bool, timeout: float) -> None:
    """Ask TensorFlow Serving at URL for the targets of TEXTS, or of standard input's lines.

    One line a hypothesis comes out: source, tab, (log probability, tab,) target. A source
    that the model cannot take is named on standard error; the exit status is 1 then.

    \b
    Examples:
      keras-seq2seq request http://localhost:8501/v1/models/demo hello keras
      keras-seq2seq request grpc://localhost:8500/demo/versions/2 --scores < words.txt
    """
    client = Client(url, timeout)
    sources = list(texts) or [line.rstrip("\r\n") for line in sys.stdin]
    failed = False
    for source, answer in zip(sources, client.generate(sources), strict=True):
        if answer.error:
            failed = True
            click.echo(f"{source[:40]!r}: {answer.error}", err=True)
        for text, log_prob in zip(answer.texts, answer.log_probs, strict=True):
            click.echo("\t".join([source, *([f"{log_prob:.4f}"] if scores else []), text]))
    if failed:
        sys.exit(1)
