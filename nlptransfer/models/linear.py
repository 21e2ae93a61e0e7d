"""Linear text classifiers: what every method on arrays ends as, ready to be saved and to read raw text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.special import softmax

from nlptransfer.data.documents import Document
from nlptransfer.embeddings.extractors import Extractor
from nlptransfer.errors import InputError
from nlptransfer.models.saving import read_config, read_extractor, read_tensors, write_model_folder

_CHECK_TOLERANCE = 1e-3


class LinearTextClassifier:
    """A feature extractor, and the average of M softmax-linear classifiers over its features.

    With x the features of a document, W_m and b_m a member's coefficients and intercepts, and w_m its weight::

        p = sum_m w_m softmax(W_m x + b_m),   sum_m w_m = 1

    Args:
        extractor: makes (N, D) features of N documents.
        labels: the C label names, in the order of their ids.
        coefficients: (M, C, D); or (C, D) for one member.
        intercepts: (M, C); or (C,).
        member_weights: (M,) what each member counts, scaled to sum to 1; None: all alike.

    Raises:
        ValueError: the shapes don't fit each other, or the weights are negative or all 0.

    Compare with: `collapse`, which turns a linear head over an affine transform into coefficients for this class.

    Example:
        >>> estimator = LogisticRegression().fit(vectorizer.transform(texts), label_ids)
        >>> LinearTextClassifier.from_sklearn(vectorizer, ["neg", "pos"], estimator).predict(["a good book"])
        ['pos']
    """

    def __init__(
        self,
        extractor: Extractor,
        labels: Sequence[str],
        coefficients: np.ndarray,
        intercepts: np.ndarray,
        member_weights: Sequence[float] | np.ndarray | None = None,
    ) -> None:
        coefficients = np.array(coefficients, dtype=np.float64)
        intercepts = np.array(intercepts, dtype=np.float64)
        if coefficients.ndim == 2:
            coefficients, intercepts = coefficients[None], intercepts[None]
        expected = (len(coefficients), len(labels), extractor.dim)
        if coefficients.shape != expected or intercepts.shape != expected[:2]:
            raise ValueError(
                f"{len(labels)} labels and {extractor.dim} features need coefficients of shape (M, {len(labels)}, "
                f"{extractor.dim}) and intercepts of (M, {len(labels)}), "
                f"not {coefficients.shape} and {intercepts.shape}"
            )
        weights = np.ones(len(coefficients)) if member_weights is None else np.array(member_weights, dtype=np.float64)
        if weights.shape != expected[:1] or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
            raise ValueError(f"{expected[0]} members need as many weights from 0 on, not all 0; found {weights}")
        self.extractor = extractor
        self.labels = list(labels)
        self.coefficients = coefficients
        self.intercepts = intercepts
        self.member_weights = weights / weights.sum()

    @classmethod
    def from_sklearn(
        cls, extractor: Extractor, labels: Sequence[str], estimator: Any, *, transform: Any = None
    ) -> LinearTextClassifier:
        """The classifier that says what a fitted linear scikit-learn classifier says.

        Probabilities are the estimator's where it is a `LogisticRegression`; of other linear classifiers they are only
        a softmax of their scores.

        Args:
            extractor: makes the features that the estimator, or its transform, was fitted on.
            labels: the C label names, in the order of their ids.
            estimator: has ``classes_``, ``coef_`` (C, D), or (1, D) for two classes, and ``intercept_``.
            transform: the fitted affine transform whose output the estimator reads, see `collapse`; None without one.
                Documents are read as the target's.

        Raises:
            ValueError: the estimator was not fitted on the class ids 0 to C - 1, or the transform is not affine.
        """
        if list(estimator.classes_) != list(range(len(labels))):
            raise ValueError(f"the estimator knows the classes {list(estimator.classes_)}, not 0 to {len(labels) - 1}")
        coefficients = np.asarray(estimator.coef_)
        # A number where the estimator was told to fit none.
        intercepts = np.broadcast_to(estimator.intercept_, len(coefficients))
        if transform is not None:
            coefficients, intercepts = collapse(coefficients, intercepts, transform, extractor.dim)
        if len(labels) == 2 and len(coefficients) == 1:
            # sigmoid(z) = softmax((0, z))
            coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
            intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
        return cls(extractor, labels, coefficients, intercepts)

    def predict(self, documents: Sequence[Document]) -> list[str]:
        """The most probable label of each document.

        Args:
            documents: texts, or bags of counted terms, as the extractor takes them.

        Raises:
            TypeError: one text is given instead of a list of texts.
        """
        return [self.labels[label] for label in self.predict_proba(documents).argmax(axis=1)]

    def predict_proba(self, documents: Sequence[Document]) -> np.ndarray:
        """How probable each label is, (documents, C), each row summing to 1.

        Args:
            documents: texts, or bags of counted terms, as the extractor takes them.

        Raises:
            TypeError: one text is given instead of a list of texts.
        """
        if isinstance(documents, str):
            raise TypeError("predict takes a list of texts, such as ['a good book']; found a string")
        if not len(documents):
            return np.zeros((0, len(self.labels)))
        return self.predict_proba_features(self.extractor.transform(documents))

    def predict_proba_features(self, features: np.ndarray | sparse.csr_matrix) -> np.ndarray:
        """How probable each label is, (N, C), for features (N, D) that the extractor made."""
        members = zip(self.coefficients, self.intercepts, self.member_weights, strict=True)
        parts = [weight * softmax(features @ rows.T + added, axis=1) for rows, added, weight in members]
        return np.sum(parts, axis=0)

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write the classifier and its extractor as safetensors and JSON, whole or not at all.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.

        Raises:
            OSError: the folder can't be written, or the disk is full.
        """
        extractor, extractor_tensors, extractor_values = self.extractor.to_saved()
        model = {
            "coefficients": torch.from_numpy(self.coefficients),
            "intercepts": torch.from_numpy(self.intercepts),
            "member_weights": torch.from_numpy(self.member_weights),
        }
        write_model_folder(
            folder,
            model_type="linear_text_classifier",
            config={"labels": self.labels, "extractor": extractor},
            tensors={"model": model, **({"extractor": extractor_tensors} if extractor_tensors else {})},
            documents={"extractor": extractor_values},
            card=card or f"# A linear text classifier with {len(self.labels)} labels\n",
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> LinearTextClassifier:
        """Read what `save_pretrained` wrote; ready to predict.

        Raises:
            InputError: a file is missing, altered, or does not fit the others; or the encoder that makes the features
                is no longer there.
        """
        config = read_config(folder)
        extractor = read_extractor(folder, config)
        model = {name: tensor.numpy() for name, tensor in read_tensors(folder, "model").items()}
        try:
            return cls(
                extractor,
                config["labels"],
                model["coefficients"],
                model["intercepts"],
                model["member_weights"],
            )
        except ValueError as error:
            raise InputError(
                "the weights do not fit the configuration beside them",
                where=Path(folder) / "model.safetensors",
                found=str(error),
                remedy="Copy the model folder again from where it was written, or train the model again.",
            ) from error


def collapse(
    coefficients: np.ndarray,
    intercepts: np.ndarray,
    transform: Any,
    input_dim: int,
    *,
    domain: str = "target",
    block: int = 2048,
) -> tuple[np.ndarray, np.ndarray]:
    """A linear head on top of an affine transform, as a linear head on the features before it.

    With the transform T(x) = A x + t and the head W T(x) + b::

        W T(x) + b = (W A) x + (W t + b),   t = T(0),   column j of A = T(e_j) - T(0)

    Args:
        coefficients: (C, D') W, on transformed features.
        intercepts: (C,) b.
        transform: has ``transform(features, domain=)``, (N, D) sparse to (N, D') sparse or dense, and is affine.
        input_dim: D.
        domain: "source" or "target": whose transform.
        block: features taken through the transform at once; they make a dense (block, D') where it is dense.

    Returns:
        (C, D) and (C,), float64.

    Raises:
        ValueError: the transform is not affine.

    Example:
        >>> coral = CORAL().fit(source_features, target_features=target_features)
        >>> head = LogisticRegression().fit(coral.transform(source_features, domain="source"), labels)
        >>> weights, added = collapse(head.coef_, head.intercept_, coral, source_features.shape[1])
    """
    coefficients = np.asarray(coefficients, dtype=np.float64)

    def scores(rows: sparse.csr_matrix) -> np.ndarray:
        """W T(x) of each row, (rows, C)."""
        return np.asarray(transform.transform(rows, domain=domain) @ coefficients.T)

    of_zero = scores(sparse.csr_matrix((1, input_dim)))  # (1, C)
    collapsed = np.empty((len(coefficients), input_dim))
    for start in range(0, input_dim, block):
        size = min(block, input_dim - start)
        indices = np.arange(start, start + size, dtype=np.int32)
        ones = sparse.csr_matrix((np.ones(size), indices, np.arange(size + 1, dtype=np.int32)), shape=(size, input_dim))
        collapsed[:, start : start + size] = (scores(ones) - of_zero).T
    # Rows that are no units: one of them tells a norm or a threshold from an affine map, two of them also a product.
    waves = 1 + np.cos(np.outer([1.0, 2.0, 3.0], np.arange(1, input_dim + 1)))
    rows = sparse.csr_matrix(waves * [[0.5], [1.0], [3.0]])
    found, expected = scores(rows), rows @ collapsed.T + of_zero
    if not np.allclose(found, expected, rtol=0, atol=_CHECK_TOLERANCE * max(1.0, float(np.abs(found).max()))):
        raise ValueError(f"{type(transform).__name__} is not affine: no linear head stands for a head on top of it")
    return collapsed, np.asarray(intercepts, dtype=np.float64) + of_zero[0]
