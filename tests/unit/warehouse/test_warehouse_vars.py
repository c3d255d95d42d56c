"""`--vars` of the transform: a JSON object or an answer in one line."""

import pytest

from warehouse.__main__ import _variables
from warehouse.errors import WarehouseError


def test_an_object_stands_in_for_the_projects_variables() -> None:
    assert _variables('{"gold_days": 90}') == {"gold_days": 90}
    assert _variables(None) == {}


@pytest.mark.parametrize("text", ["gold_days: 90", "[90]", "90", "{"])
def test_anything_else_is_answered(text: str) -> None:
    with pytest.raises(WarehouseError, match="must be a JSON object") as caught:
        _variables(text)
    assert "\n" not in str(caught.value)
