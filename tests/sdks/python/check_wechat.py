"""wechatpy (a community's SDK; WeChat has no Python one): signatures and encryption both ways, its client against the twin."""

import base64
import time
from urllib.parse import parse_qs, urlencode, urlsplit

from wechatpy import WeChatClient, parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidSignatureException, WeChatClientException
from wechatpy.utils import WeChatSigner, check_signature

from world import Twin, ask, passed, until

PERSON = "oFakeSdkPerson00000000000201"


def check():
    twin = Twin("wechat")
    known = twin.settings
    crypto = WeChatCrypto(known["token"], known["encoding_aes_key"], known["app_id"])

    twin.act(person=f"wechat:{PERSON}", text="WeChat says hello")
    found = until("the webhook of wechat", lambda: passed(lambda r, text: r["url"].startswith("/hooks/demo-wechat") and "Encrypt" in text))
    query = {name: values[0] for name, values in parse_qs(urlsplit(found["url"]).query).items()}
    check_signature(known["token"], query["signature"], query["timestamp"], query["nonce"])
    proof = (query["msg_signature"], query["timestamp"], query["nonce"])
    body = base64.b64decode(found["body"]).decode()
    message = parse_message(crypto.decrypt_message(body, *proof))
    assert (message.type, message.content, message.source) == ("text", "WeChat says hello", PERSON), message
    try:
        crypto.decrypt_message(body, proof[0][::-1], *proof[1:])
        raise AssertionError("a changed signature passes")
    except InvalidSignatureException:
        pass

    stamp, nonce, hook = str(int(time.time())), "fake-sdk", twin.hook
    plain = (f"<xml><ToUserName><![CDATA[{known['original_id']}]]></ToUserName><FromUserName><![CDATA[{PERSON}]]></FromUserName>"
             f"<CreateTime>{stamp}</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[SDK signed]]></Content>"
             "<MsgId>9000000000000201</MsgId></xml>")
    sealed = crypto.encrypt_message(plain, nonce, stamp)
    signature = sealed.split("<MsgSignature><![CDATA[")[1].split("]")[0]
    encrypted = sealed.split("<Encrypt><![CDATA[")[1].split("]")[0]
    signer = WeChatSigner()
    signer.add_data(known["token"], stamp, nonce)
    twin.hook = f"{hook}?{urlencode({'signature': signer.signature, 'timestamp': stamp, 'nonce': nonce, 'encrypt_type': 'aes', 'msg_signature': signature})}"
    body = f"<xml><ToUserName><![CDATA[{known['original_id']}]]></ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    twin.taken({"content-type": "text/xml"}, body.encode(), encrypted[40:48], "SDK signed")

    WeChatClient.API_BASE_URL = f"{twin.api}/cgi-bin/"
    wanted = {"grant_type": "client_credential", "appid": known["app_id"], "secret": known["app_secret"]}
    token = ask("/sandbox/wechat/cgi-bin/stable_token", wanted)["access_token"]
    client = WeChatClient(known["app_id"], known["app_secret"], access_token=token)
    assert client.message.send_text(PERSON, "by the SDK")["errcode"] == 0
    try:
        client.message.send_text("nobody", "x")
        raise AssertionError("nobody gets a message")
    except WeChatClientException as error:
        assert error.errcode in (40003, 45015), error
