from flowyml.plugins.versions import settle


def test_the_first_claim_stands_and_ones_own_later_ones_go() -> None:
    """Also where one delivery made several, as when it was sent twice."""
    gone: list[int] = []
    assert settle([1, 2, 3, 4], [2, 4], gone.append) == 1
    assert gone == [2, 4]


def test_who_was_first_gives_up_nothing_of_others() -> None:
    """Those who are later see it themselves."""
    gone: list[int] = []
    assert settle([1, 2, 3], [1, 3], gone.append) == 1
    assert gone == [3]
