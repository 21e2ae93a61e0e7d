"""An encoder with its tokenizer and head: made, given batches, given a head by regression, asked for predictions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from accelerate import Accelerator

    from nlptransfer.recipes.finetuning_data import Job
    from nlptransfer.recipes.transformer_finetuning import Settings


def make_model(
    settings: Settings, job: Job, place: Path, accelerator: Accelerator, *, seed: int, pretrained: bool = True
) -> Any:
    """The encoder with a fresh head and its tokenizer, before training."""
    from nlptransfer.embeddings.encoder_settings import load_tokenizer
    from nlptransfer.models.transformer import (
        TransformerClassifier,
        TransformerTagger,
        load_encoder,
        load_native_classifier,
    )
    from nlptransfer.models.transformer_text_classifier import TransformerTextClassifier
    from nlptransfer.models.transformer_word_tagger import TransformerWordTagger
    from nlptransfer.training.seeding import seeded

    tokenizer = load_tokenizer(place)
    layers, number = choose_layers(settings.layers), len(job.label_names)
    pad_id = tokenizer.pad_token_id or 0
    attention = attention_of(accelerator, attention_dropout=settings.attention_dropout)
    loading: dict[str, Any] = {"pretrained": pretrained, **attention}
    with seeded(seed):
        if job.is_tagging:
            tagger = TransformerTagger(
                load_encoder(place, **loading),
                number,
                subwords=settings.subwords,
                layers=layers,
                dropout=settings.dropout,
                pad_id=pad_id,
            )
            column = {"tag_column": settings.tag_column or ("xpos" if settings.tagset else None)}
            return TransformerWordTagger(
                tokenizer, job.label_names, tagger, max_length=settings.max_length, metadata=column
            )
        native = settings.pooling == "native"
        encoder = load_native_classifier(place, number, **loading) if native else load_encoder(place, **loading)
        network = TransformerClassifier(
            encoder, number, pooling=settings.pooling, layers=layers, dropout=settings.dropout, pad_id=pad_id
        )
    return TransformerTextClassifier(
        tokenizer, job.label_names, network, max_length=settings.max_length, truncation=settings.truncation
    )


def attention_of(accelerator: Accelerator, *, attention_dropout: float) -> dict[str, Any]:
    """How attention is computed in training, for `load_encoder`."""
    # Plain products are the faster ones there, as long as no weight is dropped.
    plain = accelerator.device.type == "cpu" and accelerator.mixed_precision == "bf16" and attention_dropout == 0
    return {"attention_dropout": attention_dropout, "attention": "eager" if plain else None}


def make_batches(
    model: Any,
    items: Sequence[Any],
    labels: Sequence[Any] | None,
    *,
    batch_size: int,
    seed: int,
    weights: np.ndarray | None = None,
) -> Any:
    """Batches of texts or of tagged sentences, as the model reads them."""
    import numpy as np

    from nlptransfer.data.feature_batches import DocumentBatches
    from nlptransfer.data.subword_words import WordBatches

    if hasattr(model, "tags"):
        encoded = model.encode(items, labels)
        return WordBatches(
            encoded, batch_size=batch_size, max_length=model.max_length, context=model.context, seed=seed
        )
    tokenized = model.encode(items)
    own = None if labels is None else np.asarray(labels, dtype=np.int64)[tokenized.documents]
    if weights is not None:
        weights = weights[tokenized.documents]
    return DocumentBatches(
        tokenized.ids, own, batch_size=batch_size, max_length=model.max_length, seed=seed, weights=weights
    )


def fit_head(
    settings: Settings, model: Any, job: Job, place: Path | None, accelerator: Accelerator, seed: int
) -> dict[str, Any]:
    """Set the head to a logistic regression on the frozen encoder's features; see `frozen_features`."""
    import numpy as np
    import torch

    from nlptransfer.finetuning.feature_extraction import fit_feature_classifier

    started = time.perf_counter()
    features = frozen_features(settings, model, job.train, place, accelerator)
    encoding_seconds = time.perf_counter() - started
    fitted = fit_feature_classifier(
        features,
        np.asarray(_flat(job.train_labels)),
        num_labels=len(job.label_names),
        seed=seed,
        regularization=settings.regularization,
    )
    assert isinstance(fitted.model, tuple)
    coefficients, intercepts = fitted.model
    head = model.network.head
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(coefficients))
        # A label that none of these items has: as good as impossible, and still a number to train from.
        head.bias.copy_(torch.from_numpy(intercepts).clamp(min=-1e4))
    return {
        "C of the head": fitted.regularization,
        "encoding_seconds": encoding_seconds,
        "head_seconds": time.perf_counter() - started - encoding_seconds,
    }


