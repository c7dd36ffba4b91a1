"""Runs a command under a seccomp profile in Docker's format, without Docker: seccomp_run.py PROFILE COMMAND...

Only what our own profile uses is understood; anything else in it is an error. The numbers of system calls come from the
C compiler's headers, so that they are this machine's.
"""

import ctypes
import json
import os
import struct
import subprocess
import sys

# Classic BPF: load a word of struct seccomp_data, and, compare, jump, return.
LOAD, AND, EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER_AT, ARCH_AT, ARGS_AT = 0, 4, 16
ARCHS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2


def numbers():
    """System calls by name."""
    source = b"#include <sys/syscall.h>\n"
    text = subprocess.run(["cc", "-E", "-dM", "-"], input=source, capture_output=True, check=True).stdout.decode()
    found = {}
    for line in text.splitlines():
        _, name, *value = line.split()
        if name.startswith("__NR_") and value and value[0].isdigit():
            found[name[len("__NR_"):]] = int(value[0])
    return found


def verdict(rule):
    if rule["action"] == "SCMP_ACT_ALLOW":
        return ALLOW
    assert rule["action"] == "SCMP_ACT_ERRNO", rule
    return ERRNO | rule["errnoRet"]


def condition(arg):
    """Instructions that jump over the one behind them unless the argument's lower half fits."""
    load = [(LOAD, 0, 0, ARGS_AT + 8 * arg["index"])]
    if arg["op"] == "SCMP_CMP_EQ":
        return load + [(EQUAL, 0, 1, arg["value"])]
    if arg["op"] == "SCMP_CMP_NE":
        return load + [(EQUAL, 1, 0, arg["value"])]
    assert arg["op"] == "SCMP_CMP_MASKED_EQ", arg
    return load + [(AND, 0, 0, arg["value"]), (EQUAL, 0, 1, arg.get("valueTwo", 0))]


def program(profile):
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO", profile["defaultAction"]
    refuse = (RETURN, 0, 0, ERRNO | profile["defaultErrnoRet"])
    code = [(LOAD, 0, 0, ARCH_AT), (EQUAL, 1, 0, ARCHS[os.uname().machine]), refuse]
    known = numbers()
    for rule in profile["syscalls"]:
        assert set(rule) <= {"comment", "names", "action", "args", "errnoRet"}, rule
        for name in rule["names"]:
            # Some have another name, or none, on another architecture; the profile is for all.
            if name not in known:
                continue
            args = rule.get("args", [])
            assert len(args) <= 1, rule
            inner = [part for arg in args for part in condition(arg)] + [(RETURN, 0, 0, verdict(rule))]
            code += [(LOAD, 0, 0, NUMBER_AT), (EQUAL, 0, len(inner), known[name])] + inner
    return code + [refuse]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        code = program(json.load(file))
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    memory = ctypes.create_string_buffer(packed)
    filter_program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(memory))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for call in [(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, MODE_FILTER, filter_program, 0, 0)]:
        if prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    os.execvp(sys.argv[2], sys.argv[2:])


main()
