"""Lines of every kind of file, texts kept out however they are written, and shares that leave no language behind."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nlptransfer.data.text_lines import (
    SYNTHETIC,
    TextSource,
    balanced_lines,
    excluded_keys,
    find_text_source,
    group_shares,
    has_excluded_sentence,
    letters_only,
    read_text_lines,
    text_key,
)
from nlptransfer.errors import InputError


def source(path: Path, text: str) -> TextSource:
    path.write_text(text, encoding="utf-8")
    return TextSource(path.name, "group", path)


def test_each_kind_of_file_gives_its_lines(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.txt.gz", "wt", encoding="utf-8") as file:
        file.write("one  two\n\n \tthree\u00a0four\n")
    assert list(read_text_lines(tmp_path / "a.txt.gz")) == ["one two", "three four"]
    tree = "# text = A  b.\n# text_en = not this\n1\tA\t_\n\n# sent_id = 2\n# text = C\n1\tC\t_\n"
    assert list(source(tmp_path / "a.conllu", tree).lines()) == ["A b.", "C"]
    assert list(source(tmp_path / "a.tsv", "id\ttext\n1\tfirst\n2\tnext one\n").lines()) == ["first", "next one"]
    assert list(source(tmp_path / "a.jsonl", '{"text": "a\\nb", "label": "x"}\n').lines()) == ["a b"]


def test_the_synthetic_text_is_in_two_scripts() -> None:
    first, second = (next(find_text_source(name).lines()) for name in SYNTHETIC)
    assert first.isascii() and not second.isascii()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", " \n\n", "holds no text. Expected a line or more"),
        ("a.conllu", "1\tA\t_\n", "Expected a line `# text = ...` for each sentence"),
        ("a.tsv", "id\tbody\n1\tfirst\n", "no text in the column 'text'"),
    ],
)
def test_a_file_without_text_is_an_error(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match="a\\.") as caught:
        list(source(tmp_path / name, text).lines())
    assert message in str(caught.value)


def test_files_are_found_below_the_data_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one" / "text").mkdir(parents=True)
    file = tmp_path / "one" / "text" / "hi.txt"
    file.write_text("a\n")
    monkeypatch.setenv("NLPTRANSFER_DATA", str(tmp_path / "one"))
    found = find_text_source("text/hi.txt")
    assert (found.name, found.group, found.path) == ("text/hi.txt", "text/hi.txt", file)
    assert find_text_source("hi=text/hi.txt") == TextSource("text/hi.txt", "hi", file)
    assert find_text_source(f"hi={file}").path == file
    (tmp_path / "odd=name.txt").write_text("a\n")
    assert find_text_source(str(tmp_path / "odd=name.txt")).name == str(tmp_path / "odd=name.txt")
    for name in ("text/ur.txt", "ur=text/ur.txt"):
        with pytest.raises(InputError, match=r"^text/ur.txt: there is no such file of text") as caught:
            find_text_source(name)
        assert str(tmp_path / "one" / "text" / "ur.txt") in str(caught.value)
        assert "NLPTRANSFER_DATA" in str(caught.value)
    with pytest.raises(InputError, match=r"Did you mean .*hi\.txt"):
        find_text_source(str(tmp_path / "one" / "text" / "h.txt"))


def test_excluded_texts_are_known_however_they_are_written(tmp_path: Path) -> None:
    kept_out = source(
        tmp_path / "test.txt", "वह घर गया ।\nThe cat, it sat. Nobody in the house had noticed it at all!\n...\n"
    )
    keys = excluded_keys([kept_out])
    for line in ("वह घर गया", "वह घर गया।", "the cat it sat nobody in the house had noticed it at all"):
        assert text_key(line) in keys
    assert text_key("वह घर गयी") not in keys, "vowel signs tell words apart"
    assert text_key("?!") not in keys, "lines of signs are nobody's"
    sentence = "nobody in the house had noticed it, at all"
    assert text_key(sentence) in keys, "a sentence of a line kept out"
    assert has_excluded_sentence(f"It rained. {sentence.title()}. So be it", keys)
    assert not has_excluded_sentence("It rained. The cat, it sat. So be it", keys), "too short to be anybody's own"
    assert not has_excluded_sentence("It rained. Nobody in the house knew. So be it", keys)
    assert letters_only("Ab १2-क़") == "ab१2क़"


def test_small_groups_are_shown_more_often_than_their_size() -> None:
    sizes = {"hi": 900.0, "ur": 100.0, "en": 25.0}
    shares = group_shares(sizes, exponent=0.5)
    assert shares == pytest.approx({"hi": 30 / 45, "ur": 10 / 45, "en": 5 / 45})
    assert group_shares(sizes, exponent=1.0) == pytest.approx({name: size / 1025 for name, size in sizes.items()})
    assert group_shares(sizes, exponent=0.0) == pytest.approx(dict.fromkeys(sizes, 1 / 3))
    for wrong in ({}, {"hi": 1, "ur": 0}):
        with pytest.raises(ValueError, match="size above 0"):
            group_shares(wrong, exponent=0.5)


def test_a_balanced_sample_has_the_shares_in_characters() -> None:
    texts = {"long": ["x" * 40] * 4000, "short": ["y" * 10] * 1000}
    sizes = {name: (len(lines), sum(map(len, lines))) for name, lines in texts.items()}
    sample = balanced_lines(
        {name: [lines] for name, lines in texts.items()}, sizes, max_lines=3000, exponent=0.5, seed=0
    )
    shares = group_shares({name: characters for name, (_, characters) in sizes.items()}, exponent=0.5)
    characters = {name: sum(len(line) for line in sample if line[0] == texts[name][0][0]) for name in texts}
    assert abs(len(sample) - 3000) < 150
    for name, share in shares.items():
        assert characters[name] / sum(characters.values()) == pytest.approx(share, abs=0.03)
    again = balanced_lines(
        {name: [lines] for name, lines in texts.items()}, sizes, max_lines=3000, exponent=0.5, seed=0
    )
    assert sample == again


def test_a_tiny_group_comes_several_times() -> None:
    sample = balanced_lines(
        {"big": [["abcd"] * 900], "tiny": [["wxyz"] * 9]}, {"big": (900, 3600), "tiny": (9, 36)},
        max_lines=200, exponent=0.5, seed=1,
    )  # fmt: skip
    assert sample.count("wxyz") == pytest.approx(200 / 11, abs=6)
