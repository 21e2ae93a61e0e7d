"""Transliteration by rules: letters and words by hand, round trips, tables of the user's own, and real names."""

from __future__ import annotations

import pickle
import re
from itertools import permutations
from pathlib import Path

import pytest

from nlptransfer.crosslingual import transliteration
from nlptransfer.crosslingual.script_normalisation import normalise_devanagari, normalise_urdu
from nlptransfer.crosslingual.transliteration import (
    Transliterator,
    join_vowel_signs,
    make_transliterator,
    read_table,
    script_of,
    sound_key,
    spoken_schwas,
)
from nlptransfer.crosslingual.urdu_hindi_rules import urdu_to_devanagari
from nlptransfer.errors import InputError
from nlptransfer.evaluation.transliteration_scores import transliteration_scores

LETTERS = {
    "Arab": re.compile("[\u0620-\u065f\u066e-\u06d3\ufb50-\ufefc]"),
    "Deva": re.compile("[ऀ-ॣ]"),
    "Latn": re.compile("[a-zA-Z\u00c0-\u024f\u1e00-\u1eff]"),
}


def written(source: str, target: str, text: str) -> str:
    return make_transliterator(source, target).text(text)


@pytest.mark.parametrize(
    ("urdu", "hindi"),
    [
        # Function words, which no rule reads right
        ("اس میں کے کی کا نے سے پر ہے ہیں تھا", "इस में के की का ने से पर है हैं था"),
        ("گیا کہ اور بھی کو یہ وہ ایک جو لیے لئے", "गया कि और भी को यह वह एक जो लिए लिए"),
        ("نہیں ہوا ہوئی ہوئے انہوں کیا کیونکہ", "नहीं हुआ हुई हुए उन्होंने क्या क्योंकि"),
        # Encodings go through normalisation first
        ("مےں ہےں اےک", "में हैं एक"),
        ("\u0643\u064a", "की"),
        ("\ufb90\ufe8e", "का"),
        # Aspirates, retroflexes
        ("گھر ٹھیک بھائی لڑکا پڑھ", "घर ठीक भाई लड़का पढ़"),
        # Vowel carriers
        ("آم آگ اوپر ایران عام عورت", "आम आग ऊपर ईरान आम औरत"),
        ("جاؤ گاؤں آئی کوئی جائے لوگوں لڑکیاں", "जाव गांव आई कोई जाए लोगों लड़कियां"),
        # Word-final he
        ("مدرسہ راہ البانیہ", "मदरसा राह अलबानिया"),
        # Nasals before a stop, at the end and elsewhere
        ("رنگ کمبل ہاں نام", "रंग कंबल हां नाम"),
        # Vowel marks, twin letters, izafat
        ("اُس اِس پکّا اچّھی", "उस इस पक्का अच्छी"),
        ("حکومتِ جذبۂ فوراً موسیٰ", "हुकूमत-ए जज़बा-ए फ़ौरन मोसा"),
        # Signs and digits
        ("ہے۔ کیا؟ ہاں، ۱۲ ٪", "है। क्या? हां, 12 %"),
    ],
)
def test_urdu_in_devanagari(urdu: str, hindi: str) -> None:
    assert written("Arab", "Deva", urdu) == hindi


@pytest.mark.parametrize(
    ("hindi", "urdu"),
    [
        ("इस में के है हैं कि और नहीं वे लिए", "اس میں کے ہے ہیں کہ اور نہیں وہ لیے"),
        ("घर भाई लड़का पढ़ ख़बर क़लम ग़म ज़रा फ़न", "گھر بھائی لڑکا پڑھ خبر قلم غم زرا فن"),
        ("आग आम ईद ऊन एक ओस", "آگ عام عید اون ایک اوس"),
        ("हुआ हुई हुए जाओ जाए आइए गाँव लोगों", "ہوا ہوئی ہوئے جاؤ جائے آئیے گاؤں لوگوں"),
        ("रङ्ग रंग लम्बा लंबा हाँ पाँच", "رنگ رنگ لمبا لمبا ہاں پانچ"),
        ("पक्का मच्छर पत्थर बुद्ध", "پکا مچھر پتھر بدھ"),
        ("स्कूल स्टेशन ज्ञान कृष्ण गणेश भाषा", "اسکول اسٹیشن گیان کرشن گنیش بھاشا"),
        ("गुरु शक्ति भारतीय राज्य", "گرو شکتی بھارتیہ راجیہ"),
        ("है। १२", "ہے۔ 12"),
    ],
)
def test_devanagari_in_urdu(hindi: str, urdu: str) -> None:
    assert written("Deva", "Arab", hindi) == urdu


