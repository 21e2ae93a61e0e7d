"""Named sets are gensim's; offline, what is at hand is used and what is not is one clear error."""

import gzip
from pathlib import Path
from urllib.error import URLError

import pytest

from nlptransfer.embeddings.word_vectors import read_word_vectors
from nlptransfer.errors import InputError


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gensim import downloader

    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network in this test")

    monkeypatch.setattr(downloader, "BASE_DIR", str(tmp_path))
    monkeypatch.setattr(downloader, "urlopen", refuse)
    monkeypatch.setattr(downloader.urllib, "urlretrieve", refuse)


def test_a_set_at_hand_is_read_without_the_network(tmp_path: Path) -> None:
    (tmp_path / "tiny-1").mkdir()
    (tmp_path / "tiny-1" / "tiny-1.gz").write_bytes(gzip.compress(b"1 2\nthe 1 2\n"))
    vectors = read_word_vectors("gensim:tiny-1")
    assert (vectors.words, vectors.source) == (["the"], "gensim:tiny-1")


def test_offline_the_message_says_where_it_looked_and_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InputError, match=r"gensim:glove-twitter-25: .*can't be fetched") as caught:
        read_word_vectors("gensim:glove-twitter-25")
    assert str(tmp_path / "glove-twitter-25") in str(caught.value)
    assert "python -m gensim.downloader --download glove-twitter-25" in str(caught.value)
    assert "Traceback" not in caplog.text


def test_an_unknown_name_is_answered_with_close_ones(tmp_path: Path) -> None:
    (tmp_path / "information.json").write_text('{"corpora": {}, "models": {"glove-twitter-25": {}, "other": {}}}')
    with pytest.raises(InputError, match=r"no vectors of that name.*Did you mean glove-twitter-25"):
        read_word_vectors("gensim:glove-twiter-25")
    with pytest.raises(InputError, match="can't be fetched"):
        read_word_vectors("gensim:glove-twitter-25")
