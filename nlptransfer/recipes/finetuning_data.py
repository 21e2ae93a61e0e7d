"""What a fine-tuning run trains and tests on: one labelled source, its own test or targets, texts or tagged words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nlptransfer.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset

    from nlptransfer.data.domain_pairs import DomainPair
    from nlptransfer.recipes.transformer_finetuning import Settings

USUAL = {"classification": "amazon:books", "tagging": "ud:UD_English-EWT"}
STAND_IN = "synthetic-reviews:source"


@dataclass(frozen=True)
class Test:
    """Items to test on, whose labels no system sees.

    Attributes:
        split: `test`, `source_test` or `target_test`.
        items: texts, or lists of words.
        gold: their labels, one per text or a list per sentence; None while they are sealed in `pair`.
        pair: of domains, with the seal; None where the test is the source's own or is of tagged words.
        name: of the pair; None without.
        unlabelled: what adaptation may see of the target, without labels; none of the source's own test.
    """

    split: str
    items: list[Any]
    gold: list[Any] | None
    pair: DomainPair | None = None
    name: str | None = None
    unlabelled: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Job:
    """One source and everything that is tested after training on it.

    Attributes:
        name: of the source.
        is_tagging: tags per word, or a label per text.
        label_names: by id.
        train: items to train on.
        train_labels: a label id per text, or a list of them per sentence.
        dev: items by which epochs and strategies are chosen.
        dev_labels: likewise.
        tests: what is tested on.
        corpus: what was trained on, in words.
        warnings: what every reader must see.
    """

    name: str
    is_tagging: bool
    label_names: tuple[str, ...]
    train: list[Any]
    train_labels: list[Any]
    dev: list[Any]
    dev_labels: list[Any]
    tests: tuple[Test, ...]
    corpus: str
    warnings: tuple[str, ...] = ()

    def with_few(self, number: int, *, seed: int) -> Job:
        """The job with so few training items, and as few to develop on: who has 20 labels has no 400 beside them.

        Drawn in proportion to the classes; for one seed 20 are among 100.
        """
        train, dev = (_drawn(labels, number, seed, self.is_tagging) for labels in (self.train_labels, self.dev_labels))
        return replace(
            self,
            train=[self.train[row] for row in train],
            train_labels=[self.train_labels[row] for row in train],
            dev=[self.dev[row] for row in dev],
            dev_labels=[self.dev_labels[row] for row in dev],
        )


def _drawn(labels: Sequence[Any], number: int, seed: int, is_tagging: bool) -> list[int]:
    """The first rows of a random order of which every beginning holds the classes in proportion."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(labels))
    if not is_tagging:
        # The i-th of n items of a class stands at (i + 1/2) / n of the whole.
        shuffled = np.asarray(labels)[order]
        place = np.empty(len(order))
        for label in np.unique(shuffled):
            own = shuffled == label
            place[own] = (np.arange(own.sum()) + 0.5) / own.sum()
        order = order[np.argsort(place, kind="stable")]
    return order[:number].tolist()


def load_jobs(settings: Settings) -> list[Job]:
    """The sources of a run: one, or with --pairs all each domain with all others as its targets.

    Raises:
        InputError: data that can't be had or don't go together.
    """
    jobs = _load_jobs(settings)
    for job in jobs:
        if max(settings.train_sizes, default=0) > len(job.train):
            raise InputError(
                "--train_sizes asks for more than there is to train on",
                where=job.corpus,
                expected=f"at most {len(job.train):,}",
                found=f"{max(settings.train_sizes):,}",
            )
    return jobs


