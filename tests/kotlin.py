"""A Kotlin compiler, where this machine has one."""

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

WITHOUT = (
    "no compilers of Java and Kotlin on this machine: a JDK, and kotlinc or "
    "`pip install kotlin-jupyter-kernel`, which has one inside"
)


def jars() -> list[str] | None:
    """What runs Kotlin's compiler and its programs: jar files of the Python package; empty with
    a `kotlinc` of its own, `None` without either."""
    if not (shutil.which("java") and shutil.which("javac")):
        return None
    if shutil.which("kotlinc"):
        return []
    found = importlib.util.find_spec("run_kotlin_kernel")
    places = found.submodule_search_locations if found else None
    return sorted(map(str, Path(places[0]).glob("jars/*.jar"))) if places else None


def run(program: str, java: Sequence[Path], folder: Path, arguments: Sequence[str]) -> str:
    """Compiles Kotlin with classes in Java, in a folder, and gives what its `main` prints."""
    classes, path = folder / "classes", jars()
    assert path is not None
    (folder / "Card.kt").write_text(program, "utf-8")
    _done(["javac", "-d", classes, *java])
    compiler = ["kotlinc"]
    if path:
        compiler = ["java", "-cp", ":".join(path), "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
        compiler += ["-no-stdlib", "-no-reflect"]
    found = ":".join([str(classes), *path])
    _done([*compiler, "-Werror", "-classpath", found, folder / "Card.kt", "-d", classes])
    runner = ["java"] if path else ["kotlin"]
    return _done([*runner, "-classpath", found, "CardKt", *arguments])


def _done(command: Sequence[object]) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
