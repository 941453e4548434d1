"""Agents to hand on: weights alone in a small file, beside it a card with what they do, and the check that they do.

What needs torch is imported where agents are played: a card that can't be used is refused at once.
"""

from mario_rl.cards.card import Card, Claim, load_card
from mario_rl.cards.checking import Flaw
from mario_rl.cards.shipping import ship
from mario_rl.cards.verifying import Verdict, verify

__all__ = ["Card", "Claim", "Flaw", "Verdict", "load_card", "ship", "verify"]
