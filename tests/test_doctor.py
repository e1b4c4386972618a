"""`doctor`: checks, and the backends of every op."""

import json

from avatar3d import doctor
from avatar3d.cli import main
from avatar3d.ops import backends


def test_json_lists_every_backend(capsys) -> None:
    assert main(["doctor", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["backends"].keys() == backends.OPS.keys()
    for op, rows in report["backends"].items():
        assert tuple(rows) == backends.OPS[op]
        for row in rows.values():
            assert isinstance(row["live"], bool) and row["why"]
    assert report["backends"]["splat"]["reference"]["live"]


def test_people_read_the_choice_first_and_each_reason_once() -> None:
    rows = {
        "splat": {"cuda": {"live": False, "why": "no driver"}, "cpu": {"live": True, "why": "native"}},
        "adam": {"cuda": {"live": False, "why": "no driver"}, "cpu": {"live": True, "why": "native"}},
        "bytes": {"cpu": {"live": True, "why": "native"}},
    }
    assert doctor.summary(rows) == [
        "op splat: cpu (not live: cuda)",
        "op adam: cpu (not live: cuda)",
        "op bytes: cpu",
        "backend cuda: no driver",
    ]
