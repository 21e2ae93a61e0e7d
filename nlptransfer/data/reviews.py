"""The Amazon reviews of four kinds of goods, in the three shapes that papers use: text, n-gram counts, 5,000 features.

Reference: J. Blitzer, M. Dredze, F. Pereira (2007), Biographies, Bollywood, boom-boxes and blenders: domain adaptation
    for sentiment classification, https://aclanthology.org/P07-1056/
"""

from __future__ import annotations

import gzip
import html
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlptransfer.data import fetching
from nlptransfer.data.text_tables import counted_dataset, drop_labels, read_text_table, text_dataset
from nlptransfer.errors import InputError
from nlptransfer.files import read_lines

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

DOMAINS = ("books", "dvd", "electronics", "kitchen")
REVIEWS_URL = "https://www.cs.jhu.edu/~mdredze/datasets/sentiment/"
BOW5000_URL = "https://github.com/GRAAL-Research/domain_adversarial_neural_network/tree/master/data"
NUM_FEATURES = 5000

_TITLE_AND_TEXT = re.compile(r"<title>(.*?)</title>.*?<review_text>(.*?)</review_text>", re.DOTALL)


def load_amazon_texts(domain: str, folders: Sequence[Path]) -> DatasetDict:
    """The reviews of one domain as text, title first.

    Args:
        domain: one of `DOMAINS`.
        folders: the data folders, each searched for ``amazon_reviews/text/<domain>.labeled.jsonl.gz`` and
            ``<domain>.unlabeled.jsonl.gz`` (or without ``.gz``), then for the original files as they are distributed,
            ``amazon_reviews/sorted_data_acl/<domain>/{negative,positive,unlabeled}.review``.

    Returns:
        ``train``: 1,000 negative and 1,000 positive reviews, with ``text``, ``label`` and ``domain``; ``unlabelled``:
        some 3,500 more without a label column.

    Raises:
        NotToBeHad: the files are in no folder.
        InputError: a file is damaged.
    """
    from datasets import DatasetDict, Value

    tables = [f"text/{domain}.{part}.jsonl" for part in ("labeled", "unlabeled")]
    folder = "kitchen_&_housewares" if domain == "kitchen" else domain
    originals = [f"sorted_data_acl/{folder}/{part}.review" for part in ("negative", "positive", "unlabeled")]
    files = _find_files(
        f"amazon:{domain}", [tables, originals], folders, remedy=_unpack("domain_sentiment_data.tar.gz")
    )
    if len(files) == len(tables):
        train, unlabelled = read_text_table(files[0], label_column="label"), read_text_table(files[1])
    else:
        negative, positive, others = (_read_originals(path) for path in files)
        labels = [*["neg"] * len(negative), *["pos"] * len(positive)]
        train = text_dataset([*negative, *positive], labels, where=files[0].parent)
        unlabelled = text_dataset(others, where=files[2])
    parts = {}
    # Whatever labels the unlabelled reviews may carry are left behind here.
    for part, data in (("train", train), ("unlabelled", drop_labels(unlabelled))):
        data = data.remove_columns("domain") if "domain" in data.column_names else data
        parts[part] = data.add_column("domain", [domain] * len(data), feature=Value("string"))
    return DatasetDict(parts)


def load_amazon_ngrams(domain: str, folders: Sequence[Path]) -> Dataset:
    """The labelled reviews of one domain as counts of their words and word pairs ("processed_acl").

    A review is a line of ``ngram:count`` with single spaces between them, and ends in ``#label#:positive``. A pair is
    joined by ``_``; what stands before the last colon is the n-gram, whatever else it holds.

    Args:
        domain: one of `DOMAINS`.
        folders: the data folders, each searched for
            ``amazon_reviews/bow_ngrams/<domain>/{negative,positive}.review.gz`` (or without ``.gz``), then for the same
            files as they are distributed, in ``amazon_reviews/processed_acl/<domain>/``.

    Returns:
        1,000 negative and 1,000 positive reviews, with ``terms``, ``counts``, ``label`` and ``domain``.

    Raises:
        NotToBeHad: the files are in no folder.
        InputError: a file is damaged; says the line.
    """
    import numpy as np
    import pyarrow

    sides = {"neg": "negative", "pos": "positive"}
    choices = [
        [f"{base}/{domain}/{side}.review" for side in sides.values()] for base in ("bow_ngrams", "processed_acl")
    ]
    files = _find_files(f"amazon-ngrams:{domain}", choices, folders, remedy=_unpack("processed_acl.tar.gz"))
    terms: list[str] = []
    counts: list[str] = []
    lengths: list[int] = []
    labels: list[str] = []
    for (label, side), path in zip(sides.items(), files, strict=True):
        for line, text in read_lines(path):
            pairs = [pair.rpartition(":") for pair in text.split(" ") if pair]
            if not pairs:
                continue
            *pairs, (name, _, value) = pairs
            if (name, value) != ("#label#", side) or not all(term and count.isdecimal() for term, _, count in pairs):
                raise InputError(
                    "this is no review as counts of n-grams",
                    where=path,
                    line=line,
                    expected=f"ngram:count several times, then #label#:{side}",
                    found=repr(text if len(text) < 120 else f"{text[:50]} ... {text[-50:]}"),
                    remedy="Copy or download the file again.",
                )
            terms += [term for term, _, _ in pairs]
            counts += [count for _, _, count in pairs]
            lengths.append(len(pairs))
            labels.append(label)
    offsets = pyarrow.array(np.cumsum([0, *lengths]), pyarrow.int32())
    values = pyarrow.array(np.asarray(counts, dtype=np.float32))
    others = text_dataset(
        ["counted"] * len(labels), labels, where=f"amazon-ngrams:{domain}", domains=[domain] * len(labels)
    )
    return counted_dataset(
        pyarrow.ListArray.from_arrays(offsets, pyarrow.array(terms, pyarrow.string())),
        pyarrow.ListArray.from_arrays(offsets, values),
        others,
    )


