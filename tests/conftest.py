"""Fixtures shared by all Python tests: one instance for the whole run, a group for each test, and one
for each file."""

import uuid

import pytest

from support.instance import GROUPS_API, Instance, unnamed_refusals


def pytest_configure(config):
    config.addinivalue_line("markers", "sanitized: runs again with sanitized builds")


@pytest.fixture
def tell(request):
    """Says what a test saw that passed: figures, and what it stood on. It stands after the results."""
    return lambda text: request.node.user_properties.append(("told", text))


def pytest_terminal_summary(terminalreporter):
    told = [(report.nodeid, text) for reports in terminalreporter.stats.values() for report in reports
            if getattr(report, "when", None) == "call"
            for name, text in report.user_properties if name == "told"]
    if told:
        terminalreporter.section("what the tests tell")
    for test, text in told:
        terminalreporter.write_line(f"{test.rsplit('/', 1)[-1]}: {text}")


@pytest.fixture(scope="session")
def instance():
    it = Instance()
    try:
        yield it.up()
    finally:
        text = it.log_text() if it.env else ""
        it.down()
    assert not unnamed_refusals(text), "\n".join(unnamed_refusals(text)[:20])


@pytest.fixture
def own_instance():
    """An instance of the test's own, for tests that stop and kill its parts."""
    it = Instance()
    try:
        yield it.up()
    finally:
        it.down()


@pytest.fixture
def group(instance):
    name = instance.make_group()
    yield name
    instance.arm("DELETE", instance.group_id(name), api=GROUPS_API)


@pytest.fixture(scope="module")
def home(instance):
    """A group that the tests of a file share."""
    name = instance.make_group()
    yield name
    instance.arm("DELETE", instance.group_id(name), api=GROUPS_API)


@pytest.fixture
def registry(instance, group):
    return instance.make_registry(group)


@pytest.fixture
def repo():
    """The name of a repository that nothing else uses."""
    return "r" + uuid.uuid4().hex[:12]
