"""Prompts of about the length and kind that the appliance makes."""

from __future__ import annotations

SHARED = (
    "You answer the people who work on the island of Norderoog. Answer from what you are given, in full sentences, and keep to "
    "the words of the house: the harbour office is called the lodge, the ferry is called the boat, the night porter is called "
    "the keeper. Numbers are written as figures, times with hours and minutes, and sums of money in euros. Never tell anybody's "
    "telephone number. If you are asked for a story, tell it in the past tense and let the weather play a part in it. Do not "
    "speak of yourself."
)
TOPICS = (
    "a lighthouse in a storm", "a lost dog on the ferry", "the oldest tree of the village", "a letter that came too late",
    "the baker who could not sleep", "a bridge that was never finished", "the winter without snow", "a piano on the beach",
)  # fmt: skip
_SENTENCES = (
    "The keeper of the east wing carries the keys in a blue cabinet and opens the doors at 06:30.",
    "Goods that spoil stay in the loading bay for 2 hours at most before they are moved to the cold store.",
    "Visitors sign in at the lodge, receive a badge and are accompanied at all times by somebody of the house.",
    "Bills above 5000 euros need two signatures, one of them from the person who keeps the books.",
    "The boat leaves the north pier at 07:15 and at 16:40, and does not sail when the wind is above force 9.",
    "Whoever finds a lost thing takes it to the lodge, where it is kept for 90 days and then given away.",
    "Bicycles stand behind the old boat shed and never in front of the gate of the fire brigade.",
    "On Sundays the kitchen is closed, and guests are given bread, cheese and tea in the small hall.",
)


def passage(number: int, round_number: int) -> str:
    """Five sentences in an order of their own."""
    start = number + 3 * round_number
    chosen = [_SENTENCES[(start + step * (1 + 2 * (number % 4))) % len(_SENTENCES)] for step in range(5)]
    return f"Page {number + 1} of the house rules of part {round_number + 1}.\n" + "\n".join(chosen)


COPIED = tuple(
    f"{sentence} {_SENTENCES[(number + apart) % len(_SENTENCES)]}\n\nRepeat the two sentences above word for word."
    for apart in (1, 3)
    for number, sentence in enumerate(_SENTENCES)
)
