"""Whether a text has passages of another."""

import hashlib
import re

WORDS = 20  # of a passage

# A text is too close to held-out ones where it shares more passages than a
# licence's head has, and they are many, or a part of it that counts.
_ALWAYS_FINE = 30
_ALWAYS_MANY = 200
_SHARE = 0.01


def passages(text):
    """The set of hashes of every WORDS consecutive words: letters and digits."""
    words = re.findall(r"\w+", text.lower())
    return {
        hashlib.blake2b(" ".join(words[i : i + WORDS]).encode(), digest_size=8).digest()
        for i in range(len(words) - WORDS + 1)
    }


def too_close(own, held_out):
    """How many of the passages `own` are in `held_out`, or 0 where few are."""
    shared = len(own & held_out)
    limit = max(_ALWAYS_FINE, min(_ALWAYS_MANY, _SHARE * len(own)))
    return shared if shared > limit else 0
