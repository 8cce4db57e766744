import pytest
import torch
from safetensors.torch import load_file
from tiny_workspace import copy_of, done, imported, index_folder, indexed, manifest_of, model_folder

import lorif_core as lf
from lorif_core.errors import CatalogError
from lorif_core.views.index_figures import Spectrum, energy_map, spectrum_lines


@pytest.fixture(scope="module")
def whitened(tmp_path_factory):
    """A workspace with a half-whitened index."""
    folder = copy_of(imported(), tmp_path_factory.mktemp("whitened"))
    done("index", folder, "--model", model_folder(), "--shard-examples", 64)
    return folder


def size_below(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def parts_of(workspace):
    return {part.kind: part.size_bytes for part in lf.open_workspace(workspace).indexes.report().parts}


@pytest.mark.parametrize("name", ["lorif", "whitened"])
def test_the_parts_of_an_index_are_all_bytes_of_its_folder(name, whitened):
    workspace = whitened if name == "whitened" else indexed()
    report = lf.open_workspace(workspace).indexes.report()
    assert report.index_bytes == size_below(index_folder(workspace))
    statistics = workspace / "statistics"
    assert report.total_bytes - report.index_bytes == (size_below(statistics) if statistics.exists() else 0)


def test_codes_and_scales_are_the_bytes_of_the_tensors_that_hold_them(whitened):
    tensors = {}
    for path in index_folder(whitened).glob("parts/*.safetensors"):
        for key, value in load_file(path).items():
            kind = "scales" if "_scale/" in key else "codes" if "/" in key else "numbers"
            kind = "columns" if key.startswith("column/") else kind
            tensors[kind] = tensors.get(kind, 0) + value.numel() * value.element_size()
    parts = parts_of(whitened)
    assert {kind: parts[kind] for kind in tensors} == tensors


def test_a_report_names_the_share_that_every_module_keeps(whitened):
    report = lf.open_workspace(whitened).indexes.report()
    manifest = manifest_of(whitened)
    kept, total = (
        [sum(shard[name][place] for shard in manifest["shards"]) for place in range(len(manifest["modules"]))]
        for name in ("stored_energy", "total_energy")
    )
    assert list(report.explained_energy.values()) == [one / all_ for one, all_ in zip(kept, total, strict=True)]
    assert report.kept_energy.as_stored == pytest.approx(sum(kept) / sum(total))
    assert report.kept_energy.as_stored < report.kept_energy.before_rounding < 1


def test_a_half_whitened_spectrum_is_that_of_the_mean_second_moments(whitened):
    module = manifest_of(whitened)["modules"][0]["name"]
    inputs, outputs = lf.open_workspace(whitened).indexes.spectra(module)
    files = [load_file(path) for path in (whitened / "statistics").iterdir()]
    (tensors,) = [one for one in files if f"input/{module}" in one]
    width = manifest_of(whitened)["modules"][0]["in_features"]
    upper = torch.zeros(width, width, dtype=torch.float64)
    upper[tuple(torch.triu_indices(width, width))] = tensors[f"input/{module}"].double()
    moment = (upper + upper.triu(1).T) / int(tensors["num_tokens"][0])
    expected = torch.linalg.svdvals(moment)  # of a symmetric matrix without negative eigenvalues
    torch.testing.assert_close(torch.tensor(inputs.eigenvalues, dtype=torch.float64), expected, rtol=1e-6, atol=1e-6)
    assert inputs.damping == pytest.approx(0.03 * float(expected.mean()))
    assert [inputs.dim, outputs.what] == [len(moment), "output gradients"]


def test_the_spectrum_of_a_subspace_is_the_stored_one_with_the_module_s_damping():
    module = manifest_of(indexed())["modules"][0]["name"]
    (spectrum,) = lf.open_workspace(indexed()).indexes.spectra(module)
    stored = load_file(index_folder(indexed()) / "subspace" / "00000.safetensors")["spectrum"]
    assert spectrum.eigenvalues == stored.tolist()
    assert spectrum.damping == manifest_of(indexed())["damping"][module]


def test_an_unknown_module_is_refused_with_names_that_exist():
    with pytest.raises(CatalogError, match=r"has no module 'nothing'\. Names look like"):
        lf.open_workspace(indexed()).indexes.spectra("nothing")


def test_the_effective_dimension_counts_directions_above_the_damping():
    assert Spectrum("gradients", [1e9, 1.0, 0.0], 1.0, 3).effective_dim == pytest.approx(1.5)


def test_the_energy_map_puts_every_module_where_its_layer_and_kind_are():
    figure = energy_map({"m.0.up": 0.1, "m.0.down": 0.2, "m.10.up": 0.3, "m.10.down": 0.4, "head": 0.5})
    (heat,) = figure.data
    assert list(heat.x) == ["", "0", "10"]
    assert dict(zip(heat.y, map(tuple, heat.z), strict=True)) == {
        "up": (None, 0.1, 0.3),
        "down": (None, 0.2, 0.4),
        "head": (0.5, None, None),
    }


def test_the_spectrum_figure_leaves_out_what_rounding_made_and_draws_each_damping():
    figure = spectrum_lines([Spectrum("layer inputs", [4.0, 1e-12, 0.0], 0.5, 3)])
    assert list(figure.data[0].y) == [4.0]
    assert list(figure.data[1].y) == [0.5, 0.5]


def test_the_command_prints_the_same_bytes(whitened):
    index_id = index_folder(whitened).name
    found = done("indexes", whitened, index_id, "--json").json
    assert found["total_bytes"] == lf.open_workspace(whitened).indexes.report().total_bytes
    assert index_id in done("indexes", whitened).out
    assert "maps" in done("indexes", whitened, index_id).out
