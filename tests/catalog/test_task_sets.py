from bench.catalog.image_tasks import PAPER_SETS, averaged_sets, in_order, is_five_set_mean, vtab_group, vtab_tasks


def test_imagenet_stands_at_the_right():
    assert in_order(["imagenet", "own", "vtab_dtd", "pets", "cifar10"]) == (
        "cifar10",
        "pets",
        "own",
        "vtab_dtd",
        "imagenet",
    )


def test_vtab_has_nineteen_tasks_in_three_groups():
    groups = [vtab_group(name) for name in vtab_tasks()]
    assert [groups.count(group) for group in ("Natural", "Specialized", "Structured")] == [7, 4, 8]
    assert vtab_group("pets") is None


def test_five_sets_are_averaged_as_soon_as_one_model_has_them():
    assert averaged_sets([PAPER_SETS, ["cifar10"]]) == PAPER_SETS
    assert is_five_set_mean(averaged_sets([PAPER_SETS]))


def test_fewer_sets_are_averaged_only_where_every_model_has_them():
    assert averaged_sets([["cifar10", "pets", "own"], ["pets", "cifar10", "flowers102"]]) == ("cifar10", "pets")
    assert averaged_sets([["cifar10", "pets"], ["flowers102"]]) == ()


def test_own_sets_are_averaged_where_none_of_the_paper_is_there():
    assert averaged_sets([["mine", "yours"], ["yours", "mine"]]) == ("mine", "yours")
    assert averaged_sets([["mine"]]) == ()
    assert averaged_sets([]) == ()


def test_tasks_of_vtab_are_in_no_mean_of_sets():
    assert averaged_sets([["vtab_dtd", "vtab_pets", "mine", "yours"]]) == ("mine", "yours")
