"""The command `serve`: a server of one machine, without Docker."""

import asyncio
import math
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.settings.declarations import settings_of

from .engines import ENGINES, FILES, OF_A_RUN, engine_of
from .options import (
    PATH,
    console,
    generation_options,
    generation_settings,
    given,
    load_tensorflow,
)
from .runs import import_option, open_run


class _Seconds(click.FloatRange):
    """A finite number: of NaN and infinity a time-out makes none."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


def _positive(default: float, help: str, option: str, kind: Any = click.INT) -> Callable:
    low = click.IntRange(1) if kind is click.INT else _Seconds(0)
    return click.option(option, default=default, show_default=True, type=low, help=help)


@click.command()
@click.argument("path", type=PATH)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="keras or xla of a run, whose xla compiles; saved_model or litert of an export.  "
    "[default: what PATH holds]",
)
@click.option("--model-name", help="Name in the URL.  [default: of the folder]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    default=8501,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 for a free one, which is printed.",
)
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    help="Serve gRPC too, TensorFlow Serving's Predict; 0 for a free port.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Batches of an export that run at the same time.  [default: one a processor]",
)
@_positive(32, "Sources of a batch at most.", "--max-batch-size")
@_positive(
    1.0, "Milliseconds that a batch waits for more sources.", "--batch-timeout", click.FLOAT
)
@_positive(1024, "Sources that may wait; 503 beyond.", "--max-queue")
@_positive(256, "Sources of one request at most.", "--max-sources")
@_positive(16_000_000, "Bytes of one request at most.", "--max-body")
@_positive(60.0, "Seconds until a request gets 504.", "--request-timeout", click.FLOAT)
@_positive(5.0, "Seconds between looks for new versions; 0: never.", "--poll", click.FLOAT)
@_positive(30.0, "Seconds for requests under way at SIGTERM.", "--stop-timeout", click.FLOAT)
@click.option(
    "--version",
    "versions",
    type=click.IntRange(0),
    multiple=True,
    help="Serve this version, not the newest. May be given several times.",
)
@click.option("--label", "labels", multiple=True, help="NAME=VERSION, with --version.")
@click.option("--api-key-file", type=PATH, help="Keys, one a line; a request must have one.")
@click.option("--cors-origin", "origins", multiple=True, help="Origin of pages that may ask.")
@click.option("--tls-certificate", type=PATH, help="PEM file; serves https.")
@click.option("--tls-key", type=PATH, help="PEM file of its key.")
@click.option(
    "--tls-client-ca",
    type=PATH,
    help="PEM file of an authority: a client must have a certificate that it signed.",
)
@import_option
@generation_options
def serve(
    path: Path,
    engine: str | None,
    model_name: str | None,
    host: str,
    port: int,
    grpc_port: int | None,
    threads: int | None,
    versions: tuple[int, ...],
    labels: tuple[str, ...],
    api_key_file: Path | None,
    origins: tuple[str, ...],
    tls_certificate: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    poll: float,
    stop_timeout: float,
    **options: Any,
) -> None:
    """Serve PATH over HTTP and gRPC as TensorFlow Serving does, with a page to try it.

    PATH is a SavedModel or device folder of `export`, a folder of numbered versions (a new one
    is served when it appears), a folder of such folders, or the directory of a run. For many
    users use TensorFlow Serving: this is one process on one machine.

    The settings of a search (below, from --beam-size on) are for a run; an export has its own.

    \b
    Examples:
      keras-seq2seq serve runs/demo --beam-size 4 --n-best 2
      keras-seq2seq serve exports/demo/saved_model --port 9000
      keras-seq2seq serve exports/demo/serving --host 0.0.0.0 --api-key-file keys.txt
      keras-seq2seq serve exports/demo/serving/demo --version 1 --version 2 --label stable=1
    """
    try:
        import uvicorn

        from keras_seq2seq.serving.access import Keys, tls_of_http
        from keras_seq2seq.serving.measures import Measures
        from keras_seq2seq.serving.server import Server
        from keras_seq2seq.serving.versions import Limits, ServedModel
    except ImportError as error:
        raise InputError(
            f"Serving needs {error.name}: `pip install keras-seq2seq[serve]`."
        ) from error

    limits = Limits(
        batch_timeout=options.pop("batch_timeout") / 1000,
        **{
            name: options.pop(name)
            for name in ("max_batch_size", "max_queue", "max_sources", "max_body")
        },
        request_timeout=options.pop("request_timeout"),
    )
    folders = find_models(path, engine, model_name)
    kinds = {kind for _, kind in folders.values()}
    settings = _settings_of_a_run(path, kinds, options)
    if threads is not None and kinds <= {*OF_A_RUN}:
        raise InputError(
            "--threads is for an export: of a run one batch runs at a time. Leave it out, or "
            "serve an export."
        )
    named = _labels(labels, versions)
    keys = Keys(_keys(api_key_file))
    _check_tls(tls_certificate, tls_key, tls_client_ca)
    if grpc_port is not None:
        _check_grpc(host, grpc_port)
    with listen(host, port) as listening:
        load_tensorflow()
        if kinds <= {*OF_A_RUN}:
            open_run(path)  # Says which modules it needs.
        measures = Measures()
        models = {
            name: ServedModel(
                name,
                partial(find_versions, folder),
                partial(_load, kind=kind, settings=settings, threads=threads or 0),
                limits,
                versions,
                named,
                partial(measures.batch, name),
            )
            for name, (folder, kind) in folders.items()
        }
        server = Server(models, limits, measures, keys, origins, poll)
        if grpc_port is not None:
            from keras_seq2seq.serving.grpc_service import GrpcDoor, server_credentials

            secrets = server_credentials(tls_certificate, tls_key, tls_client_ca)
            door = GrpcDoor(
                server, host, grpc_port, limits, measures, keys, secrets, stop_timeout
            )
            server.doors.append(door)
        config = uvicorn.Config(
            server.app,
            # Its own would close the handlers of others, and with them standard error.
            log_config=None,
            log_level="warning",
            access_log=False,
            **tls_of_http(tls_certificate, tls_key, tls_client_ca),
            timeout_graceful_shutdown=max(1, round(stop_timeout)),
            server_header=False,
        )
        scheme = "https" if tls_certificate else "http"
        address = f"{scheme}://{_shown(listening)}"
        # Where uvloop is installed, its loop: a third more requests a second.
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            web = uvicorn.Server(config)
            runner.run(_run(server, web, listening, list(models), address))


async def _run(
    server: Any, web: Any, listening: socket.socket, names: list[str], address: str
) -> None:
    await server.load()
    for name in names:
        console.print(f"Serving {address}/v1/models/{name}", highlight=False, soft_wrap=True)
        for door in server.doors:
            console.print(f"Serving {door.address}/{name}", highlight=False, soft_wrap=True)
    console.print(f"A page to try it: {address}/", highlight=False, soft_wrap=True)
    # Uvicorn stops in good order, and then raises the signal again: that is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    await web.serve(sockets=[listening])


def find_models(
    path: Path, engine: str | None = None, model_name: str | None = None
) -> dict[str, tuple[Path, str]]:
    """The models of a path, name -> folder and engine.

    Raises:
        InputError: If there is none, or not of that engine.
    """
    if not path.is_dir():
        raise InputError(f"{path} is no folder. Give an export, or the directory of a run.")
    folders = {path.absolute().name: path}
    if path.name.isdecimal():
        folders = {path.absolute().parent.name: path}
    elif not find_versions(path):
        inside = [one for one in sorted(path.iterdir()) if one.is_dir()]
        folders = {one.name: one for one in inside if _is_of_versions(one)}
    if not folders:
        raise InputError(
            f"{path} holds nothing to serve: no {', '.join(FILES.values())}, and no numbered "
            "versions. Make one with `keras-seq2seq export`."
        )
    if model_name is not None:
        if len(folders) > 1:
            raise InputError(
                f"{path} holds {len(folders)} models, which keep their names: "
                f"{', '.join(folders)}. Leave --model-name out, or give one of the folders."
            )
        if not model_name or set(model_name) & set("/: "):
            raise InputError(
                "A model name has no slash, colon or space and is not empty. Received: "
                f"{model_name!r}."
            )
        folders = dict.fromkeys([model_name], *folders.values())
    found = {}
    for name, folder in folders.items():
        kinds = {engine_of(version) or "" for version in find_versions(folder).values()}
        (kind,) = kinds if len(kinds) == 1 else ("",)
        fitting = OF_A_RUN if kind == "keras" else (kind,)
        if not kind or engine not in (None, *fitting):
            held = " and ".join(sorted(kinds)) or "nothing"
            wanted = engine or "one engine for all versions"
            raise InputError(f"{folder} holds {held}, not {wanted}.")
        found[name] = folder, engine or kind
    return found


def find_versions(folder: Path) -> Mapping[int, Path]:
    """The versions of a folder: those with a number, or itself as number 1."""
    if engine_of(folder):
        return {int(folder.name) if folder.name.isdecimal() else 1: folder}
    if not folder.is_dir():
        return {}
    return {
        int(one.name): one
        for one in folder.iterdir()
        if one.name.isascii() and one.name.isdecimal() and engine_of(one)
    }


def _is_of_versions(folder: Path) -> bool:
    return not engine_of(folder) and bool(find_versions(folder))


def _load(path: Path, kind: str, settings: GenerationSettings, threads: int) -> Any:
    from keras_seq2seq.export.predictors import KerasPredictor, open_predictor
    from keras_seq2seq.serving.versions import warm_up

    if kind in OF_A_RUN:
        from keras_seq2seq.training.run_directory import RunDirectory

        model = RunDirectory(path).load_model()
        engine: Any = KerasPredictor(model, settings, jit_compile=kind == "xla")
    else:
        engine = open_predictor(path, threads)
    warm_up(engine)
    return engine


def _settings_of_a_run(
    path: Path, kinds: set[str], options: dict[str, Any]
) -> GenerationSettings:
    if not kinds <= {*OF_A_RUN} and (names := sorted(given(options))):
        declared = settings_of(GenerationSettings)
        shown = ", ".join(declared[n].option if n in declared else f"--{n}" for n in names)
        raise InputError(
            f"{path} is an export, whose search was set when it was made. Leave out: {shown}; "
            "or serve the run."
        )
    return generation_settings(options)


def _labels(labels: tuple[str, ...], versions: tuple[int, ...]) -> dict[str, int]:
    named = {}
    for label in labels:
        name, _, number = label.partition("=")
        if not name or not number.isdecimal() or int(number) not in versions:
            raise InputError(
                f"--label must be NAME=VERSION, of a version given by --version. Received: "
                f"{label!r}, versions {list(versions)}."
            )
        named[name] = int(number)
    return named


def _keys(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        keys = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.") from error
    if not keys or not all(key.isascii() for key in keys):
        raise InputError(f"{file} must hold keys of ASCII, one a line. It has {len(keys)}.")
    return keys


def _check_tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> None:
    if certificate is None:
        for option, file in (("--tls-key", key), ("--tls-client-ca", client_ca)):
            if file is not None:
                raise InputError(f"{option} needs --tls-certificate, that of this server.")
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"{client_ca} cannot be used: {error}. It must be a PEM file of certificates."
            ) from error
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"{certificate} cannot be used: {error}. Certificate and key must be PEM files, "
            "the key without a password."
        ) from error


def _check_grpc(host: str, port: int) -> None:
    """Raises `InputError`, before a model is loaded, if gRPC cannot be spoken there."""
    if not (find_spec("grpc") and find_spec("tensorflow_serving")):
        raise InputError(
            "gRPC needs tensorflow-serving-api: `pip install keras-seq2seq[serving]`."
        )
    listen(host, port, "--grpc-port").close()


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A socket that listens; `InputError` if it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only where the protocol is named does asyncio send at once what is small: 40 ms a request.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # There it would let two servers have one port.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except (OSError, UnicodeError) as error:
        listening.close()
        raise InputError(
            f"{host}:{port} cannot be listened at: {error}. Choose another {option} or --host."
        ) from error
    return listening


def _shown(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