def _load_jobs(settings: Settings) -> list[Job]:
    from nlptransfer.data.corpora import known_task

    if settings.train_data is not None and known_task(settings.train_data) not in (None, settings.task):
        raise InputError(
            f"this corpus is for {known_task(settings.train_data)}, and the task is {settings.task}",
            where=settings.train_data,
            remedy=f"Add --task {known_task(settings.train_data)}, or name another corpus.",
        )
    if settings.task == "tagging":
        return [_tagging_job(settings)]
    if settings.pairs == "all":
        from nlptransfer.data.domains import expand_pairs

        columns = {name: getattr(settings, name) for name in ("data_dir", "text_column", "label_column")}
        ends = expand_pairs(
            settings.domains or ("amazon",), kind="all", **columns, domain_column=settings.domain_column
        )
        sources = dict.fromkeys(source for source, _ in ends)
        return [_pairs_job(settings, source, [target for own, target in ends if own == source]) for source in sources]
    source, warnings = _source_at_hand(settings)
    targets = settings.target_data
    job = _pairs_job(settings, source, targets) if targets else _text_job(settings, source)
    return [replace(job, warnings=(*warnings, *job.warnings))]


def _source_at_hand(settings: Settings) -> tuple[str, list[str]]:
    """What to train on, and a warning where it stands in for what can't be had."""
    from nlptransfer.data.domains import load_domain
    from nlptransfer.data.fetching import NotToBeHad

    if settings.train_data is not None:
        return settings.train_data, []
    try:
        load_domain(USUAL["classification"], data_dir=settings.data_dir)
    except NotToBeHad as error:
        return STAND_IN, [
            "THE TEXTS ARE SYNTHETIC. They were generated here, because the usual ones can't be had, and scores on "
            f"them say nothing about real text. {error}"
        ]
    return USUAL["classification"], []


def _tagging_job(settings: Settings) -> Job:
    from nlptransfer.data.corpora import load_corpus
    from nlptransfer.data.splits import tag_names, tag_texts
    from nlptransfer.data.tagging_splits import load_splits

    if len(settings.target_data) > 1:
        raise InputError("tagging takes one --target_data", found=" ".join(settings.target_data))
    target = settings.target_data[0] if settings.target_data else None
    columns: dict[str, Any] = {"tagset": settings.tagset, "tag_column": settings.tag_column}
    splits, corpus, warnings = load_splits(
        settings.train_data,
        usual=USUAL["tagging"],
        dev_data=settings.dev_data,
        test_data=settings.test_data,
        target=target,
        dev_fraction=settings.dev_fraction,
        test_fraction=settings.test_fraction,
        seed=settings.split_seed,
        unseen_tags=settings.unseen_tags,
        data_dir=settings.data_dir,
        **columns,
    )
    unlabelled: tuple[Any, ...] = ()
    if target is not None:
        whole = load_corpus(target, data_dir=settings.data_dir, **columns)
        if isinstance(whole, Mapping) and "train" in whole:
            unlabelled = tuple(whole["train"]["tokens"][:])  # its tags are left behind
    tests = tuple(
        Test(split, data["tokens"][:], tag_texts(data), unlabelled=unlabelled if split == "target_test" else ())
        for split, data in splits.items()
        if split not in ("train", "dev")
    )
    return Job(
        name=corpus.partition(",")[0],
        is_tagging=True,
        label_names=tuple(tag_names(splits["train"])),
        train=splits["train"]["tokens"][:],
        train_labels=splits["train"]["tags"][:],
        dev=splits["dev"]["tokens"][:],
        dev_labels=splits["dev"]["tags"][:],
        tests=tests,
        corpus=corpus,
        warnings=tuple(warnings),
    )


def _pairs_job(settings: Settings, source: str, targets: Sequence[str]) -> Job:
    """A source with targets, whose labels stay under seal."""
    from nlptransfer.data.domain_names import pair_name, short_name
    from nlptransfer.data.domains import load_domain_pair

    tests = []
    pair: DomainPair
    for target in targets:
        pair = load_domain_pair(
            source,
            target,
            drop_duplicates=settings.drop_duplicates,
            seed=settings.split_seed,
            data_dir=settings.data_dir,
            text_column=settings.text_column,
            label_column=settings.label_column,
            domain_column=settings.domain_column,
        )
        if pair.test_labels is None:
            raise InputError(
                "the target has no labels to test on", where=target, remedy="Use nlptransfer predict on such texts."
            )
        name = pair_name(source, target)
        unlabelled = tuple(_texts(pair.target_unlabelled)[: settings.max_unlabelled or None])
        tests.append(Test("target_test", _texts(pair.target_test), None, pair, name, unlabelled))
    texts, labels = _texts(pair.source_labelled), pair.source_labelled["label"][:]
    train, dev = _cut(labels, settings.dev_fraction, seed=settings.split_seed, where=source)
    return Job(
        name=short_name(source),
        is_tagging=False,
        label_names=pair.label_names,
        train=[texts[row] for row in train],
        train_labels=[labels[row] for row in train],
        dev=[texts[row] for row in dev],
        dev_labels=[labels[row] for row in dev],
        tests=tuple(tests),
        corpus=source,
    )


