"""The system calls that reading a file never needs and that reach beyond it, as a seccomp(2) filter program.

With them gone the process can open no socket, start no process and no thread, touch no other process (not even its limits or
its priority) and leave nothing behind in the kernel: no shared memory, no keys, no mounts.
"""

from __future__ import annotations

import struct

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

# name: (number on x86-64, number on arm64); None where an architecture has no such call
_FORBIDDEN: dict[str, tuple[int | None, int]] = {
    # other machines, and sockets of this one
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "io_uring_setup": (425, 425),
    # other programs, processes and threads
    "clone": (56, 220),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    "setpgid": (109, 154),
    "setsid": (112, 157),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kcmp": (312, 272),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # memory that is counted for nobody and outlives the process
    "shmget": (29, 194),
    "shmat": (30, 196),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # the shape of the system, and parts of the kernel that were a way out before
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "personality": (135, 92),
}
_FORBIDDEN_ON_X86_64 = (57, 58)  # fork, vfork
_PRLIMIT, _TGKILL, _FCNTL = (302, 261), (234, 131), (72, 25)
_SET_OWNER = (8, 15)  # F_SETOWN, F_SETOWN_EX: whom the kernel signals in our name

_FIRST_FOREIGN_CALL = 0x40000000  # the other numbering of x86-64 (x32)
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_NOT_BELOW, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # the second: EPERM
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24  # where they stand in struct seccomp_data

Statement = tuple[int, int, int, int]
"""Code, statements to skip if true and if false, value."""


def filter_program(machine: str, process_id: int) -> bytes | None:
    """Statements that refuse the calls above with EPERM to a process with this id; None for an unknown kind of machine."""
    if machine not in _ARCHITECTURES:
        return None
    architecture, column = _ARCHITECTURES[machine]
    forbidden = [numbers[column] for numbers in _FORBIDDEN.values()]
    if machine == "x86_64":
        forbidden += _FORBIDDEN_ON_X86_64
    statements: list[Statement] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_IF_NOT_BELOW, 0, 1, _FIRST_FOREIGN_CALL),
        (_RETURN, 0, 0, _REFUSE),
    ]
    for number in forbidden:
        if number is not None:
            statements += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    # limits and signals of its own only: 0 stands for the caller, and abort(3) signals its own process
    statements += _only_for(_PRLIMIT[column], 0) + _only_for(_TGKILL[column], process_id)
    statements += [
        (_JUMP_IF_EQUAL, 0, 4, _FCNTL[column]),
        (_LOAD, 0, 0, _SECOND_ARGUMENT),
        (_JUMP_IF_EQUAL, 1, 0, _SET_OWNER[0]),
        (_JUMP_IF_EQUAL, 0, 1, _SET_OWNER[1]),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *statement) for statement in statements)


def _only_for(number: int, first_argument: int) -> list[Statement]:
    return [
        (_JUMP_IF_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_IF_EQUAL, 1, 0, first_argument),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
