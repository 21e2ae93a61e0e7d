"""The stack of layers inside a pretrained encoder, whatever its family calls it."""

from __future__ import annotations

from typing import Any

from torch import nn

from nlptransfer.errors import InputError


def encoder_layers(encoder: Any) -> nn.ModuleList:
    """The transformer layers of an encoder, lowest first: the list that holds as many as its settings count.

    It is the one `torch.nn.ModuleList` inside the encoder whose length is ``config.num_hidden_layers``; where one
    such list stands inside another, the outer one. That finds the layers of BERT, RoBERTa, XLM-R, DistilBERT, ELECTRA,
    DeBERTa, MPNet and those that follow them.

    Args:
        encoder: a model of `transformers`: an `AutoModel`, or one with a head around it.

    Returns:
        The encoder's own list, not a copy.

    Raises:
        InputError: there is no such list, as in ALBERT, whose layers are one set of weights used again and again; or
            there are several and none holds the others, as where an encoder and a decoder are equally deep.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> len(encoder_layers(BertModel(BertConfig(num_hidden_layers=4))))
        4
    """
    config = encoder.config
    kind = type(encoder).__name__
    number = getattr(config, "num_hidden_layers", None)
    if getattr(config, "num_hidden_groups", None) is not None:
        raise InputError(
            "the encoder has no layers of its own at each depth: they share one set of weights",
            where=kind,
            expected="one set of weights for each layer, as in BERT",
            found=f"{number} layers that share {config.num_hidden_groups}",
            remedy="Name another encoder, or choose what does not tell its layers apart.",
        )
    found: list[tuple[str, nn.ModuleList]] = []
    for name, module in encoder.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer, _ in found)
        if isinstance(module, nn.ModuleList) and len(module) == number and not inside:
            found.append((name, module))
    if len(found) != 1:
        names = ", ".join(name for name, _ in found)
        raise InputError(
            "the layers of the encoder can't be told" if found else "the encoder has no list of layers",
            where=kind,
            expected=f"one list of {number} layers, as config.num_hidden_layers says",
            found=f"{len(found)}: {names}" if found else "none",
            remedy="Name another encoder, such as one of the BERT family.",
        )
    return found[0][1]


def stands_above_layers(name: str) -> bool:
    """Whether a parameter of an encoder comes after its layers: in the pooler, or in a last normalisation.

    Args:
        name: as `named_parameters` of the encoder gives it.
    """
    return any(part in ("pooler", "final_norm", "final_layer_norm") for part in name.split("."))
