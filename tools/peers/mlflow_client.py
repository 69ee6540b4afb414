#!/usr/bin/env python3
"""MLflow's own client against lathe registry serve: it makes a model, registers versions, moves an alias, searches, and is refused what is refused.

    python tools/peers/mlflow_client.py LATHE

Needs PyPI's mlflow-skinny or mlflow; without it this is skipped, aloud.  Checked with mlflow-skinny 3.17.2."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import judge
from judge import check

try:
    import mlflow
    from mlflow.exceptions import MlflowException
except ImportError:
    print("SKIPPED: no mlflow here (pip install mlflow-skinny)")
    sys.exit(77)

lathe = os.path.abspath(sys.argv[1])
work = pathlib.Path(tempfile.mkdtemp())


def refused(what, code, call, *args, **more):
    judge.refused(what, MlflowException, lambda e: e.error_code == code, call, *args, **more)


for name in "ab":
    (work / "root" / name).mkdir(parents=True)
    (work / "root" / name / "weights").write_text(name)
(work / "port").unlink(missing_ok=True)
os.environ.update(MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", MLFLOW_TRACKING_TOKEN="secret")
server = subprocess.Popen([lathe, "registry", "serve", "--port", "0", "--port-file", work / "port", "--import-root", work / "root", "--registry", work / "registry", "--no-facts", "--key", "secret", "--quiet"])
try:
    while not (work / "port").exists() or not (work / "port").read_text().endswith("\n"):
        check("the server runs", server.poll() is None)
        time.sleep(0.05)
    uri = "http://127.0.0.1:" + (work / "port").read_text().strip()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    c = mlflow.MlflowClient()
    check("nothing is there", not c.search_registered_models())
    c.create_registered_model("support", tags={"team": "a"}, description="of tickets")
    refused("twice the same", "RESOURCE_ALREADY_EXISTS", c.create_registered_model, "support")
    v1 = c.create_model_version("support", str(work / "root" / "a"), run_id="0123abc", tags={"k": "v"}, description="first")
    v2 = c.create_model_version("support", f"file://{work}/root/b")
    check("versions count", (v1.version, v2.version, v1.status, v1.run_id, v1.tags, v1.description) == ("1", "2", "READY", "0123abc", {"k": "v"}, "first") or
          (int(v1.version), int(v2.version)) == (1, 2) and v1.status == "READY" and v1.run_id == "0123abc" and v1.tags == {"k": "v"})
    for version in (1, 2, 1):
        c.set_registered_model_alias("support", "champion", version)
        check("the alias moves", int(c.get_model_version_by_alias("support", "champion").version) == version)
    check("the version tells its alias", c.get_model_version("support", "1").aliases == ["champion"])
    c.set_model_version_tag("support", "2", "judged", "yes")
    c.set_registered_model_tag("support", "stage", "x")
    c.delete_registered_model_tag("support", "stage")
    c.update_registered_model("support", "of mails")
    c.update_model_version("support", "2", "second")
    m = c.get_registered_model("support")
    check("the model tells all", (m.description, m.tags, {k: int(v) for k, v in m.aliases.items()}) == ("of mails", {"team": "a"}, {"champion": 1}))
    check("a version tells all", (lambda v: (v.description, v.tags))(c.get_model_version("support", "2")) == ("second", {"judged": "yes"}))
    check("the last one", [int(v.version) for v in c.get_latest_versions("support")] == [2])
    for i in range(5):
        c.create_registered_model(f"m{i}")
    page, names = c.search_registered_models(max_results=2), []
    while True:
        names += [r.name for r in page]
        if not page.token:
            break
        page = c.search_registered_models(max_results=2, page_token=page.token)
    check(f"page by page: {names}", names == ["m0", "m1", "m2", "m3", "m4", "support"])
    check("by a filter", [r.name for r in c.search_registered_models("name LIKE 'sup%' AND tags.team = 'a'", order_by=["name DESC"])] == ["support"])
    check("versions by a filter", [int(v.version) for v in c.search_model_versions("name = 'support'")] == [2, 1] and [int(v.version) for v in c.search_model_versions("run_id = '0123abc'")] == [1])
    path = c.get_model_version_download_uri("support", "1")
    check("its files", (pathlib.Path(path) / "weights").read_text() == "a")
    c.delete_registered_model_alias("support", "champion")
    refused("an alias that is gone", "INVALID_PARAMETER_VALUE", c.get_model_version_by_alias, "support", "champion")
    refused("a name that is not there", "RESOURCE_DOES_NOT_EXIST", c.get_registered_model, "none")
    refused("to rename", "PERMISSION_DENIED", c.rename_registered_model, "support", "other")
    refused("to delete a model", "PERMISSION_DENIED", c.delete_registered_model, "support")
    refused("to delete a version", "PERMISSION_DENIED", c.delete_model_version, "support", "1")
    refused("a run that cannot be resolved", "INVALID_PARAMETER_VALUE", c.create_model_version, "support", "runs:/0123abc/model")
    refused("a path outside", "INVALID_PARAMETER_VALUE", c.create_model_version, "support", "/etc/passwd")
    os.environ["MLFLOW_TRACKING_TOKEN"] = "wrong"
    refused("another's key", "UNAUTHENTICATED", c.get_registered_model, "support")
finally:
    server.terminate()
    check("the server ends", server.wait(20) == 0)
verdict = json.loads(subprocess.run([lathe, "registry", "verify", "--registry", work / "registry", "--json", "--quiet"], capture_output=True, text=True).stdout)
check("the journal agrees", verdict["valid"])
print(f"mlflow {mlflow.__version__}: {judge.n} checks, all as expected; {verdict['records']} records in the journal")
