"""Representations by name: who may see what, and the chain against its parts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from nlptransfer.adaptation.array_systems import DomainArrays, fit_array_system
from nlptransfer.adaptation.denoising import StackedDenoising
from nlptransfer.adaptation.marginalized_denoising import MarginalizedDenoising
from nlptransfer.adaptation.method_names import parse_method
from nlptransfer.adaptation.network_systems import fit_network_system
from nlptransfer.adaptation.representations import SDA_UNITS, make_representation, represent_arrays


@pytest.fixture
def arrays() -> DomainArrays:
    rng = np.random.default_rng(0)

    def part(number: int) -> sparse.csr_matrix:
        topics = rng.random((number, 3)) @ rng.uniform(0, 0.6, size=(3, 20))
        return sparse.csr_matrix(rng.poisson(topics).astype(np.float32))

    labels = np.arange(40) % 2
    return DomainArrays(part(40), labels, part(30), 2, part(15), part(6), np.arange(6) % 2)


def test_a_chain_is_its_parts_one_after_the_other(arrays: DomainArrays) -> None:
    represented = represent_arrays(parse_method("msda:2+linear"), arrays, seed=0)
    learnt = MarginalizedDenoising(num_layers=2)
    learnt.fit(arrays.source, target_features=arrays.target, source_unlabelled=arrays.source_unlabelled)
    assert represented.method.steps == (("linear", None),)
    for name in ("source", "target", "few"):
        made = learnt.transform(getattr(arrays, name))
        np.testing.assert_allclose(getattr(represented.arrays, name), made, atol=1e-5)
    assert represented.arrays.source_unlabelled is None
    system = fit_array_system(represented.method, represented.arrays, seed=0)
    expected = LogisticRegression(C=10, max_iter=1000).fit(learnt.transform(arrays.source), arrays.labels)
    assert system.coefficients.shape == (1, 2, learnt.layers_.dim)
    np.testing.assert_allclose(system.coefficients[0, 1] - system.coefficients[0, 0], expected.coef_[0], atol=1e-2)


@pytest.mark.parametrize("name", ["msda_without_target:2", "sda_without_target:1"])
def test_the_control_has_not_seen_the_target(arrays: DomainArrays, name: str) -> None:
    other = DomainArrays(arrays.source, arrays.labels, arrays.target[:7] * 5, 2, arrays.source_unlabelled)
    rows = [represent_arrays(parse_method(name), own, seed=1) for own in (arrays, other)]
    np.testing.assert_array_equal(rows[0].arrays.source, rows[1].arrays.source)
    assert rows[0].arrays.target.shape[0] == 30 and rows[1].arrays.target.shape[0] == 7
    np.testing.assert_allclose(rows[0].learnt.transform(arrays.target[:7] * 5), rows[1].arrays.target, atol=1e-5)


def test_a_network_can_follow(arrays: DomainArrays) -> None:
    represented = represent_arrays(parse_method("msda:1+dann"), arrays, output_dim=8, seed=0)
    system = fit_network_system(represented.method, represented.arrays, hidden_dim=4, epochs=1, seed=0)
    assert system.network.num_features == 8


def test_names_make_estimators_with_their_numbers() -> None:
    msda = make_representation("msda", 4, corruption=0.7, output_dim=9, seed=3)
    assert isinstance(msda, MarginalizedDenoising)
    assert (msda.num_layers, msda.corruption, msda.output_dim, msda.seed) == (4, 0.7, 9, 3)
    sda = make_representation("sda_without_target", 3, seed=5)
    assert isinstance(sda, StackedDenoising)
    assert (sda.hidden_dims, sda.corruption, sda.seed) == ((SDA_UNITS,) * 3, StackedDenoising().corruption, 5)


def test_what_is_no_representation_is_refused(arrays: DomainArrays) -> None:
    with pytest.raises(ValueError, match="no representation"):
        make_representation("coral", seed=0)
    with pytest.raises(ValueError, match="begins with no representation"):
        represent_arrays(parse_method("coral"), arrays, seed=0)
    with pytest.raises(ValueError, match="see represent_arrays"):
        fit_array_system(parse_method("msda"), arrays, seed=0)
    with pytest.raises(ValueError, match="see represent_arrays"):
        fit_network_system(parse_method("msda+dann"), arrays, seed=0)
