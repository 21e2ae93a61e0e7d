"""A learning rate for each layer group."""

from __future__ import annotations


def discriminative_rates(num_groups: int, learning_rate: float, *, factor: float) -> list[float]:
    r"""The head's rate, divided by a factor for each group further down: what is general changes less.

    .. math:: \eta_{g-1} = \eta_g / f, \qquad \eta_G = \eta

    Args:
        num_groups: G.
        learning_rate: :math:`\eta`, of the last group, the head.
        factor: f, 1 or more; 1 is one rate for all. The paper's 2.6 is for each layer of 4. For deeper encoders the
            same fall from top to bottom takes a smaller one: 1.3 over 8 groups is 6 from top to bottom.

    Returns:
        (groups,) the lowest group's first.

    Raises:
        ValueError: the factor is below 1.

    Reference: Howard & Ruder 2018, section 3.2, https://aclanthology.org/P18-1031.

    Example:
        >>> discriminative_rates(3, 0.01, factor=2.0)
        [0.0025, 0.005, 0.01]
    """
    if factor < 1:
        raise ValueError(f"the factor must be 1 or more, so that lower groups change less; found {factor}")
    return [learning_rate / factor ** (num_groups - 1 - group) for group in range(num_groups)]
