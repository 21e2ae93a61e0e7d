"""Pretrained transformers with a head: a label per text, or a tag per word."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn import functional

from nlptransfer.embeddings.encoder_settings import check_weights, load_config
from nlptransfer.embeddings.find_encoder import quiet_transformers
from nlptransfer.errors import InputError
from nlptransfer.models.classifier import classification_loss
from nlptransfer.models.layer_mix import LayerMix
from nlptransfer.models.pooling import max_pooling, mean_pooling
from nlptransfer.types import NO_LABEL, Batch, ModelOutput

TextPooling = Literal["mean", "cls", "max", "native"]
Subwords = Literal["first", "mean"]
Attention = Literal["sdpa", "eager"]
Layers = tuple[int, ...] | Literal["mix"]
"""Numbers of hidden states (0: the embeddings, -1: the last), of several their mean; or a learnt mix of all."""

_ATTENTION_DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout")
"""What configurations call the share of attention weights that training drops."""


class HiddenStates(nn.Module):
    """The hidden states of an encoder, of one layer or of several.

    Args:
        encoder: of `transformers`, such as AutoModel gives.
        layers: see `Layers`.
        pad_id: what the encoder reads on padding.

    Raises:
        InputError: the encoder has no such layer.
    """

    def __init__(self, encoder: Any, *, layers: Layers = (-1,), pad_id: int = 0) -> None:
        super().__init__()
        depth = int(encoder.config.num_hidden_layers) + 1
        if layers != "mix" and (not layers or not all(-depth <= layer < depth for layer in layers)):
            raise InputError(
                "the encoder has no such layer",
                expected=f"numbers from {-depth} to {depth - 1} (0: the embeddings, -1: the last layer), or mix",
                found=str(layers),
            )
        self.encoder = encoder
        self.layers = layers
        self.pad_id = pad_id
        self.mix = LayerMix(depth) if layers == "mix" else None

    def forward(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(batch, time) ids and mask -> (batch, time, H)."""
        if self.layers == (-1,):
            last: torch.Tensor = self._read(input_ids, mask).last_hidden_state
            return last
        states = self._read(input_ids, mask, output_hidden_states=True).hidden_states
        if self.mix is not None:
            mixed: torch.Tensor = self.mix(states)
            return mixed
        return torch.stack([states[layer] for layer in self.layers]).mean(dim=0)

    def at_depths(
        self, input_ids: torch.Tensor, mask: torch.Tensor, depths: Collection[int]
    ) -> dict[int, torch.Tensor]:
        """The states after some of the layers, of one pass, whatever `layers` are read otherwise.

        Args:
            input_ids: (batch, time).
            mask: (batch, time), True on real tokens.
            depths: numbers of layers, from 1.

        Returns:
            (batch, time, H) by depth.
        """
        top = int(self.encoder.config.num_hidden_layers)
        read = self._read(input_ids, mask, output_hidden_states=min(depths) < top)
        return {depth: read.last_hidden_state if depth == top else read.hidden_states[depth] for depth in depths}

    def _read(self, input_ids: torch.Tensor, mask: torch.Tensor, *, output_hidden_states: bool = False) -> Any:
        return self.encoder(
            input_ids=input_ids.masked_fill(~mask, self.pad_id),
            attention_mask=mask.long(),
            output_hidden_states=output_hidden_states,
        )


