#!/usr/bin/env python3
"""Writes tests/golden/schema.json: schemas, and texts that follow them or do not, as Python's jsonschema judges.

    pip install 'jsonschema[format]'
    python3 tools/golden/schema.py --suite JSON-Schema-Test-Suite [--out tests/golden/schema.json]
    python3 tools/golden/schema.py --check WALKS       # of build/unit/test_schema --walk WALKS: is every text valid?

Three lists for each schema: `good` texts are valid and are written; `bad` ones are not valid; `narrow` ones are valid (or are JSON
at all), but not of the form that infer/schema.h says is written: other orders, names that are not given, other escapes.
The suite's cases (https://github.com/json-schema-org/JSON-Schema-Test-Suite, draft 2020-12, MIT) are taken as they are: what is
written has to be valid by them.
"""
import argparse
import json
import os

from jsonschema import Draft202012Validator

CHECKER = Draft202012Validator.FORMAT_CHECKER

TOOL = {
    "type": "object",
    "properties": {
        "location": {"type": "string", "description": "City and country"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "when": {"type": "string", "format": "date-time"},
        "fields": {"type": "array", "items": {"type": "string", "enum": ["temperature", "wind", "rain", "humidity"]}, "minItems": 1, "maxItems": 4},
        "address": {
            "type": "object",
            "properties": {
                "street": {"type": "string"},
                "zip": {"type": "string", "pattern": "^[0-9]{5}$"},
                "country": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
            "required": ["street", "zip"],
            "additionalProperties": False,
        },
        "precision": {"type": "number", "minimum": 0, "maximum": 1},
        "notes": {"type": ["string", "null"]},
    },
    "required": ["location", "unit"],
    "additionalProperties": False,
}

NODE = {"type": "object", "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["value", "next"], "additionalProperties": False}

# schema, good, bad, narrow
CASES = [
    ({"type": "null"}, ["null"], ["true", "nul", "", "nullx"], []),
    ({"type": "boolean"}, ["true", "false"], ["null", "1", '"true"'], []),
    ({"type": "integer"}, ["0", "-1", "12", "999999999999999999", "-999999999999999999"], ["1.5", "01", "-", "+1", '"1"', "0x1", "1e-1"], ["1.0", "1e2", "-0", "1000000000000000000"]),
    ({"type": "number"}, ["0", "-0", "1.5", "-2e10", "3.25E-7", "100", "0.000001"], ["1.", ".5", "00", "Infinity", "NaN", "--1", "1e"], ["1e100"]),
    ({"type": "string"}, ['""', '"a"', '"\\u00e4"', '"\\ud83d\\ude00"', '"\u00e4\U0001F600"', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\x7f"'], ['"a', '"\n"', '"\\x"', "a", '"\\u12"', '"\t"'], ['"\\ud83d"', '"\\ude00\\ud83d"']),
    ({"type": ["string", "null"]}, ['"x"', "null"], ["1", "[]"], []),
    ({"type": ["integer", "number", "array"]}, ["1", "1.5", "[1]", "[]"], ['"x"', "{}"], []),
    ({}, ["1", "{}", '[null, {"a": [1.5, "x"]}]', "true", '{"a": {"b": {}}}'], ["", "[1,]", "{,}", "{1:2}", "[1 2]"], [' 1', "1 "]),
    (True, ["1", "{}"], ["x"], []),
    ({"description": "any", "x-order": 3, "default": 1}, ["1", "[]"], ["x"], []),
    ({"type": "object"}, ["{}", '{"a":1}', '{"a":1,"b":[{}]}', '{"a": 1, "b": 2}', '{\n  "a": 1\n}'], ["[]", "1", '{"a"}', '{"a":1,}'], ['{"a" :1}', '{  "a":1}']),
    ({"type": "array"}, ["[]", "[1]", '[1, "a", null]', "[\n  1,\n  2\n]"], ["{}", "[1", "[,]"], []),
    ({"enum": ["a", "ab", "b", 1, 1.5, None, True, [1, {"x": "y"}], {"k": []}]}, ['"a"', '"ab"', '"b"', "1", "1.5", "null", "true", '[1,{"x":"y"}]', '[1, {"x": "y"}]', '{"k":[]}'],
     ['"c"', "2", "false", "[]", "[1]", '""', '"abc"'], ['"\\u0061"', "1.50", '[ 1 , {"x":"y"}]']),
    ({"const": "x\"y\n\u00e4"}, ['"x\\"y\\n\u00e4"'], ['"x"'], ['"x\\"y\\n\\u00e4"']),
    ({"const": 10}, ["10"], ["1", "100"], ["10.0", "1e1"]),
    ({"type": "string", "enum": ["a", 1]}, ['"a"'], ["1"], []),
    ({"type": "integer", "enum": [1, 2.5, 3]}, ["1", "3"], ["2.5"], []),
    ({"const": "b", "enum": ["a", "b"]}, ['"b"'], ['"a"'], []),
    ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "null"}}, "required": ["b"]},
     ['{"b":"x"}', '{"a":1,"b":"x"}', '{"a":1,"b":"x","c":null}', '{"b":"x","c":null}', '{"a": 1, "b": "x"}', '{\n "b": "x"\n}'],
     ["{}", '{"a":1}', '{"b":1}', '{"a":"1","b":"x"}', '{"b":"x",}', '{"b":"x","c":0}', '{,"b":"x"}'],
     ['{"b":"x","a":1}', '{"b":"x","d":1}', '{"\\u0062":"x"}']),
    ({"properties": {"a": {"type": "integer"}}}, ["{}", '{"a":1}'], ['{"a":"1"}'], ["1", '"x"', '{"b":1}']),
    ({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}, ["{}", '{"a":1}'], ['{"b":1}', '{"a":1,"b":1}', '{"a":"x"}'], []),
    ({"type": "object", "properties": {}, "additionalProperties": False}, ["{}"], ['{"a":1}'], []),
    ({"type": "object", "properties": {"a": True, "b": False}}, ["{}", '{"a":[]}'], ['{"b":1}'], []),
    ({"type": "object", "properties": {"a": {"type": "integer"}, "ab": {"type": "null"}, "\u00e4\"": {"type": "boolean"}}, "additionalProperties": {"type": "string"}},
     ["{}", '{"a":1}', '{"b":"x"}', '{"a":1,"b":"x","c":"y"}', '{"abc":"x"}', '{"":"x"}', '{"\u00e4":"x"}', '{"\u00e4\\"":true}', '{"\u00e4\\"x":"y"}', '{"a":1,"ab":null,"ac":"x"}', '{"\u00e5":"x"}', '{"\\n":"x"}'],
     ['{"b":1}', '{"a":"x"}', '{"ab":"x"}', '{"\u00e4\\"":"x"}', '{"b":"x","c":2}', '{"a":1,"ab":"x"}'], ['{"b":"x","a":1}', '{"\\u0062":"x"}']),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, ["{}", '{"a":1}', '{"a":1,"b":2}'], ['{"a":"x"}'], []),
    ({"type": "object", "required": ["x"]}, ['{"x":1}', '{"x":{},"y":2}'], ["{}", '{"y":1}'], ['{"y":1,"x":1}']),
    ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a", "z"], "additionalProperties": {"type": "boolean"}}, ['{"a":1,"z":true}', '{"a":1,"z":true,"y":false}'], ['{"a":1}', '{"a":1,"z":1}'], []),
    ({"type": "object", "patternProperties": {"^x_[a-z]+$": {"type": "integer"}}, "additionalProperties": False}, ["{}", '{"x_a":1,"x_bc":2}'], ['{"x_":1}', '{"y":1}', '{"x_a":"1"}'], []),
    ({"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": {"type": "integer"}}, ["{}", '{"a":1,"b":2}'], ['{"c":1}', '{"a":"x"}'], []),
    ({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"], "minProperties": 1, "maxProperties": 2}, ['{"a":1}', '{"a":1,"b":2}'], ["{}"], []),
    ({"type": "array", "items": {"type": "integer"}}, ["[]", "[1]", "[1,2, 3]", "[ 1 ]"], ['["a"]', "[1,null]", "[1,,2]"], ["[1 ,2]"]),
    ({"type": "array", "items": {"type": "string"}, "minItems": 1}, ['["a"]', '["a","b"]'], ["[]", "[1]"], []),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4}, ["[1,2]", "[1,2,3]", "[1,2,3,4]"], ["[]", "[1]", "[1,2,3,4,5]"], []),
    ({"type": "array", "items": {"type": "integer"}, "maxItems": 1}, ["[]", "[1]"], ["[1,2]"], []),
    ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"], []),
    ({"type": "array", "minItems": 3}, ["[1,2,3]", '[1,"a",null,{}]'], ["[1,2]"], []),
    ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False}, ["[]", '["a"]', '["a",1]'], ["[1]", '["a","b"]', '["a",1,2]'], []),
    ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 2}, ['["a",1]'], ["[]", '["a"]'], ['["a",1,2]']),
    ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "minItems": 2, "maxItems": 3}, ['["a",1]', '["a",1,2]'], ['["a"]', '["a","b"]', '["a",1,2,3]'], []),
    ({"type": "array", "prefixItems": [{"type": "string"}], "minItems": 3}, ['["a",1,2]'], ['["a",1]', "[1,2,3]"], ['["a",1,2,3]']),
    ({"type": "array", "items": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}, "minItems": 1}, ["[[true]]", "[[true,false],[true]]"], ["[]", "[[]]", "[[true,true,true]]"], []),
    ({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}, "maxItems": 2}, ["[]", '[{"a":1}]', '[{"a":1}, {"a":2}]'], ["[{}]", '[{"a":1},{"a":1},{"a":1}]'], []),
    ({"type": "array", "items": False}, ["[]"], ["[1]"], []),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ['"ab"', '"abc"', '"\u00e4\U0001F600"', '"\\n\\""'], ['"a"', '"abcd"', '""'], ['"\\u0061b"']),
    ({"type": "string", "minLength": 1}, ['"a"', '"abcdefgh"'], ['""'], []),
    ({"type": "string", "maxLength": 0}, ['""'], ['"a"'], []),
    ({"type": "string", "minLength": 40, "maxLength": 100}, ['"' + "x" * 40 + '"', '"' + "y" * 100 + '"'], ['"' + "x" * 39 + '"', '"' + "x" * 101 + '"'], []),
    ({"type": "string", "pattern": "^[A-Z]{2}\\d{3,4}$"}, ['"AB123"', '"AB1234"'], ['"AB12"', '"ab123"', '"AB12345"', '"xAB123"'], []),
    ({"type": "string", "pattern": "^(ab|\\S{2,5})(x?y{0,3}|z)$", "minLength": 2, "maxLength": 9}, ['"ab"', '"-----xyyy"', '"abz"'], ['"a"', '"------xyyyz"'], []),
    ({"type": "string", "pattern": "\\S", "minLength": 1}, ['"a"', '"a b"'], ['""'], []),
    ({"type": "string", "format": "date", "minLength": 10, "maxLength": 10}, ['"2024-05-06"'], ['"2024-5-6"'], []),
    ({"type": "string", "pattern": "b+"}, ['"b"', '"abbc"', '"\\nb\\"\u00e4"'], ['"ac"', '""'], []),
    ({"type": "string", "pattern": "^(yes|no)$|^maybe"}, ['"yes"', '"no"', '"maybe so"'], ['"yes!"', '"perhaps"'], []),
    ({"type": "string", "pattern": "^\"[^\"\\\\]*\\\\?$"}, ['"\\"abc"', '"\\"\\\\"'], ['"abc"', '"\\"a\\""'], []),
    ({"type": "string", "pattern": "^[\u00e4-\u00fc\U0001F600]+$"}, ['"\u00e4\u00fc\U0001F600"'], ['"a"', '"\U0001F601"'], []),
    ({"type": "string", "pattern": "^.\\s\\w\\W\\S$"}, ['"a b-c"', '"a\\tb-c"'], ['"a bbc"', '"ab-cd"'], []),
    ({"type": "string", "format": "date"}, ['"2024-02-29"', '"2023-12-31"', '"0001-01-01"'], ['"2023-02-29"', '"2024-13-01"', '"2024-04-31"', '"0000-01-01"', '"2024-1-1"', '"1900-02-29"'], []),
    ({"type": "string", "format": "time"}, ['"23:59:59Z"', '"00:00:00.125+01:00"'], ['"24:00:00Z"', '"23:60:00Z"', '"1:00:00Z"'], []),
    ({"type": "string", "format": "date-time"}, ['"2024-02-29T12:00:00Z"', '"2000-02-29T12:00:00.5-08:00"'], ['"2024-02-30T12:00:00Z"', '"2024-02-29 12:00:00"', '"2024-02-29"'], []),
    ({"type": "string", "format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567e89b12d3a456426614174000"', '"123e4567-e89b-12d3-a456-42661417400g"'], []),
    ({"type": "string", "format": "ipv4"}, ['"127.0.0.1"', '"255.255.255.255"'], ['"256.0.0.1"', '"1.2.3"', '"01.2.3.4"'], []),
    ({"type": "string", "format": "ipv6"}, ['"1:2:3:4:5:6:7:8"', '"::1"', '"::"', '"fe80::1:2"'], ['"1:2:3"', '"::g"', '"1::2::3"', '":::"'], []),
    ({"type": "string", "format": "email"}, ['"a.b@example.com"', '"x@y"'], ['"abc"'], ['"\\"a b\\"@example.com"']),
    ({"type": "string", "format": "hostname"}, ['"example.com"', '"a-b.c"'], ['"-a.b"', '"a_b"', '"a..b"'], []),
    ({"type": "string", "format": "uri"}, ['"https://example.com/a/b?c=d#e"', '"ftp://x.y:21/"'], ['"example.com"', '"//x"'], ['"mailto:a@b.c"']),
    ({"type": "string", "format": "duration"}, ['"P1D"', '"PT1H30M"', '"P1Y2M3DT4H"', '"P3W"'], ['"P"', '"PT"', '"1D"', '"P1DT"'], []),
    ({"type": "integer", "minimum": 0}, ["0", "7", "123456"], ["-1", "1.5"], []),
    ({"type": "integer", "minimum": 18, "maximum": 120}, ["18", "19", "99", "100", "120"], ["17", "121", "1", "180", "018", "0"], []),
    ({"type": "integer", "minimum": -15, "maximum": 7}, ["-15", "-9", "-1", "0", "7"], ["-16", "8", "10", "-20", "-100"], ["-0"]),
    ({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 6}, ["4", "5"], ["3", "6", "45"], []),
    ({"type": "integer", "minimum": 1.5, "maximum": 3.5}, ["2", "3"], ["1", "4"], []),
    ({"type": "integer", "maximum": -5}, ["-5", "-50"], ["-4", "0", "5"], []),
    ({"type": "integer", "minimum": 999, "maximum": 1001}, ["999", "1000", "1001"], ["998", "1002", "99", "10000"], []),
    ({"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807}, ["-9223372036854775808", "9223372036854775807", "0"], ["9223372036854775808", "-9223372036854775809"], []),
    ({"type": "number", "minimum": 0, "maximum": 1}, ["0", "1", "0.5", "1.0", "0.99999", "0.0"], ["-0.1", "1.1", "1.01", "2", "10"], ["5e-1", "-0"]),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, ["0.5", "0.001", "0.999"], ["0", "1", "0.0", "1.0", "-0.5"], []),
    ({"type": "number", "minimum": -1.5, "maximum": 2.25}, ["-1.5", "-1.49", "2.25", "2.2", "0", "2", "-1", "-0.5", "2.250"], ["-1.51", "2.26", "-2", "3", "2.251"], []),
    ({"type": "number", "minimum": 10}, ["10", "10.5", "123.456", "99999"], ["9.99", "1", "-10"], ["1e3"]),
    ({"type": "number", "exclusiveMaximum": -0.25}, ["-0.26", "-1", "-100.5"], ["-0.25", "0", "-0.2", "1"], []),
    ({"type": "number", "minimum": 0.1, "maximum": 0.3}, ["0.1", "0.2", "0.25", "0.3", "0.10"], ["0.09", "0.31", "0", "1"], []),
    ({"type": "number", "minimum": 99.5, "maximum": 1000.5}, ["99.5", "99.6", "100", "1000.5", "1000.4", "999.99"], ["99.4", "1000.6", "1001", "99"], []),
    ({"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 2}]}, ["1", '"ab"'], ['"a"', "1.5", "null"], []),
    ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}, ['{"a":1}', '{"b":1}', '{"a":1,"b":2}'], ["{}", '{"a":"x"}'], []),
    ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, ["1", '"a"'], ["1.5", "null"], []),
    ({"oneOf": [{"type": "object", "properties": {"kind": {"const": "cat"}, "meow": {"type": "boolean"}}, "required": ["kind", "meow"]},
                {"type": "object", "properties": {"kind": {"const": "dog"}, "bark": {"type": "integer"}}, "required": ["kind"]}]},
     ['{"kind":"cat","meow":true}', '{"kind":"dog"}', '{"kind":"dog","bark":2}'], ['{"kind":"cat"}', '{"kind":"cow"}', "{}", '{"kind":"cat","meow":1}'], []),
    ({"oneOf": [{"type": "integer", "maximum": 4}, {"type": "integer", "minimum": 5}]}, ["4", "5", "-3", "100"], ["4.5"], []),
    ({"oneOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"], "type": "object"}, {"properties": {"b": {"type": "integer"}}, "required": ["b"], "type": "object"}]}, ['{"a":1}', '{"b":1}'], ["{}", '{"a":1,"b":1}'], []),
    ({"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "string"}}, "required": ["b"]}]}, ['{"a":1,"b":"x"}'], ['{"a":1}', '{"b":"x"}', '{"a":"1","b":"x"}'], ['{"b":"x","a":1}']),
    ({"allOf": [{"type": "integer", "minimum": 2}, {"type": "number", "maximum": 5}, {"minimum": 1}]}, ["2", "5"], ["1", "6", "2.5"], []),
    ({"allOf": [{"enum": ["a", "b", "c"]}, {"enum": ["b", "c", "d"]}]}, ['"b"', '"c"'], ['"a"', '"d"'], []),
    ({"allOf": [{"type": "array", "items": {"type": "integer"}}, {"items": {"minimum": 3}, "minItems": 1}]}, ["[3]", "[4,5]"], ["[]", "[2]"], []),
    ({"allOf": [{"properties": {"a": {"minimum": 3}}}], "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}, ['{"a":3}'], ['{"a":2}', "{}"], []),
    ({"$defs": {"node": NODE}, "$ref": "#/$defs/node"}, ['{"value":1,"next":null}', '{"value":1,"next":{"value":2,"next":{"value":3,"next":null}}}'], ['{"value":1}', '{"value":1,"next":1}', '{"value":1,"next":{"value":2}}'], []),
    ({"type": "object", "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}}, "required": ["name"]}, ['{"name":"a"}', '{"name":"a","children":[]}', '{"name":"a","children":[{"name":"b"},{"name":"c","children":[{"name":"d"}]}]}'], ['{"children":[]}', '{"name":"a","children":[{}]}'], []),
    ({"definitions": {"p/q~r": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/definitions/p~1q~0r"}}, ["[]", "[1,2]"], ['["a"]'], []),
    ({"$defs": {"pos": {"type": "integer", "minimum": 1}}, "type": "object", "properties": {"a": {"$ref": "#/$defs/pos", "description": "x"}, "b": {"$ref": "#/$defs/pos", "maximum": 3}}}, ['{"a":5,"b":3}', '{"b":1}'], ['{"b":4}', '{"a":0}'], []),
    ({"$defs": {"a": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"$ref": "#/$defs/b"}}]}, "b": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}, ["1", "[]", '["x",1,["y",[2]]]'], ['"x"', "[null]"], []),
    (TOOL, ['{"location":"Oslo","unit":"celsius"}', '{"location": "Oslo", "unit": "fahrenheit", "days": 14, "fields": ["wind", "rain"], "address": {"street": "x", "zip": "01234", "country": null}, "precision": 0.5, "notes": null}'],
     ['{"location":"Oslo"}', '{"location":"Oslo","unit":"kelvin"}', '{"location":"Oslo","unit":"celsius","days":15}', '{"location":"Oslo","unit":"celsius","fields":[]}', '{"location":"Oslo","unit":"celsius","address":{"street":"x","zip":"123"}}'], []),
]

SUITE = ["additionalProperties", "allOf", "anyOf", "boolean_schema", "const", "default", "defs", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maxItems", "maxLength", "maxProperties", "maximum",
         "minItems", "minLength", "minProperties", "minimum", "multipleOf", "oneOf", "pattern", "patternProperties", "prefixItems", "properties", "propertyNames", "ref", "required", "type", "uniqueItems", "not",
         "if-then-else", "contains", "unevaluatedProperties", "infinite-loop-detection", "optional/bignum", "optional/ecmascript-regex", "optional/non-bmp-regex", "optional/float-overflow",
         "optional/format/date-time", "optional/format/date", "optional/format/time", "optional/format/duration", "optional/format/email", "optional/format/hostname", "optional/format/ipv4", "optional/format/ipv6",
         "optional/format/uri", "optional/format/uuid"]


def strict_loads(text):
    def no_constant(name):
        raise ValueError(name)
    x = json.loads(text, parse_constant=no_constant)
    json.dumps(x, ensure_ascii=False).encode()          # halves of surrogate pairs are no text
    return x


def valid(schema, text):
    try:
        x = strict_loads(text)
    except (ValueError, UnicodeEncodeError):
        return False
    return Draft202012Validator(schema, format_checker=CHECKER).is_valid(x)


def is_json(text):
    try:
        json.loads(text)
        return True
    except ValueError:
        return False


def small(v):
    return not isinstance(v, int) or abs(v) < 1 << 63


def fits(v):
    """Integers beyond 64 bits are not read; nor are names with a NUL."""
    if isinstance(v, dict):
        return all(fits(x) and "\0" not in k for k, x in v.items())
    return all(fits(x) for x in v) if isinstance(v, list) else small(v)


def texts_of(data):
    """In two ways: as they are mostly written."""
    return {json.dumps(data, ensure_ascii=False, separators=(",", ":")), json.dumps(data, ensure_ascii=False)}


def suite(folder):
    out = []
    for name in SUITE:
        with open(os.path.join(folder, "tests/draft2020-12", name + ".json")) as f:
            for group in json.load(f):
                tests = []
                for t in group["tests"]:
                    try:
                        texts = sorted(texts_of(t["data"]))
                        for text in texts:
                            text.encode()
                    except UnicodeEncodeError:
                        continue
                    tests += [[text, t["valid"]] for text in texts if len(text) < 2000]
                if fits(group["schema"]) and len(json.dumps(group["schema"])) < 4000:
                    out.append({"schema": group["schema"], "tests": tests})
    return out


def check(path):
    n = bad = 0
    with open(path) as f:
        for line in f:
            w = json.loads(line)
            n += 1
            if not valid(w["schema"], w["text"]):
                bad += 1
                print("NOT VALID", json.dumps(w["schema"])[:300], repr(w["text"])[:300])
    print("%d texts, %d not valid" % (n, bad))
    return bad > 0 or n == 0


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--suite")
    p.add_argument("--out", default="tests/golden/schema.json")
    p.add_argument("--check")
    a = p.parse_args()
    if a.check:
        raise SystemExit(check(a.check))
    need = {"date", "time", "date-time", "duration", "uuid", "ipv4", "ipv6", "hostname", "email", "uri"}
    if need - set(CHECKER.checkers):
        raise SystemExit("jsonschema lacks checkers of %s: pip install 'jsonschema[format]'" % sorted(need - set(CHECKER.checkers)))
    for schema, good, bad, narrow in CASES:
        if isinstance(schema, dict):
            Draft202012Validator.check_schema(schema)
        for t in good:
            assert valid(schema, t), (schema, t)
        for t in bad:
            assert not valid(schema, t), (schema, t)
        for t in narrow:
            assert valid(schema, t) or is_json(t), (schema, t)
    cases = [{"schema": s, "good": g, "bad": b, "narrow": n} for s, g, b, n in CASES]
    out = {"by": "jsonschema; the suite: JSON Schema Test Suite, Copyright (c) 2012 Julian Berman, MIT licence", "schemas": cases, "tool": TOOL, "suite": suite(a.suite)}
    with open(a.out, "w") as f:
        json.dump(out, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


main()
