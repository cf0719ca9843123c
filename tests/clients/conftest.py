"""What the tests of az stand on; a test that needs another one has its own."""

import uuid

import pytest

from support.az import KINDS, Az
from support.instance import GROUPS_API


@pytest.fixture(scope="module", params=KINDS)
def az(instance, tmp_path_factory, request):
    return Az(instance, tmp_path_factory.mktemp("az"), request.param).register().sign_in()


@pytest.fixture(scope="module")
def home(instance, az):
    """A Premium registry, one for each az."""
    group = instance.make_group()
    yield instance.make_registry(group, f"az{uuid.uuid4().hex[:10]}", sku="Premium")
    instance.delete(instance.group_id(group), api=GROUPS_API)
