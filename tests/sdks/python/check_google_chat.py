"""google-auth: its check of the twin's proofs, its login against the twin."""

import json

from google.auth import exceptions
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import id_token, service_account

from world import Twin

SPACE = "spaces/AAAASDK0201"


def check():
    twin = Twin("google_chat")
    twin.act(person=f"gchat:{SPACE}", text="Google Chat says hello")
    headers, body = twin.webhook("Google Chat says")
    token, keys = headers["authorization"].removeprefix("Bearer "), f"{twin.api}/oauth2/v3/certs"
    claims = id_token.verify_token(token, Request(), audience=twin.settings["audience"], certs_url=keys)
    assert claims["iss"] == "https://accounts.google.com" and claims["email"].startswith("service-"), claims
    head, middle, tail = token.split(".")
    for changed, audience in ((f"{head}.{middle}.{tail[::-1]}", twin.settings["audience"]), (token, "https://elsewhere.example")):
        try:
            id_token.verify_token(changed, Request(), audience=audience, certs_url=keys)
            raise AssertionError("a changed proof passes")
        except Exception as error:
            assert not isinstance(error, AssertionError), error
    assert twin.deliver(headers | {"authorization": f"Bearer {head}.{middle}.{tail[::-1]}"}, body) == 401

    account = json.loads(twin.settings["service_account_key"]) | {"token_uri": f"{twin.api}/token"}
    scopes = ["https://www.googleapis.com/auth/chat.bot"]
    login = service_account.Credentials.from_service_account_info(account, scopes=scopes)
    session = AuthorizedSession(login)
    sent = session.post(f"{twin.api}/v1/{SPACE}/messages", json={"text": "by the SDK"})
    assert sent.status_code == 200 and sent.json()["name"].startswith(f"{SPACE}/messages/"), sent.text
    stranger = service_account.Credentials.from_service_account_info(account | {"client_email": "nobody@example.org"}, scopes=scopes)
    try:
        stranger.refresh(Request())
        raise AssertionError("a stranger logs in")
    except exceptions.RefreshError as error:
        assert "invalid_grant" in str(error), error
