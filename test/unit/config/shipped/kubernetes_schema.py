"""Kubernetes' own types of its resources, as the Debian package python3-kubernetes has them: generated from the API's OpenAPI description,
one class a file, which are only read here. quickstart unpacks it."""

import ast
import pathlib
import re

from shipped import ROOT

MODELS = "usr/lib/python3/dist-packages/kubernetes/client/models"
SIMPLE = {"str": str, "int": int, "bool": bool, "float": (int, float)}


class Types:
    def __init__(self):
        folder = next((found for found in (pathlib.Path("/", MODELS), ROOT / "build/tools" / MODELS) if found.is_dir()), None)
        assert folder, "needs the Debian package python3-kubernetes: quickstart unpacks it"
        self.files = {}
        for file in folder.glob("*.py"):
            if named := re.search(r"^class (\w+)\(object\)", text := file.read_text(), re.M):
                self.files[named[1]] = text

    def fields(self, kind):
        """{key: (type, is required)}"""
        text = self.files[kind]
        types, keys = (ast.literal_eval(re.search(rf"^    {name} = (\{{.*?\}})$", text, re.M | re.S)[1]) for name in ("openapi_types", "attribute_map"))
        required = set(re.findall(r"Invalid value for `(\w+)`, must not be `None`", text))
        return {keys[name]: (type, name in required) for name, type in types.items()}

    def faults(self, kind, value, place=""):
        """What a server would refuse: unknown and missing keys, and values of another type."""
        if kind == "object":
            return []
        if kind in SIMPLE:
            is_it = isinstance(value, SIMPLE[kind]) and (kind == "bool" or not isinstance(value, bool))
            return [] if is_it else [f"{place}: {value!r} is no {kind}"]
        if inner := re.fullmatch(r"list\[(.+)\]", kind):
            if not isinstance(value, list):
                return [f"{place}: {value!r} is no list"]
            return [fault for i, each in enumerate(value) for fault in self.faults(inner[1], each, f"{place}[{i}]")]
        if not isinstance(value, dict):
            return [f"{place}: {value!r} is no map"]
        if inner := re.fullmatch(r"dict\(str, (.+)\)", kind):
            return [fault for key, each in value.items() for fault in self.faults(inner[1], each, f"{place}.{key}")]
        fields = self.fields(kind)
        missing = [f"{place}: {key} is missing" for key, (_, required) in fields.items() if required and key not in value]
        unknown = [f"{place}: {key} is unknown" for key in value if key not in fields]
        return missing + unknown + [fault for key, each in value.items() if key in fields for fault in self.faults(fields[key][0], each, f"{place}.{key}")]
