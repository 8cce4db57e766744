"""The door in front of an application that tells what it was told: who gets in, for how long, and what stays out."""

import asyncio
import json
import re
from urllib.parse import unquote

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from app.gate import gate as gate_module
from app.gate import keys as keys_module
from app.gate.door import Door
from app.gate.gate import Gate
from app.gate.guesses import FREE_PER_NAME, Guesses
from app.gate.keys import Keys
from app.gate.origins import Origins
from app.gate.sessions import IDLE_S, LONGEST_S, Sessions
from app.gate.sign_in_log import SignInLog
from lorif_core.journal.credentials import Credentials
from lorif_core.journal.journal import Journal
from lorif_core.workspace.studio import passwords
from lorif_core.workspace.studio.passwords import Cost, hash_password, make_invitation

HOST = "studio.example"
ADA, CY = "Ada Größe", "cy"
RIGHT, WRONG, NEW = "correct horse battery", "wrong horse battery", "staple of another kind"
HTML = {"accept": "text/html,*/*"}


class Clock:
    """Seconds, moved by hand."""

    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch):
    """Hashes that take no time; what they cost in earnest has a test of its own."""
    monkeypatch.setattr(passwords, "COST", Cost(16, 1, 1))
    monkeypatch.setattr(passwords, "NOBODYS", hash_password("nobody's"))
    monkeypatch.setattr(keys_module, "TRUSTED_FOR_S", 0.0)
    monkeypatch.setattr(gate_module, "CHECK_EVERY_S", 0.02)


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.sqlite") as opened:
        opened.set_role(ADA, "admin", by=ADA)
        opened.set_role(CY, "curator", by=ADA)
        Credentials(opened.engine).set_password(ADA, hash_password(RIGHT), by=ADA)
        yield opened


@pytest.fixture
def clock():
    return Clock()


async def tell_what_was_told(scope, receive, send):
    """An application that answers with the headers that it got."""
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    if scope["type"] == "websocket":
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": json.dumps(headers).encode()})
        while (message := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "bytes": b"heard " + message["bytes"]})
        await asyncio.sleep(0)
        await send({"type": "websocket.send", "bytes": b"too late"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(headers | {"path": scope["path"]}).encode()})


class House:
    """A studio with a door, and browsers that come to it."""

    def __init__(self, journal, folder, clock, kind="password", shared=None, base=""):
        origins = Origins.of(HOST)
        self.log = SignInLog(folder)
        self.door = Door(
            kind=kind, keys=Keys(journal, shared), log=self.log, origins=origins, port=8501, base=base,
            sessions=Sessions(clock), guesses=Guesses(clock),
        )  # fmt: skip
        self.gate = Gate(tell_what_was_told, origins=origins, door=self.door, base_path=base)
        self.base = base

    def browser(self, scheme="http", address="10.0.0.1"):
        return TestClient(self.gate, f"{scheme}://{HOST}", headers=HTML, follow_redirects=False, client=(address, 1))

    def post(self, browser, page, origin=None, **form):
        headers = {"origin": f"{browser.base_url.scheme}://{HOST}" if origin is None else origin}
        return browser.post(f"{self.base}/_door/{page}", data=form, headers=headers)

    def signed_in(self, name=ADA, password=RIGHT):
        browser = self.browser()
        assert self.post(browser, "sign-in", name=name, password=password).status_code == 303
        return browser

    def noted(self):
        return [(line["what"], line["name"]) for line in map(json.loads, self.log.path.read_text().splitlines())]


@pytest.fixture
def house(journal, tmp_path, clock):
    return House(journal, tmp_path, clock)


def is_inside(browser, path="/corpus"):
    return browser.get(path).status_code == 200


