"""What stands beside an encoder's weights: its configuration, its tokenizer, and how much it reads at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nlptransfer.errors import InputError

# Families that number positions from after the id of the padding: of 514 positions they read 512 tokens.
_POSITIONS_AFTER_PADDING = {
    "camembert", "data2vec-text", "esm", "ibert", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip


def load_config(folder: str | Path) -> Any:
    """The configuration of a model folder.

    Args:
        folder: as `find_encoder` gives it.

    Raises:
        InputError: transformers can't read it.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"transformers can't read the encoder's configuration ({' '.join(str(error).split())})",
            where=folder,
            expected="config.json of a model that transformers knows",
            remedy="Save it again with save_pretrained, or name another encoder.",
        ) from error


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer of a model folder.

    Args:
        folder: as `find_encoder` gives it.

    Raises:
        InputError: transformers can't read it.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"transformers can't read the tokenizer ({' '.join(str(error).split())})",
            where=folder,
            expected="the tokenizer's files beside config.json",
            remedy="Save it again with the tokenizer's save_pretrained, or name another encoder.",
        ) from error


def padding_id(config: Any) -> int:
    """What an encoder reads on padding.

    Args:
        config: the encoder's; one without a padding token reads 0, which its attention mask hides.
    """
    return int(getattr(config, "pad_token_id", None) or 0)


def longest_input(config: Any) -> int | None:
    """How many tokens an encoder has positions for; None where nothing limits them.

    Args:
        config: the encoder's.

    Example:
        >>> longest_input(load_config(find_encoder("roberta-base")))
        512
    """
    positions = getattr(config, "max_position_embeddings", None)
    if not positions or positions < 0:
        return None
    taken = padding_id(config) + 1 if config.model_type in _POSITIONS_AFTER_PADDING else 0
    return int(positions) - taken


def check_max_length(max_length: int, config: Any, tokenizer: Any, *, where: str | Path) -> None:
    """Refuse to read more tokens at once than an encoder can.

    Args:
        max_length: in subword tokens, special ones included.
        config: the encoder's.
        tokenizer: the encoder's.
        where: the encoder's folder, for the message.

    Raises:
        InputError: the encoder has fewer positions, or its tokenizer says that it reads less.
    """
    longest = min(longest_input(config) or max_length, tokenizer.model_max_length)
    if max_length > longest:
        raise InputError(
            "max_length is more than the encoder reads",
            where=where,
            expected=f"at most {longest}",
            found=str(max_length),
            remedy=f"Set it to {longest} or less.",
        )


def check_weights(missing: Iterable[str], *, where: str | Path) -> None:
    """Refuse an encoder of which a checkpoint lacks weights: they would be random, and nobody would know.

    Args:
        missing: names of the encoder's weights that were not found; a pooler's may be among them, since most
            pretraining has none.
        where: the encoder's folder, for the message.

    Raises:
        InputError: others are among them.
    """
    lacking = sorted(name for name in missing if "pooler" not in name.split("."))
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise InputError(
            "the folder lacks weights of the encoder",
            where=where,
            expected="the weights that its config.json asks for",
            found=f"nothing for {', '.join(lacking[:3])}{more}",
            remedy="Save the encoder again with save_pretrained, or name another one.",
        )
