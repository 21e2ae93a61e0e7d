"""The recurrent tagger of every recipe that trains one: built from its training sentences and vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from nlptransfer.embeddings.word_vectors import WordVectors
    from nlptransfer.models.tagger import RecurrentTagger, TaggerShape
    from nlptransfer.types import Batch


def make_tagger(
    train_split: Dataset,
    vectors: WordVectors | None,
    shape: TaggerShape,
    *,
    embedding: Literal["random", "frozen", "finetuned"],
    dim: int,
    seed: int,
    unseen: Literal["random", "mean", "zero"] = "random",
    metadata: Mapping[str, Any] | None = None,
) -> RecurrentTagger:
    """The network before training, or to load weights into.

    Args:
        train_split: the sentences whose words, characters and tags it knows.
        vectors: pretrained ones; not looked at where `embedding` is random.
        shape: of the network.
        embedding: random vectors, or pretrained ones that stay as they are or train.
        dim: of random vectors.
        seed: of all that is drawn.
        unseen: what a training word without a vector starts from.
        metadata: facts that travel with the model.

    Raises:
        ValueError: there are no vectors, and embeddings are not to be random.
    """
    import numpy as np
    import torch

    from nlptransfer.data.splits import tag_names
    from nlptransfer.data.vocabulary import BOUNDARIES, RESERVED, Vocabulary, count_entries
    from nlptransfer.embeddings.embedding_layer import make_embedding, make_random_embedding
    from nlptransfer.models.tagger import RecurrentTagger
    from nlptransfer.training.seeding import seeded

    counts = count_entries(train_split["tokens"][:])
    words = Vocabulary(list(counts))
    generator = torch.Generator().manual_seed(seed)
    if embedding == "random":
        vectors = None
        layer = make_random_embedding(words, dim, generator=generator)
    elif vectors is None:
        raise ValueError(f"an embedding that is {embedding} needs vectors")
    else:
        layer = make_embedding(
            vectors,
            words,
            trainable=embedding == "finetuned",
            unseen=unseen,
            fallbacks=shape.fallbacks,
            generator=generator,
        )
    with seeded(seed):
        return RecurrentTagger(
            words,
            Vocabulary([*BOUNDARIES, *count_entries(counts)]) if shape.characters != "none" else None,
            tag_names(train_split),
            layer,
            shape,
            vectors=vectors,
            counts=np.array([0] * len(RESERVED) + list(counts.values())),
            metadata=metadata,
        )


def make_optimizer(model: nn.Module, *, learning_rate: float, weight_decay: float = 0.0) -> Optimizer:
    """AdamW over what is trained; frozen embeddings are left out."""
    from torch.optim import AdamW

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return AdamW(trained, lr=learning_rate, weight_decay=weight_decay, fused=True)


def tagging_step(model: RecurrentTagger, batch: Batch, progress: float) -> dict[str, Tensor]:
    """What each step minimises: the mean negative log-likelihood per token, `RecurrentTagger.loss`."""
    return {"loss": model.loss(model(batch), batch)}
