from bench import report
from bench.contest import Lap, Score
from bench.process import Usage

LAP = Lap(Usage(11.0, 2.0, 50_000_000, 0), Usage(1.0, 1.0, 1000, 0), items=101, lost=0)
FASTER = Lap(Usage(6.0, 1.5, 50_000_000, 0), Usage(1.0, 1.0, 1000, 0), items=101, lost=7)


def test_the_ratios_are_to_the_floor() -> None:
    table = report.scores("Title", [Score("floor", laps=[LAP]), Score("somebody", laps=[FASTER])])

    assert table.rows[1] == ("somebody", "20", "2.00", "5.00", "0.50", "50", "0%", "7 LOST")


def test_who_could_not_take_part_is_named_with_the_reason() -> None:
    table = report.scores("Title", [Score("floor", laps=[LAP]), Score("somebody", absent="not installed")])

    assert table.rows[1][0] == "somebody: not installed"
    assert set(table.rows[1][1:]) == {"-"}


def test_the_columns_of_a_table_are_aligned() -> None:
    lines = list(report.Table("Title", ("", "n"), [("a", "1"), ("bcd", "1,000")], ["A note."]).lines())

    assert lines == [
        "### Title",
        "",
        "|     |     n |",
        "|-----|------:|",
        "| a   |     1 |",
        "| bcd | 1,000 |",
        "",
        "A note.",
    ]


def test_a_workload_that_is_measured_again_leaves_the_others_as_they_were() -> None:
    table = report.Table("Title", ("", "n"), [("a", "1")])
    first = report.document({"api": report.section([table], "Then."), "start": "Now.\n"}, [("system", "any")])

    found = report.sections(first)

    assert list(found) == ["api", "start"]
    assert report.document(found, [("system", "any")]) == first
