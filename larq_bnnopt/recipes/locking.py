"""A lock for the folder of a run: one process writes to it."""

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
    file says who holds it. A forked child does not hold it and cannot free it.

    Where the kernel cannot tell, on disks without locks or that other machines see, the
    file decides: a process of this machine that is gone no longer holds the lock; one
    of another machine does until the file is deleted.

    Args:
        folder: The folder of the run.

    Raises:
        RunInUseError: If it is held, by whom and since when.
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
        # A child that outlives this process would hold the lock for it.
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
        # The name first: the next one takes a new file.
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        self._close()

    def _opened(self) -> int:
        # Of a folder from elsewhere it may lead to another file, which would be lost.
        no_link = getattr(os, "O_NOFOLLOW", 0)
        return os.open(self._path, os.O_RDWR | os.O_CREAT | no_link, 0o644)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _take(self) -> None:
        while True:
            given = self._given_by_kernel()
            holder = _read(self._file())
            if given is False or _may_live(holder, free=given is True):
                raise RunInUseError(_refusal(self._folder, holder, given is False))
            # Whoever held it may have removed the file since it was opened.
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

    def _given_by_kernel(self) -> bool | None:
        """Returns whether the kernel gave the lock, `None` where it cannot."""
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


def _close(lock: weakref.ref[RunLock]) -> None:
    """Gives up a child's share of a lock, which the parent keeps."""
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
    """Returns who wrote a lock's file, empty where it is new or damaged."""
    try:
        content = json.loads(os.pread(descriptor, _LONGEST, 0))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _may_live(holder: dict[str, Any], free: bool) -> bool:
    """Whether the process that wrote a file may still write to the run.

    Args:
        holder: What the file says.
        free: Whether the kernel of this machine says that nobody holds the lock.
    """
    if not holder:
        return False
    if not _is_here(holder):
        return True
    if free or holder.get("boot") != _boot():
        # Not held, or of a machine that was started anew.
        return False
    began = _began(holder.get("pid"))
    return began is not None and began == holder.get("began")


def _is_here(holder: dict[str, Any]) -> bool:
    """Whether a process is, or was, of this machine; containers share its kernel."""
    boot = _boot()
    same_kernel = boot is not None and holder.get("boot") == boot
    return same_kernel or holder.get("host") == socket.gethostname()


def _boot() -> str | None:
    """Returns what is the same for all processes until the machine starts anew."""
    try:
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # Not on every system.
        return None


def _began(pid: Any) -> str | None:
    """Returns when a process began, `None` where there is none or nobody knows."""
    try:
        stat = pathlib.Path(f"/proc/{int(pid)}/stat").read_text()
    except (OSError, TypeError, ValueError):
        return None
    # The name of a program may hold blanks and brackets.
    return stat.rpartition(")")[2].split()[19]


def _refusal(folder: pathlib.Path, holder: dict[str, Any], held: bool) -> str:
    """Returns what to say of a run in use; `held` tells that the kernel knows it."""
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
