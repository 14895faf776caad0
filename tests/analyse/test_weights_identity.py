from bench.analyse.accuracies.subjects import (
    NO_PRETRAINING,
    NOT_STATED,
    RunKey,
    Subject,
    identify_weights,
    pretraining_of,
    subject_of,
    weights_labels,
)

VIT = "vit_base_patch16_224.augreg_in21k"


def subject(model=VIT, weights="public", px=224, **more):
    return Subject(RunKey(model, px, "cpu", "fp32", "contiguous", **more), weights)


def labels(*subjects):
    found = weights_labels(subjects, {s.key.model: identify_weights(s.key.model) for s in subjects})
    return [found[one] for one in subjects]


def test_a_label_is_the_title_alone_where_that_is_enough():
    assert labels(subject(), subject("resnetv2_50x1_bit.goog_in21k")) == ["ViT-B/16", "BiT-M R50x1"]


def test_tags_resolutions_and_weights_are_named_where_they_differ():
    other = "vit_base_patch16_384.augreg_in1k"
    assert labels(subject(), subject(other, px=384)) == ["ViT-B/16 augreg_in21k @224", "ViT-B/16 augreg_in1k @384"]
    assert labels(subject(), subject(weights="random"), subject(weights="sha256 0123456789abcdef")) == [
        "ViT-B/16",
        "ViT-B/16 from scratch",
        "ViT-B/16 file 01234567",
    ]


def test_no_two_rows_share_a_label():
    found = labels(subject(), subject(VIT.replace("_224", "_384")), subject(weights="random"))
    assert len(set(found)) == 3


def test_pretraining_data_come_from_the_catalog_or_the_tag_and_of_files_nothing_is_known():
    assert pretraining_of(subject()) == "ImageNet-21k"
    assert pretraining_of(subject("vit_small_patch16_224.augreg_in21k")) == "ImageNet-21k"  # no row in models.csv
    assert pretraining_of(subject(weights="random")) == NO_PRETRAINING
    assert pretraining_of(subject("tf_efficientnet_lite0.in1k")) == "ImageNet-1k"  # no row anywhere
    assert pretraining_of(subject(weights="sha256 0123456789abcdef")) == NOT_STATED
    assert pretraining_of(subject("somebodys_model.x")) == ""


def test_a_files_pretraining_is_its_owners_word_and_a_known_name_joins_that_stratum():
    key = {"model": VIT, "resolution_px": 224, "device": "cpu", "precision": "fp32", "memory_format": "contiguous"}
    row = {**key, "compile": False, "fold": False, "weights": "sha256 0123456789abcdef"}
    said = {words: pretraining_of(subject_of({**row, "pretraining": words})) for words in ("imagenet-21k", "our shop")}
    assert said == {"imagenet-21k": "ImageNet-21k", "our shop": "as its owner says: our shop"}
    assert pretraining_of(subject_of({**row, "pretraining": None})) == NOT_STATED


def test_a_model_without_a_row_has_the_family_of_its_name_where_nothing_was_counted():
    assert identify_weights("tf_efficientnet_lite0").family == "cnn"
    assert identify_weights("net.py:make").family == "other"
    assert identify_weights("net.py:make", "vit").family == "vit"


def test_weights_are_named_by_tag_hash_or_that_there_are_none():
    words = [subject(weights=weights).weights_words for weights in ("public", "random", "sha256 0123456789abcdef")]
    assert words == [VIT, "from scratch", "file sha256 0123456789abcdef"]


def test_weights_that_this_suite_trained_are_called_by_what_they_were_trained_on():
    after = Subject(RunKey("vit_32px_s", 32, "cpu", "fp32", "contiguous"), "sha256 0123456789abcdef", "shapes")
    scratch = Subject(after.key, "random")
    assert sorted(labels(after, scratch)) == ["ViT S after Contours", "ViT S from scratch"]
    assert pretraining_of(after) == "Contours (trained here)"
    assert after.weights_words == "trained here, sha256 0123456789abcdef"
