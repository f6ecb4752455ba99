"""A member's contact data, sealed before it goes anywhere and opened only for an answer.

The invariants: nothing of it stands in an event, a log or a rule; what was sealed for one member opens for no other; without the
key it cannot be read.
"""

import hashlib
import os
from typing import Final, Literal

import msgspec
import phonenumbers
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr
from tenure.edge.problems import Problem

HOME_REGION: Final = "CN"
_NONCE_BYTES: Final = 12
_PURPOSE: Final = b"tenure member contact 1"


class Contact(msgspec.Struct, frozen=True):
    """How to reach a member. `phone` is E.164."""

    phone: str
    language: Literal["zh", "en"] = "zh"


def phone_of(text: str) -> str:
    """A phone number as E.164; without a country code it is one of mainland China. Raises Problem phone_invalid."""
    try:
        number = phonenumbers.parse(text, HOME_REGION)
    except phonenumbers.NumberParseException:
        raise Problem("phone_invalid") from None
    if not phonenumbers.is_valid_number(number):
        raise Problem("phone_invalid")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


class Seal:
    """Seals and opens with the key of the settings. Raises Problem contact_unavailable without one, or with another one."""

    def __init__(self, key: SecretStr | None) -> None:
        if key is None or not key.get_secret_value():
            raise Problem("contact_unavailable", "TENURE_CONTACT_KEY is not set")
        derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_PURPOSE)
        secret = derived.derive(key.get_secret_value().encode())
        self._cipher = AESGCM(secret)
        self.key_id = hashlib.sha256(b"id" + secret).hexdigest()[:8]

    def seal(self, member_id: str, contact: Contact) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, msgspec.json.encode(contact), member_id.encode())

    def open(self, member_id: str, sealed: bytes) -> Contact:
        nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            plain = self._cipher.decrypt(nonce, text, member_id.encode())
        except InvalidTag:
            raise Problem("contact_unavailable", "it was sealed with another key") from None
        return msgspec.json.decode(plain, type=Contact)
