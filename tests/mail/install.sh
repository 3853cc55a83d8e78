#!/usr/bin/env bash
# Prints a Python that has the mail server and the DKIM library the mail stories speak with; installs them once.
set -euo pipefail
cd "$(dirname "$0")"
venv=${FAIRWAY_CACHE:-$HOME/.cache/fairway}/mail-$(sha256sum < requirements.txt | cut -c1-16)
mkdir -p "$(dirname "$venv")"
exec 9> "$venv.lock"
flock 9
if [ ! -e "$venv/ready" ]; then
  python3 -m venv --clear "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt >&2
  touch "$venv/ready"
fi
echo "$venv/bin/python"
