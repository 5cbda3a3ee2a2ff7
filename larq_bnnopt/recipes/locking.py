"""Lock file of a run folder, so that one process at a time writes to it."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import pathlib
import socket
import time
import weakref
from collections.abc import Iterator
from typing import Any

NAME = ".lock"
_LONGEST = 4096
# Disks that know no locks, such as some of clusters.
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class RunInUseError(BlockingIOError):
    """Another training or conversion writes to the folder of the run."""


class RunLock:
    """Keeps other processes, and this one a second time, from writing to a run.

    The kernel holds the lock and frees it when the process ends, however it ends; the
    file names the holder. A forked child does not hold it and cannot free it.

    If the kernel does not know, on disks without locks or shared with other machines,
    the file decides: a process of this machine that has ended no longer holds the lock;
    a process of another machine holds it until the file is deleted.

    Args:
        folder: The folder of the run.

    Raises:
        RunInUseError: If it is held; it names the holder, and since when.
        OSError: If the folder cannot be written to.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, RunLock(folder):
        ...     try:
        ...         RunLock(folder)
        ...     except RunInUseError as error:
        ...         print(str(error)[-69:])
        Wait until it has ended, or end it; nothing of the run is lost by it.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self._folder = pathlib.Path(folder)
        self._path = self._folder / NAME
        self._owner = os.getpid()
        self._descriptor: int | None = self._opened()
        try:
            self._take()
        except BaseException:
            self._close()
            raise
        # A child that outlives this process would keep the lock.
        if hasattr(os, "register_at_fork"):  # Not on every system.
            child = functools.partial(_close, weakref.ref(self))
            os.register_at_fork(after_in_child=child)

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, *reason: Any) -> None:
        self.release()

    def release(self) -> None:
        """Frees the lock and removes its file; does nothing in a forked child."""
        if self._descriptor is None or os.getpid() != self._owner:
            return
        # The name first, so that the next holder creates a new file.
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        self._close()

    def _opened(self) -> int:
        # A link in a foreign folder would overwrite the file that it leads to.
        no_link = getattr(os, "O_NOFOLLOW", 0)
        return os.open(self._path, os.O_RDWR | os.O_CREAT | no_link, 0o644)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _take(self) -> None:
        while True:
            given = self._kernel_grants()
            holder = _read(self._file())
            if given is False or _may_live(holder, free=given is True):
                raise RunInUseError(_refusal(self._folder, holder, given is False))
            # The last holder may have removed the file since it was opened.
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(self._path)
                if os.path.samestat(there, os.fstat(self._file())):
                    break
            self._close()
            self._descriptor = self._opened()
        content = json.dumps(_this_process()).encode()
        os.ftruncate(self._file(), 0)
        os.pwrite(self._file(), content, 0)

    def _file(self) -> int:
        if self._descriptor is None:
            raise RuntimeError(f"{self._path} is closed.")
        return self._descriptor

    def _kernel_grants(self) -> bool | None:
        """Whether the kernel granted the lock, `None` if it supports no locks."""
        try:
            import fcntl
        except ImportError:  # Not on every system.
            return None
        try:
            fcntl.flock(self._file(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            return None
        return True


def waited_for(folder: str | os.PathLike[str], seconds: float) -> RunLock:
    """Takes the lock of a folder, and waits while another process holds it.

    Args:
        folder: The folder, whose lock processes hold for milliseconds.
        seconds: How long to wait.

    Raises:
        RunInUseError: If it is held all that time.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return RunLock(folder)
        except RunInUseError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


@contextlib.contextmanager
def reserved(place: pathlib.Path) -> Iterator[bool]:
    """Yields whether a piece of work is this process's, which it is until the end.

    The kernel frees it when the process ends, however it ends.

    Args:
        place: A folder for this piece of work, made if it is missing.
    """
    place.mkdir(parents=True, exist_ok=True)
    try:
        lock = RunLock(place)
    except RunInUseError:
        yield False
        return
    with lock:
        yield True


def _close(lock: weakref.ref[RunLock]) -> None:
    """Closes a lock in a forked child; the parent keeps it."""
    one = lock()
    if one is not None:
        one._close()


def _this_process() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "began": _began(os.getpid()),
        "boot": _boot(),
    }


def _read(descriptor: int) -> dict[str, Any]:
    """Returns the holder in a lock file, empty if the file is new or damaged."""
    try:
        content = json.loads(os.pread(descriptor, _LONGEST, 0))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _may_live(holder: dict[str, Any], free: bool) -> bool:
    """Whether the process that wrote a file may still write to the run.

    Args:
        holder: The holder in the file.
        free: Whether nobody holds the lock, for the kernel of this machine.
    """
    if not holder:
        return False
    if not _is_here(holder):
        return True
    if free or holder.get("boot") != _boot():
        # Not held, or the machine was restarted.
        return False
    began = _began(holder.get("pid"))
    return began is not None and began == holder.get("began")


def _is_here(holder: dict[str, Any]) -> bool:
    """Whether a process is, or was, on this machine; containers share its kernel."""
    boot = _boot()
    same_kernel = boot is not None and holder.get("boot") == boot
    return same_kernel or holder.get("host") == socket.gethostname()


def _boot() -> str | None:
    """Returns the identity of this boot of the machine, `None` if it is not known."""
    try:
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # Not on every system.
        return None


def _began(pid: Any) -> str | None:
    """Returns the start time of a process, `None` if it has ended or is not known."""
    try:
        stat = pathlib.Path(f"/proc/{int(pid)}/stat").read_text()
    except (OSError, TypeError, ValueError):
        return None
    # The name of a program may hold blanks and brackets.
    return stat.rpartition(")")[2].split()[19]


def _refusal(folder: pathlib.Path, holder: dict[str, Any], held: bool) -> str:
    """Returns the error text for a run in use; `held`: the kernel confirms it."""
    if not holder:
        return f"{folder} is in use by another process. Wait until it has ended."
    text = (
        f"{folder} is in use by process {holder.get('pid')} of {holder.get('host')} "
        f"since {holder.get('since')}"
    )
    if held or _is_here(holder):
        return (
            f"{text}. Wait until it has ended, or end it; nothing of the run is lost "
            "by it."
        )
    return (
        f"{text}, and this machine cannot see whether it still runs. If it has ended, "
        f"delete {folder / NAME} and try again."
    )
