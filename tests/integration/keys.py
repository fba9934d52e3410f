"""keys - strings that look like API keys, made without the product's help"""
import random
import string
import zlib

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def checksum(text):
    crc, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        crc, digit = divmod(crc, 62)
        digits = BASE62[digit] + digits
    return digits


def well_formed(environment="live", prefix="sk"):
    """A key of right shape and checksum that nobody has made."""
    text = f"{prefix}_{environment}_" + "".join(random.SystemRandom().choices(BASE62, k=32))
    return text + checksum(text)


def mistyped(key):
    """The key with one character changed: its checksum fails."""
    place = len(key) - 10
    return key[:place] + ("b" if key[place] == "a" else "a") + key[place + 1:]
