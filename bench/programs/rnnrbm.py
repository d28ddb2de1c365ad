"""A recurrent network and a Boltzmann machine that learn to play: after each chord, what may come next.

A piece is a roll: 48 keys, 0 or 1, at each time step. The network remembers in u what was played, and u makes the
biases of a Boltzmann machine, which says what is likely now. In training all notes are there: a scan makes the biases
of all time steps, then one Gibbs chain runs for all of them at once, from the notes themselves. The gradient of the
difference in free energy goes through the biases into the network. Playing is another scan: each of its steps runs a
chain, from silence, and hands the notes on to the network.

The pieces are made by a rule. A chord sounds for four steps: its root in the lowest octave, its three notes in the next
two, and one of the three, drawn anew every two steps, in the highest. Each chord of `AFTER` is as likely as the others
in its line. So one can count how many steps of what the machine plays are chords, and how many changes follow the rule.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.demo import pictures

# What the same arithmetic, written in NumPy, reaches, with other draws.
EXPECTED = 0.65
KEYS, HELD, LENGTH = 48, 4, 100
CHORDS = {"C": (0, 4, 7), "Dm": (2, 5, 9), "Em": (4, 7, 11), "F": (5, 9, 12), "G": (7, 11, 14), "Am": (9, 12, 16)}
AFTER = {"C": "F G Am", "Dm": "G", "Em": "F Am", "F": "C Dm G", "G": "C Am", "Am": "Dm Em F"}


def keys_of(notes: tuple[int, ...], melody: int) -> list[int]:
    """What is pressed, upwards."""
    return [notes[0], *(k + 12 for k in notes), melody % 12 + 36]


def roll_of(steps: int, seed: int) -> Any:
    """A piece float32[steps, KEYS]."""
    rng, chord, melody = np.random.default_rng(seed), "C", 0
    roll = np.zeros((steps, KEYS), "float32")
    for t in range(steps):
        if t % HELD == 0 and t:
            chord = str(rng.choice(AFTER[chord].split()))
        melody = int(rng.choice(CHORDS[chord])) if t % 2 == 0 else melody
        roll[t, keys_of(CHORDS[chord], melody)] = 1
    return roll


def heard(roll: Any) -> tuple[float, float]:
    """The share of the steps that are chords of the rule; the share of changes between them that follow the rule."""
    names = {str(keys_of(notes, melody)): name for name, notes in CHORDS.items() for melody in notes}
    played = [names.get(str(np.flatnonzero(step).tolist())) for step in roll]
    changes = [b in AFTER[a].split() for a, b in pairwise(played) if a and b and a != b]
    return float(np.mean([p is not None for p in played])), float(np.mean(changes or [0]))


class Player:
    """The parameters of h hidden units and a memory of r numbers, and what they say of a roll."""

    def __init__(self, h: int, r: int, seed: int) -> None:
        self.rng, start = ng.random.RandomStream(seed=seed), np.random.default_rng(seed)
        shapes = [(KEYS, h), KEYS, h, (r, h), (r, KEYS), (KEYS, r), (r, r), r]
        scales = [0.01, 0, 0, 0.01, 0.01, 0.1, 0.06, 0]
        drawn = [(c * start.normal(size=n)).astype("float32") for c, n in zip(scales, shapes, strict=True)]
        self.params = [ng.shared(*pair) for pair in zip(drawn, "W bv bh Wuh Wuv Wvu Wuu bu".split(), strict=True)]
        self.W, self.bv, self.bh, self.Wuh, self.Wuv, self.Wvu, self.Wuu, self.bu = self.params
        self.silence = ng.zeros((r,), dtype="float32")

    def biases(self, u: Any) -> tuple[Any, Any]:
        return self.bv + ng.dot(u, self.Wuv), self.bh + ng.dot(u, self.Wuh)

    def remember(self, v: Any, u: Any) -> Any:
        return ng.tanh(self.bu + ng.dot(v, self.Wvu) + ng.dot(u, self.Wuu))

    def chain(self, v: Any, bv: Any, bh: Any, turns: int) -> tuple[Any, Any]:
        """Notes after so many turns of Gibbs sampling from v on, and the updates of the random stream."""

        def turn(v: Any) -> Any:
            h = self.rng.bernoulli(ng.sigmoid(ng.dot(v, self.W) + bh), dtype="float32")
            return self.rng.bernoulli(ng.sigmoid(ng.dot(h, self.W.T) + bv), dtype="float32")

        found, updates = ng.scan(turn, outputs_info=[v], n_steps=turns, name="chain")
        return found[-1], updates

    def free_energy(self, v: Any, bv: Any, bh: Any) -> Any:
        return -ng.mean(ng.sum(v * bv, axis=1) + ng.sum(ng.softplus(ng.dot(v, self.W) + bh), axis=1))

    def training(self, rolls: Any, rate: float) -> Any:
        """One step on a piece of the resident rolls; returns the cross-entropy of what the machine would expect."""
        v, index, rolls = ng.fmatrix("v"), ng.lscalar("index"), ng.shared(rolls, name="rolls")
        after, _ = ng.scan(self.remember, sequences=[v], outputs_info=[self.silence], name="remember")
        bv, bh = self.biases(ng.concatenate([self.silence[None], after[:-1]]))
        drawn, updates = self.chain(v, bv, bh, 15)
        cost = self.free_energy(v, bv, bh) - self.free_energy(drawn, bv, bh)
        for p, g in zip(self.params, ng.grad(cost, self.params, consider_constant=[drawn]), strict=True):
            updates[p] = p - rate * g
        mean = ng.sigmoid(ng.dot(ng.sigmoid(ng.dot(drawn, self.W) + bh), self.W.T) + bv)
        error = -ng.mean(ng.sum(v * ng.log(mean + 1e-6) + (1 - v) * ng.log(1 - mean + 1e-6), axis=1))
        here = slice(index * LENGTH, (index + 1) * LENGTH)
        return ng.function([index], error, updates=updates, givens={v: rolls[here]}, name="train")

    def playing(self, steps: int) -> Any:
        """A function that returns a roll of its own."""

        def step(u: Any) -> Any:
            v, updates = self.chain(ng.zeros((KEYS,), dtype="float32"), *self.biases(u), 25)
            return [v, self.remember(v, u)], updates

        (roll, _), updates = ng.scan(step, outputs_info=[None, self.silence], n_steps=steps, name="play")
        return ng.function([], roll, updates=updates, name="play")


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, play, and return the share of played steps that are chords of the rule."""
    options = parser().parse_args(arguments)
    player = Player(100, 60, options.seed)
    train, play = player.training(roll_of(LENGTH * options.pieces, 1), options.rate), player.playing(1000)
    began = time.perf_counter()
    for epoch in range(1, options.epochs + 1):
        errors = train.sweep(index=np.random.default_rng(epoch).permutation(options.pieces))
        if epoch % max(1, options.epochs // 20) == 0:
            chords, changes = heard(play())
            print(
                f"epoch {epoch:4}: error {errors.mean():.3f}, {chords:.0%} chords, {changes:.0%} of changes", flush=True
            )
    chords, changes = heard(roll := play())
    print(
        f"{options.epochs} epochs in {time.perf_counter() - began:.1f} s; {changes:.0%} of the changes follow the rule"
    )
    panels = {"a piece of the rule": roll_of(LENGTH, 2), "played by the machine": roll[:LENGTH]}
    pictures.save(options.picture, {k: pictures.image(1 - v.T[::-1]) for k, v in panels.items()}, [2.1, 2.1])
    print(f"{chords:.1%} of the played steps are chords; expected with the defaults: about {EXPECTED:.0%}")
    return chords


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--epochs", type=int, default=200, metavar="N", help="default 200")
    top.add_argument("--pieces", type=int, default=60, metavar="N", help="of 100 steps each (default 60)")
    top.add_argument("--rate", type=float, default=0.05, metavar="R", help="step size (default 0.05)")
    top.add_argument("--seed", type=int, default=1234, metavar="N", help="of weights and draws")
    top.add_argument("--picture", default="rnnrbm.png", metavar="FILE.png", help="where it goes (default rnnrbm.png)")
    return top


if __name__ == "__main__":
    main()
