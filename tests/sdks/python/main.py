"""Providers' official SDKs for Python against our gateway and its twins: main.py BASE"""

import importlib
import sys
import traceback

failed = False
for name in ("fcm", "google_chat", "line", "slack", "telegram", "viber", "webpush", "wechat"):
    try:
        importlib.import_module(f"check_{name}").check()
        print(f"  {name}: fine", flush=True)
    except Exception:
        failed = True
        print(f"  {name}:", file=sys.stderr)
        traceback.print_exc()
sys.exit(failed)
