"""What a signed note keeps out."""

from __future__ import annotations

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit.notes import Checkpoint, Verifier, open_checkpoint, open_note, parse_verifier, signed_note, verifier_of

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
OURS = verifier_of(KEY)
TAKEN = Checkpoint(OURS.name, 20, bytes(range(32)))
NOTE = signed_note(TAKEN.text(), KEY, OURS)


def test_a_note_is_what_the_format_says() -> None:
    origin, size, root, empty, signature, end = NOTE.split("\n")
    assert (origin, size, root, empty, end) == (OURS.name, "20", b64encode(bytes(range(32))).decode(), "", "")
    assert signature.startswith(f"\u2014 {OURS.name} ")
    assert open_checkpoint(NOTE, OURS) == TAKEN


def test_a_verifier_key_is_read_as_it_was_written_and_a_slip_is_noticed() -> None:
    assert parse_verifier(f" {OURS}\n") == OURS
    assert OURS.name != verifier_of(OTHER).name
    name, key_id, key = str(OURS).split("+", 2)
    for wrong in (
        "",
        "x",
        name,
        f"{name}+{key_id}",
        f"{name}x+{key_id}+{key}",
        f"{name}+{key_id[:-1]}0+{key}",
        f"{name}+{key_id}+{key[:-4]}",
    ):
        with pytest.raises(ValueError):
            parse_verifier(wrong)


@pytest.mark.parametrize(
    "forged",
    [
        NOTE.replace("\n20\n", "\n21\n"),
        NOTE.replace("\n20\n", "\n020\n"),
        NOTE[:-1],
        NOTE.split("\n\n")[0],
        "",
        "\n\n",
        NOTE.replace("\u2014 ", "- "),
        NOTE.replace(f"\u2014 {OURS.name}", f"\u2014 {OURS.name}x"),
        signed_note(TAKEN.text(), OTHER, OURS),
        signed_note(TAKEN.text(), OTHER, verifier_of(OTHER)),
        NOTE + "x" * 16_000 + "\n",
    ],
)
def test_a_changed_or_foreign_note_is_refused(forged: str) -> None:
    with pytest.raises(ValueError):
        open_checkpoint(forged, OURS)


@pytest.mark.parametrize(
    "text",
    [
        "another log\n20\n" + TAKEN.text().split("\n")[2] + "\n",
        f"{OURS.name}\n-20\n" + TAKEN.text().split("\n")[2] + "\n",
        f"{OURS.name}\n0\n" + TAKEN.text().split("\n")[2] + "\n",
        f"{OURS.name}\n20\nAAAA\n",
        f"{OURS.name}\n20\n",
        "words\n",
    ],
)
def test_what_is_signed_but_no_checkpoint_of_this_log_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="signed, but"):
        open_checkpoint(signed_note(text, KEY, OURS), OURS)


def test_signatures_of_others_below_do_not_matter() -> None:
    witness = verifier_of(OTHER)
    both = NOTE + signed_note(TAKEN.text(), OTHER, witness).rpartition("\n\n")[2]
    assert open_note(both, OURS) == open_note(both, witness) == TAKEN.text()


def test_a_name_that_is_not_the_keys_is_another_key() -> None:
    with pytest.raises(ValueError):
        open_note(NOTE, Verifier(OURS.name, verifier_of(OTHER).public))