def load_amazon_bow5000(domain: str, folders: Sequence[Path]) -> DatasetDict:
    """The reviews of one domain as counts of 5,000 words and word pairs, with the test set of the mSDA and DANN papers.

    The files number the features and do not name them: a term is its number, ``"0"`` to ``"4999"``.

    Args:
        domain: one of `DOMAINS`.
        folders: the data folders, each searched for ``amazon_reviews/bow_5000/<domain>_{train,test}.svmlight.gz`` (or
            without ``.gz``).

    Returns:
        ``train`` with 2,000 reviews and ``test`` with 3,586 to 5,945, with ``terms``, ``counts``, ``label`` and
        ``domain``.

    Raises:
        NotToBeHad: the files are in no folder.
        InputError: a file is damaged; says the line.

    Reference: M. Chen, Z. Xu, K. Weinberger, F. Sha (2012), Marginalized denoising autoencoders for domain adaptation,
        section 4, https://arxiv.org/abs/1206.4683; Y. Ganin et al. (2016), Domain-adversarial training of neural
        networks, section 5.1.2, https://jmlr.org/papers/v17/15-239.html
    """
    from datasets import DatasetDict

    names = [f"bow_5000/{domain}_{part}.svmlight" for part in ("train", "test")]
    remedy = f"Put {domain}_train.svmlight and {domain}_test.svmlight of {BOW5000_URL} at these places."
    files = _find_files(f"amazon-bow5000:{domain}", [names], folders, remedy=remedy)
    return DatasetDict(
        {part: _read_svmlight(path, domain) for part, path in zip(("train", "test"), files, strict=True)}
    )


def _read_svmlight(path: Path, domain: str) -> Dataset:
    import numpy as np
    import pyarrow
    from sklearn.datasets import load_svmlight_file

    try:
        features, signs = load_svmlight_file(str(path), n_features=NUM_FEATURES, zero_based=True, dtype=np.float32)
    except ValueError:
        raise _broken_line(path) from None
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    if not set(signs) <= {1, -1}:
        raise _broken_line(path)
    labels = ["pos" if sign > 0 else "neg" for sign in signs]
    others = text_dataset(["counted"] * len(labels), labels, where=path, domains=[domain] * len(labels))
    offsets = pyarrow.array(features.indptr, pyarrow.int32())
    terms = pyarrow.array([str(index) for index in range(NUM_FEATURES)]).take(pyarrow.array(features.indices))
    return counted_dataset(
        pyarrow.ListArray.from_arrays(offsets, terms),
        pyarrow.ListArray.from_arrays(offsets, pyarrow.array(features.data)),
        others,
    )


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"the file can't be read ({error})", where=path, remedy="Copy or download the file again.")


def _broken_line(path: Path) -> InputError:
    """The error that names the first line which is not as it should be; a slow search, for a file known to be wrong."""
    for line, text in read_lines(path):
        label, *pairs = text.split() or [""]
        indices = [int(index) if index.isdecimal() else -1 for index, _, _ in (pair.partition(":") for pair in pairs)]
        ordered = all(0 <= index < NUM_FEATURES for index in indices) and indices == sorted(set(indices))
        if (
            label not in ("1", "-1", "+1")
            or not ordered
            or not all(_is_number(pair.partition(":")[2]) for pair in pairs)
        ):
            return InputError(
                "this is no review as counts of numbered features",
                where=path,
                line=line,
                expected=f"1 or -1, then index:count several times, with rising indices from 0 to {NUM_FEATURES - 1}",
                found=repr(text[:80]),
                remedy="Copy or download the file again.",
            )
    return InputError("the file is not in svmlight format", where=path, remedy="Copy or download the file again.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_originals(path: Path) -> list[str]:
    """The titles and texts of a file that looks like XML, but is not well-formed."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            reviews = file.read().decode("windows-1252", errors="replace").split("</review>")
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    found = [(match[1], match[2]) for review in reviews if (match := _TITLE_AND_TEXT.search(review))]
    if not found:
        raise InputError("the file holds no reviews", where=path, expected="<review> ... <review_text> ... </review>")
    return [" ".join(html.unescape(f"{title} {text}").split()) for title, text in found]


def _find_files(corpus: str, choices: Sequence[Sequence[str]], folders: Sequence[Path], *, remedy: str) -> list[Path]:
    """The files of the first choice that is complete below ``amazon_reviews/`` of a folder; each may be gzipped."""
    for folder in folders:
        base = folder / "amazon_reviews"
        for names in choices:
            either = [[path for path in (base / f"{name}.gz", base / name) if path.is_file()] for name in names]
            if all(either):
                return [paths[0] for paths in either]
    raise fetching.not_to_be_had(
        corpus,
        [folder / "amazon_reviews" / name for folder in folders for names in choices for name in names],
        remedy=f"No checksum of it is published, so it is not fetched. {remedy} A data folder is named by data_dir or "
        "NLPTRANSFER_DATA.",
    )


def _unpack(archive: str) -> str:
    return f"Get {archive} from {REVIEWS_URL} and unpack it in the folder amazon_reviews of a data folder."
