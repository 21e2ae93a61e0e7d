"""Masked language modelling: tokens are hidden, and an encoder tells what they were; its head, loss and scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional

from nlptransfer.embeddings.encoder_settings import padding_id
from nlptransfer.embeddings.find_encoder import quiet_transformers
from nlptransfer.errors import InputError
from nlptransfer.types import NO_LABEL, Batch

PROBABILITY = 0.15
_MASKED, _RANDOM = 0.8, 0.1


def mask_tokens(
    input_ids: torch.Tensor,
    mask: torch.Tensor,
    *,
    special_ids: Sequence[int],
    mask_id: int,
    vocab_size: int,
    probability: float = PROBABILITY,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hide some tokens of a text, for a model to tell what they were.

    Each real token that is not special is chosen with the probability given; at least one of a batch is. Of the chosen
    ones 80 % become the mask token, 10 % a random token, and 10 % stay what they are. Random tokens are drawn evenly
    from all that are not special, where the paper does not say.

    Args:
        input_ids: (batch, time) integers.
        mask: (batch, time), True on real tokens.
        special_ids: tokens that are never chosen, such as ``[CLS]`` and ``[SEP]``.
        mask_id: the mask token.
        vocab_size: number of tokens.
        probability: share of the tokens to choose.
        generator: where the choice is drawn; None draws from torch's global one, which `train` seeds.

    Returns:
        (batch, time) ids with the chosen ones changed, and (batch, time) labels: the former id of the chosen ones,
        `NO_LABEL` elsewhere. Without a token that may be chosen there is no label at all.

    Reference:
        Devlin et al. 2019, section 3.1 (task 1), https://aclanthology.org/N19-1423.

    Example:
        >>> masked_ids, labels = mask_tokens(ids, mask, special_ids=[0, 2, 3], mask_id=4, vocab_size=16_000)
    """
    at = input_ids.device if generator is None else generator.device

    def drawn() -> torch.Tensor:
        return torch.rand(input_ids.shape, generator=generator, device=at).to(input_ids.device)

    is_special = torch.zeros(vocab_size, dtype=torch.bool, device=input_ids.device)
    is_special[torch.as_tensor(list(special_ids), dtype=torch.long, device=input_ids.device)] = True
    may_be_chosen = mask & ~is_special[input_ids]
    draws = drawn().masked_fill(~may_be_chosen, 2.0)
    # The lowest draw is chosen in any case, so that the loss of a batch of a few short texts is a number.
    chosen = may_be_chosen & ((draws < probability) | (draws == draws.min()))
    labels = input_ids.masked_fill(~chosen, NO_LABEL)
    ordinary = (~is_special).nonzero()[:, 0]
    fate, others = drawn(), drawn()
    random_ids = ordinary[(others * len(ordinary)).long().clamp(max=len(ordinary) - 1)]
    masked_ids = torch.where(chosen & (fate < _MASKED), mask_id, input_ids)
    becomes_random = chosen & (fate >= _MASKED) & (fate < _MASKED + _RANDOM)
    return torch.where(becomes_random, random_ids, masked_ids), labels


def mask_and_special_ids(tokenizer: Any) -> tuple[int, list[int]]:
    """The token that hides others, and those that are never hidden.

    Args:
        tokenizer: of `transformers`.

    Returns:
        The id of the mask token, and those of all special tokens.

    Raises:
        InputError: the tokenizer has no mask token, as that of a model which was not pretrained by masked LM.
    """
    if tokenizer.mask_token_id is None:
        raise InputError(
            "the encoder has no mask token, so that it can't learn by masked language modelling",
            found=type(tokenizer).__name__,
            expected="an encoder that was pretrained that way, such as BERT or RoBERTa",
            remedy="Leave out dapt and udalm, or name another encoder.",
        )
    return int(tokenizer.mask_token_id), list(tokenizer.all_special_ids)


