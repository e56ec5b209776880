"""What an operator chooses from."""

from operator_ui import filters


def test_two_platforms_of_one_name_are_told_apart_lest_an_act_meet_the_wrong_one() -> None:
    named = {"ten_1aaaaaa": "Acme", "ten_2bbbbbb": "Acme", "ten_3cccccc": "Other"}
    assert filters.apart(named) == {
        "ten_1aaaaaa": "Acme · …aaaaaa",
        "ten_2bbbbbb": "Acme · …bbbbbb",
        "ten_3cccccc": "Other",
    }
