"""LLaMAX2's own budget, reckoned with the same formulas: what its hours say of its tokens, and its tokens of its hours."""

import math
from collections.abc import Mapping

from lingualift.estimates.architectures import KNOWN
from lingualift.estimates.devices import DEVICES
from lingualift.estimates.tokens import Text
from lingualift.languages import Language

# LLaMAX, abstract, sections 1, 2.1 and C.1: 24 A100 80GB for over 60 days, 35,000 hours, 32 sequences of 512 a device.
GPU_HOURS = 35_000
GPUS, DAYS, BLOCK = 24, 60, 512
# Words of a document of MADLAD-400, clean: 2.6 T words between spaces in 3.7 G documents (its data card, total).
_WORDS = 2.6e12 / 3.7e9
# Tokens of a word by Llama-2's tokenizer, LLaMAX, Table 1, nothing added.
_FERTILITY = {"Romanian": 2.25, "Bengali": 8.62}
# Share of the peak that pre-training in the paper's setting may be expected to reach.
_USUAL = (0.3, 0.4)


def checks(languages: Mapping[str, Language], text: Text) -> list[tuple[str, str]]:
    """What the paper's numbers say of each other, as lines of a table; nothing if no language has a number of Table 9.

    Its text is the table's, with its pairs of sentences. What a monolingual row is, a sentence or a document, and how
    long, the paper does not say (section 2.1 calls it a sentence, and a piece that is split into blocks), so each reading
    stands there with what it makes of the hours: with blocks that are full, and with each pair in a block of its own and
    each row in as many as it needs. A pair is counted in Table 9 with each of its two languages.

    Args:
        languages: of ``languages.tsv``, by code.
    """
    pairs = sum(it.para or 0 for it in languages.values()) / 2
    rows = sum(it.mono or 0 for it in languages.values())
    if not pairs + rows:
        return []
    model, peak = KNOWN["llama-2-7b"], DEVICES["a100-80"].peak
    each = model.training_flops(BLOCK)
    bought = GPU_HOURS * 3600 * peak
    low, high = (share * bought / each for share in _USUAL)
    readings = {
        "sentences": {f"sentences of {text.sentence_tokens:g} tokens": text.sentence_tokens},
        "documents": {f"documents of {text.document_tokens:g} tokens": text.document_tokens}
        | {
            f"documents of {_WORDS:.0f} words of {fertility} tokens ({name})": _WORDS * fertility
            for name, fertility in _FERTILITY.items()
        },
    }
    lines = [
        ("the paper's hours", f"{GPU_HOURS:,} (24 GPUs x 60 days x 24 h = {GPUS * DAYS * 24:,})"),
        ("work of a token, Llama-2-7B, blocks of 512", f"{each / 1e9:.1f} GFLOP"),
        ("arithmetic in those hours at the peak of 312 TFLOP/s", f"{bought:.2e} FLOP"),
        ("tokens that they pay for at 30 % and 40 % of the peak", f"{_billions(low)} and {_billions(high)}"),
        (
            "its text (Table 9)",
            f"{pairs / 1e6:.1f} M pairs of 2 x {text.sentence_tokens:g} tokens, {rows / 1e6:.1f} M monolingual rows",
        ),
    ]
    spans = {}
    for kind, lengths in readings.items():
        shares = []
        for what, tokens in lengths.items():
            packed = 2 * pairs * text.sentence_tokens + rows * tokens
            padded = (pairs * math.ceil(2 * text.sentence_tokens / BLOCK) + rows * math.ceil(tokens / BLOCK)) * BLOCK
            hours = packed * each / (_USUAL[0] * peak) / 3600
            shares += [packed * each / bought, padded * each / bought]
            said = f"{_billions(packed)}, {shares[-2]:.1%} of the peak, or {hours:,.0f} hours at 30 %"
            lines.append((f"if these are {what}", f"{said}; padded {_billions(padded)}, {shares[-1]:.1%}"))
        spans[kind] = min(shares), max(shares)
    needed = [(tokens - 2 * pairs * text.sentence_tokens) / rows for tokens in (low, high)] if rows else []
    if needed:
        lines.append(("a monolingual row's tokens that fill the hours", " to ".join(f"{it:,.0f}" for it in needed)))
    usual = " to ".join(f"{share:.0%}" for share in _USUAL)
    verdict = ", ".join(_verdict(kind, *span) for kind, span in spans.items())
    return [*lines, (f"which can fill the hours at {usual} of the peak", verdict)]


def _verdict(kind: str, least: float, most: float) -> str:
    """Whether the shares of the peak that a reading comes to hold one that is usual."""
    able = least <= _USUAL[1] and most >= _USUAL[0]
    return f"{kind} can{'' if able else 'not'} ({least:.1%} to {most:.1%})"


def _billions(tokens: float) -> str:
    return f"{tokens / 1e9:.0f} G tokens"