class MaskedLMHead(nn.Module):
    """From hidden states to logits over the vocabulary, by the encoder's own input embeddings.

    Args:
        layers: (n, H) -> (n, V); its last layer's weight is the encoder's input embedding matrix.
        was_pretrained: whether its weights come from a checkpoint.

    Attributes:
        was_pretrained: so.
    """

    def __init__(self, layers: nn.Module, *, was_pretrained: bool) -> None:
        super().__init__()
        self.layers = layers
        self.was_pretrained = was_pretrained

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of some positions.

        Args:
            hidden: (n, H) the encoder's last hidden states.

        Returns:
            (n, V).
        """
        logits: torch.Tensor = self.layers(hidden)
        return logits

    @classmethod
    def fresh(cls, encoder: nn.Module) -> MaskedLMHead:
        """A head like BERT's without pretraining: dense, GELU, layer norm, and a decoder that is tied.

        Its weights are drawn from torch's global generator: make it within `seeded`.

        Args:
            encoder: the encoder.
        """
        embeddings = _embeddings(encoder)
        vocab_size, dim = embeddings.shape
        dense = nn.Linear(int(encoder.config.hidden_size), dim)  # type: ignore[union-attr, arg-type]
        # As the encoder's own layers were drawn.
        nn.init.normal_(dense.weight, std=float(getattr(encoder.config, "initializer_range", 0.02)))
        nn.init.zeros_(dense.bias)
        decoder = nn.Linear(dim, vocab_size)
        decoder.weight = embeddings
        nn.init.zeros_(decoder.bias)
        return cls(nn.Sequential(dense, nn.GELU(), nn.LayerNorm(dim), decoder), was_pretrained=False)

    @classmethod
    def from_folder(cls, folder: str | Path, encoder: nn.Module) -> MaskedLMHead:
        """The checkpoint's own head where its weights are there, as in BERT, RoBERTa and ModernBERT; else a fresh one.

        The decoder is tied to the input embeddings of `encoder`. Where these have grown since, its bias has zeros for
        the new tokens.

        Args:
            folder: the checkpoint, as `find_encoder` gives it.
            encoder: the encoder, loaded from it with ``AutoModel``.

        Returns:
            The head; `was_pretrained` says which.

        Example:
            >>> encoder = AutoModel.from_pretrained(folder)
            >>> with seeded(0):
            ...     head = MaskedLMHead.from_folder(folder, encoder)
        """
        from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoModelForMaskedLM

        if type(encoder.config) not in MODEL_FOR_MASKED_LM_MAPPING:
            return cls.fresh(encoder)
        # Weights that are missing are drawn, and then not used.
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            model, found = AutoModelForMaskedLM.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True
            )
        names = _head_names(model)
        if not names or any(key.startswith(f"{name}.") for name in names for key in found["missing_keys"]):
            return cls.fresh(encoder)
        embeddings = _embeddings(encoder)
        decoder = model.get_output_embeddings()
        decoder.weight = embeddings
        added = len(embeddings) - len(decoder.bias)
        if added:
            kept = decoder.bias.detach()[: len(embeddings)]
            decoder.bias = nn.Parameter(torch.cat([kept, kept.new_zeros(max(0, added))]))
            decoder.out_features = len(embeddings)
            model.set_output_embeddings(decoder)
        return cls.of(model, was_pretrained=True)

    @classmethod
    def of(cls, model: Any, *, was_pretrained: bool) -> MaskedLMHead:
        """The head of a masked-LM model of `transformers`, sharing its weights.

        Args:
            model: of the kind of BERT, RoBERTa or ModernBERT.
            was_pretrained: whether its weights come from a checkpoint.

        Raises:
            ValueError: it has no head of these kinds.

        Example:
            >>> head = MaskedLMHead.of(model, was_pretrained=False)
            >>> loss = masked_lm_loss(model.base_model, head, batch, mask_id=4, special_ids=range(5))
        """
        names = _head_names(model)
        if not names:
            raise ValueError(f"{type(model).__name__} has no masked-LM head that is known here")
        parts = [getattr(model, name) for name in names]
        return cls(parts[0] if len(parts) == 1 else nn.Sequential(*parts), was_pretrained=was_pretrained)


def _head_names(model: Any) -> tuple[str, ...]:
    """What a model of `transformers` calls the parts of its masked-LM head; nothing where that is not known."""
    known = (("cls",), ("lm_head",), ("head", "decoder"))
    return next((names for names in known if all(hasattr(model, name) for name in names)), ())


def _embeddings(encoder: nn.Module) -> nn.Parameter:
    """The encoder's input embedding matrix, (V, E)."""
    weight: nn.Parameter = encoder.get_input_embeddings().weight  # type: ignore[operator]
    return weight


