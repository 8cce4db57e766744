"""A small local stand-in of the Hugging Face hub: what `huggingface_hub` and `datasets` ask of one data set."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

WRITER, READER = "hf_writer", "hf_reader"


class Repository:
    def __init__(self, *, private=False, files=None):
        self.private = private
        self.files = dict(files or {})
        self.messages = []

    @property
    def sha(self):
        return hashlib.sha1(repr((len(self.messages), sorted(self.files.items()))).encode()).hexdigest()

    def described(self, path):
        content = self.files[path]
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return {"type": "file", "oid": oid, "size": len(content), "path": path}


class Hub:
    """Repositories by name, and every request that was made."""

    def __init__(self):
        self.repositories = {}
        self.requests = []
        self.refuses_commits = False
        self.url = ""


@contextmanager
def running_hub():
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format, *values):
        pass

    def do_GET(self):
        self.answer()

    def do_HEAD(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append((self.command, path))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if path == "/api/whoami-v2":
            return self.send({"name": "owner"}) if token in (WRITER, READER) else self.refuse(401)
        if path == "/api/validate-yaml":
            return self.send({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self.create(json.loads(body), token)
        if path.startswith("/api/datasets/"):
            owner, name, *rest = path.removeprefix("/api/datasets/").split("/")
            return self.api(f"{owner}/{name}", rest, body, token)
        if path.startswith("/datasets/"):
            owner, name, _, _, *rest = path.removeprefix("/datasets/").split("/")
            return self.content(f"{owner}/{name}", "/".join(rest))
        return self.refuse(404)

    def create(self, asked, token):
        if token != WRITER:
            return self.refuse(403 if token else 401)
        name = f"{asked['organization']}/{asked['name']}"
        self.hub.repositories[name] = Repository(
            private=bool(asked.get("private")) or asked.get("visibility") == "private"
        )
        return self.send({"url": f"{self.hub.url}/datasets/{name}", "name": name})

    def api(self, name, rest, body, token):
        found = self.hub.repositories.get(name)
        if found is None:
            return self.refuse(404 if token else 401, "RepoNotFound")
        kind = rest[0] if rest else "revision"
        if kind == "revision":
            siblings = [{"rfilename": path} for path in found.files]
            return self.send({"id": name, "sha": found.sha, "private": found.private, "siblings": siblings})
        if kind == "tree":
            below = "/".join(rest[2:])
            return self.send([found.described(path) for path in found.files if path.startswith(below)])
        if kind == "paths-info":
            asked = json.loads(body)["paths"]
            return self.send([found.described(path) for path in asked if path in found.files])
        if token != WRITER:
            return self.refuse(403)
        if kind == "preupload":
            files = json.loads(body)["files"]
            modes = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files]
            return self.send({"files": modes})
        return self.commit(name, found, body)

    def commit(self, name, found, body):
        if self.hub.refuses_commits:
            return self.refuse(500)
        new = {}
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "header":
                found.messages.append(entry["value"]["summary"])
            elif entry["key"] == "file":
                new[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        found.files |= new
        return self.send({"commitUrl": f"{self.hub.url}/datasets/{name}/commit/{found.sha}", "commitOid": found.sha})

    def content(self, name, path):
        found = self.hub.repositories.get(name)
        if found is None or path not in found.files:
            return self.refuse(404, "RepoNotFound" if found is None else "EntryNotFound")
        content = found.files[path]
        described = found.described(path)
        self.send_response(200)
        self.send_header("ETag", f'"{described["oid"]}"')
        self.send_header("X-Repo-Commit", found.sha)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send(self, value, status=200, code=None):
        content = json.dumps(value).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse(self, status, code=None):
        self.send({"error": f"refused with {status}"}, status, code)