def _text_job(settings: Settings, source: str) -> Job:
    """A source with a test of its own, shipped or cut off."""
    from nlptransfer.data.domain_names import short_name
    from nlptransfer.data.domains import load_domain
    from nlptransfer.data.text_tables import label_names

    def load(name: str) -> dict[str, Dataset]:
        corpus = load_domain(
            name,
            data_dir=settings.data_dir,
            text_column=settings.text_column,
            label_column=settings.label_column,
            domain_column=settings.domain_column,
        )
        return dict(corpus) if isinstance(corpus, Mapping) else {"train": corpus}

    splits = load(source)
    for split, name in (("dev", settings.dev_data), ("test", settings.test_data)):
        if name is not None:
            own = load(name)
            splits[split] = own[split] if split in own else own["train"]
    rows: dict[str, tuple[list[str], list[str]]] = {}
    for split in ("train", "dev", "test"):
        if split in splits:
            names, ids = label_names(splits[split]), splits[split]["label"][:]
            pairs = [
                (text, names[own]) for text, own in zip(_texts(splits[split]), ids, strict=True) if own is not None
            ]
            rows[split] = ([text for text, _ in pairs], [label for _, label in pairs])
    for split, fraction in (("test", settings.test_fraction), ("dev", settings.dev_fraction)):
        if split not in rows:
            texts, labels = rows["train"]
            kept, cut = _cut(labels, fraction, seed=settings.split_seed, where=source)
            rows[split] = ([texts[row] for row in cut], [labels[row] for row in cut])
            rows["train"] = ([texts[row] for row in kept], [labels[row] for row in kept])
    classes = sorted(set(rows["train"][1]))
    for split, (_, labels) in rows.items():
        unknown = sorted(set(labels) - set(classes))
        if unknown or len(classes) < 2:
            raise InputError(
                f"the labels of {split} are not those of train" if unknown else "there is one label only",
                where=source,
                expected=", ".join(classes) if unknown else "two labels or more",
                found=", ".join(unknown or classes),
            )
    ids_of = {label: number for number, label in enumerate(classes)}
    return Job(
        name=short_name(source),
        is_tagging=False,
        label_names=tuple(classes),
        train=rows["train"][0],
        train_labels=[ids_of[label] for label in rows["train"][1]],
        dev=rows["dev"][0],
        dev_labels=[ids_of[label] for label in rows["dev"][1]],
        tests=(Test("test", rows["test"][0], rows["test"][1]),),
        corpus=source,
    )


def _cut(labels: Sequence[Any], fraction: float, *, seed: int, where: str) -> tuple[list[int], list[int]]:
    """Row numbers to keep and to cut off, in proportion to the classes, each in the corpus's order."""
    from sklearn.model_selection import train_test_split

    try:
        kept, cut = train_test_split(range(len(labels)), test_size=fraction, random_state=seed, stratify=list(labels))
    except ValueError as error:
        rarest = min(Counter(labels).values(), default=0)
        raise InputError(
            "there are too few texts to cut a development or test part off",
            where=where,
            expected="two texts of each label at least, and a text of each in both parts",
            found=f"{len(labels)} texts, {rarest} of the rarest label; a share of {fraction} was to be cut off",
            remedy="Give more texts, leave the rare label out, or name other parts with --dev_data and --test_data.",
        ) from error
    return sorted(kept), sorted(cut)


def _texts(data: Dataset) -> list[str]:
    if "text" not in data.column_names:
        raise InputError(
            "an encoder reads texts, and this corpus holds counted terms only",
            remedy="Use a corpus with texts, such as amazon:books.",
        )
    return list(data["text"][:])
