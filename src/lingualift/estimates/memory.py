"""Memory of one device while it trains, by part.

What is counted follows Rajbhandari et al. 2020 (ZeRO) for weights, gradients and optimiser. Activations are what
autograd keeps of a Llama layer as transformers writes it; ``tests/unit/test_estimates_memory.py`` counts them in real
models. Not counted: the runtime (about 1 GB on a GPU), fragmentation, communication buffers besides those named.
"""

from dataclasses import dataclass

from lingualift.configuration.models import Recipe
from lingualift.estimates.architectures import Architecture

_FLOAT32, _BFLOAT16 = 4, 2
# DeepSpeed's own defaults, in elements.
_BUCKET, _MAX_LIVE = 500_000_000, 1_000_000_000
# What autograd keeps of one token in one layer, in numbers of the hidden width and of the intermediate width: of the two
# norms the input and its normalised form, in float32 whatever the precision, and their outputs; queries and the output
# of attention, with keys and values; gate, its activation, up, and the product of the two.
_NORM_FLOAT32, _NORM_OUTPUTS, _ATTENTION, _INTERMEDIATE = 4, 2, 2, 4


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one device, by part.

    Attributes:
        weights: of the model, in the precisions in which they are held.
        gradients: with the buffers in which they are summed over devices.
        optimiser: AdamW's two moments, and float32 weights where training has a copy of its own.
        activations: what the forward pass leaves for the backward pass, at its highest.
        logits: of the output layer, with the loss and its gradient.
        gathered: weights, and of FSDP gradients, that are whole only while they are used (ZeRO-3, FSDP).
        host: what lies in the memory of the host instead.
    """

    weights: int
    gradients: int
    optimiser: int
    activations: int
    logits: int
    gathered: int
    host: int = 0

    @property
    def total(self) -> int:
        """Bytes on the device."""
        return self.weights + self.gradients + self.optimiser + self.activations + self.logits + self.gathered


def training_memory(
    architecture: Architecture, recipe: Recipe, *, block: int, ranks: int, bfloat16: bool, liger: bool
) -> Memory:
    """What training takes on each of ``ranks`` devices.

    Args:
        block: tokens in a sequence.
        bfloat16: whether it computes in bfloat16.
        liger: whether Liger's kernels run, which hold neither whole logits nor float32 norms.
    """
    whole = architecture.parameters
    trained = architecture.trained(recipe.lora)
    total = whole + (trained if recipe.lora else 0)
    kind, offload = recipe.parallelism, recipe.offload
    width = _BFLOAT16 if bfloat16 else _FLOAT32
    layer = architecture.layer_matrices
    gathered = 0
    if kind in ("none", "ddp"):
        # Autocast keeps bfloat16 copies of the matrices from the forward to the backward pass.
        weights = _FLOAT32 * total + (_BFLOAT16 * architecture.multiplied if bfloat16 else 0)
        # DDP sums gradients in buckets beside them.
        gradients = _FLOAT32 * trained * (2 if kind == "ddp" and ranks > 1 else 1)
        optimiser = 2 * _FLOAT32 * trained
    elif kind == "fsdp":
        weights = _FLOAT32 * total // ranks
        gradients = _FLOAT32 * trained // ranks
        optimiser = 2 * _FLOAT32 * trained // ranks
        # One layer in use, one on its way, and the embeddings with the output layer, which are a unit of their own and
        # stay. The gradients of one layer as they come, and in float32 as they are sent; of the output layer, which wait.
        # Each micro-batch's are sent: none are kept whole from one to the next.
        output = architecture.vocabulary * architecture.hidden
        gathered = width * (2 * layer + output * (1 if architecture.tied else 2))
        if not recipe.lora:
            gathered += width * (layer + output) + _FLOAT32 * layer
    else:
        stage = int(kind[-1])
        weights = width * total // (ranks if stage == 3 else 1)
        # Stages 2 and 3 sum up a rank's share over micro-batches in float32, stage 1 all in the precision of computing.
        # The bucket that they are gathered in is there in full size, however small the model; stage 3 has it in float32.
        gradients = _FLOAT32 * trained // ranks if stage >= 2 else width * trained
        gradients += (_FLOAT32 if stage == 3 else width) * _BUCKET
        # They are sent in float32: what is in the bucket once more, where it is not that; stage 3 lays it out by rank.
        if stage == 3 or width != _FLOAT32:
            gradients += _FLOAT32 * min(_BUCKET, trained)
        # Float32 weights, two moments, and the gradient in float32 while the step is taken; in stage 2 it is that which
        # was summed up, where the weights' own precision is another.
        optimiser = (3 if stage == 2 and width != _FLOAT32 else 4) * _FLOAT32 * trained // ranks
        gathered = width * min(whole, _MAX_LIVE) if stage == 3 else 0
    if offload != "none":
        optimiser = 0
        # Stages 1 and 2 have the gradients on the device before they hand them over.
        gradients -= _FLOAT32 * trained // ranks if kind in ("zero3", "fsdp") else 0
    if offload == "all":
        weights = 0
    sequences = recipe.share(ranks)[0]
    tokens = sequences * block
    return Memory(
        weights=weights,
        gradients=gradients,
        optimiser=optimiser,
        activations=activations(
            architecture,
            tokens,
            width=width,
            autocast=bfloat16 and kind in ("none", "ddp"),
            checkpointing=recipe.gradient_checkpointing,
            liger=liger,
        ),
        logits=logits(architecture, tokens, width=width, liger=liger),
        gathered=gathered,
        host=offloaded(recipe, whole=total, trained=trained, ranks=ranks, width=width),
    )


def offloaded(recipe: Recipe, *, whole: int, trained: int, ranks: int, width: int) -> int:
    """Bytes of what each rank holds in the memory of the host instead of the device's.

    Args:
        whole: weights of the model.
        trained: those that are trained.
        width: bytes of a number in the precision of computing.
    """
    if recipe.offload == "none":
        return 0
    if recipe.parallelism == "fsdp":
        # Weights; gradients and two moments.
        return _FLOAT32 * (whole + 3 * trained) // ranks
    # Float32 weights, two moments and gradients. Stages 1 and 2 hand new weights over in the precision of computing,
    # stage 3 sums gradients up there.
    states = 4 * _FLOAT32 * trained + (_FLOAT32 if recipe.parallelism == "zero3" else width) * trained
    return (states + (width * whole if recipe.offload == "all" else 0)) // ranks


def activations(
    architecture: Architecture,
    tokens: int,
    *,
    width: int,
    autocast: bool = False,
    checkpointing: bool = False,
    liger: bool = False,
) -> int:
    """Bytes that the forward pass of all layers leaves for the backward pass.

    Args:
        tokens: of the sequences that a device takes at once.
        width: bytes of a number in the precision of computing.
        autocast: whether the weights are float32 and cast where they are used: what runs between layers is float32.
        checkpointing: layers keep their input alone, and one at a time is computed again.
        liger: its norms keep their input alone, its feed-forward layers compute two of four parts again.
    """
    between = _FLOAT32 if autocast else width
    norms = _NORM_FLOAT32 // 2 * between if liger else _NORM_FLOAT32 * _FLOAT32
    outputs = _NORM_OUTPUTS * (between + width if autocast else width)
    shared = 2 * architecture.key_value_width / architecture.hidden
    hidden = architecture.hidden * (norms + outputs + (_ATTENTION + shared) * width)
    intermediate = architecture.intermediate * width * (_INTERMEDIATE - (2 if liger else 0))
    one = int(tokens * (hidden + intermediate))
    if not checkpointing:
        return architecture.layers * one
    return architecture.layers * tokens * architecture.hidden * between + one


def logits(architecture: Architecture, tokens: int, *, width: int, liger: bool = False) -> int:
    """Bytes of the logits and the loss at their highest, which is in the backward pass."""
    if liger:
        # Chunks of about as many tokens as keep a chunk's logits the size of the hidden states; and the gradients of
        # the hidden states and of the output layer.
        chunk = max(1, tokens * architecture.hidden // architecture.vocabulary)
        gradients = (tokens + architecture.vocabulary) * architecture.hidden * width
        return chunk * architecture.vocabulary * (width + _FLOAT32) + gradients
    # Once as probabilities, once as the gradient of these, once as that of the logits, which are float32 in the loss.
    return tokens * architecture.vocabulary * 3 * _FLOAT32
