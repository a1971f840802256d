"""What large compositions cost: it grows as they do, and packages are looked at once."""

from __future__ import annotations

import pickle
import sys

import pytest

import regplug
from regplug import Regularizer, hookimpl
from regplug.discovery import registry
from regplug.models import naming


class Mine(Regularizer):
    """A class of no package, which is looked for among those of all packages."""

    @hookimpl
    def loss(self, matched):
        return 0


def given(count):
    """Return entries of every form, of few names and of many."""
    entries = []
    for number in range(count):
        entries += [
            f"dropout=0.5@h{number}",
            ("weight_l2", {"weight": 0.1, "name": f"own {number}"}),
            ("noise", 0.1),
        ]
    return entries


def calls(work, *arguments):
    """Return how many functions a call leads to, Python's own among them."""
    events = []
    sys.setprofile(lambda frame, event, argument: events.append(event))
    try:
        work(*arguments)
    finally:
        sys.setprofile(None)
    return events.count("call") + events.count("c_call")


@pytest.fixture
def looks(monkeypatch):
    """Return a list that has an entry for each look at the installed packages."""
    found, available = [], registry.available
    monkeypatch.setattr(registry, "available", lambda: found.append(1) or available())
    return found


def test_composition_looks_once_at_what_is_installed(looks, tmp_path):
    path = tmp_path / "regplug.toml"
    manager = regplug.compose(given(5))
    assert len(looks) == 1
    manager.write(path, lock=True)
    for strict in (False, True):
        regplug.read(path, strict=strict)
    assert len(looks) == 3
    packed = pickle.dumps(manager)
    assert len(looks) == 3
    pickle.loads(packed)
    assert len(looks) == 4
    regplug.compose([Mine(weight=1) for _ in range(5)])
    assert len(looks) == 5
    regplug.compose([])
    assert len(looks) == 5
    # each composition looks anew, also after one that failed
    with pytest.raises(regplug.UnknownRegularizerError):
        regplug.compose(["dropout=0.5", "droput=0.5"])
    regplug.compose(["dropout=0.5"])
    assert len(looks) == 7


def test_cost_of_a_composition_grows_with_its_entries(tmp_path, monkeypatch):
    small, large = tmp_path / "small.toml", tmp_path / "large.toml"
    works = {
        "compose": lambda count, path: regplug.compose(given(count)),
        "write": lambda count, path: managers[path].write(path, lock=True),
        "read": lambda count, path: regplug.read(path, strict=True),
        "save": lambda count, path: managers[path].save(path),
        "load": lambda count, path: managers[path].load(path),
        "pickle": lambda count, path: pickle.loads(pickle.dumps(managers[path])),
        "instances": lambda count, path: regplug.compose(
            [Mine(weight=1) for _ in range(count)]
        ),
    }
    managers = {small: regplug.compose(given(15)), large: regplug.compose(given(60))}
    # they are seen, and the cost of the look itself is another's
    entries = registry.available()
    monkeypatch.setattr(registry, "available", lambda: entries)
    for name, work in works.items():
        work(15, small)
        counts = [calls(work, 15, small), calls(work, 60, large)]
        assert counts[1] < 5 * counts[0], name


def test_names_that_repeat_are_numbered_in_one_go():
    class Taken(set):
        looks = 0

        def __contains__(self, name):
            self.looks += 1
            return super().__contains__(name)

    taken, counts = Taken({"a#3", "a#4"}), {}
    for _ in range(500):
        taken.add(naming.unique_name("a", taken, counts))
    assert taken == {"a", *(f"a#{number}" for number in range(2, 503))}
    assert taken.looks < 1100
