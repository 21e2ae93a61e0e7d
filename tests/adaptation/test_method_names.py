"""The grammar of methods' names: what is read, what is refused, and with what advice."""

from __future__ import annotations

import pytest

from nlptransfer.adaptation.method_names import STEPS, parse_method, setting_of
from nlptransfer.errors import InputError


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("linear", [("linear", None)]),
        ("coral", [("coral", None), ("linear", None)]),
        ("dann:0.1", [("dann", 0.1)]),
        ("dann:0", [("dann", 0.0)]),
        ("idf+scl:25+self_training:0.4", [("idf", None), ("scl", 25), ("self_training", 0.4)]),
        ("idf+density_ratio:1e-3+pooled", [("idf", None), ("density_ratio", 0.001), ("pooled", None)]),
        ("oversample+network_self_training", [("oversample", None), ("network_self_training", None)]),
        ("kmm+l2_sp:.5", [("kmm", None), ("l2_sp", 0.5)]),
        ("deep_coral:1e+3", [("deep_coral", 1000.0)]),
        ("idf+coral:1E+1+dann", [("idf", None), ("coral", 10.0), ("dann", None)]),
        ("coral+idf", [("coral", None), ("idf", None), ("linear", None)]),
        ("scl:50.0", [("scl", 50.0), ("linear", None)]),
        ("idf+easyadapt_pp:0+linear", [("idf", None), ("easyadapt_pp", 0.0), ("linear", None)]),
    ],
)
def test_a_name_is_read_as_steps_that_end_in_a_classifier_or_network(
    name: str, steps: list[tuple[str, float | None]]
) -> None:
    method = parse_method(name)
    assert list(method.steps) == steps
    assert method.name == name
    assert method.head == steps[-1][0]
    assert parse_method(method.described()).steps == method.steps


def test_spaces_are_no_part_of_a_name() -> None:
    assert parse_method(" idf + dann : 0.3 ") == parse_method("idf+dann:0.3")


@pytest.mark.parametrize("name", STEPS)
def test_every_step_can_be_named_alone_with_its_default_and_with_its_candidates(name: str) -> None:
    step = STEPS[name]
    method = parse_method(name)
    assert method.is_network == (step.kind == "network")
    assert method.is_random == step.random
    assert method.needs_target_labels == step.needs_target_labels
    assert (step.setting is None) == (step.default is None)
    if step.default is None:
        assert not step.candidates
        with pytest.raises(ValueError, match=f"{name} has no number"):
            setting_of(name, None)
        return
    assert setting_of(name, None) == step.default and setting_of(name, 0.0) == 0.0
    for number in (step.default, *step.candidates):
        assert parse_method(f"{name}:{number}").steps[0] == (name, number)
        assert parse_method(f"{name}:{number:g}").steps[0] == (name, number)
    assert len(method.variants()) == max(1, len(step.candidates))


def test_randomness_and_labels_are_asked_of_every_step() -> None:
    assert not parse_method("idf+coral").is_random
    assert parse_method("density_ratio+coral").is_random
    assert parse_method("easyadapt+dann").needs_target_labels
    assert not parse_method("idf+scl+dann").needs_target_labels


@pytest.mark.parametrize(
    ("name", "variants"),
    [
        ("coral", ["coral:0.001+linear", "coral:0.01+linear", "coral:0.1+linear"]),
        ("idf+dann", ["idf+dann:0.1", "idf+dann:0.3", "idf+dann:1"]),
        ("scl+self_training", ["scl+self_training:0.4", "scl+self_training:0.8"]),
        ("scl+self_training:0.5", [f"scl:{n}+self_training:0.5" for n in (25, 50, 100)]),
        ("scl:7+self_training:0.5", ["scl:7+self_training:0.5"]),
        ("scl+idf", [f"scl:{n}+idf+linear" for n in (25, 50, 100)]),
        ("linear", ["linear"]),
    ],
)
def test_variants_go_through_the_numbers_of_the_last_step_that_leaves_one_open(name: str, variants: list[str]) -> None:
    found = parse_method(name).variants()
    assert [method.described() for method in found] == variants
    assert all(method.name == name for method in found)


