"""Becomes another program that gets SIGTERM when its parent dies: `python -IS leash.py PARENT_PID PROGRAM ARGUMENT...`.

A program of its own instead of a `preexec_fn`, which is unsafe once the parent has threads, and gRPC has many. The
kernel sends the signal when the parent's *thread* that started us ends, so parents start children from their main
thread. exec keeps the process id and the setting.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent_pid: str, program: str, *arguments: str) -> None:
    """Ties this process to its parent, then replaces it by `program`."""
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        sys.exit("leash: the kernel refused PR_SET_PDEATHSIG")
    if os.getppid() != int(parent_pid):  # it died before the line above
        sys.exit("leash: the parent is gone")
    try:
        os.execvp(program, (program, *arguments))  # noqa: S606 (the supervisor's own command line)
    except OSError as error:
        sys.exit(f"leash: cannot run {program}: {error.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
