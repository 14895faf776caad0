"""The counts of public architectures: one for every published row, and the file that holds them."""

from __future__ import annotations

from pathlib import Path

from bench.catalog.public_counts import (
    COUNTED_WITH,
    PublicCount,
    counted_with,
    public_counts,
    public_counts_path,
    write_public_counts,
)
from bench.catalog.public_results import public_results


def test_every_published_row_has_a_count() -> None:
    assert public_counts().keys() == {row.place for row in public_results()}


def test_nearly_every_published_row_is_certified_and_the_rest_say_why() -> None:
    counts = [public_counts()[row.place] for row in public_results()]
    assert sum(count.certificate == "ok" for count in counts) >= 1_550
    assert all(count.certificate_note for count in counts if count.certificate != "ok")


def test_a_plain_vit_has_the_params_and_macs_of_its_formula() -> None:
    width, depth, tokens, patch = 768, 12, 196 + 1, 16
    block = 12 * width**2 + 13 * width  # four weights of attention, eight of the MLP, with biases and two norms
    params = depth * block + (3 * patch**2 + 1) * width + (tokens + 1) * width + 2 * width + (width + 1) * 1000
    products = 196 * 3 * patch**2 * width + depth * (12 * tokens * width**2 + 2 * tokens**2 * width) + width * 1000
    count = public_counts()["vit_base_patch16_224", 224]
    assert (count.params, count.macs) == (params, products)


def test_the_file_says_which_versions_counted() -> None:
    assert tuple(counted_with()) == COUNTED_WITH


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    written = tmp_path / "public_counts.csv"
    write_public_counts(public_counts().values(), counted_with(), written)
    assert written.read_bytes() == public_counts_path().read_bytes()


def test_a_model_that_could_not_be_counted_keeps_its_reason(tmp_path: Path) -> None:
    written = tmp_path / "public_counts.csv"
    failed = PublicCount(model="net", img_size=224, certificate="failed", certificate_note="no pass, of any size")
    write_public_counts([failed], {"torch": "2.15.0", "timm": "1.0.31", "fvcore": "0.1.5.post20221221"}, written)
    assert written.read_text(encoding="utf-8").splitlines()[2:] == [
        "model,img_size,params,macs,norm_macs,activations,certificate,certificate_note",
        'net,224,,,,,failed,"no pass, of any size"',
    ]
