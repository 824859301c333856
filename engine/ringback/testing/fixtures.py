"""The fixtures that `pip install ringback` brings to pytest; nothing else is imported until used."""
