"""Providers' official SDKs for Python against our gateway and its twins: main.py BASE"""

import importlib
import sys
import traceback
import warnings

# What an SDK calls a preview is nothing for us to read.
warnings.simplefilter("ignore")
failed = False
names = ("apns", "fcm", "google_chat", "hms", "line", "sinch", "slack", "teams", "telegram", "viber", "webpush", "wechat", "whatsapp", "x")
for name in names:
    try:
        importlib.import_module(f"check_{name}").check()
        print(f"  {name}: fine", flush=True)
    except Exception:
        failed = True
        print(f"  {name}:", file=sys.stderr)
        traceback.print_exc()
sys.exit(failed)
