"""A place on several servers, for the tests of what is done there alone."""

import pytest

from tests.stores import Place, ShardedPlace


@pytest.fixture
def there(place: Place) -> ShardedPlace:
    assert isinstance(place, ShardedPlace)
    return place