@pytest.mark.parametrize(
    ("hindi", "latin"),
    [
        ("सरकार समझना लड़का कमल न यह", "sarkār samajhnā laṛkā kamal na yah"),
        ("हिन्दी लंबा पाँच हूँ", "hindī lambā pānch hūṁ"),
        ("छात्र ठीक ढोल ज़मीन फ़ौज शेष", "chhātr ṭhīk ḍhol zamīn fauj shesh"),
        ("है। ऑफ़िस", "hai. āfis"),
    ],
)
def test_devanagari_in_latin(hindi: str, latin: str) -> None:
    assert written("Deva", "Latn", hindi) == latin


@pytest.mark.parametrize(
    ("latin", "hindi"),
    [
        ("kya haal hai bhai", "क्या हाल है भाई"),
        ("Main ghar ja raha hoon", "मैं घर जा रहा हूं"),
        ("mujhe pyaar nahi chahiye", "मुझे प्यार नहीं चाहिए"),
        ("accha dost dard hindi", "अच्छा दोस्त दर्द हिंदी"),
        ("aap logon ko", "आप लोगों को"),
        ("laṛkā ṭhīk ḍhol zamīn", "लड़का ठीक ढोल ज़मीन"),
    ],
)
def test_chat_spelling_and_marked_letters_in_devanagari(latin: str, hindi: str) -> None:
    assert written("Latn", "Deva", latin) == hindi


def test_chat_spelling_in_urdu() -> None:
    assert written("Latn", "Arab", "yeh kya baat hai dost, ham bhi aap ke saath hain") == (
        "یہ کیا بات ہے دوست, ہم بھی آپ کے ساتھ ہیں"
    )


NO_SHORT_VOWELS = "पानी बात राजा भाई जाए लोगों कोई रोटी काम हाथ नाम गाना बाज़ार दाल ढोल लाखों आज एक था थे थी की के का कोठी"


def test_words_whose_vowels_urdu_writes_come_back_from_it() -> None:
    assert written("Arab", "Deva", written("Deva", "Arab", NO_SHORT_VOWELS)) == NO_SHORT_VOWELS


def test_words_whose_vowels_urdu_writes_are_romanised_alike_from_both_scripts() -> None:
    assert written("Arab", "Latn", written("Deva", "Arab", NO_SHORT_VOWELS)) == written("Deva", "Latn", NO_SHORT_VOWELS)


def test_romanised_words_come_back_where_no_schwa_was_left_out_between_consonants() -> None:
    words = NO_SHORT_VOWELS.replace("एक", "कमल घर सड़क").split()
    romanised = [written("Deva", "Latn", word) for word in words]
    assert [written("Latn", "Deva", word) for word in romanised] == words


@pytest.mark.parametrize(("source", "target"), list(permutations(("Arab", "Deva", "Latn"), 2)))
def test_no_letter_of_the_source_script_is_left(source: str, target: str) -> None:
    texts = {
        "Arab": "ابپتٹثجچحخدڈذرڑزژسشصضطظعغفقکگلمنںوہھءیےآؤئۂۃ",
        "Deva": "अआइईउऊऋएऐओऔऑऍकखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसहळक़ख़ग़ज़ड़ढ़फ़य़ॐ",
        "Latn": "abcdefghijklmnopqrstuvwxyzāīūṭḍṛśṅñṇṣ",
    }
    signs = {"Arab": "\u064b\u064e\u064f\u0650\u0651\u0652\u0670\u0656\u0657\u0658اویےہھ", "Deva": "ािीुूृेैोौॉॅ्ंँः"}
    write = make_transliterator(source, target).word
    for letter in texts[source]:
        for word in (
            letter,
            letter * 2,
            f"{letter}{texts[source][0]}",
            *(letter + s for s in signs.get(source, "aeiou")),
        ):
            for inside in (word, texts[source][15] + word, texts[source][15] + word + texts[source][17]):
                assert not LETTERS[source].search(write(inside)), (inside, write(inside))


