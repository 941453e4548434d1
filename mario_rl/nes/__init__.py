"""The console: a 6502 and a picture unit, compiled. It knows no game; `console.py` is the way in."""
