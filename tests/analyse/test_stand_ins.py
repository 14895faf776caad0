from records import evaluated, finetuned

from bench.analyse.accuracies.pooling import evaluated_accuracies, finetuned_accuracies
from bench.analyse.accuracies.subjects import identify_weights
from bench.analyse.claims.published import table_two
from bench.analyse.compare.means import vtab_of
from bench.catalog.image_tasks import vtab_tasks
from bench.catalog.papers import paper_sota
from bench.catalog.public_checkpoints import STAND_INS
from bench.store.rows import task_rows

AUGREG = "vit_large_patch16_384.augreg_in21k_ft_in1k"
FEATURES = "vit_large_patch16_224.orig_in21k"
BIT = "resnetv2_152x4_bit.goog_in21k"


def rows(*records):
    identities = {name: identify_weights(name) for name in (AUGREG, FEATURES, BIT)}
    evaluated_ = evaluated_accuracies(task_rows(records, "evaluate"), identities, lambda cell_id: None)
    finetuned_ = finetuned_accuracies(task_rows(records, "finetune"), identities, lambda cell_id: None)
    found = table_two(evaluated_, finetuned_, vtab_of(finetuned_))
    return {(row.published.system, row.published.pretraining, row.published.dataset): row for row in found}


def test_every_system_of_table_two_has_a_stand_in():
    assert {(row.system, row.pretraining) for row in paper_sota()} == set(STAND_INS)


def test_published_stand_ins_come_from_the_catalog():
    found = rows()
    assert found["ViT-L/16", "ImageNet-21k", "ImageNet"].quoted.top1_pct == 87.096  # timm, AugReg at 384
    assert found["ViT-L/16", "JFT-300M", "CIFAR-100"].quoted.top1_pct == 93.44  # Table 5, ImageNet-21k
    assert found["BiT-L ResNet152x4", "JFT-300M", "ImageNet ReaL"].quoted.top1_pct == 88.567
    assert found["BiT-L ResNet152x4", "JFT-300M", "VTAB (19 tasks)"].quoted.top1_pct == 70.64
    assert found["BiT-L ResNet152x4", "JFT-300M", "CIFAR-10"].quoted is None
    assert found["ViT-H/14", "JFT-300M", "ImageNet"].quoted.top1_pct == 85.13  # Table 5: timm has no head of it
    assert all(row.measured is None for row in found.values())


def test_evaluated_weights_fill_imagenet_and_real():
    record = evaluated(AUGREG, 871, values={"real_top1_pct": 90.0, "real_images": 900}, cell={"resolution_px": 384})
    found = rows(record)
    measured = found["ViT-L/16", "JFT-300M", "ImageNet"].measured
    assert (measured.top1_pct, measured.model, measured.resolution_px, measured.protocol) == (
        87.1,
        AUGREG,
        384,
        "evaluated",
    )
    assert round(found["ViT-L/16", "ImageNet-21k", "ImageNet ReaL"].measured.top1_pct, 6) == 90.0
    assert found["ViT-L/16", "JFT-300M", "CIFAR-10"].measured is None


def test_fine_tuned_weights_fill_the_other_sets():
    found = rows(
        finetuned(FEATURES, 0, 93.0, "cifar100"), finetuned(FEATURES, 0, 11.0, "cifar10", cell={"weights": "random"})
    )
    assert found["ViT-L/16", "JFT-300M", "CIFAR-100"].measured.top1_pct == 93.0
    assert found["ViT-L/16", "JFT-300M", "CIFAR-10"].measured is None  # from scratch is no stand-in


def test_vtab_is_measured_only_with_all_tasks():
    all_tasks = [finetuned(BIT, 0, 70.0, name) for name in vtab_tasks()]
    assert rows(*all_tasks)["BiT-L ResNet152x4", "JFT-300M", "VTAB (19 tasks)"].measured.top1_pct == 70.0
    assert rows(*all_tasks[1:])["BiT-L ResNet152x4", "JFT-300M", "VTAB (19 tasks)"].measured is None
