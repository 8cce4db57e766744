"""What holds of every method that the registry lists, those to come included."""

import re

import pytest
import torch
from indexes import TRAIN, memory_index, oracle_rows, scores_of
from oracles import close

from lorif_core.config import ScoreConfig
from lorif_core.errors import ConfigError
from lorif_core.linalg.codecs import column_codec
from lorif_core.methods.make_method import make_method, make_reference
from lorif_core.methods.protocol import THE_MODEL, AttributionMethod
from lorif_core.methods.references.reference import GradientReference, StateReference, TextReference, TokenReference
from lorif_core.methods.registry import DEFAULT_METHOD, METHODS, REFERENCES, method_entry, method_settings
from lorif_core.passes.queries import Query

EVERY = pytest.mark.parametrize("name", METHODS)
OWN = [Query(str(number), (one,), (1.0,)) for number, one in enumerate(TRAIN)]
UNIT = ScoreConfig(normalisation="unit")

# Of a text against itself: two roundings of one product in float32, and maps of the query's side that are multiplied
# in another order.
ROUNDING = 1e-3


def small(name):
    """A method at its own settings, in a subspace small enough for the tiny model."""
    settings = method_settings(name)
    narrower = {"subspace_rank": 4} if getattr(settings, "subspace_rank", 0) else {}
    return make_method(method_settings(name, **narrower))


@EVERY
def test_a_method_keeps_the_protocol_and_is_named_by_its_label(name):
    method = make_method(method_settings(name))
    assert isinstance(method, AttributionMethod)
    assert method.label.split()[0] == name
    assert method.unit in ("nats", "gradient products", "nats²")
    assert method.members == (THE_MODEL,)
    assert METHODS[name].summary.endswith(".")


@EVERY
@pytest.mark.parametrize("codec", ["bf16", "int8", "int4", "sign"])
def test_a_text_has_with_itself_the_unit_score_1_in_every_code(name, codec):
    """However much the factors and the codes lose."""
    method = small(name)
    index = memory_index(method, method.curvature.fitted, codec=column_codec(codec))
    found = scores_of(index, method.curvature.fitted, UNIT, OWN)
    close(found.diagonal(), torch.ones(len(TRAIN)), relative=ROUNDING)


def test_graddot_is_the_plain_inner_product_of_all_gradients():
    method = make_method(method_settings("graddot", factor_rank=99, f=8))
    rows = oracle_rows(TRAIN)
    wanted = sum(one @ one.T for one in rows)
    index = memory_index(method, method.curvature.fitted)
    close(scores_of(index, method.curvature.fitted, queries=OWN), wanted, relative=5e-4)
    assert method.unit == "gradient products"


def test_an_unknown_method_or_reference_is_refused_with_the_known_ones():
    known = ", ".join(METHODS)
    with pytest.raises(ConfigError, match=rf"^method must be one of {known}, got 'kfac'\.$"):
        method_entry("kfac")
    with pytest.raises(ConfigError, match=rf"^method must be one of {known}, got ''\.$"):
        method_settings("")
    references = re.escape(", ".join(REFERENCES))
    with pytest.raises(ConfigError, match=rf"^a reference must be one of {references}, got 'lorif'\.$"):
        make_reference("lorif")


def test_the_default_comes_first():
    assert next(iter(METHODS)) == DEFAULT_METHOD == "kronecker"


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_keeps_one_of_the_smaller_protocols(name):
    reference = make_reference(name)
    kinds = (GradientReference, StateReference, TextReference, TokenReference)
    kept = [kind for kind in kinds if isinstance(reference, kind)]
    assert len(kept) == 1
    assert reference.label
