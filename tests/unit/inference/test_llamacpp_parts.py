"""The engine's bookkeeping without a model: memory, turns, shares of a step, guesses."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.inference.llamacpp.drafting import LONGEST, Drafter, StepCosts
from appliance.inference.llamacpp.prefix import Memory, Sequence, shared_length
from appliance.inference.llamacpp.schedule import READ_BESIDE, Turns, read_shares, reading_room
from appliance.inference.llamacpp.slots import Ticket
from appliance.inference.models import CompletionRequest


class Cells:
    """What the library would hold: the tokens of each sequence number."""

    def __init__(self) -> None:
        self.shared: list[tuple[int, int, int]] = []
        self.forgotten: list[tuple[int, int]] = []

    def forget_from(self, position: int, sequence: int = 0) -> None:
        self.forgotten.append((sequence, position))

    def share(self, source: int, target: int, length: int) -> None:
        self.shared.append((source, target, length))


def begin(
    memory: Memory, prompt: list[int], person="p", conversation="", *, public=2, length=None, anew=False
) -> Sequence | None:
    return memory.begin(prompt, person, conversation, public=public, length=length or len(prompt) + 4, anew=anew)


def read(memory: Memory, prompt: list[int], **options) -> Sequence:
    sequence = begin(memory, prompt, **options)
    assert sequence is not None
    memory.extend(sequence, prompt[len(sequence.tokens) :])
    return sequence


def used(memory: Memory) -> int:
    return len({cell for sequence in memory._sequences for cell in sequence.cells})


def test_a_request_without_room_does_not_start_and_takes_nothing() -> None:
    memory = Memory(Cells(), 20, 4)
    running = read(memory, list(range(10)))
    assert begin(memory, list(range(50, 60))) is None
    assert (memory.room, len(memory._sequences)) == (6, 1)
    memory.rest(running)
    assert begin(memory, list(range(50, 60))) is not None


def test_another_person_gets_the_systems_words_and_no_more() -> None:
    memory = Memory(Cells(), 100, 4)
    memory.rest(read(memory, [1, 2, 3, 4, 5, 6], person="a"))
    assert memory.common([1, 2, 3, 4, 5, 6], "a", 2) == 5
    assert memory.common([1, 2, 3, 4, 5, 6], "b", 2) == 2
    assert memory.common([1, 2, 3, 4, 5, 6], "b", 6) == 2  # what the other calls public does not count


def test_the_own_conversation_goes_on_in_place_and_another_one_is_copied_from() -> None:
    cells = Cells()
    memory = Memory(cells, 100, 4)
    first = read(memory, [1, 2, 3, 4, 5, 6], conversation="c")
    memory.rest(first)
    again = begin(memory, [1, 2, 3, 4, 9, 9], conversation="c")
    assert again is first
    assert again.tokens == [1, 2, 3, 4]
    assert cells.shared == []
    memory.extend(again, [9, 9])
    memory.rest(again)
    other = begin(memory, [1, 2, 3, 8, 8], conversation="d")
    assert other is not None
    assert other is not first
    assert cells.shared == [(first.number, other.number, 3)]


def test_whoever_rested_longest_makes_room() -> None:
    memory = Memory(Cells(), 30, 8)
    old, new = read(memory, list(range(100, 110))), read(memory, list(range(200, 210)))
    memory.rest(old)
    memory.rest(new)
    begin(memory, list(range(300, 312)))
    assert old not in memory._sequences
    assert new in memory._sequences


def test_a_sampled_answer_takes_nothing_from_what_was_read() -> None:
    memory = Memory(Cells(), 100, 4)
    memory.rest(read(memory, [1, 2, 3, 4]))
    fresh = begin(memory, [1, 2, 3, 4], anew=True)
    assert fresh is not None
    assert fresh.tokens == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_no_cell_is_lost_or_promised_twice(seed: int) -> None:
    chance = random.Random(seed)
    memory, running = Memory(Cells(), 64, 6), []
    for _ in range(60):
        if chance.random() < 0.5:
            start = [1, 2, 3, 4, 5, 6][: chance.randint(1, 6)]
            prompt = start + [chance.randint(7, 9) for _ in range(chance.randint(1, 12))]
            length = len(prompt) + chance.randint(1, 8)
            person, talk = chance.choice("ab"), chance.choice(["", "x", "y"])
            sequence = begin(memory, prompt, person, talk, length=length)
            if sequence is not None:
                assert sequence.tokens == prompt[: len(sequence.tokens)]
                memory.extend(sequence, prompt[len(sequence.tokens) :])
                running.append((sequence, length))
        elif running:
            sequence, length = running.pop(chance.randrange(len(running)))
            memory.extend(sequence, [9] * (length - len(sequence.tokens)))
            memory.rest(sequence)
        assert memory.room >= 0
        assert used(memory) + len(memory._free) == 64
        assert len({sequence.number for sequence in memory._sequences}) == len(memory._sequences)


@given(st.lists(st.integers(0, 2), max_size=12), st.lists(st.integers(0, 2), max_size=12))
def test_the_shared_length_is_that_of_the_common_beginning(left: list[int], right: list[int]) -> None:
    limit = min(len(left), len(right))
    expected = next((place for place in range(limit) if left[place] != right[place]), limit)
    assert shared_length(left, right, limit) == expected


def ticket(arrival: int, person: str = "p", prompt: int = 10, read_already: int = 0) -> Ticket:
    made = Ticket(CompletionRequest((), 8, person=person), list(range(prompt)), 0, None, arrival)  # type: ignore[arg-type]
    made.sequence = Sequence(arrival, person, "", 0, tokens=list(range(read_already)))
    return made


def test_people_take_turns() -> None:
    turns = Turns()
    waiting = [ticket(number, "many") for number in range(3)] + [ticket(9, "one")]
    assert [each.arrival for each in turns.order(waiting, [])] == [0, 9, 1, 2]
    assert [each.arrival for each in turns.order(waiting, [ticket(20, "many")])] == [9, 0, 1, 2]
    turns.serve(waiting[0], waiting)
    assert turns.order(waiting[1:], [])[0].request.person == "one"


def test_a_step_reads_little_while_others_write() -> None:
    assert reading_room(0, 512, writing=False) == 512
    assert reading_room(20, 512, writing=True) == READ_BESIDE
    assert reading_room(500, 512, writing=True) == 12
    assert reading_room(600, 512, writing=True) == 0


def test_short_prompts_go_first_and_the_oldest_always_gets_a_part() -> None:
    long, short, shorter = ticket(0, prompt=1_000), ticket(1, prompt=60), ticket(2, prompt=30)
    shares = {each.arrival: amount for each, amount in read_shares([long, short, shorter], 128)}
    assert shares == {2: 30, 1: 60, 0: 38}
    shares = {each.arrival: amount for each, amount in read_shares([long, *(ticket(n, prompt=100) for n in (1, 2))], 128)}
    assert shares == {0: 32, 1: 96}
    assert read_shares([], 128) == []
    assert read_shares([long], 0) == []


def costs(slope: float) -> StepCosts:
    learned = StepCosts()
    for number in range(200):
        tokens = 1 + number % 9
        learned.learn(tokens, 0.010 + slope * tokens)
    return learned


@pytest.mark.parametrize("slope", [0.001, 0.002, 0.005])
def test_the_cost_of_a_step_is_learned(slope: float) -> None:
    expected = (0.010 + 5 * slope) / (0.010 + slope)
    assert costs(slope).ratio(1, 5) == pytest.approx(expected, rel=0.05)


def test_nothing_is_guessed_where_nothing_repeats_or_tokens_cost_as_much_as_steps() -> None:
    assert Drafter(list(range(100))).propose(0, costs(0.001), 8) == []
    repeating = [*range(20), *range(10)]
    assert Drafter(repeating).propose(0, costs(1.0), 8) == []
    assert Drafter(repeating).propose(0, costs(0.001), 0) == []


def test_what_stood_there_before_is_guessed_and_more_of_it_while_it_holds() -> None:
    tokens = [*range(40), *range(8)]
    drafter = Drafter(tokens)
    first = drafter.propose(0, costs(0.001), LONGEST)
    assert first == list(range(8, 8 + len(first)))
    drafter.learn(len(first), len(first))
    tokens += [*first, 8 + len(first)]
    second = drafter.propose(0, costs(0.001), LONGEST)
    assert len(second) >= len(first)


def test_guesses_that_fail_are_followed_by_silence() -> None:
    tokens = [*range(40), *range(8)]
    drafter = Drafter(tokens)
    tries = 0
    for word in range(400):
        guess = drafter.propose(0, costs(0.001), LONGEST)
        tokens.append(1_000 + word)
        if guess:
            drafter.learn(len(guess), 0)
            tries += 1
        tokens += [*range(8)]  # again and again the same beginning, and never the same end
    assert tries <= 4


def test_the_library_counts_cards_as_they_were_probed() -> None:
    from appliance.inference.llamacpp.library import library

    library()
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
