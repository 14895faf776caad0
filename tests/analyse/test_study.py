from records import trained

from bench.analyse.study import study


def test_a_model_that_only_has_a_smaller_budget_than_its_size_class_is_a_candidate_with_a_label():
    # two small models share a size class; one alone was trained to the larger budget
    records = [trained("vit_32px_s", seed, 80.0 + seed, budget=600.0) for seed in (0, 1)]
    records += [trained("resnet_32px_s", seed, 90.0 + seed, budget=300.0) for seed in (0, 1)]
    found = study("s", records, lambda cell_id: None)
    assert [row.label for row in found.rows] == ["ViT S"]
    assert {candidate.label for candidate in found.candidates} == {"ViT S", "ResNet S"}
