from synthetic_store import desk_like

from bench.analyse.study import study
from bench.report.contents import report_document
from bench.report.figures.figure_files import MANY_RECORDS, draw_all, drawn_files, second_process


def test_two_processes_draw_what_one_does():
    analysed = study("desk", desk_like(seeds=(0,), processes=2), lambda cell_id: None)
    figures = report_document(analysed, question="", rebuild_command="").figures[:3]
    with second_process(MANY_RECORDS) as helper:
        assert helper is not None
        together = draw_all(figures, helper)
    assert together == drawn_files(figures)
    assert sorted(together) == sorted(f"{figure.name}.{kind}" for figure in figures for kind in ("png", "svg"))


def test_few_records_start_no_process():
    with second_process(MANY_RECORDS - 1) as helper:
        assert helper is None
