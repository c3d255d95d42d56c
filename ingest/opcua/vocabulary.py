"""The words and units by which plants name what they measure, as far as guesses go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _meanings(words: Mapping[str, str]) -> dict[str, str]:
    """Word → meaning, of meaning → words."""
    return {word: meaning for meaning, text in words.items() for word in text.split()}


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNITS: Final = _meanings(
    {
        "temperature": "°c degc c °f degf f k kelvin",
        "vibration": "mm/s in/s ips g µm um mil m/s² m/s2 m/s^2",
        "pressure": "bar barg bara mbar pa hpa kpa mpa psi psig",
        "throughput": "t/h t/d kg/h kg/s kg/min m³/h m3/h m³/s m3/s l/min l/h l/s gpm pcs/min pcs/h",
        "power": "w kw mw hp va kva",
        "speed": "rpm 1/min r/min min⁻¹ rev/min m/s m/min hz",
        "current": "a ma ka",
        "voltage": "v mv kv",
    }
)
"""unit in lower case without spaces → measurement"""
WORDS: Final = _meanings(
    {
        "temperature": "temp temperature tmp temperatur tt ti",
        "vibration": "vib vibration vibrations velocity acceleration accel rms vt",
        "pressure": "press pressure pt pi druck",
        "throughput": "throughput flow feed feedrate tonnage rate ft fi",
        "power": "power load leistung",
        "speed": "speed rpm frequency freq st si",
        "current": "current amps amperage curr",
        "voltage": "voltage volt volts",
    }
)
"""word of a name, or letters of an instrument's tag → measurement"""
SUFFIXES: Final = {
    "a": "A", "ma": "mA", "v": "V", "kv": "kV", "kw": "kW", "mw": "MW", "w": "W", "c": "°C", "degc": "°C", "f": "°F",
    "k": "K", "bar": "bar", "mbar": "mbar", "kpa": "kPa", "mpa": "MPa", "psi": "psi", "rpm": "rpm", "hz": "Hz",
    "mms": "mm/s", "tph": "t/h",
}  # fmt: skip
"""last word of a name such as Current_A → the unit that it tells"""
SET_POINT: Final = _set("sp setpoint target setvalue")
STATE: Final = _set("state status mode runstate running run")
COUNTER: Final = _set("count counter counts total totalizer totaliser pieces hours")
KINDS: Final = {
    **{
        kind: kind
        for kind in _set(
            "crusher mill pump fan conveyor screen compressor reactor turbine mixer agitator furnace kiln boiler robot"
            " press drill excavator shovel cyclone thickener filter tank valve generator chiller blower centrifuge"
            " extruder lathe truck feeder hoist crane elevator motor gearbox"
        )
    },
    **_meanings(
        {
            "haul_truck": "haul",
            "crusher": "crush",
            "conveyor": "conv belt",
            "compressor": "comp",
            "pump": "pmp",
            "screen": "scrn",
            "generator": "gen",
            "motor": "mot",
        }
    ),
}
"""word of a machine's name → what sort of machine it is"""
# Objects that only sort what belongs to the one above, and parts of a machine: neither is a machine.
GROUPS: Final = _set(
    "sensor sensors input inputs output outputs data tags values signals signal measurements measurement monitoring"
    " parameter parameters set parameterset process diagnostics io ai di ao do variables points telemetry live actual"
    " analog digital identification functional maintenance"
)
PARTS: Final = _set(
    "motor bearing bearings gearbox gear drive coupling shaft inlet outlet suction discharge stator rotor winding de"
    " nde seal lube lubrication oil hydraulics cylinder axis spindle head tail impeller housing"
)
DATA_TYPES: Final = _meanings(
    {
        "double": "Float Double",
        "integer": "SByte Byte Int16 UInt16 Int32 UInt32 Int64 UInt64",
        "boolean": "Boolean",
        "string": "String LocalizedText",
        "datetime": "DateTime",
    }
)
"""built-in type → data type of plant.yml"""
STATES: Final = _meanings(
    {
        "running": "running run on active auto execute producing started",
        "idle": "idle standby ready waiting",
        "stopped": "stopped stop off halted fault faulted tripped aborted",
        "maintenance": "maintenance service manual repair",
    }
)
"""word of a state's name → state of plant.yml"""
