import numpy as np
import pytest
from PIL import Image

from bench.errors import BadImageError, RequestError
from bench.inspect.embedding import inferred_tokens, tokens_of
from bench.inspect.look import look
from bench.inspect.subjects import load_subject, open_dataset_picture, open_picture
from bench.measure.build import build_model
from bench.measure.weight_files import file_weights_id, save_weights
from bench.store.inspections import MAP_AXES, write_inspection


def no_training(model, dataset, seed):
    raise AssertionError("nothing was trained")


def subject(model, weights="random", *, resolution_px=None, seed=0, trained=no_training):
    return load_subject(model, weights, resolution_px=resolution_px, seed=seed, download=False, trained=trained)


def seen(model, **options):
    return look(subject(model, **options), open_picture("flower"), {"torch": "1"})


def test_a_vit_shows_every_part_but_grad_cam():
    found = seen("vit_32px_s")
    facts = found.facts
    assert set(found.arrays) == {"image", *MAP_AXES} - {"grad_cam"}
    assert set(facts.absent) == {"grad_cam"}
    assert (facts.family, facts.layers, facts.heads, facts.query) == ("vit", 3, 3, "class token")
    assert (facts.tokens.rows, facts.tokens.columns, facts.tokens.stride_px) == (4, 4, 8)
    assert found.arrays["rollout_heads"].shape == (3, 3, 4, 4)
    assert found.arrays["image"].shape == (32, 32, 3)
    assert facts.uniform_distance_px == pytest.approx(16.064, abs=1e-3)  # mean over all pairs of a 4 x 4 grid of 8 px
    assert not facts.positions.is_learned  # random weights


def test_a_cnn_shows_filters_and_gradients_and_says_why_nothing_else():
    found = seen("resnet_32px_s")
    assert set(found.arrays) == {"image", "filters", "gradient", "grad_cam"}
    assert found.facts.absent["attention"] == "A CNN has no attention."
    assert set(found.facts.absent) == {"patches", "attention", "positions"}


def test_a_hybrids_tokens_are_places_of_a_feature_map():
    found = seen("hybrid_32px_s")
    assert found.facts.tokens.kind == "feature map"
    assert found.facts.filters == "first convolution"
    assert "rollout" in found.arrays


def test_a_model_without_a_class_token_asks_the_mean_of_its_patches():
    found = seen("vit_base_patch16_siglip_224", resolution_px=32)
    assert found.facts.query == "mean of all patch tokens"
    assert any("no class token" in note for note in found.facts.notes)


def test_a_distillation_token_is_named():
    model = build_model("deit_tiny_distilled_patch16_224", resolution_px=32)
    assert tokens_of(model, 32).prefix == ("class", "distillation")


def test_the_grid_of_an_unknown_model_follows_from_the_number_of_tokens():
    assert inferred_tokens(16, 32).prefix == ()
    assert inferred_tokens(17, 32).prefix == ("class",)
    assert inferred_tokens(17, 32).stride_px == 8
    assert inferred_tokens(18, 32) is None


OWN = """
from torch import nn

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(3, 8, 8, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, images):
        tokens = self.cut(images).flatten(2).transpose(1, 2)
        return self.head((tokens + self.attention(tokens, tokens, tokens)[0]).mean(dim=1))

def build(resolution_px=32):
    return Own()
"""


def test_a_users_own_transformer_is_read_by_its_shape(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    found = seen(f"{tmp_path}/own.py:build")
    assert found.facts.family == "other"
    assert (found.facts.layers, found.facts.heads) == (1, 2)
    assert any("inferred from their number" in note for note in found.facts.notes)
    assert "no absolute position embedding" in found.facts.absent["positions"]


def test_the_same_request_has_the_same_id_and_arrays_and_another_seed_another_id():
    first, again, other = seen("vit_32px_s"), seen("vit_32px_s"), seen("vit_32px_s", seed=1)
    assert first.facts == again.facts
    assert all(np.array_equal(first.arrays[name], again.arrays[name]) for name in first.arrays)
    assert other.facts.inspection_id != first.facts.inspection_id


def test_an_inspection_of_a_vit_of_224_px_is_small_on_the_disk(tmp_path):
    path = write_inspection(tmp_path, seen("vit_tiny_patch16_224"))
    assert path.with_suffix(".npz").stat().st_size < 300_000


def test_weights_of_a_file_are_named_by_content_and_by_the_training_that_wrote_them(tmp_path):
    file = tmp_path / "vit_32px_s.safetensors"
    save_weights(file, build_model("vit_32px_s", num_classes=10, seed=4).state_dict(), {"cell_id": "ab" * 8})
    loaded = subject("vit_32px_s", f"file:{tmp_path}/{{model}}.safetensors")
    assert loaded.weights.kind == "file"
    assert loaded.weights.sha256 == file_weights_id(file).removeprefix("sha256 ")
    assert loaded.weights.cell_id == "ab" * 8
    assert loaded.has_learned_positions


def test_weights_of_a_training_are_found_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path))
    made = tmp_path / "weights" / "made.safetensors"
    save_weights(made, build_model("vit_32px_s", num_classes=10, seed=4).state_dict(), {})
    name = file_weights_id(made)
    made.rename(made.with_name(f"{name.removeprefix('sha256 ')}.safetensors"))
    asked = []

    def trained(*what):
        asked.append(what)
        return name

    loaded = subject("vit_32px_s", "trained:shapes", seed=2, trained=trained)
    assert asked == [("vit_32px_s", "shapes", 2)]
    assert f"sha256 {loaded.weights.sha256}" == name
    with pytest.raises(RequestError, match="--keep-weights"):
        subject("vit_32px_s", "sha256 " + "0" * 16)


def test_weights_with_an_unknown_name_are_refused():
    with pytest.raises(RequestError, match="Unknown weights 'best'"):
        subject("vit_32px_s", "best")


def test_a_photograph_has_its_name_and_the_hash_of_its_file():
    opened = open_picture("china")
    assert opened.image.size == (640, 427)
    assert opened.picture.name == "china"
    assert len(opened.picture.sha256) == 16


def test_a_file_is_named_without_its_folders(tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (5, 4)).save(path)
    opened = open_picture(str(path))
    assert (opened.picture.name, opened.image.mode) == ("a.png", "RGB")


def test_a_file_that_is_no_image_is_named_with_the_reason(tmp_path):
    path = tmp_path / "page.jpg"
    path.write_text("<html>")
    with pytest.raises(BadImageError, match=r"Image 'page.jpg' cannot be decoded: an HTML page"):
        open_picture(str(path))
    with pytest.raises(RequestError, match="'chna' is not there"):
        open_picture("chna")


def test_an_image_of_a_data_set_has_its_key_and_class():
    opened = open_dataset_picture("shapes", "test", 3, data={}, download=False)
    assert opened.picture.name == "shapes/test/00003"
    assert opened.picture.dataset == "shapes"
    assert opened.picture.class_name is not None
    with pytest.raises(RequestError, match="has 2000 images in its test part"):
        open_dataset_picture("shapes", "test", 2000, data={}, download=False)