def hidden_states(encoder: nn.Module, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """What an encoder makes of a batch.

    Args:
        encoder: an ``AutoModel``.
        input_ids: (batch, time), whatever on padding.
        mask: (batch, time), True on real tokens.

    Returns:
        (batch, time, H).
    """
    states: torch.Tensor = encoder(
        input_ids=input_ids.masked_fill(~mask, padding_id(encoder.config)), attention_mask=mask.long()
    ).last_hidden_state
    return states


def masked_lm_loss(
    encoder: nn.Module,
    head: MaskedLMHead,
    batch: Batch,
    *,
    mask_id: int,
    special_ids: Sequence[int],
    probability: float = PROBABILITY,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    r"""How badly an encoder tells the tokens that were hidden from it.

    .. math:: L = -\frac{1}{|C|} \sum_{i \in C} \log p(w_i \mid \tilde w)

    with C the chosen positions, w the text and :math:`\tilde w` what is left of it. Logits are computed at the
    chosen positions alone.

    Args:
        encoder: an ``AutoModel``.
        head: its head.
        batch: text; labels are not looked at.
        mask_id: the mask token.
        special_ids: tokens that are never hidden.
        probability: see `mask_tokens`.
        generator: see `mask_tokens`.

    Returns:
        The loss, in nats; 0 where there is no token to hide.

    Reference:
        Devlin et al. 2019, section 3.1 (task 1), https://aclanthology.org/N19-1423.
    """
    logits, labels = _predictions(encoder, head, batch, mask_id, special_ids, probability, generator)
    labels = labels[labels != NO_LABEL]
    if not len(labels):
        return logits.sum()  # of nothing: 0, and what trains gets a gradient of 0
    return functional.cross_entropy(logits.float(), labels)


def _predictions(
    encoder: nn.Module,
    head: MaskedLMHead,
    batch: Batch,
    mask_id: int,
    special_ids: Sequence[int],
    probability: float,
    generator: torch.Generator | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (n, V) of the chosen tokens, and labels (batch, time)."""
    masked_ids, labels = mask_tokens(
        batch.input_ids,
        batch.mask,
        special_ids=special_ids,
        mask_id=mask_id,
        vocab_size=len(_embeddings(encoder)),
        probability=probability,
        generator=generator,
    )
    return head(hidden_states(encoder, masked_ids, batch.mask)[labels != NO_LABEL]), labels


@dataclass(frozen=True)
class MaskedLMScores:
    """How well an encoder tells hidden tokens of a text.

    Attributes:
        loss: mean negative log-likelihood of a hidden token, in nats.
        accuracy: share of hidden tokens whose likeliest token is the right one.
        num_tokens: how many were hidden.
        correct: (items,) how many of each item were right.
        hidden: (items,) how many of each item were hidden.
    """

    loss: float
    accuracy: float
    num_tokens: int
    correct: np.ndarray
    hidden: np.ndarray

    @property
    def perplexity(self) -> float:
        """exp(loss), of tokens hidden together; the pseudo-perplexity of Salazar et al. 2020 hides each alone."""
        return math.exp(min(self.loss, 700.0))


@torch.no_grad()
def score_masked_lm(
    encoder: nn.Module,
    head: MaskedLMHead,
    batches: Iterable[Batch],
    *,
    mask_id: int,
    special_ids: Sequence[int],
    seed: int,
    probability: float = PROBABILITY,
    accelerator: Accelerator | None = None,
) -> MaskedLMScores:
    """Loss and accuracy on text, with the same tokens hidden each time: comparable between models and epochs.

    Tokens are hidden as in training: a tenth of those scored was left as it is.

    Args:
        encoder: an ``AutoModel``.
        head: its head.
        batches: text.
        mask_id: the mask token.
        special_ids: tokens that are never hidden.
        seed: of the choice of tokens.
        probability: see `mask_tokens`.
        accelerator: device and precision; None: those of the encoder's weights.

    Returns:
        The scores.

    Raises:
        ValueError: there is no token to hide.
    """
    device = next(encoder.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    was_training = encoder.training, head.training
    encoder.eval()
    head.eval()
    loss, correct, hidden = 0.0, [], []
    for batch in batches:
        batch = batch.to(device)
        with torch.autocast(device.type, enabled=False) if accelerator is None else accelerator.autocast():
            logits, labels = _predictions(encoder, head, batch, mask_id, special_ids, probability, generator)
        chosen = labels != NO_LABEL
        logits = logits.float()
        loss += float(functional.cross_entropy(logits, labels[chosen], reduction="sum"))
        right = torch.zeros_like(chosen)
        right[chosen] = logits.argmax(dim=-1) == labels[chosen]
        correct.append(right.sum(dim=1).cpu().numpy())
        hidden.append(chosen.sum(dim=1).cpu().numpy())
    encoder.train(was_training[0])
    head.train(was_training[1])
    all_correct, all_hidden = np.concatenate(correct), np.concatenate(hidden)
    total = int(all_hidden.sum())
    if not total:
        raise ValueError("the batches hold no token that may be hidden")
    return MaskedLMScores(loss / total, float(all_correct.sum()) / total, total, all_correct, all_hidden)
