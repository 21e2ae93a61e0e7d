"""LoRA: low-rank changes of an encoder's weights are trained in place of the weights."""

from __future__ import annotations

from typing import Any

from torch import nn

from nlptransfer.errors import InputError
from nlptransfer.models.encoder_layers import encoder_layers


def add_lora(encoder: Any, *, rank: int = 8, scale: float = 2.0, dropout: float = 0.0) -> None:
    r"""Freeze an encoder, and put a trainable change of low rank beside each linear map of its layers, by peft.

    .. math:: h = W_0 x + s \, B A x, \qquad B \in \mathbb{R}^{d \times r}, \; A \in \mathbb{R}^{r \times k}

    B starts at 0, so that at first the encoder is what it was. Draws from torch's generators.

    Args:
        encoder: of `transformers`; changed in place.
        rank: r.
        scale: s, the paper's alpha / r.
        dropout: on x before A.

    Raises:
        InputError: peft is not installed, or the encoder's layers hold no linear map.

    Reference: Hu et al. 2021, section 4.1, equation 3, https://arxiv.org/abs/2106.09685. As its section 7.1 leaves
        open, all linear maps are changed, those of the feed-forward part too.

    Compare with: full fine-tuning, which wants a smaller learning rate and memory for every weight's two averages.

    Example:
        >>> add_lora(network.encoder, rank=8)
        >>> history = fine_tune(network, plan, step, batches, seed=0)
        >>> merge_lora(network.encoder)
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise InputError("lora needs peft, which is not installed", remedy='pip install "nlptransfer[peft]"') from error

    inside = {id(part) for part in encoder_layers(encoder).modules() if isinstance(part, nn.Linear)}
    names = [name for name, part in encoder.named_modules() if id(part) in inside]
    if not names:
        raise InputError("the encoder's layers hold no linear map to adapt", found=type(encoder).__name__)
    inject_adapter_in_model(
        LoraConfig(r=rank, lora_alpha=round(scale * rank), lora_dropout=dropout, target_modules=names), encoder
    )


def merge_lora(encoder: Any) -> None:
    """Add the learnt changes to the weights and take them away: the encoder is a plain one again, all of it trainable.

    Args:
        encoder: one that `add_lora` has changed; changed in place.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for parent in list(encoder.modules()):
        for name, part in list(parent.named_children()):
            if isinstance(part, BaseTunerLayer):
                part.merge()
                setattr(parent, name, part.get_base_layer())
    encoder.requires_grad_(True)
