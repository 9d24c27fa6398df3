"""System calls that no answer needs and that go round the limits of a sandbox; the kernel refuses them for good.

Memory that belongs to no process is counted by no limit and may outlive whoever made it: ``memfd_create``, System V's shared
memory, queues, keys, pages shared without a file or kept by a pipe, and what waits in sockets, which also lead out of a
container. New namespaces, tracing, ``io_uring``, ``bpf`` and ``userfaultfd`` are where kernels had most holes.
"""

import ctypes
import errno
import platform
import struct

ANYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 447)  # numbers that are the same on every architecture
# The architecture's own number, those of clone and mmap, and those of the refused calls.
REFUSED = {
    "x86_64": (
        *(0xC000003E, 56, 9, 29, 30, 31, 41, 53, 64, 65, 66, 68, 69, 70, 71, 101, 155, 165, 166, 175, 240, 246, 248, 249),
        *(250, 272, 278, 298, 308, 310, 311, 313, 319, 320, 321, 323, *ANYWHERE),
    ),
    "aarch64": (
        *(0xC00000B7, 220, 222, 39, 40, 41, 75, 97, 104, 105, 117, 180, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195),
        *(196, 197, 198, 199, 217, 218, 219, 241, 268, 270, 271, 273, 279, 280, 282, 294, *ANYWHERE),
    ),
}
CLONE3, NEW_NAMESPACE, SHARED_WITHOUT_FILE = 435, 0x7E020000, 0x21
PR_SET_SECCOMP, MODE_FILTER = 22, 2
LOAD, AND, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
ALLOW, ERROR, KILL = 0x7FFF0000, 0x00050000, 0x80000000


def program(architecture: int, clone: int, mmap: int, *numbers: int) -> bytes:
    """A filter in the kernel's own small language: each call is compared with each number."""
    lines = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]
    lines += [(AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, ERROR | errno.ENOSYS)]  # a second table of calls, on x86-64 alone
    lines += [(EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, ERROR | errno.ENOSYS)]  # its flags cannot be seen; clone's can
    lines += [(EQUAL, 0, 4, clone), (LOAD, 0, 0, 16), (ANY_BIT, 0, 1, NEW_NAMESPACE), (RETURN, 0, 0, ERROR | errno.EPERM)]
    lines += [(RETURN, 0, 0, ALLOW)]
    lines += [(EQUAL, 0, 5, mmap), (LOAD, 0, 0, 40), (AND, 0, 0, SHARED_WITHOUT_FILE), (EQUAL, 0, 1, SHARED_WITHOUT_FILE)]
    lines += [(RETURN, 0, 0, ERROR | errno.EPERM), (RETURN, 0, 0, ALLOW)]
    for number in numbers:
        lines += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERROR | errno.EPERM)]
    return b"".join(struct.pack("<HBBI", *line) for line in [*lines, (RETURN, 0, 0, ALLOW)])


def refuse() -> bool:
    """Refuse them in this process and all that come from it; whether the kernel agreed. It asks for "no new privileges"."""
    if platform.machine() not in REFUSED:
        return False
    code = program(*REFUSED[platform.machine()])
    buffer = ctypes.create_string_buffer(code)
    filters = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    return ctypes.CDLL(None).prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.create_string_buffer(filters), 0, 0) == 0
