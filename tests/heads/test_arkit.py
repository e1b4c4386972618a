from avatar3d.heads.arkit import ARKIT, mirrored


def test_names_are_alphabetical():
    assert len(ARKIT) == 52
    assert list(ARKIT) == sorted(set(ARKIT))


def test_every_name_has_a_partner():
    for name in ARKIT:
        assert mirrored(name) in ARKIT
        assert mirrored(mirrored(name)) == name
    assert mirrored("jawLeft") == "jawRight"
    assert mirrored("jawOpen") == "jawOpen"