OUTSIDE = [
    "/",
    "/corpus",
    "/_stcore/host-config",
    "/_stcore/upload_file/a/b",
    "/_stcore/bidi-components/a/b.js",
    "/component/a/b.js",
    "/media/x.csv",
    "/static/js/index.js",
    "/favicon.png",
    "/auth/login",
    "/_door/account",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_is_served_to_who_has_not_signed_in(house, path):
    answer = house.browser().get(path, headers={"accept": "*/*"})
    assert answer.status_code in (401, 303)
    assert "path" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nor_is_anything_taken(house, method):
    assert house.browser().request(method, "/_stcore/upload_file/a/b").status_code == 401


def test_whether_the_server_runs_is_told_to_all(house):
    assert house.browser().get("/_stcore/health").status_code == 200


def test_the_door_leads_to_the_page_that_was_asked_for(house):
    browser = house.browser()
    door = browser.get('/corpus?where=a"b&tab=Map')
    assert door.status_code == 401
    then = re.search(r'name="then" value="([^"]*)"', door.text)
    assert then
    answer = house.post(browser, "sign-in", name=ADA, password=RIGHT, then=then[1].replace("&amp;", "&"))
    assert answer.headers["location"] == "/corpus?where=a%22b&tab=Map"
    assert is_inside(browser)


@pytest.mark.parametrize(
    "then", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\nb", "", "javascript:1"]
)
def test_the_door_leads_to_no_other_site(house, then):
    answer = house.post(house.browser(), "sign-in", name=ADA, password=RIGHT, then=then)
    assert answer.headers["location"] == "/"


def test_the_application_is_told_who_it_is_and_nobody_can_say_so_themself(house):
    told = house.signed_in().get("/", headers={"X-Lorif-Person": "somebody%20else"}).json()
    assert unquote(told["x-lorif-person"]) == ADA
    open_gate = Gate(tell_what_was_told, origins=Origins.of(HOST))
    told = TestClient(open_gate, f"http://{HOST}").get("/", headers={"X-Lorif-Person": "somebody"}).json()
    assert "x-lorif-person" not in told


def test_a_cookie_is_out_of_reach_of_scripts_other_sites_and_plain_connections(house):
    plain = house.post(house.browser(), "sign-in", name=ADA, password=RIGHT).headers["set-cookie"].lower()
    assert "httponly" in plain
    assert "samesite=lax" in plain
    assert "secure" not in plain
    safe = house.post(house.browser("https"), "sign-in", name=ADA, password=RIGHT).headers["set-cookie"]
    assert safe.startswith("__Host-lorif-8501=")
    assert "Secure" in safe


@pytest.mark.parametrize(
    ("name", "password"), [(ADA, WRONG), (ADA, ""), ("eve", RIGHT), (CY, RIGHT), (CY, ""), (ADA, "x" * 5_000)]
)
def test_a_wrong_name_or_password_is_one_sentence_that_tells_not_which(house, name, password):
    browser = house.browser()
    answer = house.post(browser, "sign-in", name=name, password=password)
    assert answer.status_code == 401
    assert "Wrong name or password." in answer.text
    assert not is_inside(browser)


def test_a_name_that_nobody_bears_costs_a_hash_as_well(house, monkeypatch):
    """The time that an answer takes is that of the hashes behind it."""
    hashed = []
    scrypt = passwords._scrypt
    monkeypatch.setattr(passwords, "_scrypt", lambda *given: hashed.append(given[2]) or scrypt(*given))
    for name in (ADA, "eve", CY):
        house.post(house.browser(), "sign-in", name=name, password=WRONG)
    assert hashed == [Cost(16, 1, 1)] * 3


@pytest.mark.parametrize("name", [ADA, "eve"])
def test_guesses_are_limited_and_the_door_says_for_how_long_whoever_it_is(house, clock, name):
    for place in range(FREE_PER_NAME):
        answer = house.post(house.browser(address=f"10.0.1.{place}"), "sign-in", name=name, password=WRONG)
        assert answer.status_code == 401
    locked = house.post(house.browser(), "sign-in", name=name, password=RIGHT)
    assert (locked.status_code, locked.headers["retry-after"]) == (429, "30")
    assert "Try again in 30 seconds." in locked.text
    clock.now += 31
    assert house.post(house.browser(), "sign-in", name=name, password=RIGHT).status_code == (
        303 if name == ADA else 401
    )


@pytest.mark.parametrize("page", ["sign-in", "sign-out", "password", "invitation"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", f"http://{HOST}:8502"])
def test_a_form_of_another_site_does_nothing(house, page, origin):
    browser = house.signed_in()
    answer = house.post(browser, page, origin, name=ADA, password=RIGHT, new=NEW, again=NEW)
    assert answer.status_code == 403
    assert is_inside(browser)
    assert Credentials(house.door.keys._journal.engine).with_password() == [ADA]


def test_a_session_ends_when_nobody_uses_it_and_after_a_day_of_work(house, clock):
    browser = house.signed_in()
    clock.now += IDLE_S - 1
    assert is_inside(browser)
    clock.now += IDLE_S + 1
    assert not is_inside(browser)
    browser = house.signed_in()
    for _ in range(int(LONGEST_S / IDLE_S) + 2):
        last, clock.now = is_inside(browser), clock.now + IDLE_S - 1
    assert not last


def test_what_a_page_fetches_by_itself_keeps_no_session_alive(house, clock):
    browser = house.signed_in()
    for _ in range(3):
        last, clock.now = browser.get("/media/x", headers={"accept": "*/*"}).status_code, clock.now + IDLE_S / 2 + 1
    assert last == 401


def test_signing_out_ends_the_session_for_good(house):
    browser = house.signed_in()
    cookie = dict(browser.cookies)
    assert house.post(browser, "sign-out").status_code == 303
    assert not is_inside(browser)
    again = house.browser()
    again.cookies.update(cookie)
    assert not is_inside(again)


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(house):
    here, there = house.signed_in(), house.signed_in()
    wrong = house.post(here, "password", password=WRONG, new=NEW, again=NEW)
    assert wrong.status_code == 401
    assert is_inside(there)
    assert "passwords differ" in house.post(here, "password", password=RIGHT, new=NEW, again=RIGHT).text
    assert "12 to 1,000 characters" in house.post(here, "password", password=RIGHT, new="short", again="short").text
    assert house.post(here, "password", password=RIGHT, new=NEW, again=NEW).status_code == 303
    assert is_inside(here)
    assert not is_inside(there)
    assert house.post(house.browser(), "sign-in", name=ADA, password=RIGHT).status_code == 401
    house.signed_in(password=NEW)


@pytest.mark.parametrize("change", ["set", "taken"])
def test_a_password_that_is_changed_elsewhere_ends_sessions_too(house, journal, change):
    browser, credentials = house.signed_in(), Credentials(journal.engine)
    if change == "set":
        credentials.set_password(ADA, hash_password(NEW), by=ADA)
    else:
        credentials.take_away(ADA, by=ADA)
    assert not is_inside(browser)


def test_an_invited_member_chooses_a_password_once(house, journal):
    code = make_invitation(Credentials(journal.engine), CY, ADA)
    browser = house.browser()
    shown = browser.get(f"/_door/invitation?code={code}")
    assert shown.status_code == 200
    assert f"<strong>{CY}</strong>" in shown.text
    assert "12 to 1,000" in house.post(browser, "invitation", code=code, new="cy", again="cy").text
    assert house.post(browser, "invitation", code=code, new=NEW, again=NEW).status_code == 303
    assert unquote(browser.get("/").json()["x-lorif-person"]) == CY
    second = house.browser()
    assert "used already or has expired" in second.get(f"/_door/invitation?code={code}").text
    assert house.post(second, "invitation", code=code, new=RIGHT, again=RIGHT).status_code == 400
    assert not is_inside(second)
    house.signed_in(CY, NEW)


def test_the_log_says_who_came_and_who_did_not_and_holds_no_password(house):
    house.signed_in()
    for name in (ADA, f"{RIGHT} typed into the wrong box"):
        house.post(house.browser(), "sign-in", name=name, password=WRONG)
    assert house.noted() == [
        ("signed in", ADA),
        ("refused: wrong password", ADA),
        ("refused: wrong password", None),
    ]
    assert "horse" not in house.log.path.read_text()
    assert house.log.path.stat().st_mode & 0o077 == 0


def test_one_password_for_all_lets_in_under_any_name_while_nobody_has_a_role(tmp_path, clock):
    with Journal(tmp_path / "empty.sqlite") as journal:
        house = House(journal, tmp_path, clock, "shared", hash_password(RIGHT))
        assert "names are not verified" in house.browser().get("/").text
        browser = house.signed_in("anybody")
        assert browser.get("/").json()["x-lorif-person"] == "anybody"
        assert "Wrong password." in house.post(house.browser(), "sign-in", name="x", password=WRONG).text
        journal.set_role("anybody", "admin", by="anybody")
        assert not is_inside(browser)
        assert house.post(house.browser(), "sign-in", name="anybody", password=RIGHT).status_code == 401


def test_below_a_path_everything_lies_below_it(journal, tmp_path, clock):
    house = House(journal, tmp_path, clock, base="/studio")
    browser = house.browser("https")
    assert 'action="/studio/_door/sign-in"' in browser.get("/studio/corpus").text
    answer = house.post(browser, "sign-in", name=ADA, password=RIGHT, then="/studio/corpus")
    assert answer.headers["set-cookie"].startswith("__Secure-lorif-8501=")
    assert "Path=/studio" in answer.headers["set-cookie"]
    assert browser.get("/studio/corpus").json()["path"] == "/studio/corpus"


def test_every_page_of_the_door_forbids_scripts_and_frames_and_is_kept_nowhere(house):
    answer = house.browser().get("/")
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert "<script" not in answer.text


def test_what_is_typed_shows_as_text(house):
    answer = house.post(house.browser(), "sign-in", name='"><script>x</script>', password=WRONG, then='/"><b>')
    assert "<script>" not in answer.text
    assert "<b>" not in answer.text


def connect(browser, origin=f"http://{HOST}"):
    return browser.websocket_connect(f"ws://{HOST}/_stcore/stream", headers={"origin": origin})


def message(**rerun):
    said = BackMsg()
    said.rerun_script.query_string = ""
    said.rerun_script.is_auto_rerun = rerun.get("auto", False)
    return said.SerializeToString()


@pytest.mark.parametrize("origin", ["http://evil.example", f"https://{HOST}.evil.example", "null"])
def test_no_page_of_another_site_is_connected(house, origin):
    with pytest.raises(WebSocketDisconnect), connect(house.signed_in(), origin):
        pass


def test_nobody_is_connected_without_signing_in(house):
    with pytest.raises(WebSocketDisconnect), connect(house.browser()):
        pass


def test_a_connection_tells_who_it_is_of_and_ends_with_the_session_by_leading_to_the_door(house):
    browser = house.signed_in()
    with connect(browser) as line:
        assert unquote(json.loads(line.receive_bytes())["x-lorif-person"]) == ADA
        line.send_bytes(b"x")
        assert line.receive_bytes() == b"heard x"
        house.post(browser, "sign-out")
        leave = ForwardMsg()
        leave.ParseFromString(line.receive_bytes())
        assert leave.auth_redirect.url == "/_door/ended"
        with pytest.raises(WebSocketDisconnect):
            line.receive_bytes()
    assert "You are signed out" in browser.get("/_door/ended", headers={"referer": f"http://{HOST}/corpus?a=1"}).text


def test_a_connection_ends_when_the_password_is_changed_elsewhere(house, journal):
    with connect(house.signed_in()) as line:
        line.receive_bytes()
        Credentials(journal.engine).take_away(ADA, by=ADA)
        line.receive_bytes()  # where to go
        with pytest.raises(WebSocketDisconnect):
            line.receive_bytes()


@pytest.mark.parametrize(("auto", "stays"), [(False, True), (True, False)])
def test_a_page_that_asks_for_news_by_itself_keeps_no_session_alive(house, clock, auto, stays):
    browser = house.signed_in()
    with connect(browser) as line:
        line.receive_bytes()
        clock.now += IDLE_S - 1
        line.send_bytes(message(auto=auto))
        assert line.receive_bytes().startswith(b"heard")
        clock.now += 2
        assert is_inside(browser, "/media/x") == stays
