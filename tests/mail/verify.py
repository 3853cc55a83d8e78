"""verify.py MAIL RECORD: what dkimpy says of the mail's signature, with RECORD as the answer of the DNS."""
import pathlib, sys

import dkim

mail, record = pathlib.Path(sys.argv[1]).read_bytes(), pathlib.Path(sys.argv[2]).read_bytes()
names = []


def answer(name, **_):
    names.append(name)
    return record if name == b"s1._domainkey.in.acme.example." else None


right = dkim.verify(mail, dnsfunc=answer)
print("pass" if right else f"fail, asked for {names}")
