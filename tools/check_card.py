#!/usr/bin/env python3
"""Are a card's documents what their formats want, by other programs?  Usage: check_card.py FOLDER croissant|cyclonedx|spdx|hub [SCHEMAS]
croissant: mlcroissant (PyPI); cyclonedx: python3-jsonschema with the schema files in SCHEMAS; spdx: spdx-python-model (PyPI), and with
SCHEMAS, a folder with spdx-schema.json, model.ttl and context.jsonld of 3.0.1, JSON Schema and SHACL (rdflib, pyshacl) too.
hub: a model card, README.md, by huggingface_hub (PyPI).
Exit 0: yes, 1: no, with the reasons; 77: the program is not here, which is said."""
import io, json, os, sys


def missing(what):
    print(f"SKIPPED: {what} is not here")
    sys.exit(77)


def croissant(folder, _):
    try:
        import logging
        import mlcroissant
    except ImportError:
        missing("mlcroissant")
    logging.disable(logging.CRITICAL)
    dataset = mlcroissant.Dataset(jsonld=os.path.join(folder, "croissant.json"))
    issues = dataset.metadata.ctx.issues
    return sorted(map(str, issues.errors)), sorted(map(str, issues.warnings))


def load(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as f:
        return json.load(f)


def cyclonedx(folder, schemas):
    try:
        import jsonschema
    except ImportError:
        missing("python3-jsonschema")
    import warnings
    warnings.simplefilter("ignore")
    names = ["bom-1.7.schema.json", "spdx.schema.json", "jsf-0.82.schema.json", "cryptography-defs.json"]
    store = {}
    for name in names:
        s = load(schemas, name)
        store["http://cyclonedx.org/schema/" + name] = store[s.get("$id", name)] = store[name] = s
    top = store[names[0]]
    resolver = jsonschema.RefResolver(top["$id"], top, store)
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in jsonschema.Draft7Validator(top, resolver=resolver).iter_errors(load(folder, "cyclonedx.json"))], []


def spdx(folder, schemas):
    try:
        from spdx_python_model import v3_0_1 as model
    except ImportError:
        missing("spdx-python-model")
    objects = model.SHACLObjectSet()
    with open(os.path.join(folder, "spdx.json"), "rb") as f:
        model.JSONLDDeserializer().read(f, objects)
    model.JSONLDSerializer().write(objects, io.BytesIO())        # which looks at what must be there
    bad = [f"nothing has the id {i}" for i in objects.missing_ids if not i.startswith("https://spdx.org/rdf/3.0.1/terms/")]
    return bad + (shapes(folder, schemas) if schemas else []), []


def shapes(folder, schemas):
    import jsonschema, rdflib, pyshacl
    d = load(folder, "spdx.json")
    bad = [f"schema: {e.json_path}: {e.message[:200]}" for e in jsonschema.Draft202012Validator(load(schemas, "spdx-schema.json")).iter_errors(d)]
    d["@context"] = load(schemas, "context.jsonld")["@context"]
    model = rdflib.Graph().parse(os.path.join(schemas, "model.ttl"))
    ok, _, text = pyshacl.validate(rdflib.Graph().parse(data=json.dumps(d), format="json-ld"), shacl_graph=model, ont_graph=model)
    return bad + ([] if ok else [text])


def hub(folder, _):
    try:
        from huggingface_hub import ModelCard
    except ImportError:
        missing("huggingface_hub")
    with open(os.path.join(folder, "README.md"), encoding="utf-8") as f:
        text = f.read()
    card = ModelCard(text)
    n = text.split("\n---\n")[0].count("    - type: ")           # metrics
    bad = [] if len(card.data.eval_results or []) == n else [f"found {len(card.data.eval_results or [])} results of {n}"]
    again = ModelCard(str(card)).data
    return bad + ([] if again.to_dict() == card.data.to_dict() else ["what it writes is read as something else"]), []


try:
    errors, warnings = {"croissant": croissant, "cyclonedx": cyclonedx, "spdx": spdx, "hub": hub}[sys.argv[2]](sys.argv[1], sys.argv[3] if len(sys.argv) > 3 else None)
except Exception as e:
    errors, warnings = [f"{type(e).__name__}: {e}"], []
for w in warnings:
    print("warning:", w)
for e in errors:
    print("error:", e)
sys.exit(1 if errors else 0)
