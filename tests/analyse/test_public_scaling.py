import pytest
from records import counted, fewshot, finetuned

from bench.analyse.accuracies.pooling import fewshot_accuracies, finetuned_accuracies
from bench.analyse.accuracies.subjects import identify_weights
from bench.analyse.claims.published import public_scaling
from bench.catalog.public_checkpoints import public_pretraining
from bench.store.rows import task_rows

VIT, CNN = "vit_base_patch16_224.augreg_in21k", "resnetv2_50x1_bit.goog_in21k"
IDENTITIES = {name: identify_weights(name) for name in (VIT, CNN)}


def read(*records):
    return public_scaling(
        task_rows(records, "complexity"),
        finetuned_accuracies(task_rows(records, "finetune"), IDENTITIES, lambda cell_id: None),
        fewshot_accuracies(task_rows(records, "fewshot"), IDENTITIES),
    )


def point(public, name):
    return next(one for one in public.points if one.row.name == name)


def test_compute_is_six_macs_an_image_seen():
    public = read(
        counted("vit_base_patch16_224.in1k", 17_000_000_000), finetuned(VIT, 0, 90.0, cell={"resolution_px": 384})
    )
    assert point(public, VIT).exaflops == pytest.approx(6 * 17e9 * 300 * 14.2e6 / 1e18)
    assert point(public, CNN).exaflops is None


def test_every_checkpoint_has_a_row_even_when_nothing_was_measured():
    public = read(counted("vit_base_patch16_224.in1k", 17_000_000_000))
    assert [one.row.name for one in public.points] == list(public_pretraining())
    assert (public.protocol, public.datasets, public.is_counted) == ("", (), True)
    assert all(one.mean is None and one.imagenet is None for one in public.points)


def test_macs_at_another_resolution_do_not_count():
    public = read(counted("vit_base_patch16_224.in1k", 17, resolution=384))
    assert not public.is_counted


def test_fine_tuned_means_are_over_the_same_sets_for_all():
    records = [finetuned(m, 0, v, d) for m, v in ((VIT, 90.0), (CNN, 80.0)) for d in ("pets", "cifar10")]
    public = read(*records, finetuned(VIT, 0, 99.0, "flowers102"), finetuned(VIT, 0, 70.0, "imagenet"))
    assert (public.protocol, public.datasets) == ("finetune", ("cifar10", "pets"))
    assert (point(public, VIT).mean.mean_pct, point(public, CNN).mean.mean_pct) == (90.0, 80.0)
    assert (point(public, VIT).imagenet.mean_pct, point(public, CNN).imagenet) == (70.0, None)


def test_few_shot_serves_where_nothing_was_fine_tuned():
    public = read(fewshot(VIT, (60.0, 62.0)), fewshot(VIT, (50.0, 52.0), rule="loo"))
    assert (public.protocol, public.shots, public.rule, public.datasets) == ("fewshot", 5, "loo", ("pets",))
    assert point(public, VIT).mean.mean_pct == 51.0


def test_other_weights_of_a_checkpoints_architecture_are_not_its_own():
    public = read(finetuned(VIT, 0, 60.0, cell={"weights": "random"}))
    assert public.protocol == ""
