"""Groups of modules whose second moments fit into memory together."""

from lorif_core.linalg.whitening import Moments
from lorif_core.passes.layer_groups import layer_groups, moments_bytes
from lorif_core.shapes import ModuleShape


def module(name, i=4, o=3, form="factors"):
    return ModuleShape(name, i, o, i, o, form)


def names(groups):
    return [[one.name for one in group] for group in groups]


def test_the_bytes_are_those_of_the_tensors():
    shapes = [module("up"), module("down", 7, 2), module("head", 5, 90, "columns")]
    tensors = [Moments.zeros(one.in_features, one.out_features, is_head=one.form == "columns") for one in shapes]
    assert moments_bytes(shapes) == sum(one.inputs.nbytes + one.output_grads.nbytes for one in tensors)


def test_groups_hold_what_there_is_room_for_in_the_order_of_the_model():
    shapes = [module(name) for name in "abcde"]
    two = moments_bytes(shapes[:2])
    assert names(layer_groups(shapes, two)) == [["a", "b"], ["c", "d"], ["e"]]
    assert names(layer_groups(shapes, two - 1)) == [["a"], ["b"], ["c"], ["d"], ["e"]]
    assert names(layer_groups(shapes, 10 * two)) == [["a", "b", "c", "d", "e"]]


def test_a_module_that_does_not_fit_stands_alone():
    shapes = [module("a"), module("wide", 100, 100), module("b")]
    assert names(layer_groups(shapes, moments_bytes(shapes[:1]))) == [["a"], ["wide"], ["b"]]


def test_experts_of_one_matrix_stay_together():
    shapes = [module(f"layers.0.experts.{number}.{kind}") for number in range(3) for kind in ("up", "down")]
    groups = names(layer_groups(shapes, 0))
    assert groups == [[f"layers.0.experts.{number}.{kind}" for number in range(3)] for kind in ("up", "down")]


def test_no_modules_are_no_groups():
    assert layer_groups([], 100) == []
