"""How far two domains are apart, and what a representation makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptransfer.errors import InputError
from nlptransfer.recipes.domain_systems import SOURCE_ONLY, System

if TYPE_CHECKING:
    import numpy as np

    from nlptransfer.recipes.cross_domain_sentiment import Settings
    from nlptransfer.recipes.domain_features import PairData


def diagnose(data: PairData, path: Path, settings: Settings, cells: Sequence[tuple[System, int, Path]]) -> None:
    """Tell how far the domains are apart, which words moved, and which words a method judges anew."""
    import numpy as np
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    from nlptransfer.adaptation.label_shift import LabelShiftCorrection
    from nlptransfer.data.documents import documents
    from nlptransfer.embeddings.ngrams import NgramVectorizer
    from nlptransfer.files import write_json
    from nlptransfer.models.linear import LinearTextClassifier
    from nlptransfer.transferability.domain_distances import describe_domains
    from nlptransfer.transferability.moved_words import moved_words, sentiment_moved

    num_source = len(data.labels)
    source, target = data.pool[:num_source], data.pool[num_source:]
    texts = [documents(data.pair.source_labelled), documents(data.pair.target_unlabelled)]
    counter = NgramVectorizer(ngram_range=(1, 1), weighting="counts", min_documents=1).fit([*texts[0], *texts[1]])
    counts = [counter.transform(part) for part in texts]
    row = describe_domains(
        data.name, source, target, source_counts=counts[0], target_counts=counts[1], seed=settings.split_seed
    )
    names = data.pair.label_names
    try:
        corrected = LabelShiftCorrection(LogisticRegression(C=settings.regularization), seed=settings.split_seed)
        priors = corrected.fit(source, data.labels, target_features=target).target_priors_
        shares = np.bincount(data.labels, minlength=len(names)) / num_source
        row["label_shift_estimate"] = ", ".join(
            f"{name} {before:.2f} -> {after:.2f}" for name, before, after in zip(names, shares, priors, strict=True)
        )
    except InputError as error:
        row["label_shift_estimate"] = f"none ({error})"
    words = moved_words(counts[0], counts[1], counter.terms_, top=10)
    judged: list[Mapping[str, Any]] = []
    if isinstance(data.extractor, NgramVectorizer) and sparse.issparse(target):
        models = {
            system.name: LinearTextClassifier.from_pretrained(folder / "model")
            for system, seed, folder in cells
            if system.method is not None and not system.method.is_network and system.method.representation is None
            if seed == settings.seeds[0] and (folder / "model").exists()
        }
        base = models.pop(SOURCE_ONLY["linear"], None)
        adapted = next((name for name in reversed(models) if "self_training" in name or "scl" in name), None)
        if base is not None and adapted is not None:

            def last_class(model: LinearTextClassifier) -> np.ndarray:
                mean = np.tensordot(model.member_weights, model.coefficients, axes=1)  # (classes, features)
                return mean[-1] - mean[0]

            rows = sentiment_moved(target, last_class(base), last_class(models[adapted]), data.extractor.terms_, top=10)
            judged = [{"method": adapted, **own} for own in rows]
    write_json(path, {"distances": row, "moved_words": words, "judged_anew": judged})


def read_diagnosis(path: Path) -> dict[str, Any]:
    """What `diagnose` has written."""
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read
