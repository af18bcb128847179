"""Ids of networks."""

import re

import pytest

from passband import PassbandError
from passband.network_id import NetworkId

CELL = "gold/compact-w8-d3/df-0005.00_cs+0001.200_ap010.00_ds000100.00"


def test_an_id_is_parsed_to_its_parts():
    id = NetworkId("gold", "compact-w8-d3", "df-0005.00_cs+0001.200_ap010.00_ds000100.00", 12)
    assert str(id) == f"{CELL}/12"
    assert NetworkId.parse(str(id)) == id
    assert str(id.cell) == CELL
    assert NetworkId.parse(CELL) == id.cell == id.cell.cell


def test_a_mixture_has_the_place_of_a_condition():
    assert NetworkId.parse("gold/unet/soft-1c9d04aa/0").condition == "soft-1c9d04aa"


def test_ids_are_in_the_order_of_their_texts():
    texts = [f"{CELL}/10", f"{CELL}/9", CELL, CELL.replace("gold", "gold-2"), f"{CELL}/0"]
    assert [str(id) for id in sorted(map(NetworkId.parse, texts))] == sorted(texts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gold",
        "gold/compact-w8-d3/df+5_cs+0001.200_ap010.00_ds000100.00/0",
        f"{CELL}/00",
        f"{CELL}/-1",
        f"{CELL}/x",
        CELL.replace("compact-w8-d3", ""),
        f"a/{CELL}/0",
    ],
)
def test_a_wrong_id_is_refused(text):
    start = f"network = {text!r}: must be an id such as gold/"
    with pytest.raises(PassbandError, match=f"^{re.escape(start)}"):
        NetworkId.parse(text)
