"""Masked language modelling: an encoder goes on learning from unlabelled text, alone or beside a task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional

from nlptransfer.data.feature_batches import DocumentBatches
from nlptransfer.errors import InputError
from nlptransfer.training.loop import train
from nlptransfer.training.random_streams import own_random_stream
from nlptransfer.training.schedules import linear
from nlptransfer.types import NO_LABEL, Batch, DomainBatch, ModelOutput

PROBABILITY = 0.15
_MASKED, _RANDOM = 0.8, 0.1

MaskedLMStep = Callable[[Any, Batch, float], dict[str, torch.Tensor]]
"""A `nlptransfer.training.loop.Step` over batches of text."""

UdalmStep = Callable[[Any, DomainBatch, float], dict[str, torch.Tensor]]
"""A `nlptransfer.training.loop.Step` over batches of two domains."""


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
        """The checkpoint's own head where its weights are there, as in BERT and RoBERTa; else a fresh one.

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
        from transformers.utils import logging

        if type(encoder.config) not in MODEL_FOR_MASKED_LM_MAPPING:
            return cls.fresh(encoder)
        verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()  # it reports missing weights at length, and that is what we look for
        logging.disable_progress_bar()
        try:
            with torch.random.fork_rng(devices=[]):  # weights that are missing are drawn, and then not used
                model, found = AutoModelForMaskedLM.from_pretrained(
                    folder,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    output_loading_info=True,
                )
        finally:
            logging.set_verbosity(verbosity)
            if bars:
                logging.enable_progress_bar()
        name = next((name for name in ("cls", "lm_head") if hasattr(model, name)), None)
        if name is None or any(key.startswith(f"{name}.") for key in found["missing_keys"]):
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
        return cls(getattr(model, name), was_pretrained=True)


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
    pad_id = getattr(encoder.config, "pad_token_id", None) or 0
    states: torch.Tensor = encoder(
        input_ids=input_ids.masked_fill(~mask, pad_id), attention_mask=mask.long()
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


class EncoderWithHead(nn.Module):
    """An encoder and its masked-LM head as the one module that `train` wants.

    Args:
        encoder: an ``AutoModel``.
        head: its head.
    """

    def __init__(self, encoder: nn.Module, head: MaskedLMHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head


class ModelWithHead(nn.Module):
    """A task's model and the masked-LM head of its encoder as the one module that `train` wants.

    Args:
        model: the task's, with `encoder`, ``forward(batch)`` and ``loss(output, batch)``; it alone is evaluated and
            saved.
        head: of its encoder.
    """

    def __init__(self, model: nn.Module, head: MaskedLMHead) -> None:
        super().__init__()
        self.model = model
        self.head = head

    @property
    def encoder(self) -> nn.Module:
        """The model's encoder."""
        encoder: nn.Module = self.model.encoder  # type: ignore[assignment]
        return encoder

    def forward(self, batch: Batch) -> ModelOutput:
        """What the model gives."""
        output: ModelOutput = self.model(batch)
        return output

    def loss(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """The model's loss."""
        loss: torch.Tensor = self.model.loss(output, batch)  # type: ignore[operator]
        return loss


def make_masked_lm_step(
    head: MaskedLMHead, *, mask_id: int, special_ids: Sequence[int], probability: float = PROBABILITY
) -> MaskedLMStep:
    """A step that trains an encoder on text without labels.

    Every process of several draws its own tokens to hide.

    Args:
        head: the encoder's.
        mask_id: the mask token.
        special_ids: tokens that are never hidden.
        probability: see `mask_tokens`.

    Returns:
        A step for `train` over an `EncoderWithHead`.

    Example:
        >>> step = make_masked_lm_step(head, mask_id=tokenizer.mask_token_id, special_ids=tokenizer.all_special_ids)
        >>> train(EncoderWithHead(encoder, head), step, batches, optimizer, epochs=3, seed=0)
    """

    def step(model: Any, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        loss = masked_lm_loss(
            model.encoder, head, batch, mask_id=mask_id, special_ids=special_ids, probability=probability
        )
        return {"loss": loss}

    return step


def make_udalm_step(
    head: MaskedLMHead,
    *,
    mask_id: int,
    special_ids: Sequence[int],
    probability: float = PROBABILITY,
    masked_lm_weight: float | None = None,
) -> UdalmStep:
    r"""A step that trains on labelled source items while the encoder goes on to learn the target's language.

    .. math:: L = \lambda L_{\text{task}}(\text{source}) + (1 - \lambda) L_{\text{MLM}}(\text{target}),
              \qquad \lambda = n / (n + m)

    with n labelled source items and m unlabelled target items in the batch. As in the paper, adapt the encoder to the
    target's text first (`adapt_by_masked_lm`). We depart in that n and m are counted anew in each batch, the last of
    an epoch being smaller, and in that several processes count them in their parts.

    The target's pass draws from a random stream of its own. With a weight of 0 the target is not read, and the training
    is that on the source alone, number for number.

    Args:
        head: of the model's encoder.
        mask_id: the mask token.
        special_ids: tokens that are never hidden.
        probability: see `mask_tokens`.
        masked_lm_weight: :math:`1 - \lambda`, from 0 to below 1; None: by the numbers of items.

    Returns:
        A step for `train` over a `ModelWithHead` and `DomainBatches`, with the losses "loss", "task" and "masked_lm";
        without the last where the weight is 0.

    Raises:
        ValueError: the weight is out of range.

    Reference:
        Karouzos et al. 2021, section 3, https://aclanthology.org/2021.naacl-main.203.

    Compare with:
        `adapt_by_masked_lm` and then plain training: the same text in two steps; the encoder may forget the first.

    Example:
        >>> step = make_udalm_step(head, mask_id=tokenizer.mask_token_id, special_ids=tokenizer.all_special_ids)
        >>> train(ModelWithHead(classifier, head), step, DomainBatches(source, target), optimizer, epochs=5, seed=0)
    """
    if masked_lm_weight is not None and not 0 <= masked_lm_weight < 1:
        raise ValueError(f"masked_lm_weight must be from 0 to below 1, found {masked_lm_weight}")

    def step(model: Any, batch: DomainBatch, progress: float) -> dict[str, torch.Tensor]:
        task = model.loss(model(batch.source), batch.source)
        if masked_lm_weight == 0:
            return {"loss": task, "task": task}
        n, m = len(batch.source.input_ids), len(batch.target.input_ids)
        weight = m / (n + m) if masked_lm_weight is None else masked_lm_weight
        with own_random_stream(task.device):
            masked_lm = masked_lm_loss(
                model.encoder, head, batch.target, mask_id=mask_id, special_ids=special_ids, probability=probability
            )
        return {"loss": (1 - weight) * task + weight * masked_lm, "task": task, "masked_lm": masked_lm}

    return step


def adapt_by_masked_lm(
    encoder: nn.Module,
    head: MaskedLMHead,
    ids: Sequence[np.ndarray],
    *,
    mask_id: int,
    special_ids: Sequence[int],
    epochs: int,
    batch_size: int,
    learning_rate: float,
    max_length: int,
    seed: int,
    probability: float = PROBABILITY,
    warmup: float = 0.06,
    weight_decay: float = 0.01,
    max_gradient_norm: float = 1.0,
    accelerator: Accelerator | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    description: str = "masked LM",
) -> list[dict[str, Any]]:
    """Go on with an encoder's pretraining on unlabelled documents: those of a domain (DAPT), or of a task (TAPT).

    Documents longer than `max_length` are cut into parts of about equal length, so that all their text is read.
    AdamW, with a learning rate that rises over the first `warmup` of the run and then falls to 0 in a straight line.

    Args:
        encoder: an ``AutoModel``; trained in place.
        head: its head; trained in place.
        ids: the documents as subword ids, special tokens around them included.
        mask_id: the mask token.
        special_ids: tokens that are never hidden.
        epochs: passes over the documents.
        batch_size: documents per step.
        learning_rate: at its highest; 1e-4 in the paper.
        max_length: tokens read at once.
        seed: of the order, of the hidden tokens and of dropout.
        probability: see `mask_tokens`.
        warmup: share of the run.
        weight_decay: of AdamW, on matrices alone.
        max_gradient_norm: gradients are scaled down to this norm.
        accelerator: see `train`; so are the four that follow.
        checkpoint: file that holds the state after each epoch; None writes none.
        resume: continue from `checkpoint` where there is one.
        on_epoch: called with each epoch's history row.
        description: of the progress bar.

    Returns:
        The history, as `train` gives it.

    Raises:
        InputError: there are no documents.

    Reference:
        Gururangan et al. 2020, sections 3 and 4, https://aclanthology.org/2020.acl-main.740.

    Compare with:
        `make_udalm_step`, which learns the task at the same time.

    Example:
        >>> ids = [np.array(tokenizer(text).input_ids) for text in target_texts]
        >>> adapt_by_masked_lm(encoder, head, ids, mask_id=tokenizer.mask_token_id,
        ...                    special_ids=tokenizer.all_special_ids, epochs=3, batch_size=16,
        ...                    learning_rate=1e-4, max_length=256, seed=0)
    """
    if not len(ids):
        raise InputError("there is no text to adapt the encoder to", expected="a document or more", found="none")
    parts = [
        part for document in ids for part in cut_document(document, max_length=max_length, special_ids=special_ids)
    ]
    model = EncoderWithHead(encoder, head)
    return train(
        model,
        make_masked_lm_step(head, mask_id=mask_id, special_ids=special_ids, probability=probability),
        DocumentBatches(parts, None, batch_size=batch_size, max_length=max_length, seed=seed),
        make_adamw(model, learning_rate=learning_rate, weight_decay=weight_decay),
        epochs=epochs,
        seed=seed,
        schedule=partial(linear, warmup=warmup),
        max_gradient_norm=max_gradient_norm,
        checkpoint=checkpoint,
        resume=resume,
        accelerator=accelerator,
        on_epoch=on_epoch,
        description=description,
    )


def cut_document(document: np.ndarray, *, max_length: int, special_ids: Sequence[int]) -> list[np.ndarray]:
    """A document in parts of about equal length, none too long, each with the special tokens around it.

    Args:
        document: (T,) subword ids.
        max_length: of a part.
        special_ids: what counts as special at the document's two ends.

    Returns:
        The parts; the document itself where it fits.

    Raises:
        ValueError: no room for a token between the special ones.

    Example:
        >>> [part.tolist() for part in cut_document(np.array([2, 7, 8, 9, 3]), max_length=4, special_ids=[2, 3])]
        [[2, 7, 8, 3], [2, 9, 3]]
    """
    if len(document) <= max_length:
        return [document]
    ordinary = np.flatnonzero(~np.isin(document, list(special_ids)))
    first, last = (int(ordinary[0]), int(ordinary[-1]) + 1) if len(ordinary) else (0, len(document))
    start, body, end = document[:first], document[first:last], document[last:]
    room = max_length - len(start) - len(end)
    if room < 1:
        raise ValueError(
            f"max_length must leave room beside {len(start) + len(end)} special tokens, found {max_length}"
        )
    return [np.concatenate([start, part, end]) for part in np.array_split(body, -(-len(body) // room))]


def make_adamw(model: nn.Module, *, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over all that trains, which spares biases and layer norms the weight decay.

    Args:
        model: whose parameters to train.
        learning_rate: at its highest.
        weight_decay: on matrices.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, fused=True)


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
