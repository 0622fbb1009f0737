"""Reads a pickle of weights and writes safetensors: the program of a process that can do nothing else.

`python sandbox.py IN OUT`. Once torch is loaded it gives up the network, other programs and other processes (seccomp),
and sets limits on memory, time and the size of files; then it reads with `weights_only=True`, which runs no code of
the file's.
"""

import ctypes
import pickle
import resource
import struct
import sys
from pathlib import Path
from typing import Any

MAX_BYTES = 8 * 2**30
"""Of a file of weights."""
CPU_SECONDS = 300
_GIB = 2**30
_FORBIDDEN = (
    *(
        41,
        42,
        43,
        44,
        46,
        49,
        50,
        53,
        288,
        307,
    ),  # socket, connect, accept, sendto, sendmsg, bind, listen, socketpair ...
    *(56, 57, 58, 59, 62, 101, 200, 234, 310, 311, 322, 435),  # clone, fork, execve, kill, ptrace, process_vm_readv ...
    *(425, 426, 427, 321, 298, 250, 165, 166, 161, 272, 308),  # io_uring, bpf, perf, keyctl, mount, chroot, namespaces
)
"""Numbers of system calls on x86-64 that the process may no longer make; they answer EPERM."""
_X86_64, _X32 = 0xC000003E, 0x40000000
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER_MODE = 38, 22, 2


class _Program(ctypes.Structure):
    """Is Linux's `struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def main() -> None:
    """Converts one file."""
    import torch  # noqa: PLC0415 -- before the limits: it maps gigabytes
    from safetensors.torch import save_file  # noqa: PLC0415

    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    confine(source.stat().st_size)
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch's own text recommends to run the file after all
        sys.exit("it holds programs, not only weights, or is damaged")
    weights = tensors(content)
    save_file(
        {name: tensor.detach().clone().contiguous() for name, tensor in weights.items()}, target, {"format": "pt"}
    )


def tensors(content: Any) -> dict[str, Any]:
    """Returns the tensors by name, from the places where training programs put them.

    Raises:
        ValueError: there are none.
    """
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ValueError(f"the file holds {type(content).__name__}, not weights by name")  # noqa: TRY004 -- what it says
    found = {str(name).removeprefix("module."): value for name, value in content.items() if hasattr(value, "detach")}
    if not found:
        raise ValueError("the file holds no weights")
    return found


def confine(source_bytes: int) -> None:
    """Gives up what reading weights does not need.

    Raises:
        OSError: the kernel does not let the process confine itself.
    """
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = {
        resource.RLIMIT_AS: mapped + 8 * source_bytes + _GIB,
        resource.RLIMIT_FSIZE: 2 * source_bytes + 2**20,
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_CORE: 0,
    }
    for which, limit in most.items():
        resource.setrlimit(which, (limit, limit))
    libc = ctypes.CDLL(None, use_errno=True)
    code = _filter()
    program = _Program(len(code) // 8, code)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the kernel refuses the filter of system calls")


def _filter() -> bytes:
    """Returns a BPF program: another architecture is killed, forbidden calls are refused, others allowed."""
    checks = [
        _step(_LOAD, 4),  # the architecture
        _step(_EQUAL, _X86_64, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, 0),  # the number of the call
        _step(_AT_LEAST, _X32, 0, 1),
        _step(_RETURN, _REFUSE),
    ]
    for number in _FORBIDDEN:
        checks += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _REFUSE)]
    return b"".join([*checks, _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, when: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when, otherwise, value)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # noqa: BLE001 -- whatever it is, the parent is told in one line
        sys.exit(f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason'}")
