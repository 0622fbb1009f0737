"""Keeps the memory that messages and pictures need from going back and forth between the process and the kernel."""

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MIB = 2**20


def keep_freed_memory() -> None:
    """Tells glibc to reuse what is freed.

    A message of a megabyte otherwise costs a mapping and 256 page faults, again and again: about a tenth of the time of
    a service that only passes messages on. Other C libraries have no such call, and nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 64 * _MIB)
        mallopt(_M_TRIM_THRESHOLD, 256 * _MIB)
        mallopt(_M_TOP_PAD, 4 * _MIB)
