"""What every check needs: the twins' addresses and credentials, what people do there, and what passed."""

import base64
import json
import sys
import time
import urllib.error
import urllib.request

BASE = sys.argv[1]


def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or b"null")


class Twin:
    """A twin: where its API is, where its webhooks go, and what its clients must know."""

    def __init__(self, name):
        one = ask(f"/sandbox-control/{name}")
        self.name, self.hook, self.settings, self.api = name, one["hook_url"], one["settings"], f"{BASE}/sandbox/{name}"

    def act(self, **what):
        ask(f"/sandbox-control/{self.name}/act", what)

    def mood(self, **mood):
        """How the provider feels from now on; on a good day when nothing is said."""
        body = json.dumps(mood).encode()
        url = f"{BASE}/sandbox-control/{self.name}/mood"
        urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"}, method="PUT")).close()

    def webhook(self, words):
        """The webhook with these words that the twin made and the gateway took: its headers and its body."""
        path = f"/hooks/demo-{self.name}"
        found = until(f"the webhook of {self.name}", lambda: passed(lambda r, text: r["url"].startswith(path) and words in text))
        assert found["status"] < 300, found
        return found["headers"], base64.b64decode(found["body"])

    def calls(self, words):
        """The bodies of the calls to the twin that hold these words."""
        path = f"/sandbox/{self.name}/"
        return [r for r in records() if r["url"].startswith(path) and words in base64.b64decode(r["body"]).decode("utf-8", "replace")]

    def deliver(self, headers, body):
        """Delivers to the hook: the status of its answer."""
        try:
            with urllib.request.urlopen(urllib.request.Request(self.hook, body, headers)) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def signed(self, headers, body, words):
        """What the SDK signed is taken, becomes the event of these words, and is refused with a changed byte."""
        self.taken(headers, body, words, words)

    def taken(self, headers, body, piece, words):
        """The same, where the words are encrypted: this piece of the body is changed."""
        changed = body.replace(piece.encode(), piece.encode()[::-1])
        assert changed != body
        refused = self.deliver(headers, changed)
        assert 400 <= refused < 500, f"a changed byte was answered {refused}"
        taken = self.deliver(headers, body)
        assert 200 <= taken < 300, f"what the SDK signed was answered {taken}"
        until(f"the event of {self.name}", lambda: words in json.dumps(events(f"demo-{self.name}")))


def records():
    return ask("/recorded")


def passed(fits):
    return next((r for r in records() if fits(r, base64.b64decode(r["body"]).decode("utf-8", "replace"))), None)


def events(channel):
    found, cursor = [], ""
    while True:
        page = ask(f"/v1/events?channel={channel}{cursor}")
        found += page["data"]
        if not page["has_more"]:
            return found
        cursor = f"&after={urllib.request.quote(page['next'])}"


def until(what, look):
    for _ in range(150):
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come")


def send(to, channel, *parts, **more):
    """Sends through the gateway and waits until the provider has it."""
    message = ask("/v1/messages", {"to": to, "channel": channel} | ({"parts": parts} if parts else {}) | more)

    def outcome():
        state = ask(f"/v1/messages/{message['id']}")
        assert state["state"] != "failed", state
        return state if state["state"] in ("sent", "delivered", "read") else None

    return until(f"the outcome of {message['id']}", outcome)


def refused(wanted, call, *args, **kwargs):
    """The error of this kind that the call ends in."""
    try:
        call(*args, **kwargs)
    except wanted as error:
        return error
    raise AssertionError(f"{args} {kwargs} is not refused")


def unknown(model, at=""):
    """The members that an SDK's types do not know: pydantic keeps them apart."""
    found = [f"{at}/{name}" for name in getattr(model, "model_extra", None) or {}]
    fields = getattr(type(model), "model_fields", None)
    if fields is not None:
        return found + [more for name in fields for more in unknown(getattr(model, name), f"{at}/{name}")]
    if isinstance(model, dict):
        return [more for name, value in model.items() for more in unknown(value, f"{at}/{name}")]
    if isinstance(model, list):
        return [more for n, value in enumerate(model) for more in unknown(value, f"{at}/{n}")]
    return found


def lost(ours, theirs, at=""):
    """The members of ours that are not in theirs, or are others there."""
    if isinstance(ours, dict):
        pairs = [(f"{at}/{name}", ours[name], theirs.get(name) if isinstance(theirs, dict) else None) for name in ours]
    elif isinstance(ours, list):
        pairs = [(f"{at}/{n}", item, theirs[n] if isinstance(theirs, list) and n < len(theirs) else None) for n, item in enumerate(ours)]
    else:
        return [] if ours == theirs else [f"{at}: {ours!r} is {theirs!r}"]
    return [more for place, mine, other in pairs for more in lost(mine, other, place)]


#: What shows most of a channel.
OPTIONS = [{"id": "yes", "title": "Yes"}, {"id": "move", "title": "Another time"}]
PARTS = [
    {"type": "text", "text": "by the gateway **bold**", "format": "markdown"},
    {"type": "image", "media": {"url": "https://media.example.org/a.png", "mime_type": "image/png"}, "caption": "by the gateway"},
    {"type": "location", "latitude": 40.41, "longitude": -3.7, "name": "Office", "address": "Main street 1, by the gateway"},
    {"type": "choices", "text": "Still coming? by the gateway", "options": OPTIONS},
    {"type": "carousel", "cards": [{"title": f"Card {n}", "text": "by the gateway", "options": OPTIONS} for n in (1, 2)]},
]
