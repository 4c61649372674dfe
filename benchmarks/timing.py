"""How a thing is timed: warmed up, many times, medians, with what else the machine did."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any


def measure(
    function: Callable[[], Any], *, seconds: float = 3.0, least: int = 5, most: float = 60.0
) -> dict[str, float]:
    """Times calls of `function`.

    Args:
        function: No arguments; the first call may trace or compile.
        seconds: float. Total time of the calls, at least.
        least: int. Calls at least.
        most: float. Seconds after which it stops whatever else holds.

    Returns:
        `first_s` of the first call, and `before_mb`, the peak of memory before it; `wall_s`
        and `cpu_s`, medians of a call in wall time and in time of this process on all its
        cores; `wall_p10_s`, `wall_p90_s`; `calls`; `busy`, the share of the machine that
        others used meanwhile (Linux, else NaN). With one thread `cpu_s` tells the speed on a
        busy machine too.
    """
    before = peak_mb()
    begin = time.perf_counter()
    function()
    first = time.perf_counter() - begin
    function()
    walls: list[float] = []
    cpus: list[float] = []
    total_busy, own_begin, begin = _busy_seconds(), time.process_time(), time.perf_counter()
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        function()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        spent = time.perf_counter() - begin
        if (spent >= seconds and len(walls) >= least) or spent >= most:
            break
    others = _busy_seconds() - total_busy - (time.process_time() - own_begin)
    walls.sort()
    return {
        "before_mb": before,
        "first_s": first,
        "wall_s": statistics.median(walls),
        "wall_p10_s": walls[len(walls) // 10],
        "wall_p90_s": walls[(9 * len(walls)) // 10],
        "cpu_s": statistics.median(cpus),
        "calls": len(walls),
        "busy": max(0.0, others) / (spent * (os.cpu_count() or 1)),
    }


def peak_mb() -> float:
    """The peak of this process's memory so far (Linux, else NaN)."""
    if not os.path.exists("/proc/self/status"):
        return float("nan")
    with open("/proc/self/status", encoding="utf-8") as file:
        rows = dict(line.split(":", 1) for line in file)
    return int(rows["VmHWM"].split()[0]) / 1024


def describe_process() -> dict[str, Any]:
    """Machine, versions and the peak of this process's memory in MB."""
    return {
        "peak_mb": peak_mb(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("tensorflow", "keras", "keras-seq2seq")},
    }


def _busy_seconds() -> float:
    """Seconds that all cores worked since the machine started, for anyone."""
    if not os.path.exists("/proc/stat"):
        return float("nan")
    with open("/proc/stat", encoding="utf-8") as file:
        user, nice, system, _, _, irq, softirq, steal, *_ = map(
            int, file.readline().split()[1:]
        )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
