"""Verdicts of LinkML's own tools, many in one process, since they start slowly.

In, on standard input: [{"file": path of a schema, "cases": [{"class": name, "data": value, "validate": whether to ask linkml-validate too}]}]
Out: for each file {"definitions": names of the classes in the output of gen-json-schema,
  "verdicts": for each case [what gen-json-schema's output says, what linkml-validate says or null]}
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")

import jsonschema
from linkml.generators.jsonschemagen import JsonSchemaGenerator
from linkml.validator import Validator
from linkml.validator.plugins import JsonschemaValidationPlugin

Draft = jsonschema.Draft201909Validator


def judge(job):
    # gen-json-schema --closed --no-include-null
    schema = json.loads(JsonSchemaGenerator(job["file"], not_closed=False, include_null=False).serialize())
    by_command = Validator(job["file"], validation_plugins=[JsonschemaValidationPlugin(closed=True)])
    validators = {}
    verdicts = []
    for case in job["cases"]:
        name = case["class"]
        if name not in validators:
            rooted = {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": "#/$defs/" + name}
            validators[name] = Draft(rooted, format_checker=Draft.FORMAT_CHECKER)
        by_validate = not by_command.validate(case["data"], name).results if case["validate"] else None
        verdicts.append([validators[name].is_valid(case["data"]), by_validate])
    return {"definitions": sorted(schema["$defs"]), "verdicts": verdicts}


json.dump([judge(job) for job in json.load(sys.stdin)], sys.stdout)
