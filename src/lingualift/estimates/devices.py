"""GPUs by name: memory and peak arithmetic, from their makers' data sheets.

Peaks are dense (NVIDIA prints twice as much, "with sparsity"), in bfloat16 with float32 sums on tensor or matrix cores,
and in float32 as torch multiplies by default: without TF32, on matrix cores where these take true float32 (AMD).

Source: NVIDIA's data sheets of V100 (SXM2), A100, L40S, H100 (SXM), H200 (SXM) and HGX B200 (an eighth of it), its Ada
architecture white paper (RTX 4090); AMD's data sheets of MI250X and MI300X. The MI250X is two devices to torch and to
SLURM: what is here is one of its dies (GCD), half of the card's 128 GB and 383 TFLOP/s.
"""

from dataclasses import dataclass, replace

from lingualift.configuration.messages import nearest
from lingualift.errors import LingualiftError


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device.

    Attributes:
        memory: bytes.
        peak: floating-point operations a second in the precision that training takes by itself: bfloat16, or float32
            where there is none in the hardware.
        float32: in float32; ``peak`` by default.
        bfloat16: whether it multiplies bfloat16 natively.
    """

    name: str
    memory: float
    peak: float
    float32: float | None = None
    bfloat16: bool = True

    def computes_in_bfloat16(self, precision: str) -> bool:
        """Whether a recipe's precision is bfloat16 here."""
        return precision == "bfloat16" or (precision == "auto" and self.bfloat16)

    def peak_in(self, precision: str) -> float:
        """Floating-point operations a second in a recipe's precision; bfloat16 that is emulated is float32 at best."""
        native = self.computes_in_bfloat16(precision) and self.bfloat16
        return self.peak if native or self.float32 is None else self.float32


_GB, _TERA = 1e9, 1e12
DEVICES = {
    name: Device(
        name=name,
        memory=memory * _GB,
        peak=(bfloat16 or float32) * _TERA,
        float32=float32 * _TERA,
        bfloat16=bfloat16 is not None,
    )
    for name, memory, bfloat16, float32 in (
        # Its 125 TFLOP/s are of float16, which nothing here trains in.
        ("v100-32", 32, None, 15.7),
        ("a100-40", 40, 312, 19.5),
        ("a100-80", 80, 312, 19.5),
        ("l40s", 48, 362, 91.6),
        ("rtx4090", 24, 165, 82.6),
        ("h100", 80, 989, 67),
        ("h200", 141, 989, 67),
        ("b200", 180, 2250, 75),
        ("mi250x", 64, 191.5, 47.85),
        ("mi300x", 192, 1307, 163.4),
    )
}


def device(name: str, *, memory_gb: float | None = None, peak_tflops: float | None = None) -> Device:
    """A device by name, with what is said otherwise of it.

    Args:
        peak_tflops: in the precision that is computed in, whichever it is.

    Raises:
        LingualiftError: an unknown name, without both numbers.
    """
    if name in DEVICES:
        known = DEVICES[name]
    elif memory_gb is not None and peak_tflops is not None:
        known = Device(name=name, memory=0, peak=0)
    else:
        alike = [it for it in DEVICES if it.startswith(f"{name}-")]
        hint = f", did you mean {' or '.join(alike)}?" if alike else nearest(name, DEVICES)
        raise LingualiftError(
            f"no GPU {name!r}{hint}; known are {', '.join(DEVICES)}; for any other give --gpu-memory and --peak"
        )
    if memory_gb is not None:
        known = replace(known, memory=memory_gb * _GB)
    if peak_tflops is not None:
        known = replace(known, peak=peak_tflops * _TERA, float32=None)
    return known
