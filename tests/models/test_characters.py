"""A word's features come from its own characters alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from nlptransfer.data.vocabulary import BOUNDARIES, Vocabulary, spell
from nlptransfer.models.characters import CharacterCNN, CharacterLSTM

ENCODERS = [CharacterCNN, CharacterLSTM]
VOCABULARY = Vocabulary([*BOUNDARIES, *"abcdefghijklmnopqrstuvwxyz"])
WORDS = ["bank", "a", "", "rates", "internationalisation", "of"]


def spelled(words: list[str]) -> torch.Tensor:
    return torch.from_numpy(spell(words, VOCABULARY))


@pytest.mark.parametrize("width", [1, 3, 5, 7])
def test_the_cnn_is_a_convolution_and_a_maximum(width: int) -> None:
    torch.manual_seed(0)
    encoder = CharacterCNN(len(VOCABULARY), 6, embedding_dim=4, width=width)
    ours = encoder(spelled(WORDS)).detach().numpy()
    table = encoder.embedding.weight.detach().numpy().astype(np.float64)
    kernel = encoder.convolution.weight.detach().numpy().astype(np.float64)  # (filters, embedding_dim, width)
    bias = encoder.convolution.bias
    assert bias is not None
    for word, features in zip(WORDS, ours, strict=True):
        ids = VOCABULARY.ids([BOUNDARIES[0], *word, BOUNDARIES[1]])
        room = np.zeros((len(ids) + width - 1, 4))
        room[width // 2 : width // 2 + len(ids)] = table[ids]
        best = np.full(6, -np.inf)
        for at in range(len(ids)):
            best = np.maximum(best, np.einsum("fdw,wd->f", kernel, room[at : at + width]) + bias.detach().numpy())
        np.testing.assert_allclose(features, np.maximum(best, 0), atol=1e-6)


def test_the_lstm_is_torchs_packed_lstms_last_states() -> None:
    torch.manual_seed(0)
    encoder = CharacterLSTM(len(VOCABULARY), 10, embedding_dim=4)
    twin = torch.nn.LSTM(4, 5, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for number, suffix in enumerate(("", "_reverse")):
            for name, parameter in encoder.encoder.directions[number].named_parameters():
                getattr(twin, name + suffix).copy_(parameter)
    characters = spelled(WORDS)
    lengths = (characters != 0).sum(dim=1)
    packed = pack_padded_sequence(encoder.embedding(characters), lengths, batch_first=True, enforce_sorted=False)
    _, (last, _) = twin(packed)  # (directions, words, 5)
    torch.testing.assert_close(encoder(characters), torch.cat([last[0], last[1]], dim=1))


@pytest.mark.parametrize("encoder_class", ENCODERS)
def test_a_words_features_do_not_depend_on_its_neighbours_or_padding(encoder_class: type) -> None:
    torch.manual_seed(0)
    encoder = encoder_class(len(VOCABULARY), 8)
    together = encoder(spelled(WORDS))
    for number, word in enumerate(WORDS):
        alone = spelled([word])
        torch.testing.assert_close(encoder(alone)[0], together[number])
        padded = torch.nn.functional.pad(alone, (0, 9))
        torch.testing.assert_close(encoder(padded)[0], together[number])
    assert len({tuple(row.tolist()) for row in together}) == len(WORDS)


@pytest.mark.parametrize("encoder_class", ENCODERS)
def test_the_order_of_characters_and_the_words_ends_matter(encoder_class: type) -> None:
    torch.manual_seed(0)
    encoder = encoder_class(len(VOCABULARY), 8)
    features = encoder(spelled(["abc", "cba", "ab", "abcabc"]))
    distances = torch.cdist(features, features) + torch.eye(4)
    assert (distances > 1e-3).all()


@pytest.mark.parametrize("encoder_class", ENCODERS)
def test_a_word_longer_than_the_limit_is_read_by_its_two_ends(encoder_class: type) -> None:
    torch.manual_seed(0)
    encoder = encoder_class(len(VOCABULARY), 8)
    long = ["un" + middle * 50 + "ing" for middle in "xy"]
    characters = torch.from_numpy(spell([*long, "unxxxing"], VOCABULARY, max_length=5))
    features = encoder(characters)
    assert torch.equal(characters[0, :7], torch.from_numpy(VOCABULARY.ids([BOUNDARIES[0], *"unxng", BOUNDARIES[1]])))
    assert not torch.equal(features[0], features[1])
    torch.testing.assert_close(features[0], features[2])


@pytest.mark.parametrize("encoder_class", ENCODERS)
def test_padding_learns_nothing_and_stays_zero(encoder_class: type) -> None:
    torch.manual_seed(0)
    encoder = encoder_class(len(VOCABULARY), 8)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        encoder(spelled(WORDS)).square().sum().backward()
        optimizer.step()
    assert (encoder.embedding.weight[0] == 0).all()


@pytest.mark.parametrize("encoder_class", ENCODERS)
def test_the_shape_is_words_by_features(encoder_class: type) -> None:
    assert encoder_class(len(VOCABULARY), 12)(spelled(["a"])).shape == (1, 12)
    assert encoder_class(len(VOCABULARY), 12).output_dim == 12


def test_an_odd_number_of_lstm_features_is_refused() -> None:
    with pytest.raises(ValueError, match="7 is odd"):
        CharacterLSTM(10, 7)
