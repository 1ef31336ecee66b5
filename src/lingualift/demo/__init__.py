"""The demo's text: sentences of a small grammar in English, German, Chinese and Russian.

``python -m lingualift.demo demo/grammar.yaml demo/data --seed 17`` writes all of it.
"""

LANGUAGES = ("en", "de", "zh", "ru")
LANGUAGE_NAMES = {"en": "English", "de": "German", "zh": "Chinese", "ru": "Russian"}
