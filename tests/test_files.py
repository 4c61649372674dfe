"""The one place that writes: whole or not at all, and never what is another's."""

import os
import resource
import subprocess
import sys
import textwrap

import pytest

from keras_seq2seq import files
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import (
    check_folder,
    check_output,
    clear_leftovers,
    held_by,
    lock,
    replace_folder,
    write_atomically,
    write_new,
    write_text,
)


def contents(folder):
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def fill(path):
    """Writes a file, or a folder with one in it."""
    path.write_text("half", "utf-8")
    raise OSError(28, "No space left on device")


def test_a_write_replaces_the_old_file_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "new" / "file.json"
    for text in ("old", "new"):
        write_text(path, text)
        path.chmod(0o640)
    write_text(path, "Ä\u2028\r\n")
    assert contents(tmp_path) == {"new/file.json": "Ä\u2028\r\n".encode()}
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("old", "utf-8")

    def fail(new):
        assert new.name == "file.json" and new != path
        new.write_text("half", "utf-8")
        assert path.read_text("utf-8") == "old"
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="file.json cannot be written: No space left on devi"):
        write_atomically(path, fail)
    with pytest.raises(ZeroDivisionError):  # No error of the disk is none of ours.
        write_atomically(path, lambda new: 1 / 0)
    assert contents(tmp_path) == {"file.json": b"old"} and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "error",
    [
        OSError("Unable to write (errno = 28, error message = 'x')"),
        RuntimeError("Can't flush (errno = 28, error message = 'x')"),
    ],
)
def test_errors_of_hdf5_are_errors_of_the_disk(tmp_path, error):
    def fail(new):
        raise error

    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        write_atomically(tmp_path / "weights.h5", fail)


def test_what_an_archive_raises_while_it_is_closed_hides_nothing(tmp_path):
    def fail(new):
        try:
            raise OSError(28, "No space left on device")
        finally:
            raise ValueError("Can't close the ZIP file while there is an open handle on it.")

    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        write_atomically(tmp_path / "model.keras", fail)


def test_links_stay_links_and_devices_devices(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE)
    check_output(tmp_path / "pipe")
    write_text(tmp_path / "pipe", "text")
    assert reader.communicate(timeout=20)[0] == b"text" and (tmp_path / "pipe").is_fifo()


