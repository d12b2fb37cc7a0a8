"""Checks of the machine: processor, GPU, shared memory, limits, disk, ports. Each takes what it judges."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from audiocraft_triton.cli.doctor.finding import Finding, Verdict

GIB = 2**30
MIB = 2**20
GLIBC = (2, 35)
"""The embedded server's wheel is built for it."""
SHARED_MEMORY = 512 * MIB
"""What the models' processes exchange audio through: 1 MiB each, and 38 MiB for each clip of 300 s under way."""
THREADS, THREADS_PER_CORE = 1_000, 16
"""Threads and processes of a server with all its models: 550 when it is ready, three for each request in flight, and
one for each core in each process of a model."""
DISK = 10 * GIB
"""A medium MusicGen with its text encoder, as it is downloaded and converted."""
PORTS = {"http": 8000, "gRPC": 8001, "metrics": 8002, "gateway": 8080}
_SHARED_MEMORY = Path("/dev/shm")
_CPUINFO = Path("/proc/cpuinfo")
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/pids.max"), Path("/sys/fs/cgroup/pids/pids.max"))


def check_python(version: Sequence[int]) -> Finding:
    """The interpreter: 3.10 to 3.12."""
    found = ".".join(map(str, version))
    if (3, 10) <= tuple(version[:2]) < (3, 13):
        return Finding("Python", found)
    return Finding("Python", found, Verdict.wrong, "use Python 3.10, 3.11 or 3.12", blocks=True)


def check_platform(system: str, machine: str, libc: tuple[str, str], has_own_triton: bool) -> Finding:
    """The embedded server's platform; with a tritonserver of the machine's own, any will do."""
    found = " ".join(filter(None, (system, machine, *libc)))
    version = tuple(map(int, re.findall(r"\d+", libc[1])[:2]))
    if has_own_triton or ((system, machine, libc[0]) == ("Linux", "x86_64", "glibc") and version >= GLIBC):
        return Finding("platform", found)
    advice = "the embedded server needs Linux, x86-64 and glibc 2.35 or newer: use the container images"
    return Finding("platform", found, Verdict.wrong, advice, blocks=True)


def check_processor(cores: int, name: str, has_gpu: bool) -> Finding:
    """Cores that this process may use."""
    found = f"{cores} cores, {name}" if cores != 1 else f"1 core, {name}"
    if cores > 1 or has_gpu:
        return Finding("processor", found)
    return Finding("processor", found, Verdict.slow, "give it 2 cores or more: every model is a process of its own")


def check_gpu(listing: str | None, torch_uses_it: bool) -> Finding:
    """The GPUs that the driver lists, as `read_gpus` returns them."""
    if not listing:
        return Finding("GPU", "none", Verdict.slow, "the demo runs on a CPU; large checkpoints need a CUDA GPU")
    found = "; ".join(line.strip() for line in listing.splitlines())
    if torch_uses_it:
        return Finding("GPU", found)
    advice = "torch can't use it: install a torch built for CUDA that this driver supports"
    return Finding("GPU", found, Verdict.slow, advice)


def check_shared_memory(total: int, free: int) -> Finding:
    """/dev/shm, in bytes."""
    found = f"{total / GIB:.1f} GiB, {free / GIB:.1f} GiB free"
    if free >= SHARED_MEMORY:
        return Finding("/dev/shm", found)
    advice = f"needs {SHARED_MEMORY // MIB} MiB free: in a container, --shm-size 2g; or remove what was left there"
    return Finding("/dev/shm", found, Verdict.wrong, advice, blocks=True)


def check_process_limit(limits: dict[str, int | None], cores: int) -> Finding:
    """How many threads and processes may be started, by the name of the limit; None is no limit."""
    known = {name: limit for name, limit in limits.items() if limit is not None}
    if not known:
        return Finding("process limit", "none")
    name, lowest = min(known.items(), key=lambda item: item[1])
    needed = THREADS + THREADS_PER_CORE * cores
    if lowest >= needed:
        return Finding("process limit", f"{lowest:,} ({name})")
    advice = f"a server with all its models may have {needed:,} threads and processes here: raise {name}"
    return Finding("process limit", f"{lowest:,} ({name})", Verdict.wrong, advice, blocks=True)


def check_disk(folder: Path, free: int) -> Finding:
    """Free bytes where downloads go."""
    found = f"{free / GIB:.1f} GiB free in {folder}"
    if free >= DISK:
        return Finding("disk", found)
    advice = f"large checkpoints need {DISK // GIB} GiB: free some, or move the folder (HF_HOME)"
    return Finding("disk", found, Verdict.wrong, advice)


def check_ports(is_free: Callable[[int], bool]) -> Finding:
    """The default ports; `serve` takes others by option."""
    taken = [f"{port} ({name})" for name, port in PORTS.items() if not is_free(port)]
    if not taken:
        return Finding("ports", f"{', '.join(map(str, PORTS.values()))} are free")
    return Finding("ports", f"taken: {', '.join(taken)}", Verdict.wrong, "stop what uses them, or give other ports")


def check_machine(torch_uses_gpu: bool, has_own_triton: bool) -> list[Finding]:
    """All checks of this file on this machine."""
    gpus, cores = read_gpus(), len(os.sched_getaffinity(0))
    shared = shutil.disk_usage(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else None
    return [
        check_python(sys.version_info[:3]),
        check_platform(platform.system(), platform.machine(), platform.libc_ver(), has_own_triton),
        check_processor(cores, read_processor(), bool(gpus)),
        check_gpu(gpus, torch_uses_gpu),
        check_shared_memory(shared.total if shared else 0, shared.free if shared else 0),
        check_process_limit(read_process_limits(), cores),
        check_ports(port_is_free),
    ]


def read_gpus() -> str | None:
    """A line for each GPU: name, free and total memory, driver; None where there is none."""
    query = ["nvidia-smi", "--query-gpu=name,memory.free,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    lines = (line.split(", ") for line in answer.splitlines() if line.count(", ") == 3)
    return "\n".join(f"{name}, {free} free of {total}, driver {driver}" for name, free, total, driver in lines) or None


def read_processor(cpuinfo: Path = _CPUINFO) -> str:
    """The processor's name."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def read_process_limits(cgroup_limits: Sequence[Path] = _CGROUP_LIMITS) -> dict[str, int | None]:
    """This user's limit and that of the container."""
    user = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    limits: dict[str, int | None] = {
        # root has no such limit
        "ulimit -u": None if user == resource.RLIM_INFINITY or os.geteuid() == 0 else user
    }
    for path in cgroup_limits:
        if path.is_file():
            text = path.read_text().strip()
            limits["the pids limit"] = int(text) if text.isdigit() else None
    return limits


def port_is_free(port: int) -> bool:
    """Whether a server could listen there, on loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
