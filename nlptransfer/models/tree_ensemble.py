"""Random forests and gradient boosting over frozen features, saved as the arrays of their trees."""

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

_ARRAYS = ("roots", "left", "right", "feature", "threshold", "value", "base")
# Rows times trees, or times features, that are looked at at once: a few arrays of this size are held.
_BLOCK = 1 << 20


class TreeEnsemble:
    """The sum of decision trees, as arrays over the nodes of all trees.

    With l_t(x) the leaf of tree t that x falls into, v its values and b the base::

        average   p(x) = (1 / T) sum_t v[l_t(x)]          (random forest: v are shares of the training rows)
        softmax   p(x) = softmax(b + sum_t v[l_t(x)])     (gradient boosting: v are scores, learning rate included)

    A row goes left where ``x[feature] <= threshold``, with x in float32 as scikit-learn has it.

    Args:
        roots: (T,) the node at which each tree begins.
        left: (nodes,) the child on the left; of a leaf the leaf itself.
        right: (nodes,) the child on the right; of a leaf the leaf itself.
        feature: (nodes,) what a node asks for; any feature in a leaf.
        threshold: (nodes,) what it is compared with.
        value: (nodes, C) what a leaf adds.
        base: (C,) what the scores begin with; not read by "average".
        link: "average" or "softmax".

    Raises:
        ValueError: the arrays don't fit each other: a child that is no later node, or another number of nodes.

    Reference: Breiman 2001, https://doi.org/10.1023/A:1010933404324; Friedman 2001, algorithm 6,
        https://doi.org/10.1214/aos/1013203451.

    Compare with: `nlptransfer.models.linear.LinearTextClassifier`, smaller, and most often better on dense features.

    Example:
        >>> forest = RandomForestClassifier(random_state=0).fit(features, label_ids)
        >>> TreeEnsemble.from_sklearn(forest, num_labels=2).predict_proba(features).shape
        (100, 2)
    """

    def __init__(
        self,
        *,
        roots: np.ndarray,
        left: np.ndarray,
        right: np.ndarray,
        feature: np.ndarray,
        threshold: np.ndarray,
        value: np.ndarray,
        base: np.ndarray,
        link: str,
    ) -> None:
        own = np.arange(len(left))
        leaves = left == own
        nodes = (len(left),)
        if (
            link not in ("average", "softmax")
            or right.shape != nodes
            or feature.shape != nodes
            or threshold.shape != nodes
            or value.shape != (*nodes, len(base))
            or not len(roots)
            or roots.min() < 0
            or roots.max() >= len(left)
            or feature.min() < 0
            # Children stand behind their parents, so that every way down ends.
            or not np.where(leaves, right == own, (left > own) & (right > own)).all()
            or max(left.max(), right.max()) >= len(left)
        ):
            raise ValueError("the arrays are not those of an ensemble of trees")
        self.roots, self.left, self.right = roots, left, right
        self.feature, self.threshold, self.value = feature, threshold, value
        self.base = base
        self.link = link

    @property
    def num_labels(self) -> int:
        """C."""
        return len(self.base)

    @classmethod
    def from_sklearn(cls, estimator: Any, *, num_labels: int) -> TreeEnsemble:
        """The trees of a fitted `RandomForestClassifier` or `GradientBoostingClassifier`.

        Labels that the estimator has not seen get the probability 0.

        Args:
            estimator: fitted on class ids from 0 to C - 1; boosted with its own first guess or with none.
            num_labels: C.

        Raises:
            ValueError: the estimator is of another kind, or was not fitted on such ids.
        """
        from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

        classes = np.asarray(estimator.classes_)
        if not np.isin(classes, np.arange(num_labels)).all():
            raise ValueError(f"the estimator knows the classes {classes.tolist()}, not only 0 to {num_labels - 1}")
        base = np.full(num_labels, -np.inf)
        if isinstance(estimator, RandomForestClassifier):
            trees = [tree.tree_ for tree in estimator.estimators_]
            values = [tree.value[:, 0, :] for tree in trees]  # (nodes, classes seen), shares
            columns = [classes] * len(trees)
            base[:] = 0.0
            link = "average"
        elif isinstance(estimator, GradientBoostingClassifier):
            if estimator.init_ == "zero":
                base[classes] = 0.0
            elif estimator.init is None:
                base[classes] = np.log(estimator.init_.class_prior_)
            else:
                raise ValueError(f"boosting that begins with {estimator.init!r} is not known here")
            # With two classes one tree a round scores the second against the first: sigmoid(z) = softmax((0, z)).
            scored = classes[1:] if len(classes) == 2 else classes
            trees = [tree.tree_ for row in estimator.estimators_ for tree in row]
            values = [estimator.learning_rate * tree.value[:, 0, :1] for tree in trees]
            columns = [scored[[at % len(scored)]] for at in range(len(trees))]
            link = "softmax"
        else:
            raise ValueError(f"{type(estimator).__name__} is no random forest and no gradient boosting")
        sizes = np.array([tree.node_count for tree in trees])
        roots = np.cumsum(sizes) - sizes
        value = np.zeros((int(sizes.sum()), num_labels))
        for start, size, own, column in zip(roots, sizes, values, columns, strict=True):
            value[start : start + size, column] = own
        shifts = np.repeat(roots, sizes)
        left, right, feature, threshold = (
            np.concatenate([getattr(tree, name) for tree in trees])
            for name in ("children_left", "children_right", "feature", "threshold")
        )
        leaves = left < 0
        nodes = np.arange(len(left))
        return cls(
            roots=roots.astype(np.int32),
            left=np.where(leaves, nodes, left + shifts).astype(np.int32),
            right=np.where(leaves, nodes, right + shifts).astype(np.int32),
            feature=np.where(leaves, 0, feature).astype(np.int32),
            threshold=np.where(leaves, 0.0, threshold),
            value=value,
            base=base,
            link=link,
        )

    def predict_proba(self, features: np.ndarray | sparse.csr_matrix) -> np.ndarray:
        """How probable each label is, (N, C), for features (N, D); sparse ones are made dense, some rows at a time."""
        number = features.shape[0]
        found = np.zeros((number, self.num_labels))
        block = max(1, _BLOCK // max(len(self.roots), features.shape[1]))
        for start in range(0, number, block):
            rows: Any = features[start : start + block]
            found[start : start + block] = self._sums(rows.toarray() if sparse.issparse(rows) else rows)
        if self.link == "average":
            return found / len(self.roots)
        return np.asarray(softmax(self.base + found, axis=1))

    def _sums(self, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, dtype=np.float32)
        places = np.arange(len(rows))[:, None]
        nodes = np.tile(self.roots, (len(rows), 1))  # (rows, T)
        while True:
            goes_left = rows[places, self.feature[nodes]] <= self.threshold[nodes]
            below = np.where(goes_left, self.left[nodes], self.right[nodes])
            if (below == nodes).all():
                break
            nodes = below
        sums = np.zeros((len(rows), self.num_labels))
        for leaves in nodes.T:  # one tree after the other, as scikit-learn adds, so that ties stay ties
            sums += self.value[leaves]
        return sums


class TreeTextClassifier:
    """A feature extractor, and an ensemble of trees over its features.

    Args:
        extractor: makes (N, D) features of N documents.
        labels: the C label names, in the order of their ids.
        ensemble: the trees.

    Raises:
        ValueError: the ensemble knows another number of labels, or asks for a feature that the extractor doesn't make.

    Compare with: `nlptransfer.models.linear.LinearTextClassifier`.

    Example:
        >>> forest = RandomForestClassifier(random_state=0).fit(extractor.transform(texts), label_ids)
        >>> ensemble = TreeEnsemble.from_sklearn(forest, num_labels=2)
        >>> TreeTextClassifier(extractor, ["neg", "pos"], ensemble).save_pretrained("model")
    """

    def __init__(self, extractor: Extractor, labels: Sequence[str], ensemble: TreeEnsemble) -> None:
        if ensemble.num_labels != len(labels):
            raise ValueError(f"the trees know {ensemble.num_labels} labels, not {len(labels)}")
        if ensemble.feature.max() >= extractor.dim:
            raise ValueError(f"the trees ask for feature {ensemble.feature.max()}; there are {extractor.dim}")
        self.extractor = extractor
        self.labels = list(labels)
        self.ensemble = ensemble

    def predict(self, documents: Sequence[Document]) -> list[str]:
        """The most probable label of each document.

        Args:
            documents: as the extractor takes them.

        Raises:
            TypeError: one text is given instead of a list of texts.
        """
        return [self.labels[label] for label in self.predict_proba(documents).argmax(axis=1)]

    def predict_proba(self, documents: Sequence[Document]) -> np.ndarray:
        """How probable each label is, (documents, C), each row summing to 1.

        Args:
            documents: as the extractor takes them.

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
        return self.ensemble.predict_proba(features)

    def save_pretrained(self, folder: str | Path, *, card: str = "") -> None:
        """Write the classifier and its extractor as safetensors and JSON, whole or not at all.

        Args:
            folder: where; an older model there is replaced.
            card: the model card, in Markdown.

        Raises:
            OSError: the folder can't be written, or the disk is full.
        """
        extractor, extractor_tensors, extractor_values = self.extractor.to_saved()
        trees = {name: torch.from_numpy(getattr(self.ensemble, name)) for name in _ARRAYS}
        write_model_folder(
            folder,
            model_type="tree_text_classifier",
            config={"labels": self.labels, "link": self.ensemble.link, "extractor": extractor},
            tensors={"model": trees, **({"extractor": extractor_tensors} if extractor_tensors else {})},
            documents={"extractor": extractor_values},
            card=card or f"# A text classifier of {len(self.ensemble.roots)} trees with {len(self.labels)} labels\n",
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> TreeTextClassifier:
        """Read what `save_pretrained` wrote; ready to predict.

        Raises:
            InputError: a file is missing, altered, or does not fit the others; or the encoder that makes the features
                is no longer there.
        """
        config = read_config(folder)
        extractor = read_extractor(folder, config)
        trees = {name: tensor.numpy() for name, tensor in read_tensors(folder, "model").items()}
        try:
            ensemble = TreeEnsemble(
                roots=trees["roots"],
                left=trees["left"],
                right=trees["right"],
                feature=trees["feature"],
                threshold=trees["threshold"],
                value=trees["value"],
                base=trees["base"],
                link=config["link"],
            )
            return cls(extractor, config["labels"], ensemble)
        except ValueError as error:
            raise InputError(
                "the trees do not fit the configuration beside them",
                where=Path(folder) / "model.safetensors",
                found=str(error),
                remedy="Copy the model folder again from where it was written, or train the model again.",
            ) from error
