"""The words that the schema of the chart's values is written in."""

from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
STRINGS: Schema = {"type": "array", "items": STRING}
MAP: Schema = {"type": "object", "additionalProperties": STRING}
FREE: Schema = {"type": "object"}
"""Kubernetes' own, which Kubernetes checks."""
SECONDS: Schema = {"type": "number", "minimum": 0}
WHOLE_SECONDS: Schema = {"type": "integer", "minimum": 0}
NAME: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
OPTIONAL_NAME: Schema = {"type": "string", "pattern": "^([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?$", "maxLength": 253}
QUANTITY: Schema = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"}
DURATION: Schema = {"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(h|m|s|ms))+$"}
URL_OR_NONE: Schema = {"type": "string", "pattern": "^(https?://.+)?$"}
PATHS: Schema = {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^/"}}
SPREAD: Schema = {"enum": ["DoNotSchedule", "ScheduleAnyway", ""]}
DEVICE: Schema = {"type": "string", "pattern": "^nvidia\\.com/(gpu(\\.shared)?|mig-[0-9]+g\\.[0-9]+gb(\\.me)?)$"}
COUNT_OR_SHARE: Schema = {
    "oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^(100|[0-9]{1,2})%$"}]
}


def ref(name: str) -> Schema:
    """Refers to a definition."""
    return {"$ref": f"#/definitions/{name}"}


def whole(least: int = 0, most: int | None = None) -> Schema:
    """Is a whole number."""
    return {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most})


def either(schema: Schema) -> Schema:
    """Is a value, or null."""
    choices = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | choices | {"type": [schema["type"], "null"]}


def objects(*required: str) -> Schema:
    """Is a list of Kubernetes' own objects."""
    return {"type": "array", "items": {"type": "object", "required": list(required)} if required else FREE}


def section(**properties: Schema) -> Schema:
    """Is an object with these keys and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties}
