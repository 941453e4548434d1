"""Weights on their way from the learner to the actors."""

import threading

import torch

from mario_rl.networks import QNetwork
from mario_rl.training.weights import SharedWeights


def network(value: float) -> QNetwork:
    made = QNetwork(3, hidden_size=8, dueling=True)
    with torch.no_grad():
        for weight in made.parameters():
            weight.fill_(value)
    return made


def values(of: QNetwork) -> set[float]:
    return {value for weight in of.parameters() for value in weight.detach().unique().tolist()}


def test_what_is_published_last_is_what_is_loaded():
    weights, reader = SharedWeights(network(0)), network(-1)
    assert weights.version == 0
    for value in (1.0, 2.0, 3.0):
        weights.publish(network(value))
        assert weights.load(reader) == weights.version == value
        assert values(reader) == {value}


def test_each_weight_arrives_in_its_place():
    writer = QNetwork(3, hidden_size=8, dueling=True)
    weights, reader = SharedWeights(writer), network(0)
    weights.publish(writer)
    weights.load(reader)
    for sent, came in zip(writer.parameters(), reader.parameters(), strict=True):
        assert torch.equal(sent, came)


def test_a_reader_never_sees_two_publications_mixed():
    weights = SharedWeights(network(0))
    published = [network(float(value)) for value in range(20)]
    weights.publish(published[0])
    done = threading.Event()

    def publish() -> None:
        for _ in range(15):
            for one in published:
                weights.publish(one)
        done.set()

    writer = threading.Thread(target=publish)
    writer.start()
    reader, loads = network(0), 0
    while not done.is_set() or loads == 0:
        weights.load(reader)
        assert len(values(reader)) == 1
        loads += 1
    writer.join()
