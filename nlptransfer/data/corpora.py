"""The one door to corpora: `load_corpus` takes a name or a path and gives a `datasets.Dataset`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from nlptransfer.data import fetching, reviews
from nlptransfer.data.columns import COLUMN_SUFFIXES, read_columns
from nlptransfer.data.conllu import read_conllu
from nlptransfer.data.corpus_files import Format, load_hub, load_path, no_splits, split_files
from nlptransfer.data.nltk_corpora import NLTK_CORPORA, get_nltk_package, has_chunks, nltk_splits, read_nltk_corpus
from nlptransfer.data.nltk_sentiment import NLTK_SENTIMENT, read_nltk_sentiment
from nlptransfer.data.splits import share_tags
from nlptransfer.data.synthetic import make_tagged_languages
from nlptransfer.data.synthetic_reviews import make_review_domains
from nlptransfer.data.tables import TABLE_SUFFIXES, conform_dataset, read_table
from nlptransfer.data.text_tables import TEXT_TABLE_SUFFIXES, conform_text_dataset, read_text_table, share_labels
from nlptransfer.errors import InputError
from nlptransfer.files import missing_file

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

Task = Literal["tagging", "classification"]

SYNTHETIC_SENTENCES = 2000
SYNTHETIC_REVIEWS = 2000
SYNTHETIC_SEED = 0

_SPLITS = ("train", "dev", "test", "unlabelled")
_TAGGING_SPLITS = _SPLITS[:3]
_TAGGING_SUFFIXES = (".conllu", *COLUMN_SUFFIXES, *TABLE_SUFFIXES)
_AMAZON = {
    "amazon": reviews.load_amazon_texts,
    "amazon-ngrams": reviews.load_amazon_ngrams,
    "amazon-bow5000": reviews.load_amazon_bow5000,
}
_NAMES = {
    "tagging": ("treebank", "synthetic", "synthetic:source", "synthetic:target", *(f"nltk:{n}" for n in NLTK_CORPORA)),
    "classification": (
        *(f"{kind}:{domain}" for kind in _AMAZON for domain in reviews.DOMAINS),
        "synthetic-reviews:source",
        "synthetic-reviews:target",
        *(f"nltk:{name}" for name in NLTK_SENTIMENT),
    ),
}


@overload
def load_corpus(
    name: str | Path,
    split: str,
    *,
    task: Task | None = None,
    data_dir: str | Path | None = None,
    tag_column: str | None = None,
    traces: bool = True,
    columns: Sequence[str] | None = None,
    tagset: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    domain_column: str | None = None,
) -> Dataset: ...


@overload
def load_corpus(
    name: str | Path,
    split: None = None,
    *,
    task: Task | None = None,
    data_dir: str | Path | None = None,
    tag_column: str | None = None,
    traces: bool = True,
    columns: Sequence[str] | None = None,
    tagset: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    domain_column: str | None = None,
) -> Dataset | DatasetDict: ...


def load_corpus(
    name: str | Path,
    split: str | None = None,
    *,
    task: Task | None = None,
    data_dir: str | Path | None = None,
    tag_column: str | None = None,
    traces: bool = True,
    columns: Sequence[str] | None = None,
    tagset: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    domain_column: str | None = None,
) -> Dataset | DatasetDict:
    """Load a corpus by name or by path: tagged sentences, or texts with labels.

    Names of tagged sentences:

    - ``treebank`` or ``nltk:treebank``: NLTK's sample of the Penn Treebank (Wall Street Journal).
    - ``nltk:brown``, ``nltk:brown/news+fiction``: Brown, whole or by genre; ``nltk:masc_tagged`` likewise.
    - ``nltk:conll2000``: Wall Street Journal, with train and test. ``nltk:nps_chat``: posts from chat rooms.
    - ``ud:UD_English-EWT``: any Universal Dependencies treebank, with its train, dev and test.
    - ``synthetic``, ``synthetic:target``: 2,000 sentences of `make_tagged_languages` with seed 0; the first is the
      source language.

    Names of texts with labels:

    - ``amazon:books`` (dvd, electronics, kitchen): reviews as text, train and unlabelled, see `load_amazon_texts`.
    - ``amazon-ngrams:books``: the labelled ones as counts of n-grams, see `load_amazon_ngrams`.
    - ``amazon-bow5000:books``: train and test as counts of 5,000 features, see `load_amazon_bow5000`.
    - ``nltk:movie_reviews`` and others, see `read_nltk_sentiment`.
    - ``synthetic-reviews:source``, ``synthetic-reviews:target``: `make_review_domains` with 2,000 reviews and seed 0,
      train and unlabelled.

    ``hub:owner/name`` is the Hugging Face hub; ``hub:owner/name/configuration`` where there are several.

    Paths of tagged sentences:

    - ``.conllu``: CoNLL-U, see `read_conllu`.
    - ``.conll``, ``.tsv``, ``.txt``, ``.pos``: a word per line, see `read_columns`.
    - ``.jsonl``, ``.json``, ``.csv``, ``.parquet``: a sentence per row, see `read_table`.

    Paths of texts: ``.csv``, ``.tsv``, ``.jsonl``, ``.json``, ``.parquet``: a text per row, see `read_text_table`.

    Of either: a folder of such files named for their split (``train.conllu``, ``x-dev.tsv``), or saved by
    ``save_to_disk``. Text files may be gzipped (``.gz``). A path that is not there is looked for below `data_dir` and
    the folders of ``NLPTRANSFER_DATA``, such as ``sib200/hin_Deva``. Named corpora are looked for in `data_dir`, in
    each folder of ``NLPTRANSFER_DATA``, in the user's cache, and for NLTK where NLTK looks itself; then they are
    fetched into the cache, but for the Amazon reviews. A corpus is never replaced by another one.

    Args:
        name: the name or path.
        split: ``train``, ``dev``, ``test`` or ``unlabelled``. None: all splits of a corpus that ships splits, else the
            whole corpus.
        task: ``tagging`` or ``classification``. Named corpora know theirs, and any other is refused. For paths and the
            hub, None means classification where a column of texts is named, else tagging.
        data_dir: the folder to look in first.
        tag_column: the column with the tags: ``upos`` (default), ``xpos`` or ``misc:<key>`` in CoNLL-U (see
            `read_conllu`); ``chunk`` for the chunks of nltk:conll2000; elsewhere the column's name, ``tags`` by
            default. Other corpora of NLTK and the synthetic one have one kind of tags, and ignore it.
        traces: keep the ``-NONE-`` traces of treebank.
        columns: the names of the columns of a column file, see `read_columns`.
        tagset: ``universal`` maps the tags of an NLTK corpus to the 12 universal tags, see `read_nltk_corpus`. None
            keeps them.
        text_column: the column with the texts, by default ``text``. Named corpora ignore this and the next two.
        label_column: the column with their labels, by default ``label`` if there is one.
        domain_column: the column with their domains, by default ``domain`` if there is one.

    Returns:
        One Dataset, or a DatasetDict with the keys that there are of ``train``, ``dev``, ``test`` and ``unlabelled`` if
        the corpus ships splits and `split` is None. Tagged: columns ``tokens``, ``tags`` (ClassLabel), ``domain`` where
        the corpus knows it, ``comments`` in CoNLL-U. Texts: ``text`` (or ``terms`` and ``counts``), ``label``
        (ClassLabel; null where a text has none; no such column where none has), ``domain``. Label names are those that
        occur, sorted; the splits of a DatasetDict share them. Between tagged corpora or splits loaded one by one, ids
        agree only after `align_tags`.

    Raises:
        InputError: what was asked for can't be had; says where it was looked for, or which line is at fault.

    Example:
        >>> news = load_corpus("nltk:brown/news", tagset="universal")
        >>> books = load_corpus("amazon:books", "unlabelled")
        >>> mine = load_corpus("mine/test.csv", task="classification", label_column="stars")
    """
    if tagset not in (None, "universal"):
        raise InputError("the tagset is unknown", expected="universal, or none to keep the tags", found=str(tagset))
    if split is not None and split not in _SPLITS:
        raise InputError("the split is unknown", where=name, expected=", ".join(_SPLITS), found=split)
    if task not in (None, *_NAMES):
        raise InputError("the task is unknown", expected=" or ".join(_NAMES), found=str(task))
    kind, _, rest = str(name).partition(":")
    if name == "treebank":
        kind, rest = "nltk", "treebank"
    known_task = _task_of(kind, rest)
    if task is not None and known_task not in (None, task):
        raise _other_task(str(name), task)
    if tagset is not None and not (kind == "nltk" and known_task == "tagging"):
        raise InputError(
            "tags of this corpus can't be mapped to the universal tagset",
            where=name,
            expected="a tagged corpus of NLTK",
            remedy="Leave tagset out; the UPOS column of CoNLL-U is universal already, with 17 tags.",
        )
    if kind in _AMAZON:
        return _load_amazon(kind, rest, split, data_dir=data_dir)
    if kind == "nltk":
        chunks = tag_column == "chunk" and has_chunks(rest)
        return _load_nltk(rest, split, data_dir=data_dir, traces=traces, tagset=tagset, chunks=chunks)
    if kind == "ud":
        return _load_treebank(rest, split, data_dir=data_dir, tag_column=tag_column or "upos")
    if kind in ("synthetic", "synthetic-reviews"):
        return _load_synthetic(kind, rest, split)
    if task is None:
        task = "classification" if text_column or label_column or domain_column else "tagging"
    layout = (
        _text_format(text_column, label_column, domain_column)
        if task == "classification"
        else _tagging_format(tag_column, columns)
    )
    if kind == "hub":
        return load_hub(rest, split, layout)
    path = fetching.find_path(name, data_dir)
    if not path.exists():
        close = _look_alikes(str(name)) if len(path.parts) <= 2 else []
        if close or (":" in str(path) and not path.drive):
            raise _unknown_name(str(name))
        raise missing_file(path)
    return load_path(path, split, layout)


def is_synthetic(name: str) -> bool:
    """Whether this is the name of a synthetic corpus, and not of a file, say."""
    return re.split(r"[:,]", name)[0] in ("synthetic", "synthetic-reviews")


def known_task(name: str) -> Task | None:
    """The task of a named corpus; None of a path or a hub dataset, whose names do not tell."""
    kind, _, rest = str(name).partition(":")
    return "tagging" if name == "treebank" else _task_of(kind, rest)


def _task_of(kind: str, rest: str) -> Task | None:
    """The task of a named corpus; None where the name does not tell."""
    if kind in ("ud", "synthetic") or (kind == "nltk" and rest.partition("/")[0] in NLTK_CORPORA):
        return "tagging"
    if kind in (*_AMAZON, "synthetic-reviews") or (kind == "nltk" and rest in NLTK_SENTIMENT):
        return "classification"
    return None


def _tagging_format(tag_column: str | None, columns: Sequence[str] | None) -> Format:
    def read(path: Path) -> Dataset:
        name = path.name.removesuffix(".gz")
        if name.endswith(".conllu"):
            return read_conllu(path, tag_column=tag_column or "upos")
        if name.endswith(TABLE_SUFFIXES):
            return read_table(path, tag_column=tag_column or "tags")
        return read_columns(path, columns=columns, tag_column=tag_column or "tags")

    def conform(dataset: Dataset, where: str) -> Dataset:
        return conform_dataset(dataset, where=where, tag_column=tag_column or "tags")

    return Format(_TAGGING_SPLITS, _TAGGING_SUFFIXES, read, conform, share_tags)


def _text_format(text_column: str | None, label_column: str | None, domain_column: str | None) -> Format:
    def read(path: Path) -> Dataset:
        return read_text_table(path, text_column=text_column, label_column=label_column, domain_column=domain_column)

    def conform(dataset: Dataset, where: str) -> Dataset:
        return conform_text_dataset(
            dataset, where=where, text_column=text_column, label_column=label_column, domain_column=domain_column
        )

    return Format(_SPLITS, TEXT_TABLE_SUFFIXES, read, conform, share_labels)


def _load_synthetic(kind: str, rest: str, split: str | None) -> Dataset | DatasetDict:
    if rest not in ("", "source", "target"):
        raise _unknown_name(f"{kind}:{rest}")
    if kind == "synthetic-reviews":
        domains = make_review_domains(SYNTHETIC_REVIEWS, seed=SYNTHETIC_SEED)
        return _choose(f"{kind}:{rest}", domains.target if rest == "target" else domains.source, split)
    if split is not None:
        raise no_splits(f"{kind}:{rest}".rstrip(":"), split)
    languages = make_tagged_languages(SYNTHETIC_SENTENCES, seed=SYNTHETIC_SEED)
    return languages.target if rest == "target" else languages.source


def _load_amazon(kind: str, domain: str, split: str | None, *, data_dir: str | Path | None) -> Dataset | DatasetDict:
    if domain not in reviews.DOMAINS:
        raise _unknown_name(f"{kind}:{domain}")
    return _choose(f"{kind}:{domain}", _AMAZON[kind](domain, fetching.data_folders(data_dir)), split)


def _choose(name: str, corpus: Dataset | DatasetDict, split: str | None) -> Dataset | DatasetDict:
    if split is None:
        return corpus
    if not isinstance(corpus, dict) or split not in corpus:
        raise no_splits(name, split, tuple(corpus) if isinstance(corpus, dict) else ())
    return corpus[split]


def _load_nltk(
    rest: str, split: str | None, *, data_dir: str | Path | None, traces: bool, tagset: str | None, chunks: bool
) -> Dataset | DatasetDict:
    corpus, _, genres = rest.partition("/")
    if rest in NLTK_SENTIMENT:
        if split is not None:
            raise no_splits(f"nltk:{rest}", split)
        return read_nltk_sentiment(rest, get_nltk_package(f"corpora/{rest}", data_dir))
    if corpus not in NLTK_CORPORA or (genres and corpus not in ("brown", "masc_tagged")):
        raise _unknown_name(f"nltk:{rest}")
    shipped = nltk_splits(corpus)
    if split is not None and split not in shipped:
        raise no_splits(f"nltk:{rest}", split, shipped)
    if chunks and tagset is not None:
        raise InputError(
            "chunks can't be mapped to the universal tagset", where=f"nltk:{rest}", remedy="Leave tagset out."
        )
    package = get_nltk_package(f"corpora/{corpus}", data_dir)
    universal = None if tagset is None else get_nltk_package("taggers/universal_tagset", data_dir)

    def read(split: str | None) -> Dataset:
        return read_nltk_corpus(
            corpus,
            package,
            genres=genres.split("+") if genres else (),
            split=split,
            traces=traces,
            universal_package=universal,
            chunks=chunks,
        )

    if split is None and shipped:
        return share_tags({part: read(part) for part in shipped})
    return read(split)


def _load_treebank(
    name: str, split: str | None, *, data_dir: str | Path | None, tag_column: str
) -> Dataset | DatasetDict:
    if not re.fullmatch(r"UD_[\w]+-[\w]+", name):
        raise InputError(
            f"'{name}' is no name of a treebank", where=f"ud:{name}", expected="a name such as ud:UD_English-EWT"
        )
    if split not in (None, *_TAGGING_SPLITS):
        raise no_splits(f"ud:{name}", split, _TAGGING_SPLITS)
    folders = [base / "ud" / name for base in fetching.data_folders(data_dir)]
    if split is not None:
        return read_conllu(_treebank_file(name, split, folders), tag_column=tag_column)
    for folder in folders[:-1]:
        # A folder of the user's own is taken as it stands: a treebank may well have a test split only.
        if files := _treebank_files(folder):
            return share_tags({part: read_conllu(file, tag_column=tag_column) for part, file in files.items()})
    files = {}
    for part in fetching.treebank_release(name).sha256:
        try:
            files[part] = _treebank_file(name, part, folders)
        except InputError as error:
            # Not every treebank has all splits, and only its server knows; but all of them have a test split.
            if part == "test" or not isinstance(error.__cause__, FileNotFoundError):
                raise
    return share_tags({part: read_conllu(file, tag_column=tag_column) for part, file in files.items()})


def _treebank_file(name: str, split: str, folders: list[Path]) -> Path:
    tried: list[object] = []
    for folder in folders:
        if file := _treebank_files(folder).get(split):
            return fetching.check_file(file)
        tried.append(folder / f"*-ud-{split}.conllu")
    try:
        return fetching.fetch_treebank_file(name, split, folders[-1], base_url=fetching.UD_URL)
    except OSError as error:
        places = (place for folder in folders if folder.parent.is_dir() for place in folder.parent.iterdir())
        known = {place.name for place in places if _treebank_files(place)} | set(fetching.TREEBANKS)
        close = [] if name in known else difflib.get_close_matches(name, sorted(known), cutoff=0.8)
        raise fetching.not_to_be_had(
            f"ud:{name} ({split})",
            [*tried, error],
            remedy=(f"Did you mean {' or '.join(f'ud:{other}' for other in close)}? Otherwise get" if close else "Get")
            + " it from https://universaldependencies.org and put its .conllu files at one of these places.",
        ) from error


def _treebank_files(folder: Path) -> dict[str, Path]:
    return split_files(folder, _TAGGING_SUFFIXES, _TAGGING_SPLITS)


def _look_alikes(name: str) -> list[str]:
    return difflib.get_close_matches(name, [known for names in _NAMES.values() for known in names])


def _unknown_name(name: str) -> InputError:
    close = _look_alikes(name)
    known = ", ".join(known for names in _NAMES.values() for known in names)
    return InputError(
        "no corpus has this name, and there is no such file",
        where=name,
        expected=f"a path, ud:<treebank>, hub:<owner>/<name>, or one of {known}",
        remedy=f"Did you mean {' or '.join(close)}?" if close else None,
    )


def _other_task(name: str, task: Task) -> InputError:
    tagged, labelled = "a corpus of tagged sentences", "a corpus of texts with labels"
    expected, found = (tagged, labelled) if task == "tagging" else (labelled, tagged)
    return InputError(
        f"this is {found}",
        where=name,
        expected=f"{expected}: a path, hub:<owner>/<name>, or a name such as {', '.join(_NAMES[task][:6])}",
    )
