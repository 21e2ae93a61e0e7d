"""Two domains as adaptation may see them: the label firewall between the target's labels and everything that trains."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nlptransfer.data.document_rows import DocumentRows
from nlptransfer.data.domain_roles import TargetRoles, source_roles, target_roles, text_rows
from nlptransfer.data.repeats import repeats_earlier
from nlptransfer.data.sealed_labels import SealedLabels
from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray

FEW_UNLABELLED = 10

_DUPLICATES = {
    "within_source_labelled": "repeated within the labelled source",
    "within_target_test": "repeated within the target's test",
    "source_labelled_in_target_test": "of the labelled source stand in the target's test",
    "source_unlabelled_in_target_test": "of the unlabelled source stand in the target's test (texts leak, not labels)",
    "target_unlabelled_in_target_test": "of the unlabelled target stand in its test (texts leak, not labels)",
    "target_train_in_target_test": "of the target's training part stand in its test (flatters the reference)",
}


@dataclass(frozen=True)
class DomainPair:
    """A labelled source and a target, divided by who may see what.

    The datasets have a column ``text``, or ``terms`` and ``counts``. Those named labelled or train also have a column
    ``label`` (ClassLabel over `label_names`); all others have none.

    Attributes:
        source: name of the source corpus, of several joined by `` + ``.
        target: name of the target corpus.
        label_names: names of the classes by id, for both domains.
        source_labelled: what to train on.
        source_unlabelled: further reviews of the source, if any.
        target_unlabelled: what adaptation may see of the target.
        target_labelled: the few labelled reviews of the target that were explicitly allowed, else no rows.
        target_train: labelled reviews of the target that only the reference trained on the target may use. None: there
            are none beside the test; the reference is then trained by cross-validation within the test.
        target_test: what is tested on.
        test_labels: its labels, under seal. None: the target has no labels.
        warnings: what every reader of the results must see.
        facts: which rows and labels are used for what, as plain values; see `signature`.
    """

    source: str
    target: str
    label_names: tuple[str, ...]
    source_labelled: Dataset
    source_unlabelled: Dataset
    target_unlabelled: Dataset
    target_labelled: Dataset
    target_train: Dataset | None
    target_test: Dataset
    test_labels: SealedLabels | None
    warnings: tuple[str, ...]
    facts: Mapping[str, Any]

    @property
    def signature(self) -> dict[str, Any]:
        """`facts`, and how often the test labels have been opened so far."""
        openings = None if self.test_labels is None else self.test_labels.openings
        return {**copy.deepcopy(dict(self.facts)), "test_labels_opened": openings}


def assemble_domain_pair(
    source_corpus: Dataset | Mapping[str, Dataset] | Sequence[Dataset | Mapping[str, Dataset]],
    target_corpus: Dataset | Mapping[str, Dataset],
    *,
    source: str | Sequence[str],
    target: str,
    target_labels: int = 0,
    label_pool: int | None = None,
    drop_duplicates: bool = False,
    transductive: bool = False,
    further_text: Mapping[str, Dataset | Mapping[str, Dataset]] | None = None,
    seed: int,
) -> DomainPair:
    """Divide loaded corpora into what may be seen and what may not.

    The source's labelled reviews are those of its split ``train`` (of the whole, if it has no splits) that carry a
    label; those without label and the split ``unlabelled`` are unlabelled. Several corpora are one source: their rows
    stand below one another, in the order given.

    Target with a labelled split ``test``: that is the test. Unlabelled are the split ``unlabelled``, where there is
    one, or else all of ``train`` without its labels. The labelled reviews of ``train`` are `target_train`, and the
    `target_labels` reviews are drawn from them; drawn ones stay among the unlabelled too.

    Target without: all labelled reviews are the test, and those without label are unlabelled. Where there are none,
    the test documents themselves are what adaptation sees, without labels (transductive), and a warning says so.
    `label_pool` reviews are drawn and taken out of the test; the first `target_labels` of them are labelled, so that
    with one pool the test is the same for every number of labels. The rest of the pool is not used.

    Target without any label: there is no test, and a warning says that no verdict can be given.

    The unlabelled target comes in a random order, since corpora often list one class after the other.

    Reviews are drawn in proportion to the classes, and from one seed the first 10 are among the first 50. A review
    that stands in the test a second time is never drawn. Other splits (``dev``, the source's ``test``) are not used.

    Args:
        source_corpus: a text corpus, or its splits by name; or a list of such.
        target_corpus: a text corpus of the other domain, or its splits by name.
        source: name of the source, for messages and the signature; of a list of corpora, a list of names.
        target: name of the target.
        target_labels: how many labelled reviews of the target training may use.
        label_pool: how many reviews to take out of the test where they come from there; `target_labels` by default.
        drop_duplicates: take reviews out of the labelled source that stand there already, or in the target's test.
        transductive: let adaptation see the test documents, without labels, beside the unlabelled ones, as where the
            documents to be labelled are at hand when training begins.
        further_text: corpora of other domains by name, whose documents in all splits, without labels, join the
            source's unlabelled ones.
        seed: of the drawing.

    Returns:
        The pair.

    Raises:
        InputError: a domain is empty; no label in a source, or one class only; classes that differ between the
            domains; texts in one and counted terms in another; both are the same reviews; more labels asked for than
            there are; fewer than 2 unlabelled target reviews.

    Example:
        >>> pair = assemble_domain_pair(books, dvd, source="books", target="dvd", seed=0)
        >>> "label" in pair.target_unlabelled.column_names
        False
        >>> score = accuracy(pair.test_labels.open(), predicted)
        >>> pair = assemble_domain_pair([books, dvd], kitchen, source=["books", "dvd"], target="kitchen", seed=0)
    """
    if target_labels < 0 or (label_pool is not None and label_pool < target_labels):
        raise ValueError(f"target_labels={target_labels} must be within 0..label_pool={label_pool}")
    sources = (source,) if isinstance(source, str) else tuple(source)
    corpora = source_corpus if isinstance(source_corpus, Sequence) else (source_corpus,)
    if len(corpora) != len(sources) or not sources:
        raise ValueError(f"{len(corpora)} corpora of the source, and {len(sources)} names of it")
    roles = [source_roles(corpus, where=name) for corpus, name in zip(corpora, sources, strict=True)]
    labelled, source_unlabelled, from_source = _join_sources(roles, sources)
    source = " + ".join(sources)
    further = {name: text_rows(corpus, where=name) for name, corpus in (further_text or {}).items()}
    for name, rows in further.items():
        _check_same_kind(labelled, rows, names=(source, name))
        source_unlabelled = source_unlabelled.then(rows)
    parts = target_roles(target_corpus, where=target)
    _check_same_kind(labelled, parts.test, names=(source, target))
    label_names = _shared_classes(labelled, parts, source=source, target=target)

    pool = (target_labels if label_pool is None else label_pool) if parts.train is None else 0
    few, test = _draw_labelled(parts, target_labels, pool, seed=seed, where=target)
    has_others = len(parts.unlabelled) > 0
    unlabelled = parts.unlabelled if has_others else test
    if has_others and transductive:
        unlabelled = unlabelled.then(test)
    transductive = transductive or not has_others
    if len(unlabelled) < 2:
        raise InputError(
            "the target has too few reviews to adapt to",
            where=target,
            expected="at least 2 unlabelled reviews",
            found=str(len(unlabelled)),
            remedy="Add unlabelled reviews."
            if not has_others
            else "Add unlabelled reviews; or delete those without a label, and the test texts serve instead.",
        )

    # Corpora often list one class after the other: the order of rows without labels must not tell them.
    unlabelled = unlabelled.select(np.random.default_rng(seed).permutation(len(unlabelled)))
    keys, test_keys = labelled.keys(), test.keys()
    in_test, earlier = np.isin(keys, test_keys), repeats_earlier(keys)
    if len(test) and np.isin(test_keys, keys).all():
        raise InputError(
            "every test review of the target stands in the source: both are the same reviews",
            where=f"{source} and {target}",
            remedy="Name two different domains.",
        )
    duplicates = {
        "within_source_labelled": int(earlier.sum()),
        "within_target_test": int(repeats_earlier(test_keys).sum()),
        "source_labelled_in_target_test": int(in_test.sum()),
        "source_unlabelled_in_target_test": _num_in(source_unlabelled, test_keys),
        "target_unlabelled_in_target_test": 0 if transductive else _num_in(unlabelled, test_keys),
        "target_train_in_target_test": 0 if parts.train is None else _num_in(parts.train, test_keys),
        "dropped_from_source": int((in_test | earlier).sum()) if drop_duplicates else 0,
    }
    if drop_duplicates:
        labelled, from_source = labelled.select(~(in_test | earlier)), from_source[~(in_test | earlier)]
        if set(labelled.classes()) != set(label_names):
            raise InputError(
                "without its duplicates the source has no review left of some class",
                where=source,
                expected=f"reviews of {_listed(label_names)}",
                found=_listed(labelled.classes()),
            )

    warnings = [
        *_warnings(parts, few, test, unlabelled, label_names, target=target, transductive=transductive),
        *_warn_of_duplicates(duplicates),
    ]
    facts = {
        "source": source,
        "target": target,
        "label_names": list(label_names),
        "source_labelled_by_domain": {name: int((from_source == row).sum()) for row, name in enumerate(sources)},
        "further_text": {name: len(rows) for name, rows in further.items()},
        "rows": {
            "source_labelled": len(labelled),
            "source_unlabelled": len(source_unlabelled),
            "target_unlabelled": len(unlabelled),
            "target_labelled": len(few),
            "target_train": None if parts.train is None else len(parts.train),
            "target_test": len(test),
        },
        "labels_in_training": ["source_labelled", *(["target_labelled"] if target_labels else [])],
        "target_unlabelled_from": " and ".join(
            [*([parts.unlabelled_from] if has_others else []), *(["the test documents"] if transductive else [])]
        ),
        "transductive": transductive,
        "target_labels": target_labels,
        "target_labels_seed": seed if target_labels or pool else None,
        "taken_out_of_test": pool,
        "reference_trained_on": None
        if not len(test)
        else ("the test, by cross-validation" if parts.train is None else "target_train"),
        "test_rows_without_label": parts.test_without_label,
        "duplicates": duplicates,
        "drop_duplicates": drop_duplicates,
    }
    return DomainPair(
        source=source,
        target=target,
        label_names=label_names,
        source_labelled=labelled.dataset(label_names),
        source_unlabelled=source_unlabelled.dataset(),
        target_unlabelled=unlabelled.dataset(),
        target_labelled=few.dataset(label_names),
        target_train=None if parts.train is None else parts.train.dataset(label_names),
        target_test=test.dataset(),
        test_labels=SealedLabels(test.ids(label_names)) if len(test) else None,
        warnings=tuple(warnings),
        facts=facts,
    )


def draw_few(pair: DomainPair, num_labels: int, *, seed: int) -> DomainPair:
    """The pair with fewer labelled target reviews, drawn anew: how much do results depend on which ones they are?

    Args:
        pair: with labelled target reviews.
        num_labels: how many of them to keep, in proportion to the classes.
        seed: of the drawing; for one seed the first 10 are among the first 50.

    Returns:
        The pair with `target_labelled` drawn; all else is the same.
    """
    labels = np.asarray(pair.target_labelled["label"][:], dtype=np.int64)
    order = _stratified_order(labels, np.bincount(labels, minlength=len(pair.label_names)), seed=seed)
    return replace(pair, target_labelled=pair.target_labelled.select(order[:num_labels]))


def _join_sources(
    roles: Sequence[tuple[DocumentRows, DocumentRows]], names: Sequence[str]
) -> tuple[DocumentRows, DocumentRows, NDArray[np.int64]]:
    """The labelled rows of all sources, those without label, and for each labelled row the number of its source."""
    import pyarrow

    labelled, unlabelled = roles[0]
    classes = labelled.classes()
    for (other, _), name in zip(roles[1:], names[1:], strict=True):
        _check_same_kind(labelled, other, names=(names[0], name))
        if other.classes() != classes:
            raise InputError(
                "the domains of the source have different classes",
                where=f"{names[0]} and {name}",
                expected=f"the classes of {names[0]}: {_listed(classes)}",
                found=f"{_listed(other.classes())} in {name}",
                remedy="Give the same names to the labels of all, and leave out the reviews of classes that one of "
                "them lacks.",
            )
        table = other.table.select(labelled.table.column_names).cast(labelled.table.schema)
        labels = np.concatenate([labelled.ids(classes), other.ids(classes)])
        table = pyarrow.concat_tables([labelled.table, table])
        labelled = DocumentRows(table, labelled.features, labels, tuple(classes))
    for _, other in roles[1:]:
        unlabelled = unlabelled.then(other)
    return labelled, unlabelled, np.repeat(np.arange(len(roles)), [len(own) for own, _ in roles])


def _check_same_kind(rows: DocumentRows, other: DocumentRows, *, names: tuple[str, str]) -> None:
    kinds = ["texts" if "text" in part.features else "counted terms" for part in (rows, other)]
    if kinds[0] != kinds[1]:
        raise InputError(
            "the domains can't be compared: one has texts, the other counted terms",
            where=" and ".join(names),
            found=f"{kinds[0]} and {kinds[1]}",
            remedy="Name corpora of one kind, such as amazon:books and amazon:dvd.",
        )


def _shared_classes(labelled: DocumentRows, parts: TargetRoles, *, source: str, target: str) -> tuple[str, ...]:
    """The names of the classes of both domains, sorted."""
    ours = labelled.classes()
    theirs = sorted({*parts.test.classes(), *([] if parts.train is None else parts.train.classes())})
    if theirs and theirs != ours:
        raise InputError(
            "the domains have different classes",
            where=f"{source} and {target}",
            expected=f"the classes of the source: {_listed(ours)}",
            found=_listed(theirs),
            remedy="Give the same names to the labels of both, and leave out the reviews of classes that one of them "
            "lacks.",
        )
    return tuple(ours)


def _draw_labelled(
    parts: TargetRoles, number: int, pool: int, *, seed: int, where: str
) -> tuple[DocumentRows, DocumentRows]:
    """The labelled rows that training may use, and what is left to test on."""
    rows = parts.test if parts.train is None else parts.train
    if not number and not pool:
        return rows.select(np.zeros(len(rows), dtype=bool)), parts.test
    keys = rows.keys()
    if parts.train is None:
        _, inverse, count = np.unique(keys, return_inverse=True, return_counts=True)
        free = np.flatnonzero(count[inverse] == 1)
    else:
        free = np.flatnonzero(~np.isin(keys, parts.test.keys()))
    # Of reviews drawn from the test, one at least is left to test on.
    most = min(len(free), len(rows) - (parts.train is None))
    if max(number, pool) > most:
        raise InputError(
            "more labelled reviews of the target are asked for than can be drawn",
            where=where,
            expected=f"at most {max(most, 0)} of its {len(rows)} labelled reviews (none that the test holds twice)",
            found=str(max(number, pool)),
            remedy="Ask for fewer (target_labels).",
        )
    drawn = free[_stratified_order(rows.labels[free], np.bincount(rows.labels), seed=seed)]
    left = np.ones(len(rows), dtype=bool)
    left[drawn[:pool]] = False
    return rows.select(drawn[:number]), parts.test.select(left) if parts.train is None else parts.test


def _stratified_order(labels: NDArray[np.int64], sizes: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
    """A random order of which every beginning holds the classes in proportion to `sizes`, as far as whole rows allow.

    The i-th row of a class of size n (in random order) stands at (i - 1/2) / n of the whole.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        own = labels[shuffled] == label
        place[own] = (np.arange(own.sum()) + 0.5) / sizes[label]
    return shuffled[np.argsort(place, kind="stable")]


def _num_in(rows: DocumentRows, keys: NDArray[np.uint64]) -> int:
    return int(np.isin(rows.keys(), keys).sum()) if len(keys) else 0


def _warnings(
    parts: TargetRoles,
    few: DocumentRows,
    test: DocumentRows,
    unlabelled: DocumentRows,
    label_names: Sequence[str],
    *,
    target: str,
    transductive: bool,
) -> list[str]:
    warnings = []
    if not len(test):
        warnings.append(f"{target} has no labels: nothing can be tested there, and no verdict can be given.")
    if transductive:
        why = (
            f"{target} has no unlabelled reviews, so its" if not len(parts.unlabelled) else f"As asked for, {target}'s"
        )
        warnings.append(
            f"THE TEST TEXTS ARE SEEN IN ADAPTATION. {why} {len(test):,} test reviews, without their labels, serve as "
            "such (transductive): on new reviews the scores may be lower."
        )
    if len(unlabelled) < FEW_UNLABELLED:
        warnings.append(f"{target} has {len(unlabelled)} unlabelled reviews: too few to learn a domain from.")
    if parts.test_without_label:
        warnings.append(f"{parts.test_without_label:,} test reviews of {target} have no label and are left out.")
    if len(few) and (missing := sorted(set(label_names) - set(few.classes()))):
        warnings.append(f"The {len(few)} labelled reviews of {target} hold none of class {_listed(missing)}.")
    return warnings


def _warn_of_duplicates(duplicates: Mapping[str, int]) -> list[str]:
    found = [f"{duplicates[kind]:,} {what}" for kind, what in _DUPLICATES.items() if duplicates[kind]]
    if not found:
        return []
    if duplicates["dropped_from_source"]:
        found[-1] += f". {duplicates['dropped_from_source']:,} were dropped from the source"
    elif duplicates["within_source_labelled"] or duplicates["source_labelled_in_target_test"]:
        found[-1] += ". drop_duplicates takes those of the source out of it"
    return [f"Duplicate reviews: {'; '.join(found)}."]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
