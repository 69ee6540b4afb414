"""A pytest plugin that runs llama.cpp's tests of llama-server against lathe serve.

usage, in llama.cpp's tools/server/tests, with what requirements.txt there names installed:
    LATHE=.../lathe MODEL=stories260K.gguf PYTHONPATH=.../tools/peers python -m pytest -p llama_server_tests \\
        unit/test_basic.py unit/test_chat_completion.py unit/test_embedding.py unit/test_tokenize.py unit/test_security.py unit/test_metrics.py unit/test_compat_anthropic.py
and unit/test_completion.py with -k openai_library, as the others there ask llama-server's own /completion.
MODEL is their model with the template that llama-server takes for models without one (chatml):
    python -m gguf.scripts.gguf_new_metadata --chat-template "$(cat tools/peers/chatml.jinja)" stories260K-f32.gguf MODEL

What is adapted is how the server is started, and what of a request is theirs: paths get /v1, a request without a model the name of the
one that is served, requests of the openai package that name; and its n_predict, which bounds answers that do not say how long they are
to be.  Where a test asks for more positions than the model has, it gets those.  A fingerprint is told with a b before it, as theirs
begin with one."""
import os
import subprocess
import sys
import tempfile
import time

import pytest

NAME = "tinyllama-2"
CTX = 512                # that the model was made for
PATHS = ("/chat/completions", "/completions", "/models", "/embeddings")


def start(self, timeout_seconds=20):
    utils = sys.modules["utils"]
    work = tempfile.mkdtemp()
    args = [os.environ["LATHE"], "serve", os.environ["MODEL"], "--name", NAME, "--port", "0", "--port-file", work + "/port", "--quiet", "--parallel", str(self.n_slots or 4)]
    if self.n_ctx:
        args += ["--ctx", str(min(self.n_ctx, CTX))]
    if self.api_key:
        args += ["--key", self.api_key]
    self.process = subprocess.Popen(args)
    self._log = sys.stdout
    utils.server_instances.add(self)
    until = time.time() + timeout_seconds
    while time.time() < until and not os.path.exists(work + "/port"):
        if self.process.poll() is not None:
            raise RuntimeError("the server has ended")
        time.sleep(0.02)
    time.sleep(0.05)
    self.server_port = int(open(work + "/port").read())


def ours(path): return "/v1" + path if path in PATHS else path


def with_model(path, data, server):
    if isinstance(data, dict) and path.startswith("/v1"):
        data = dict(data)
        if not data.get("model") or data["model"] in ("test", "codellama70b", "gpt-3.5-turbo"):
            data["model"] = NAME
        if path == "/v1/chat/completions" and server.n_predict and "max_tokens" not in data:
            data["max_tokens"] = server.n_predict
    return data


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    utils = sys.modules["utils"]
    S = utils.ServerProcess
    if getattr(S, "is_lathe", False):
        return
    request, stream = S.make_request, S.make_stream_request

    def make_request(self, method, path, data=None, *args, **kwargs):
        r = request(self, method, ours(path), with_model(ours(path), data, self), *args, **kwargs)
        if isinstance(r.body, dict) and "system_fingerprint" in r.body:
            r.body["system_fingerprint"] = "b" + r.body["system_fingerprint"]
        return r

    def make_stream_request(self, method, path, data=None, *args, **kwargs):
        for r in stream(self, method, ours(path), with_model(ours(path), data, self), *args, **kwargs):
            if "system_fingerprint" in r:
                r["system_fingerprint"] = "b" + r["system_fingerprint"]
            yield r

    S.start, S.make_request, S.make_stream_request, S.is_lathe = start, make_request, make_stream_request, True
    utils.ServerPreset.load_all = staticmethod(lambda: None)
    from openai.resources.chat.completions import Completions as Chats
    from openai.resources.completions import Completions
    from openai.resources.embeddings import Embeddings
    for c in (Chats, Completions, Embeddings):
        def create(self, *args, _create=c.create, **kwargs):
            r = _create(self, *args, **{**kwargs, "model": NAME})
            if getattr(r, "system_fingerprint", None):
                r.system_fingerprint = "b" + r.system_fingerprint
            return r
        c.create = create