def test_what_is_not_of_the_source_script_stays() -> None:
    text = "RT @علی_khan: دیکھو http://ur.example.org/اردو  COVID-19\tname@mail.pk\nwww.bbc.com/ہندی 3.5"
    assert written("Arab", "Deva", text) == (
        "RT @علی_khan: देखो http://ur.example.org/اردو  COVID-19\tname@mail.pk\nwww.bbc.com/ہندی 3.5"
    )
    assert (
        written("Latn", "Deva", "@user dost http://t.co/Ab12 example.com") == "@user दोस्त http://t.co/Ab12 example.com"
    )


def test_digits_hyphens_and_underscores_bound_words() -> None:
    assert written("Arab", "Deva", "کریں_گے 2004ء سربو-کروئیشیا") == "करें_गे 2004ई सरबो-करोईशिया"


def test_words_and_text_and_word_agree() -> None:
    tokens = ["یہ", "ہے", "یہ", "", "@x"]
    transliterator = make_transliterator("Arab", "Deva")
    assert transliterator.words(tokens) == [transliterator.word(token) for token in tokens]
    assert transliterator.text(" ".join(tokens)) == " ".join(transliterator.words(tokens))


def test_remembered_words_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transliteration, "_CACHED_WORDS", 10)
    transliterator = Transliterator([("a", "b", "")])
    assert transliterator.words([f"a{number}" for number in range(100)])[-1] == "b99"
    assert transliterator._cached.cache_info().currsize == 10


def test_a_transliterator_can_be_sent_to_another_process() -> None:
    transliterator = make_transliterator("Arab", "Latn")
    assert pickle.loads(pickle.dumps(transliterator)).word("پانی") == transliterator.word("پانی") == "pānī"


def test_an_unknown_pair_names_the_known_ones_and_the_way_out() -> None:
    with pytest.raises(InputError, match=r"from 'Cyrl' to 'Latn'.*Arab to Deva.*read_table"):
        make_transliterator("Cyrl", "Latn")


def test_vowel_signs_become_letters_where_no_consonant_carries_them() -> None:
    assert join_vowel_signs("भाी कििा ाम ज़ा") == "भाई किइआ आम ज़ा"
    assert join_vowel_signs("क्ाम्") == "काम"


def test_of_two_schwas_in_a_row_the_last_is_silent() -> None:
    assert spoken_schwas("समझना") == "सऄमऄझना"
    assert spoken_schwas("न, कमल!") == "नऄ, कऄमऄल!"


# Tables


def table(path: Path, text: str) -> Path:
    (path / "table.tsv").write_text(text, encoding="utf-8")
    return path / "table.tsv"


def test_a_table_reads_the_longest_match_and_the_place_in_the_word(tmp_path: Path) -> None:
    lines = "# Serbian\nљ\tlj\nл\tl\nj\t\nа\ta\nај\taj\nа\tA\tinitial\nа\tÀ\tfinal\nа\t-\twhole\n\nл\tL\tmedial\n"
    transliterator = read_table(table(tmp_path, lines))
    assert transliterator.text("ала ај а љалај xyz j") == "ALÀ aj - ljaLaj xyz "


def test_a_table_of_combining_letters_is_compared_in_nfc(tmp_path: Path) -> None:
    transliterator = read_table(table(tmp_path, "e\u0301\tе́\nк\tk\nि\ti\nક\tk\n"))
    assert transliterator.word("\u00e9") == "е́"


