"""NLTK's corpora: their published sizes, their own tags and universal ones, and damaged packages."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import nltk.data
import pytest
from datasets import Dataset

from nlptransfer.data.nltk_corpora import UNIVERSAL_TAGS, find_nltk_package, read_nltk_corpus, read_universal_map
from nlptransfer.data.splits import tag_names
from nlptransfer.errors import InputError

CHAT = """<Session><Posts>
<Post class="Other" user="u">x<terminals><t pos="^NN" word="cta"/>
<t pos="" word="!"/><t pos="" word=""/></terminals></Post>
<Post class="Statement" user="u">x<terminals><t pos="^PRP^VBP" word="im"/><t pos="BES" word="s"/></terminals></Post>
</Posts></Session>"""


def pairs(data: Dataset) -> list[list[tuple[str, str]]]:
    names = tag_names(data)
    return [
        [(word, names[tag]) for word, tag in zip(words, tags, strict=True)]
        for words, tags in zip(data["tokens"], data["tags"], strict=True)
    ]


def make_package(folder: Path, package: str, files: dict[str, str]) -> Path:
    path = folder / f"{package}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    path.chmod(0o644)
    return path


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    tree = "( (S (NP (-NONE- *)) (VP (VB Go)) (. .)) )\n( (NP (-NONE- 0)) )\n"
    return make_package(tmp_path / "nltk_data", "corpora/treebank", {"treebank/combined/wsj_0001.mrg": tree})


def test_traces_are_words_unless_they_are_dropped(treebank: Path) -> None:
    kept = pairs(read_nltk_corpus("treebank", treebank))
    assert kept == [[("*", "-NONE-"), ("Go", "VB"), (".", ".")], [("0", "-NONE-")]]
    # A sentence of traces alone is gone with them.
    assert pairs(read_nltk_corpus("treebank", treebank, traces=False)) == [[("Go", "VB"), (".", ".")]]


def test_the_data_path_of_nltk_is_as_before(treebank: Path) -> None:
    before = list(nltk.data.path)
    read_nltk_corpus("treebank", treebank)
    assert nltk.data.path == before


def test_an_unpacked_package_reads_like_its_zip(treebank: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(treebank) as archive:
        archive.extractall(tmp_path / "other" / "corpora")
    for path in (tmp_path / "other").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    found, tried = find_nltk_package("corpora/treebank", [tmp_path / "absent", tmp_path / "other"])
    assert found == tmp_path / "other" / "corpora" / "treebank"
    assert tried[0] == tmp_path / "absent" / "nltk_data" / "corpora" / "treebank.zip"
    assert pairs(read_nltk_corpus("treebank", found)) == pairs(read_nltk_corpus("treebank", treebank))


def test_chat_tags_lose_their_marks_and_become_universal(tmp_path: Path) -> None:
    chat = make_package(tmp_path, "corpora/nps_chat", {"nps_chat/10-19_2posts.xml": CHAT})
    tags = make_package(
        tmp_path, "taggers/universal_tagset", {"universal_tagset/en-ptb.map": "NN\tNOUN\nPRP\tPRON\nVBP\tVERB\n"}
    )
    assert pairs(read_nltk_corpus("nps_chat", chat)) == [
        [("cta", "^NN"), ("!", "X")],
        [("im", "^PRP^VBP"), ("s", "BES")],
    ]
    assert pairs(read_nltk_corpus("nps_chat", chat, universal_package=tags)) == [
        [("cta", "NOUN"), ("!", "X")],
        [("im", "PRON"), ("s", "X")],
    ]


def test_a_damaged_package_is_named_with_the_remedy(treebank: Path) -> None:
    treebank.write_bytes(treebank.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"treebank\.zip: the NLTK package is damaged.*nltk\.downloader treebank"):
        read_nltk_corpus("treebank", treebank)


def test_a_package_without_its_corpus_is_named(tmp_path: Path) -> None:
    path = make_package(tmp_path / "nltk_data", "corpora/treebank", {"other/file": "x"})
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_nltk_corpus("treebank", path)


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_a_package_that_nltk_refuses_for_its_mode_says_how_to_mend_it(treebank: Path) -> None:
    treebank.chmod(0o666)
    try:
        read_nltk_corpus("treebank", treebank)  # NLTK before 3.10 reads it
    except InputError as error:
        assert "chmod -R go-w" in str(error)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "options", "num_sentences", "num_tokens", "num_tags"),
    [
        ("treebank", {}, 3_914, 100_676, 46),
        ("treebank", {"traces": False}, 3_914, 94_084, 45),
        ("brown", {"genres": ["news"]}, 4_623, 100_554, 218),
        ("conll2000", {"split": "train"}, 8_936, 211_727, 44),
        ("conll2000", {"split": "test"}, 2_012, 47_377, 43),
        # One token of the 45,010 has no word.
        ("nps_chat", {}, 10_567, 45_009, 73),
        ("masc_tagged", {"genres": ["email"]}, 1_637, 36_285, 51),
    ],
)
def test_corpora_have_their_published_sizes(
    real_data: Path, name: str, options: dict, num_sentences: int, num_tokens: int, num_tags: int
) -> None:
    data = read_nltk_corpus(name, real_data / "nltk_data" / "corpora" / f"{name}.zip", **options)
    assert (len(data), sum(map(len, data["tokens"])), len(tag_names(data))) == (num_sentences, num_tokens, num_tags)


@pytest.mark.data
def test_conll2000_has_chunks_of_all_types(real_data: Path) -> None:
    package = real_data / "nltk_data" / "corpora" / "conll2000.zip"
    data = read_nltk_corpus("conll2000", package, split="test", chunks=True)
    counts = Counter(tag for sentence in pairs(data) for _, tag in sentence)
    assert (len(data), sum(counts.values())) == (2_012, 47_377)
    # As the shared task counts them: 12,422 noun and 4,658 verb phrases among 23,852.
    begun = {tag: count for tag, count in counts.items() if tag.startswith("B-")}
    assert (begun["B-NP"], begun["B-VP"], sum(begun.values())) == (12_422, 4_658, 23_852)
    with pytest.raises(ValueError, match="treebank has no chunks"):
        read_nltk_corpus("treebank", package, chunks=True)


@pytest.mark.slow
@pytest.mark.data
def test_the_whole_of_brown_has_its_published_size(real_data: Path) -> None:
    data = read_nltk_corpus("brown", real_data / "nltk_data" / "corpora" / "brown.zip")
    assert (len(data), sum(map(len, data["tokens"]))) == (57_340, 1_161_192)
    assert len(set(data["domain"])) == 15


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "genre", "universal_map"), [("treebank", None, "en-ptb"), ("brown", "humor", "en-brown")]
)
def test_universal_tags_are_those_of_nltk(
    real_data: Path, monkeypatch: pytest.MonkeyPatch, name: str, genre: str | None, universal_map: str
) -> None:
    from nltk.corpus.reader import BracketParseCorpusReader, CategorizedTaggedCorpusReader

    corpora = real_data / "nltk_data" / "corpora"
    tags = real_data / "nltk_data" / "taggers" / "universal_tagset.zip"
    monkeypatch.setattr(nltk.data, "path", [str(real_data / "nltk_data")])
    if name == "treebank":
        root = nltk.data.find("corpora/treebank.zip/treebank/combined/")
        reader = BracketParseCorpusReader(root, r"wsj_.*\.mrg", tagset="wsj", encoding="ascii")
        expected = reader.tagged_sents(tagset="universal")
    else:
        root = nltk.data.find("corpora/brown.zip/brown/")
        reader = CategorizedTaggedCorpusReader(
            root, r"c[a-z]\d\d", cat_file="cats.txt", tagset="brown", encoding="ascii"
        )
        expected = reader.tagged_sents(categories=[genre], tagset="universal")
    data = read_nltk_corpus(name, corpora / f"{name}.zip", genres=[genre] if genre else (), universal_package=tags)
    assert pairs(data) == [list(sentence) for sentence in expected]
    assert set(tag_names(data)) <= set(UNIVERSAL_TAGS)
    assert set(read_universal_map(tags, universal_map).values()) == set(UNIVERSAL_TAGS)


@pytest.mark.data
def test_an_unknown_genre_is_told_with_its_look_alike(real_data: Path) -> None:
    with pytest.raises(InputError, match=r"no genre 'newz'.*science_fiction.*Did you mean news"):
        read_nltk_corpus("brown", real_data / "nltk_data" / "corpora" / "brown.zip", genres=["newz"])


@pytest.mark.data
def test_a_copy_elsewhere_is_found_through_nltk_itself(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corpora").mkdir()
    copy = tmp_path / "corpora" / "conll2000.zip"
    shutil.copyfile(real_data / "nltk_data" / "corpora" / "conll2000.zip", copy)
    copy.chmod(0o644)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    found, _ = find_nltk_package("corpora/conll2000", [])
    assert found == copy
