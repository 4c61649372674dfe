"""A process that has TensorFlow imported: each command runs in a fork of it, and is killed.

Fifty commands then cost one import. A fork is a process as any other: it has a number of its
own, and nothing of it runs on after SIGKILL.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.kills import changes

ROOT = Path(__file__).parent.parent


class Zygote:
    """The process, from the outside; a context."""

    def __enter__(self) -> "Zygote":
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._process.stdin.close()
        self._process.wait(60)

    def run(self, *arguments, folder, changes=None, seconds=None):
        """Runs a command to its end, or kills it.

        Args:
            arguments: Of `keras-seq2seq`.
            folder: The changes to what is below it are counted.
            changes: Kill it at this change (from 0), before that is made.
            seconds: Kill it after this time.

        Returns:
            Exit status (-9 if it was killed), changes seen (of a run to its end), output.
        """
        order = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder),
            "changes": changes,
            "seconds": seconds,
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["status"], answer["changes"], answer["output"]


def _serve() -> None:
    import importlib

    # All that the commands import; nothing is computed, so that no thread is forked away.
    for name in ("cli", "training.run.trainer", "training.report", "export", "models"):
        importlib.import_module(f"keras_seq2seq.{name}")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(_forked(json.loads(line))) + "\n")
        answers.flush()


def _forked(order: dict) -> dict:
    output = Path(order["folder"] + ".output")
    counted = Path(order["folder"] + ".changes")
    counted.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        _command(order, output, counted)
    if order["seconds"] is not None:
        end = time.monotonic() + order["seconds"]
        while time.monotonic() < end:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(0.01)
        else:
            os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    changes = int(counted.read_text()) if counted.exists() else None
    return {"status": status, "changes": changes, "output": output.read_text(errors="replace")}


def _command(order: dict, output: Path, counted: Path) -> None:
    """In the fork; never returns."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    seen = 0
    folder, most = os.path.realpath(order["folder"]), order["changes"]

    def meet(event: str, arguments: tuple) -> None:
        nonlocal seen
        if not changes(event, arguments, folder):
            return
        if seen == most:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1

    status = 1
    try:
        from keras_seq2seq.cli import main

        sys.addaudithook(meet)
        main(order["arguments"])
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        total, most = seen, None
        sys.stdout.flush()
        counted.write_text(str(total))
        os._exit(status)


if __name__ == "__main__":
    _serve()