class TransformerClassifier(nn.Module):
    """A pretrained encoder and a linear head over the whole text.

    Args:
        encoder: of `transformers`; with "native", one with the head that `AutoModelForSequenceClassification` gives it.
        num_labels: C.
        pooling: "mean", "cls" or "max" over the text's tokens, those included that frame it; or "native".
        layers: see `Layers`; "native" reads the last.
        dropout: before the head; "native" has its own.
        pad_id: what the encoder reads on padding.

    Raises:
        InputError: unknown pooling, or no such layer.

    Compare with: `EncoderFeatures` and a `LinearTextClassifier`, which leave the encoder as it is and cost a fraction.

    Example:
        >>> network = TransformerClassifier(load_encoder(find_encoder(name)), 2)
        >>> network(batch).logits.shape
        torch.Size([16, 2])
    """

    def __init__(
        self,
        encoder: Any,
        num_labels: int,
        *,
        pooling: TextPooling = "mean",
        layers: Layers = (-1,),
        dropout: float = 0.1,
        pad_id: int = 0,
    ) -> None:
        super().__init__()
        if pooling not in get_args(TextPooling):
            raise InputError("unknown pooling", expected=" or ".join(get_args(TextPooling)), found=repr(pooling))
        self.num_labels = num_labels
        self.pooling = pooling
        self.native: nn.Module | None = None
        if pooling == "native":
            if layers != (-1,):
                raise InputError("the native head reads the last layer", found=f"layers {layers}")
            self.native = encoder
            self.head = output_layer(encoder, num_labels)
            self.pad_id = pad_id
        else:
            self.states = HiddenStates(encoder, layers=layers, pad_id=pad_id)
            self.head = nn.Linear(int(encoder.config.hidden_size), num_labels)
            # As BERT draws it: torch's own default is several times larger, and its first steps shake the encoder.
            nn.init.normal_(self.head.weight, std=0.02)
            nn.init.zeros_(self.head.bias)
        self.dropout = nn.Dropout(dropout)
        self.feature_dim = self.head.in_features

    @property
    def encoder(self) -> nn.Module:
        """The encoder without the head."""
        if self.native is None:
            return self.states.encoder
        native: Any = self.native
        base: nn.Module = native.base_model
        return base

    def forward(self, batch: Batch) -> ModelOutput:
        """Logits (batch, C), and the features that the head saw (batch, H)."""
        if self.native is None:
            features = self.dropout(self._pool(self.states(batch.input_ids, batch.mask), batch.mask))
            return ModelOutput(logits=self.head(features), features=features)
        seen: list[torch.Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            logits = self.native(
                input_ids=batch.input_ids.masked_fill(~batch.mask, self.pad_id), attention_mask=batch.mask.long()
            ).logits
        finally:
            hook.remove()
        return ModelOutput(logits=logits, features=seen[0])

    def logits(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(batch, time) ids, 1 on real tokens -> (batch, C): the call of an exported model."""
        if self.native is not None:
            native: torch.Tensor = self.native(input_ids=input_ids, attention_mask=attention_mask).logits
            return native
        mask = attention_mask.bool()
        pooled: torch.Tensor = self.head(self._pool(self.states(input_ids, mask), mask))
        return pooled

    def loss(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """See `classification_loss`."""
        return classification_loss(output, batch)

    def decode(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """Class ids, (batch,)."""
        return output.logits.argmax(dim=-1)

    def _pool(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.pooling == "cls":
            return states[:, 0]
        return (max_pooling if self.pooling == "max" else mean_pooling)(states, mask)


class TransformerTagger(nn.Module):
    """A pretrained encoder and a linear head over each word.

    Args:
        encoder: of `transformers`.
        num_labels: C.
        subwords: what stands for a word: its first subword's state, or the mean of all its subwords'.
        layers: see `Layers`.
        dropout: before the head.
        pad_id: what the encoder reads on padding.

    Raises:
        InputError: unknown choice of subwords, or no such layer.

    Reference: Devlin et al. 2019, section 5.3 (the first subword), https://aclanthology.org/N19-1423.

    Example:
        >>> network = TransformerTagger(load_encoder(find_encoder(name)), 17)
        >>> network(batch).logits.shape  # of 16 sentences, the longest of which has 31 words
        torch.Size([16, 31, 17])
    """

    def __init__(
        self,
        encoder: Any,
        num_labels: int,
        *,
        subwords: Subwords = "first",
        layers: Layers = (-1,),
        dropout: float = 0.1,
        pad_id: int = 0,
    ) -> None:
        super().__init__()
        if subwords not in get_args(Subwords):
            raise InputError("unknown choice of subwords", expected="first or mean", found=repr(subwords))
        self.num_labels = num_labels
        self.subwords = subwords
        self.states = HiddenStates(encoder, layers=layers, pad_id=pad_id)
        self.head = nn.Linear(int(encoder.config.hidden_size), num_labels)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.dropout = nn.Dropout(dropout)
        self.feature_dim = self.head.in_features

    @property
    def encoder(self) -> nn.Module:
        """The encoder without the head."""
        return self.states.encoder

    def forward(self, batch: Batch) -> ModelOutput:
        """Logits (batch, words, C), and the features that the head saw (batch, words, H)."""
        assert batch.words is not None, "the batch does not say which word each subword is of"
        states = self.states(batch.input_ids, batch.mask)  # (batch, time, H)
        features = self.dropout(word_states(states, batch.words, subwords=self.subwords))  # (batch, words, H)
        return ModelOutput(logits=self.head(features), features=features)

    def logits(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(batch, time) ids, 1 on real tokens -> (batch, time, C), of each subword: the call of an exported model."""
        each: torch.Tensor = self.head(self.states(input_ids, attention_mask.bool()))
        return each

    def loss(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """Mean negative log-likelihood per labelled word."""
        assert batch.labels is not None, "the batch has no labels"
        # A part of a batch, one process's own, may have fewer words a row than the whole has labels.
        labels = batch.labels[:, : output.logits.shape[1]]
        total = functional.cross_entropy(
            output.logits.float().flatten(0, 1), labels.flatten(), ignore_index=NO_LABEL, reduction="sum"
        )
        # Not the mean of cross_entropy, which is NaN where no word is labelled.
        return total / (labels != NO_LABEL).sum().clamp(min=1)

    def decode(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """Tag ids (batch, words); what stands beyond a row's words is meaningless."""
        return output.logits.argmax(dim=-1)


def word_states(states: torch.Tensor, words: torch.Tensor, *, subwords: Subwords) -> torch.Tensor:
    r"""One state per word from those of its subwords.

    .. math:: \text{first: } h_{\min\{t : w_t = j\}} \qquad \text{mean: } \frac{1}{|\{t : w_t = j\}|} \sum_{w_t = j} h_t

    Args:
        states: (batch, time, H).
        words: (batch, time) w, which word of its row each position is of, -1 for none.
        subwords: "first" or "mean".

    Returns:
        (batch, words, H); zeros, or for "first" the state of another position, beyond a row's last word.
    """
    batch, time, width = states.shape
    num_words = int(words.max()) + 1
    rows = words.clamp(min=0)
    if subwords == "first":
        positions = torch.arange(time, device=words.device).expand(batch, time).masked_fill(words < 0, time - 1)
        first = torch.full((batch, num_words), time - 1, device=words.device)
        first = first.scatter_reduce(1, rows, positions, "amin")  # (batch, words)
        return states.gather(1, first[..., None].expand(-1, -1, width))
    real = (words >= 0).to(states.dtype)
    sums = states.new_zeros(batch, num_words, width)
    sums = sums.scatter_add(1, rows[..., None].expand(-1, -1, width), states * real[..., None])
    counts = states.new_zeros(batch, num_words).scatter_add(1, rows, real)
    return sums / counts.clamp(min=1)[..., None]


def load_encoder(
    folder: str | Path,
    *,
    pretrained: bool = True,
    attention_dropout: float | None = None,
    attention: Attention | None = None,
) -> nn.Module:
    """The encoder of a model folder, in float32 and in training mode, without a head.

    A pooler that no head here reads is left out: it would be neither trained nor free.

    Args:
        folder: as `find_encoder` gives it.
        pretrained: read the weights; False draws new ones from torch's generators, as the architecture does before any
            pretraining.
        attention_dropout: share of the attention weights dropped in training; None: as the folder says. With 0 torch
            can use an attention that never holds the weights in memory, which is far faster.
        attention: "sdpa", torch's own, or "eager", plain matrix products, which on a CPU in bf16 and without dropout
            are the faster ones; None: as transformers chooses.

    Raises:
        InputError: transformers can't read it, or weights are missing.
    """
    from transformers import AutoModel

    encoder = _from_folder(
        AutoModel, folder, pretrained=pretrained, attention_dropout=attention_dropout, attention=attention
    )
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # type: ignore[assignment]
    return encoder


def load_native_classifier(
    folder: str | Path,
    num_labels: int,
    *,
    pretrained: bool = True,
    attention_dropout: float | None = None,
    attention: Attention | None = None,
) -> nn.Module:
    """The encoder of a model folder with the classification head that transformers gives its architecture.

    Args:
        folder: as `find_encoder` gives it.
        num_labels: C.
        pretrained: read the weights; a head that the folder lacks is drawn from torch's generators. False draws all.
        attention_dropout: see `load_encoder`.
        attention: see `load_encoder`.

    Raises:
        InputError: transformers can't read it or has no such head for it, weights of the encoder are missing, or the
            folder's own head is for other labels.
    """
    from transformers import AutoModelForSequenceClassification

    return _from_folder(
        AutoModelForSequenceClassification,
        folder,
        pretrained=pretrained,
        attention_dropout=attention_dropout,
        attention=attention,
        num_labels=num_labels,
    )


def num_hidden_states(folder: str | Path) -> int:
    """How many hidden states the encoder of a model folder gives: one per layer, and the embeddings.

    Raises:
        InputError: transformers can't read its configuration.
    """
    return int(load_config(folder).num_hidden_layers) + 1


def output_layer(model: nn.Module, num_labels: int) -> nn.Linear:
    """The last linear layer of a model with a head: the one that gives its logits.

    Raises:
        InputError: there is none with as many outputs as labels.
    """
    found = [part for part in model.modules() if isinstance(part, nn.Linear) and part.out_features == num_labels]
    if not found:
        raise InputError(
            f"{type(model).__name__} has no linear output layer of {num_labels} labels",
            remedy="Use --pooling mean, which brings a head of its own.",
        )
    return found[-1]


def _from_folder(
    kind: Any,
    folder: str | Path,
    *,
    pretrained: bool,
    attention_dropout: float | None,
    attention: Attention | None,
    num_labels: int | None = None,
) -> nn.Module:
    config = load_config(folder)
    if num_labels is not None:
        config.num_labels = num_labels
    for name in _ATTENTION_DROPOUTS:
        if attention_dropout is not None and hasattr(config, name):
            setattr(config, name, attention_dropout)
    chosen = {} if attention is None else {"attn_implementation": attention}
    try:
        with quiet_transformers():
            if pretrained:
                model, found = kind.from_pretrained(
                    folder,
                    config=config,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                    **chosen,
                )
            else:
                model = kind.from_config(config, **chosen)
    except RuntimeError as error:
        # All that transformers says of it is the name of a flag.
        raise InputError(
            "the weights do not fit the configuration beside them"
            if num_labels is None
            else f"the weights do not fit the configuration and {num_labels} labels",
            where=folder,
            remedy=None if num_labels is None else "Use --pooling mean, which leaves the folder's own head out.",
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(
            f"transformers can't read the encoder ({' '.join(str(error).split())})",
            where=folder,
            expected="config.json and *.safetensors of a model that transformers knows",
            remedy="Save it again with save_pretrained, or name another encoder.",
        ) from error
    if pretrained:
        # What is not the encoder's is a head, which may be new.
        inside = "" if num_labels is None else f"{model.base_model_prefix}."
        check_weights((name for name in found["missing_keys"] if name.startswith(inside)), where=folder)
    whole: nn.Module = model.float().train()
    return whole
