"""The error tree."""

from core.errors import LikenessError, catalogue


def test_every_error_has_a_code_of_its_own_and_says_what_to_do() -> None:
    errors = list(catalogue())
    codes = [error.code for error in errors]
    assert len(codes) == len(set(codes))
    for error in errors:
        assert 400 <= error.status < 600, error
        assert error.title.endswith("."), error
        assert error.remedy, error


def test_every_error_but_the_root_keeps_the_status_of_its_parent() -> None:
    for error in catalogue():
        if error is not LikenessError and error.__mro__[1] is not LikenessError:
            assert error.status == error.__mro__[1].status  # type: ignore[attr-defined]  # an error class of ours


def test_detail_and_extra_are_what_was_said() -> None:
    error = LikenessError("this time it was so", allowed=["a"])
    assert (error.detail, error.extra) == ("this time it was so", {"allowed": ["a"]})
    assert LikenessError().detail == LikenessError.title