def frozen_features(
    settings: Settings, model: Any, items: Sequence[Any], place: Path | None, accelerator: Accelerator
) -> np.ndarray:
    """What the head sees of texts (N, H), or of words (words, H), with the encoder as it is.

    Args:
        settings: the recipe's.
        model: before training.
        items: texts, or lists of words.
        place: the encoder's folder, whose features are kept on disk; None for a pass of the model itself, where its
            encoder is no longer that of any folder.
        accelerator: device and precision.
    """
    from nlptransfer.models.transformer_text_classifier import document_features

    network = model.network
    if place is None or (not hasattr(model, "tags") and network.native is not None):
        if hasattr(model, "tags"):
            raise InputError("reinitialise leaves no features to extract", remedy="Use it with full.")
        return document_features(network.to(accelerator.device), model.encode(items), autocast=accelerator.autocast)
    features: np.ndarray = make_extractor(settings, place, accelerator, words=hasattr(model, "tags")).encode(items)
    return features[0] if hasattr(model, "tags") else features


def make_extractor(settings: Settings, place: str | Path, accelerator: Accelerator, *, words: bool = False) -> Any:
    """Features of texts or of words, computed once and kept on disk; those that a network around the encoder sees."""
    from nlptransfer.embeddings.encoder_features import EncoderFeatures
    from nlptransfer.embeddings.encoder_word_features import EncoderWordFeatures
    from nlptransfer.models.transformer import num_hidden_states

    chosen = choose_layers(settings.layers)
    reading: dict[str, Any] = {
        # A mix that has learnt nothing yet is the mean of all.
        "layers": tuple(range(num_hidden_states(place))) if chosen == "mix" else chosen,
        "max_length": settings.max_length,
        "device": str(accelerator.device),
        "precision": "bf16" if settings.precision == "bf16" else "fp32",
    }
    if words:
        return EncoderWordFeatures(place, subwords=settings.subwords, **reading)
    pooling = "mean" if settings.pooling == "native" else settings.pooling
    return EncoderFeatures(place, pooling=pooling, truncation=settings.truncation, **reading)


def choose_layers(names: Sequence[str]) -> Any:
    """Layers as the command line gives them: numbers, or the one word mix.

    Raises:
        InputError: something else.
    """
    if list(names) == ["mix"]:
        return "mix"
    try:
        return tuple(int(name) for name in names)
    except ValueError:
        raise InputError("--layers is out of range", expected="whole numbers, or mix", found=" ".join(names)) from None


def predict(model: Any, items: Sequence[Any], accelerator: Accelerator) -> list[Any]:
    """Label ids: one per text, or a list per sentence."""
    if hasattr(model, "tags"):
        return as_given(model.predict_ids(model.encode(items), autocast=accelerator.autocast).tolist(), items)
    labels: list[Any] = probabilities(model, items, accelerator).argmax(axis=1).tolist()
    return labels


def probabilities(model: Any, texts: Sequence[str], accelerator: Accelerator) -> np.ndarray:
    """(N, C) of texts, in the run's precision."""
    from nlptransfer.models.transformer_text_classifier import document_probabilities

    return document_probabilities(
        model.network.to(accelerator.device), model.encode(texts), autocast=accelerator.autocast
    )


def share_right(predicted: Sequence[Any], labels: Sequence[Any]) -> float:
    """The accuracy over texts, or over words."""
    pairs = list(zip(_flat(predicted), _flat(labels), strict=True))
    return sum(found == wanted for found, wanted in pairs) / max(len(pairs), 1)


def as_given(ids: list[int], items: Sequence[Any]) -> list[Any]:
    """Label ids of texts as they are, those of words as lists as long as the sentences."""
    if not items or isinstance(items[0], str):
        return ids
    following = iter(ids)
    return [[next(following) for _ in item] for item in items]


def _flat(labels: Sequence[Any]) -> list[int]:
    """Label ids of texts as they are, of sentences word by word."""
    if len(labels) and isinstance(labels[0], list | tuple):
        return [label for own in labels for label in own]
    return list(labels)


def reading(model: Any, job: Job) -> dict[str, Any]:
    """How the encoder reads the training items: what is cut, what unknown."""
    encoded = model.encode(job.train)
    if job.is_tagging:
        return {"words": encoded.num_words, "unknown_words": encoded.num_unknown, "cut_words": encoded.num_cut}
    return {"truncated_texts": encoded.num_truncated}