def test_something_new_is_never_written_over_what_is_there(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder"):
        with pytest.raises(InputError, match=f"{name} exists. Choose another path"):
            write_new(tmp_path / name, lambda new: new.mkdir())

    def slow(new):
        new.write_text("mine")
        (tmp_path / "late").write_text("theirs")

    with pytest.raises(InputError, match="late appeared meanwhile, and was left"):
        write_new(tmp_path / "late", slow)
    assert contents(tmp_path) == {"late": b"theirs"}


def test_a_folder_is_replaced_when_the_new_one_is_whole(tmp_path):
    def write(new):
        new.mkdir()
        (new / "file").write_text("new")

    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(InputError, match="folder cannot be written: No space left"):
        replace_folder(path, fill)
    assert contents(tmp_path) == {"folder/old": b"old"}
    replace_folder(path, write)
    assert contents(tmp_path) == {"folder/file": b"new"}
    assert [item.name for item in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", "is a folder. Give the name of a file"),
        ("file/below", "cannot be written: Not a directory"),
        ("x" * 300, "cannot be written: File name too long"),
        ("x" * 300 + "/y", "cannot be written: File name too long"),
    ],
)
def test_an_output_is_looked_at_before_the_work(tmp_path, name, message):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=message):
        check_output(tmp_path / name)
    check_output(tmp_path / "new" / "deep" / "file")
    check_output(tmp_path / "file")
    check_folder(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# What a user who is not the owner may not do; run as another user where we are root.
AS_NOBODY = textwrap.dedent(
    """
    import os, sys
    from pathlib import Path
    from keras_seq2seq.errors import InputError
    from keras_seq2seq.files import check_folder, check_output, clear_leftovers
    folder = Path(sys.argv[1])
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    for call, path in (
        (check_output, folder / "closed" / "deep" / "file"),
        (check_output, folder / "read_only" / "file"),
        (check_output, folder / "read_only_file"),
        (check_folder, folder / "read_only"),
        (clear_leftovers, folder / "closed"),
    ):
        try:
            print("fine", call(path))
        except InputError as error:
            print(error)
    """
)


def test_what_may_not_be_searched_or_written_is_told(tmp_path):
    for name, mode in (("closed", 0o000), ("read_only", 0o555)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    (tmp_path / "read_only_file").touch(0o444)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and "pytest" in str(folder):
            folder.chmod(0o755 if folder != tmp_path else 0o777)
    command = [sys.executable, "-c", AS_NOBODY, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.replace(f"{tmp_path}/", "").splitlines()
    assert lines[:4] == [
        "closed/deep/file cannot be written: Permission denied",
        "read_only cannot be written: Permission denied",
        "read_only_file may not be written by you. Choose another file.",
        "read_only cannot be written: Permission denied",
    ]
    assert lines[4] in ("fine []", "closed cannot be read: Permission denied")


# Leftovers.


def leftover(folder, name):
    (folder / name).mkdir(parents=True)
    (folder / name / "model.keras").write_bytes(b"half")
    return folder / name


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_our_own_dead_writers_are_cleared(tmp_path):
    host, number = files._host(), "0" * 8
    gone = leftover(tmp_path, f".unfinished-{host}-{dead_process()}-1-{number}")
    # A number that the system gave to another process since.
    reused = leftover(tmp_path, f".unfinished-{host}-{os.getpid()}-1-{number}")
    alive = leftover(tmp_path, f"{files._name_of_process()}-{number}")
    other = leftover(tmp_path, f".unfinished-{'f' * 8}-1-1-{number}")
    unknown = leftover(tmp_path, ".unfinished-notes")
    deeper = leftover(tmp_path / "exports", gone.name)
    lines = clear_leftovers(tmp_path)
    assert not gone.exists() and not reused.exists()
    assert all(path.exists() for path in (alive, other, unknown, deeper))
    assert lines == [
        f"{other} was left unfinished by process 1 of another machine; delete it if nothing "
        "writes it any more.",
        f"{unknown} was left unfinished by somebody; delete it if nothing writes it any more.",
    ]
    assert clear_leftovers(tmp_path / "nowhere") == []


def test_a_writer_clears_what_a_killed_one_left_there(tmp_path):
    name = f".unfinished-{files._host()}-{dead_process()}-1-{'0' * 8}"
    places = [tmp_path / place for place in ("new", "old", "text")]
    gone = [leftover(place, name) for place in places]
    write_new(places[0] / "model", lambda path: path.mkdir())
    (places[1] / "model").mkdir()
    replace_folder(places[1] / "model", lambda path: path.mkdir())
    write_text(places[2] / "a.txt", "a")
    assert not any(path.exists() for path in gone)


def test_a_link_by_the_name_of_a_leftover_is_not_followed(tmp_path):
    kept = leftover(tmp_path / "elsewhere", "folder")
    link = tmp_path / f".unfinished-{files._host()}-{dead_process()}-1-{'0' * 8}"
    link.symlink_to(kept)
    assert len(clear_leftovers(tmp_path)) == 1
    assert contents(kept) == {"model.keras": b"half"}


# Locks.

HOLDER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from keras_seq2seq.files import lock
    folder = Path(sys.argv[1])
    with lock(folder / "train.lock", folder):
        print("held", flush=True)
        time.sleep(100)
    """
)


def test_a_lock_tells_who_holds_it_and_ends_with_its_process(tmp_path):
    file = tmp_path / "train.lock"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    message = rf"is in use: process {process.pid} on \S+ trains there since \d{{4}}-\d\d-\d\d"
    with pytest.raises(InputError, match=message), lock(file, tmp_path):
        pass
    assert f"process {process.pid} on" in held_by(file)
    process.kill()
    process.communicate()
    assert file.exists() and held_by(file) is None
    with lock(file, tmp_path):
        assert f"process {os.getpid()} on" in held_by(file)
        with pytest.raises(InputError, match="is in use"), lock(file, tmp_path):
            pass
    assert not list(tmp_path.iterdir()) and held_by(file) is None


def test_a_disk_without_locks_is_a_warning(tmp_path, monkeypatch):
    def unsupported(handle, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.fcntl, "flock", unsupported)
    with (
        pytest.warns(UserWarning, match="has no locks"),
        lock(tmp_path / "train.lock", tmp_path),
    ):
        pass


def test_a_real_limit_of_the_disk_is_told(tmp_path):
    """The system itself refuses: no file may grow beyond 1,000 bytes."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    write_text(tmp_path / "file", "old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(InputError, match="file cannot be written: File too large"):
            write_text(tmp_path / "file", "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert contents(tmp_path) == {"file": b"old"}
