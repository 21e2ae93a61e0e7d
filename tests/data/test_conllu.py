"""CoNLL-U: ranges, empty nodes, comments, genres, and each way to break a line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nlptransfer.data.conllu import check_block, read_conllu
from nlptransfer.data.splits import tag_names
from nlptransfer.errors import InputError


def line(number: str, form: str, upos: str = "NOUN", xpos: str = "NN") -> str:
    return f"{number}\t{form}\t{form}\t{upos}\t{xpos}\t_\t_\t_\t_\t_"


GOOD = "\n".join(
    [
        "# newdoc id = reviews-1",
        "# text = I don't.",
        line("1", "I", "PRON", "PRP"),
        line("2-3", "don't", "_", "_"),
        line("2", "do", "AUX", "VBP"),
        line("3", "n't", "PART", "RB"),
        line("3.1", "know", "VERB", "VB"),
        line("4", ".", "PUNCT", "."),
        "",
        "# a bare comment",
        line("1", "New York", "PROPN", "NNP"),
        "",
    ]
)


def write(folder: Path, text: str) -> Path:
    path = folder / "a.conllu"
    path.write_text(text, encoding="utf-8")
    return path


def test_tokens_are_the_syntactic_words(tmp_path: Path) -> None:
    data = read_conllu(write(tmp_path, GOOD))
    names = tag_names(data)
    assert data["tokens"][:] == [["I", "do", "n't", "."], ["New York"]]
    assert [[names[tag] for tag in tags] for tags in data["tags"]] == [["PRON", "AUX", "PART", "PUNCT"], ["PROPN"]]
    assert names == sorted(names)


def test_xpos_is_read_on_request_and_comments_are_kept(tmp_path: Path) -> None:
    data = read_conllu(write(tmp_path, GOOD), tag_column="xpos")
    assert tag_names(data) == [".", "NNP", "PRP", "RB", "VBP"]
    assert data["comments"][:] == [["# newdoc id = reviews-1", "# text = I don't."], ["# a bare comment"]]


def test_the_genre_lasts_until_the_next_document(tmp_path: Path) -> None:
    assert read_conllu(write(tmp_path, GOOD))["domain"][:] == ["reviews", "reviews"]
    text = f"# newdoc id = GUM_fiction_moon\n{line('1', 'a')}\n\n# newdoc id = GUM_bio_x\n{line('1', 'b')}\n"
    assert read_conllu(write(tmp_path, text))["domain"][:] == ["fiction", "bio"]


def test_there_is_no_domain_where_a_document_tells_none(tmp_path: Path) -> None:
    text = f"{GOOD}\n# newdoc id = other\n{line('1', 'b')}\n"
    assert "domain" not in read_conllu(write(tmp_path, text)).column_names


def test_gzip_windows_line_ends_and_a_missing_last_line_are_read_alike(tmp_path: Path) -> None:
    plain = read_conllu(write(tmp_path, GOOD)).to_dict()
    path = tmp_path / "b.conllu.gz"
    path.write_bytes(gzip.compress(GOOD.strip().replace("\n", "\r\n").encode()))
    assert read_conllu(path).to_dict() == plain


BROKEN = {
    "nine columns": (line("2", "b").rsplit("\t", 1)[0], "another number of columns", "found 9"),
    "spaces": ("2  b  b  NOUN  NN  _  _  _  _  _", "another number of columns", "found 1 "),
    "empty column": (line("2", ""), "a column is empty", "found nothing in column 2"),
    "no number": (line("x", "b"), "first column is no word number", "found 'x'"),
    "skipped number": (line("3", "b"), "not in sequence", "Expected 2; found 3"),
    "repeated number": (line("1", "b"), "not in sequence", "Expected 2; found 1"),
    "empty node out of place": (line("4.1", "b"), "not in sequence", r"Expected 1\.1; found 4\.1"),
    "backward range": (line("2-2", "b"), "not in sequence", "found 2-2"),
    "range past the end": (line("2-3", "b"), "reaches past the end", "Expected words up to number 3; found 1"),
    "two spaces in a form": (line("2", "b  c"), "two spaces in a row", "found"),
    "no tag": (line("2", "b", upos="_"), "the word 'b' has no tag", "XPOS has one: use tag_column=xpos"),
}


@pytest.mark.parametrize(("broken", "problem", "details"), BROKEN.values(), ids=BROKEN)
def test_a_broken_line_is_named_with_what_was_expected(tmp_path: Path, broken: str, problem: str, details: str) -> None:
    text = f"# text = a b\n{line('1', 'a')}\n{broken}\n\n{line('1', 'c')}\n"
    with pytest.raises(InputError, match=rf"a\.conllu, line 3: .*{problem}.*{details}"):
        read_conllu(write(tmp_path, text))


@pytest.mark.parametrize("text", ["", "\n\n", "# only = comments\n"])
def test_a_file_without_sentences_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="the corpus is empty"):
        read_conllu(write(tmp_path, text))


def test_only_two_columns_hold_tags(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Expected upos, xpos, or misc:<key> such as misc:Chunk; found deprel"):
        read_conllu(write(tmp_path, GOOD), tag_column="deprel")


def test_the_column_misc_has_tags_under_its_keys(tmp_path: Path) -> None:
    parts = ["Chunk=B-NP|SpaceAfter=No", "SpaceAfter=No|Chunk=I-NP", "_", "Chunk="]
    rows = [line(str(number), "w").removesuffix("_") + misc for number, misc in enumerate(parts, start=1)]
    path = write(tmp_path, "\n".join([rows[0], line("2-3", "ab"), *rows[1:], line("4.1", "empty"), ""]))
    data = read_conllu(path, tag_column="misc:Chunk")
    assert [[tag_names(data)[tag] for tag in tags] for tags in data["tags"]] == [["B-NP", "I-NP", "_", "_"]]
    with pytest.raises(InputError, match=r"MISC has no key 'chunk'. Found Chunk, SpaceAfter.*capital letters"):
        read_conllu(path, tag_column="misc:chunk")
    with pytest.raises(InputError, match="no such tag column"):
        read_conllu(path, tag_column="misc:")


def test_a_block_of_comments_or_of_nothing_is_no_error() -> None:
    check_block([], where="here")
    check_block([(1, "# a comment")], where="here")


def test_the_line_that_is_no_conllu_comes_with_the_callers_remedy() -> None:
    with pytest.raises(InputError, match=r"here, line 7: .*Do this\.$"):
        check_block([(7, "a b")], where="here", remedy="Do this.")


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "num_sentences", "num_words"),
    [
        ("UD_English-EWT/en_ewt-ud-train.conllu", 12_544, 204_577),
        ("UD_English-EWT/en_ewt-ud-dev.conllu", 2_001, 25_147),
        ("UD_English-EWT/en_ewt-ud-test.conllu", 2_077, 25_094),
        ("UD_English-GUM/en_gum-ud-test.conllu", 1_464, 28_397),
        ("UD_Hindi-PUD/hi_pud-ud-test.conllu", 1_000, 23_829),
        ("UD_Urdu-UDTB/ur_udtb-ud-test.conllu", 535, 14_806),
    ],
)
def test_treebanks_have_their_published_sizes(real_data: Path, file: str, num_sentences: int, num_words: int) -> None:
    data = read_conllu(real_data / "ud" / file)
    assert (len(data), sum(map(len, data["tokens"]))) == (num_sentences, num_words)


@pytest.mark.data
def test_a_treebank_agrees_with_a_plain_split_at_tabs(real_data: Path) -> None:
    path = real_data / "ud" / "UD_English-GUM" / "en_gum-ud-dev.conllu"
    rows = [row.split("\t") for row in path.read_text(encoding="utf-8").split("\n")]
    words = [(row[1], row[4]) for row in rows if row[0].isdigit()]
    data = read_conllu(path, tag_column="xpos")
    names = tag_names(data)
    read = [
        (word, names[tag])
        for tokens, tags in zip(data["tokens"], data["tags"], strict=True)
        for word, tag in zip(tokens, tags, strict=True)
    ]
    assert read == words
