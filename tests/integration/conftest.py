"""Fixtures: one stack that most tests share, and others for configurations of their own."""
import pytest

from stack import Stack

living = []


@pytest.fixture(scope="session")
def stack():
    """The shipped configuration, started once."""
    made = Stack()
    living.append(made)
    try:
        yield made.start()
    finally:
        living.remove(made)
        made.remove()


@pytest.fixture(scope="module")
def start_stack():
    """start_stack(site, **options): a stack of its own, stopped when the module's tests are done."""
    mine = []

    def start(site="", **options):
        made = Stack(site, **options)
        mine.append(made)
        living.append(made)
        return made.start()

    yield start
    for made in mine:
        living.remove(made)
        made.remove()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for made in living:
            report.sections.append((f"logs of {made.dir}", made.last_words()))


@pytest.fixture(autouse=True)
def no_crash():
    """Whatever a test is about: no process may have crashed meanwhile."""
    yield
    trouble = [line for made in living for line in made.new_trouble()]
    assert not trouble, "\n".join(trouble)
