"""firebase-admin: its login and its client against the twin, and its message beside ours."""

import base64
import json
from unittest import mock

import firebase_admin
from firebase_admin import credentials, messaging
from google.auth.exceptions import RefreshError

from world import Twin, send


def check():
    twin = Twin("fcm")
    account = json.loads(twin.settings["service_account"]) | {"token_uri": f"{twin.api}/token"}
    app = firebase_admin.initialize_app(credentials.Certificate(account), name="twin")
    url = mock.patch.object(messaging._MessagingService, "FCM_URL", twin.api + "/v1/projects/{0}/messages:send")
    with url:
        words = messaging.Notification(title="Hello", body="by the SDK")
        android = messaging.AndroidConfig(priority="high", collapse_key="news", ttl=60)
        name = messaging.send(messaging.Message(token="fake-sdk-device", notification=words, data={"a": "1"}, android=android), app=app)
        assert name.startswith(f"projects/{account['project_id']}/messages/"), name
        for token, error in (("unregistered-sdk", messaging.UnregisteredError), ("mismatch-sdk", messaging.SenderIdMismatchError)):
            try:
                messaging.send(messaging.Message(token=token, notification=words), app=app)
                raise AssertionError(f"{token} passes")
            except error:
                pass
        stranger = credentials.Certificate(account | {"client_email": "nobody@example.org"})
        try:
            messaging.send(messaging.Message(token="x", notification=words), app=firebase_admin.initialize_app(stranger, name="stranger"))
            raise AssertionError("a stranger logs in")
        except RefreshError as error:
            assert "invalid_grant" in str(error), error

    send("fcm:fake-sdk-device", "demo-fcm", {"type": "notification", "title": "Hello", "body": "by the gateway", "collapse_key": "news"})
    ours = json.loads(base64.b64decode(twin.calls("by the gateway")[0]["body"]))["message"]
    theirs = json.loads(base64.b64decode(twin.calls("by the SDK")[0]["body"]))["message"]
    assert ours["token"] == theirs["token"] and ours["android"]["collapse_key"] == theirs["android"]["collapse_key"], (ours, theirs)
    assert ours.keys() - {"apns", "webpush", "fcm_options"} <= theirs.keys(), (ours, theirs)
