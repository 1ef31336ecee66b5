"""LLaMAX2's own budget, reckoned with the same formulas: what its hours say of its tokens, and its tokens of its hours."""

from lingualift.estimates.architectures import KNOWN
from lingualift.estimates.devices import DEVICES

# LLaMAX, abstract, sections 1, 2.1 and C.1: 24 A100 80GB for over 60 days, 35,000 hours, 32 sequences of 512 a device.
GPU_HOURS = 35_000
GPUS, DAYS, DEVICE_BATCH, BLOCK = 24, 60, 32, 512
# Table 9, summed (Javanese, which the text we have leaves out, not in it): pairs are counted once for each of their two
# languages. Section 2.1 says 40 million monolingual sentences; the table's columns sum to more.
PAIRS = 384_981_281 // 2
SENTENCES = 54_576_174


def checks(sentence_tokens: float) -> list[tuple[str, str]]:
    """What the paper's numbers say of each other, as lines of a table.

    Args:
        sentence_tokens: tokens of a sentence, which the paper does not state.
    """
    model, peak = KNOWN["llama-2-7b"], DEVICES["a100-80"].peak
    each = model.training_flops(BLOCK)
    bought = GPU_HOURS * 3600 * peak
    text = (2 * PAIRS + SENTENCES) * sentence_tokens
    padded = (PAIRS + SENTENCES) * BLOCK
    hours = text * each / (0.3 * peak) / 3600
    return [
        ("the paper's hours", f"{GPU_HOURS:,} (24 GPUs x 60 days x 24 h = {GPUS * DAYS * 24:,})"),
        ("work of a token, Llama-2-7B, blocks of 512", f"{each / 1e9:.1f} GFLOP"),
        ("arithmetic in those hours at the peak of 312 TFLOP/s", f"{bought:.2e} FLOP"),
        (
            "tokens that they pay for at 30 % and 40 % of the peak",
            f"{_billions(0.3 * bought / each)} and {_billions(0.4 * bought / each)}",
        ),
        (
            f"its text: {PAIRS / 1e6:.0f} M pairs, {SENTENCES / 1e6:.0f} M sentences (Table 9), {sentence_tokens:g} tokens each",
            _billions(text),
        ),
        ("then its hours were, of the peak", f"{text * each / bought:.1%}"),
        ("and at 30 % of the peak it takes, in hours", f"{hours:,.0f}"),
        ("the same with a block of 512 for each pair and sentence, padded", _billions(padded)),
        ("then its hours were, of the peak", f"{padded * each / bought:.1%}"),
    ]


def _billions(tokens: float) -> str:
    return f"{tokens / 1e9:.0f} G tokens"
