"""Linear layers by oneDNN compute what torch's own do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nlptransfer.embeddings.onednn_linear import OneDnnLinear, use_onednn

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 7), (1, 1, 7), (0, 7)])
def test_the_output_is_the_product_and_the_bias(bias: bool, shape: tuple[int, ...]) -> None:
    linear = nn.Linear(7, 4, bias=bias)
    features = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = OneDnnLinear(linear)(features)
    expected = features.double() @ linear.weight.double().T + (linear.bias.double() if bias else 0.0)
    assert found.dtype == torch.float32 and found.layout == torch.strided
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-6)


def test_rows_that_do_not_lie_in_a_row_are_taken_too() -> None:
    linear = nn.Linear(7, 4)
    features = torch.randn(7, 3, 2).transpose(0, 2)
    with torch.inference_mode():
        torch.testing.assert_close(OneDnnLinear(linear)(features), linear(features), atol=1e-6, rtol=1e-6)


def test_all_linear_layers_of_a_model_are_replaced_where_the_processor_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Sequential(nn.Linear(5, 5, bias=False)))
    features = torch.randn(3, 7)
    with torch.inference_mode():
        before = model(features)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    use_onednn(model)
    assert sum(isinstance(part, OneDnnLinear) for part in model.modules()) == 0
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    use_onednn(model)
    assert sum(isinstance(part, OneDnnLinear) for part in model.modules()) == 2
    assert not any(isinstance(part, nn.Linear) for part in model.modules())
    with torch.inference_mode():
        torch.testing.assert_close(model(features), before, atol=1e-6, rtol=1e-6)
