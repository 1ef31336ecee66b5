"""GPUs by name: memory and peak arithmetic, from their makers' data sheets."""

from dataclasses import dataclass, replace

from lingualift.configuration.messages import nearest
from lingualift.errors import LingualiftError


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device.

    Attributes:
        memory: bytes.
        peak: floating-point operations a second in bfloat16, dense.
    """

    name: str
    memory: float
    peak: float


_GB, _TERA = 1e9, 1e12
DEVICES = {
    name: Device(name=name, memory=memory * _GB, peak=peak * _TERA)
    for name, memory, peak in (
        ("v100-32", 32, 125),
        ("a100-40", 40, 312),
        ("a100-80", 80, 312),
        ("l40s", 48, 362),
        ("rtx4090", 24, 165),
        ("h100", 80, 989),
        ("h200", 141, 989),
        ("b200", 180, 2250),
        ("mi250x", 128, 383),
        ("mi300x", 192, 1307),
    )
}


def device(name: str, *, memory_gb: float | None = None, peak_tflops: float | None = None) -> Device:
    """A device by name, with what is said otherwise of it.

    Raises:
        LingualiftError: an unknown name, without both numbers.
    """
    if name in DEVICES:
        known = DEVICES[name]
    elif memory_gb is not None and peak_tflops is not None:
        known = Device(name=name, memory=0, peak=0)
    else:
        raise LingualiftError(
            f"no GPU {name!r}{nearest(name, DEVICES)}; known are {', '.join(DEVICES)}; for any other give "
            "--gpu-memory and --peak"
        )
    if memory_gb is not None:
        known = replace(known, memory=memory_gb * _GB)
    if peak_tflops is not None:
        known = replace(known, peak=peak_tflops * _TERA)
    return known