@pytest.mark.parametrize("number", ["0.1234567890123", "1000000", "1e22", "1e-07", "123456.75", "0"])
def test_a_described_method_is_read_as_the_same_one(number: str) -> None:
    method = parse_method(f"idf+deep_coral:{number}")
    assert parse_method(method.described()) == parse_method(method.described())
    assert parse_method(method.described()).steps == method.steps
    assert method.described().count("+") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("corall", "there is no method 'corall'.*one of msda, .*idf, coral.*Did you mean coral?"),
        ("CORAL", "there is no method 'CORAL'.*Did you mean coral?"),
        ("idf+dan:0.3", r"there is no method 'dan' \(in 'idf\+dan:0.3'\).*Did you mean dann?"),
        ("", "there is no method ''"),
        ("idf+", "there is no method ''"),
        ("idf++coral", "there is no method ''"),
        ("idf+3", r"there is no method 'idf\+3'"),
        ("dann-0.3", "there is no method 'dann-0.3'.*Did you mean dann?"),
        ("../coral", "there is no method '../coral'"),
    ],
)
def test_an_unknown_step_is_named_with_the_one_that_was_meant(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_method(name)


@pytest.mark.parametrize("step", [name for name, step in STEPS.items() if step.setting is None])
def test_a_number_where_there_is_nothing_to_set_is_refused(step: str) -> None:
    with pytest.raises(InputError, match=f"'{step}' has no number to set. Found {step}:3. Write {step}."):
        parse_method(f"{step}:3")


@pytest.mark.parametrize("step", [name for name, step in STEPS.items() if step.setting])
@pytest.mark.parametrize("number", ["", "-1", "-1e-9", "nan", "inf", "1e400", "many", "0x10", "1_0", "1:2", "٣"])
def test_what_is_no_number_is_refused_whatever_the_step(step: str, number: str) -> None:
    with pytest.raises(InputError, match=f"of '{step}' can't be '{number}'.*a.* number .*such as {step}:"):
        parse_method(f"idf+{step}:{number}" if step != "idf" else f"{step}:{number}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scl:0", "num_dimensions of 'scl' can't be '0'. Expected a whole number from 1 on, such as scl:50"),
        ("scl:2.5", "a whole number from 1 on"),
        ("tradaboost:0", "num_rounds of 'tradaboost' can't be '0'. Expected a whole number from 1 on"),
        ("tradaboost:0.5", "a whole number from 1 on"),
        ("subspace_alignment:0", "num_components of 'subspace_alignment'.*a whole number from 1 on"),
        ("self_training:0", "final_share of 'self_training' can't be '0'. Expected a number above 0 and at most 1"),
        ("self_training:1.5", "a number above 0 and at most 1, such as self_training:0.8; found self_training:1.5"),
        ("network_self_training:2", "a number above 0 and at most 1"),
        ("coral:0", "regularization of 'coral'.*a number above 0, such as coral:0.01"),
        ("density_ratio:0", "C of 'density_ratio'.*a number above 0"),
    ],
)
def test_a_number_out_of_the_steps_range_is_refused(name: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        parse_method(name)


@pytest.mark.parametrize("name", ["self_training:1", "dann:0", "mmd:0", "l2_sp:0", "easyadapt_pp:0", "scl:1"])
def test_the_ends_of_a_range_are_allowed(name: str) -> None:
    assert parse_method(name).steps[0][1] == float(name.partition(":")[2])


@pytest.mark.parametrize(
    "name", ["dann+idf", "dann+network", "linear+coral", "self_training+tradaboost", "idf+mmd+scl"]
)
def test_a_classifier_or_network_stands_last_and_alone(name: str) -> None:
    with pytest.raises(InputError, match=r"that is not its last step.*transforms and weightings first"):
        parse_method(name)


@pytest.mark.parametrize("name", ["idf+idf", "coral:0.1+scl+coral:0.2", "dann+dann", "kmm+kmm+linear"])
def test_a_step_that_stands_twice_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="stands twice"):
        parse_method(name)


@pytest.mark.parametrize("weighting", [name for name, step in STEPS.items() if step.kind == "weighting"])
@pytest.mark.parametrize("head", ["tradaboost", "few_only", "label_shift"])
def test_a_weighting_before_what_would_ignore_it_is_refused(weighting: str, head: str) -> None:
    with pytest.raises(InputError, match=f"'{head}' weighs the source rows itself.*Leave out {weighting}"):
        parse_method(f"idf+{weighting}+{head}")


@pytest.mark.parametrize("augmentation", ["easyadapt", "easyadapt_pp"])
@pytest.mark.parametrize("head", ["pooled", "few_only", "tradaboost"])
def test_the_few_labelled_rows_are_not_added_twice(augmentation: str, head: str) -> None:
    with pytest.raises(InputError, match=f"'{augmentation}' and '{head}' both add the target's few"):
        parse_method(f"idf+{augmentation}+{head}")


def test_the_rows_of_easyadapt_pp_are_neither_transformed_nor_counted_in_full() -> None:
    with pytest.raises(InputError, match=r"no transform can follow it.*Write idf\+scl\+easyadapt_pp"):
        parse_method("idf+easyadapt_pp+scl")
    with pytest.raises(InputError, match="'easyadapt_pp' adds carry every label"):
        parse_method("easyadapt_pp+label_shift")
    assert parse_method("easyadapt_pp+density_ratio").steps[0] == ("easyadapt_pp", None)


@pytest.mark.parametrize("name", ["idf+dann:0.3", "idf + scl:50 +self_training", "mmd:1e+3", "coral:1e-05"])
def test_a_name_can_name_a_file_once_its_colon_is_replaced(name: str) -> None:
    made = parse_method(name).name.replace(":", "=")  # as the recipe does
    assert not set(made) & set('<>:"/\\|?* \t\n')


def test_a_representation_comes_first_and_what_follows_works_on_it() -> None:
    method = parse_method("msda:3+coral+self_training")
    assert method.representation == ("msda", 3.0)
    assert method.on_representation().steps == (("coral", None), ("self_training", None))
    assert not method.is_plain and parse_method("sda").is_plain and parse_method("sda").is_random
    assert parse_method("coral").representation is None
    assert [variant.described() for variant in parse_method("msda").variants()] == [
        "msda:1+linear",
        "msda:3+linear",
        "msda:5+linear",
    ]
    assert parse_method("msda_without_target+dann").is_control and not method.is_control
    for name in ("coral+msda", "idf+msda", "msda+sda", "msda+msda_without_target"):
        with pytest.raises(InputError, match=r"a representation first|stands twice"):
            parse_method(name)
    for name in ("msda+idf", "sda+scl", "msda+pivot_tasks"):
        with pytest.raises(InputError, match="works on words"):
            parse_method(name)
