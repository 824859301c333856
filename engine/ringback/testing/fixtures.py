"""The fixtures that `pip install ringback` brings to pytest. Nothing is imported until one is used."""