def test_the_built_in_rules_are_a_table_as_any_other(tmp_path: Path) -> None:
    rules = list(
        {(read, position): (read, to, position) for read, to, position in reversed(urdu_to_devanagari())}.values()
    )
    lines = "".join("\t".join(rule) + "\n" for rule in rules)
    words = ["کتاب", "گیا", "رنگ", "دوست"]
    own = read_table(table(tmp_path, lines)).words(words)
    assert list(map(join_vowel_signs, own)) == make_transliterator("Arab", "Deva").words(words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\nc d\n", "line 2: the line is not a rule"),
        ("a\tb\tinitial\tx\n", "line 1: the line is not a rule"),
        ("# x\n\n\tb\n", "line 3: the first column"),
        ("a b\tc\n", "line 1: the first column"),
        ("a\tb\tstart\n", "line 1: there is no position 'start'.*initial, medial, final"),
        ("a\tb\nb\tc\na\tc\n", "line 3: 'a' stands twice.*first on line 1"),
        ("# only a comment\n", "has no rules"),
    ],
)
def test_faulty_tables_are_told_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.compile(message.replace(": ", ".*"))):
        read_table(table(tmp_path, text))


def test_a_missing_table_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "none.tsv")


# Keys and scripts


@pytest.mark.parametrize(
    ("hindi", "urdu"),
    [
        ("साहिब", "صاحب"),
        ("ज़मीन", "زمین"),
        ("जमीन", "زمین"),
        ("हज़रत", "حضرت"),
        ("नजर", "نظر"),
        ("ख़त", "خط"),
        ("कलम", "قلم"),
        ("शहर", "شہر"),
        ("भाषा", "بھاشا"),
        ("मसला", "مسلہ"),
        ("तरह", "طرح"),
        ("बाद", "بعد"),
        ("मालूम", "معلوم"),
        ("अच्छा", "اچھا"),
        ("हूँ", "ہوں"),
        ("लंबा", "لمبا"),
        ("हुआ", "ہوا"),
        ("यह", "یہ"),
        ("लिए", "لیے"),
        ("लिए", "لئے"),
        ("हिन्दुस्तान", "ہندوستان"),
        ("कि", "کہ"),
        ("न", "نہ"),
        ("और", "اور"),
        ("है।", "ہے۔"),
    ],
)
def test_a_word_and_its_urdu_spelling_share_a_key(hindi: str, urdu: str) -> None:
    assert sound_key(hindi) == sound_key(urdu) != ""


def test_chat_words_share_the_key_and_other_words_do_not() -> None:
    assert sound_key("zameen") == sound_key("زمین")
    assert len({sound_key(word) for word in ("लड़का", "लड़की", "लड़के", "कमल", "कमाल", "टोपी", "तोप")}) >= 6
    assert sound_key("123 !") == ""


def test_the_script_of_words_is_that_of_most_letters() -> None:
    assert script_of(["یہ", "2004", "کتاب", "ok"]) == "Arab"
    assert script_of(iter(["हिंदी"])) == "Deva"
    assert script_of(["Հայ"]) == "ARMENIAN"
    with pytest.raises(InputError, match="no letter"):
        script_of(["12", "!"])


# Real names


@pytest.mark.data
def test_names_of_countries_and_languages_are_spelled_and_keyed_about_as_well_as_measured(real_data: Path) -> None:
    lines = (real_data / "bilingual" / "cldr_names.en-hi-ur.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [row for row in (line.split("\t") for line in lines) if not any(" " in name for name in row[1:])]
    assert len(rows) == 917
    names = [(normalise_devanagari(hindi), normalise_urdu(urdu)) for kind, _, hindi, urdu in rows if kind in "lts"]
    to_urdu = transliteration_scores(names, make_transliterator("Deva", "Arab").word)
    to_hindi = transliteration_scores(
        [(urdu, hindi) for hindi, urdu in names], make_transliterator("Arab", "Deva").word
    )
    assert to_urdu.word_accuracy > 0.39 and to_urdu.character_error_rate < 0.23
    assert to_hindi.word_accuracy > 0.13 and to_hindi.character_error_rate < 0.35
    assert sum(sound_key(hindi) == sound_key(urdu) for hindi, urdu in names) / len(names) > 0.55
