"""Reactions: what phones write when a text of ours is liked, and what only looks like it."""

from pathlib import Path

import pytest

from ringback.rules.reactions import NONE, Reaction, parse, to_ours
from ringback.testing import Bench, sms

OURS = "We are open Mon-Fri 9-17."
OTHER = "Thanks, we got your text!"
FORMS = [
    (f"Liked \u201c{OURS}\u201d", "like"),
    (f'Loved "{OURS}"', "love"),
    (f"Disliked \u201c{OURS}\u201d", "dislike"),
    (f"Laughed at \u201c{OURS}\u201d", "laugh"),
    (f"Emphasized \u201c{OURS}\u201d", "emphasis"),
    (f"Emphasised \u201c{OURS}\u201d", "emphasis"),
    (f"Questioned \u201c{OURS}\u201d", "question"),
    (f"Reacted \U0001f389 to \u201c{OURS}\u201d", "\U0001f389"),
    (f"Reacted with a sticker to \u201c{OURS}\u201d", "sticker"),
    (f"Removed a like from \u201c{OURS}\u201d", "removed"),
    (f"Removed an exclamation from \u201c{OURS}\u201d", "removed"),
    (f"Removed \U0001f44d from \u201c{OURS}\u201d", "removed"),
    # Google Messages, with its spaces that nobody sees
    (f"\u200a\u200b\U0001f44d\u200b to \u201c\u200a\u200b{OURS}\u200a\u200b\u201d\u200a", "like"),
    (f"\u2764\ufe0f to \u201c{OURS}\u201d", "love"),
    (f"\U0001f602 a \u201c{OURS}\u201d", "laugh"),
    (f"\u203c\ufe0f to \u201c{OURS}\u201d", "emphasis"),
    # other languages
    (f"Le gust\u00f3 \u201c{OURS}\u201d", "like"),
    (f"Le encanto\u0301 \u201c{OURS}\u201d", "love"),
    (f"No le gust\u00f3 \u201c{OURS}\u201d", "dislike"),
    (f"Le gusta \u201c{OURS}\u201d", "like"),
    (f"Le ha encantado \u201c{OURS}\u201d", "love"),
    (f"Ha quitado \U0001f44d de \u201c{OURS}\u201d", "removed"),
    (f"Hat \u201e{OURS}\u201c mit \u201eLiebt\u201c markiert", "love"),
    (f"Hat \u201eGef\u00e4llt mir\u201c von \u201e{OURS}\u201c entfernt", "removed"),
    (f"\u300c{OURS}\u300d\u306b\u201c\u3044\u3044\u306d\u201d\u3057\u307e\u3057\u305f", "like"),
    (f"\u559c\u6b61\u300c{OURS}\u300d", "like"),
    (f"Polubi\u0142(a) \u201e{OURS}\u201d", "like"),
    (f"Le encanta \u201c{OURS}\u201d", "love"),
    (f"No le gusta \u201c{OURS}\u201d", "dislike"),
    (f"Reaccion\u00f3 con \u2764\ufe0f a \u201c{OURS}\u201d", "love"),
    (f"A aim\u00e9 \u00ab\u00a0{OURS}\u00a0\u00bb", "like"),
    (f"N\u2019a pas aim\u00e9 \u00ab {OURS} \u00bb", "dislike"),
    (f"Gef\u00e4llt \u201e{OURS}\u201c", "like"),
    (f"Hat \u201e{OURS}\u201c mit \u201eGef\u00e4llt mir\u201c markiert", "like"),
    (f"Hat \u201e{OURS}\u201c mit \u201eGef\u00e4llt mir nicht\u201c markiert", "dislike"),
    (f"Ha messo \u201cMi piace\u201d a \u201c{OURS}\u201d", "like"),
    (f"Curtiu \u201c{OURS}\u201d", "like"),
    (f"Reageerde met \U0001f44d op \u201c{OURS}\u201d", "like"),
    (f"Понравилось \u00ab{OURS}\u00bb", "like"),
    (f"\u300c{OURS}\u300d\u306b\u3044\u3044\u306d\u3057\u307e\u3057\u305f", "like"),
    # as phones in more languages write them
    (f"Gaf een hartje aan \u201c{OURS}\u201d", "love"),
    (f"Zette een vraagteken bij \u201c{OURS}\u201d", "question"),
    (f"Vond \u201c{OURS}\u201d leuk", "like"),
    (f"F\u00f8jede et hjerte til \u201c{OURS}\u201d", "love"),
    (f"Syntes ikke om \u201c{OURS}\u201d", "dislike"),
    (f"Fjernede et grin fra \u201c{OURS}\u201d", "removed"),
    (f"\u201e{OURS}\u201c ein Herz hinzugef\u00fcgt", "love"),
    (f"Lachen von \u201e{OURS}\u201c entfernt", "removed"),
    (f"Ha aggiunto \u201cMi piace\u201d a \u201c{OURS}\u201d", "like"),
    (f"Ha aggiunto un cuoricino a \u201c{OURS}\u201d", "love"),
    (f"Non trova pi\u00f9 divertente \u201c{OURS}\u201d", "removed"),
    (f"Satte utropstegn ved \u201c{OURS}\u201d", "emphasis"),
    (f"Liker ikke lenger \u201c{OURS}\u201d", "removed"),
    (f"Reagerte med \U0001f389 p\u00e5 \u201c{OURS}\u201d", "\U0001f389"),
    (f"Ya no le gusta \u201c{OURS}\u201d", "removed"),
    (f"Le hace gracia \u201c{OURS}\u201d", "laugh"),
    (f"Gav ett hj\u00e4rta till \u201c{OURS}\u201d", "love"),
    (f"A ajout\u00e9 un \u00ab J\u2019adore \u00bb \u00e0 \u00ab {OURS} \u00bb", "love"),
    (f"A ajout\u00e9 un rire \u00e0 \u00ab\u00a0{OURS}\u00a0\u00bb", "laugh"),
    (f"Реакция \U0001f44d към \u201c{OURS}\u201d", "like"),
    (f"Премахнато \U0001f44d от \u201c{OURS}\u201d", "removed"),
    (f"Gaf een hartje aan \u2018{OURS}\u2019", "love"),
    (f"Lachte om '{OURS}'", "laugh"),
    (f"Verwijderde een duim omhoog van \u2018{OURS}\u2019", "removed"),
    (f"Gef\u00e4llt nicht: \u201e{OURS}\u201c", "dislike"),
    (f"\U0001f389 aus \u201e{OURS}\u201c entfernt", "removed"),
    (f"Hat mit \U0001f389 auf \u201e{OURS}\u201c reagiert", "\U0001f389"),
    (f"La til \u200b\U0001f389\u200b for \u201c{OURS}\u201d", "\U0001f389"),
    (f"Satte sp\u00f8rsm\u00e5lstegn ved \u201c{OURS}\u201d", "question"),
    (f"Ha eliminado \U0001f389 de \u201c{OURS}\u201d.", "removed"),
    (f"Exclam\u00f3 por \u201c{OURS}\u201d", "emphasis"),
    (f"a attribu\u00e9 la mention \u00ab Adore \u00bb \u00e0 \u00ab {OURS} \u00bb", "love"),
    (f"A attribu\u00e9 la mention \u00ab J\u2019aime \u00bb \u00e0 \u00ab {OURS} \u00bb", "like"),
    (f"A attribu\u00e9 la mention \u00ab \U0001f602 \u00bb \u00e0 \u00ab {OURS} \u00bb", "laugh"),
    (f"A retir\u00e9 la mention \u00ab Adore \u00bb de \u00ab {OURS} \u00bb", "removed"),
    (f"A r\u00e9agi \U0001f389 \u00e0 \u00ab {OURS} \u00bb", "\U0001f389"),
    (f"A soulign\u00e9 \u00ab {OURS} \u00bb", "emphasis"),
    (f"Nie polubiono \u201e{OURS}\u201d", "dislike"),
    (f"Za\u015bmiano si\u0119 z \u201e{OURS}\u201d", "laugh"),
    (f"Usuni\u0119to polubienie \u201e{OURS}\u201d", "removed"),
    # cut, in other quotes than we wrote, behind what a trial account puts in front
    ("Liked \u201cWe are open Mon\u2026\u201d", "like"),
    (f"Liked \u201cSent from your Twilio trial account - {OURS}\u201d", "like"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), FORMS)
def test_a_reaction_is_known_with_its_kind_and_the_text_of_ours(text: str, kind: str) -> None:
    assert to_ours(parse(text), [(OTHER, False), (OURS, False)]) == Reaction(kind, OURS)


@pytest.mark.parametrize(
    "text",
    [
        "Liked your place. Are you open on Monday?",
        "Liked",
        "Liked \u201cSomething else\u201d",
        "Liked \u201cWe\u2026\u201d",
        f"You said \u201c{OURS}\u201d",
        f"What does \u201c{OURS}\u201d mean?",
        f"You wrote '{OURS}'",
        f"Aim\u00e9e \u00ab J\u2019aime \u00bb, {OURS}",
        f"I liked \u201c{OURS}\u201d, but what about Saturdays?",
        f"Liked {OURS}",
        f"\u201c{OURS}\u201d",
        OURS,
        "\U0001f44d",
        "\U0001f44d to that! Can I come \u201cearly\u201d?",
        "Liked an image",
        "",
    ],
)
def test_what_quotes_no_text_of_ours_in_the_form_of_a_reaction_is_a_text(text: str) -> None:
    assert to_ours(parse(text), [(OURS, False)]) == NONE


@pytest.mark.parametrize(
    "text",
    [
        "Liked an image",
        "Loved a photo",
        "Le gust\u00f3 una imagen",
        "Reacted \U0001f44d to an image",
        "\u2764\ufe0f to a picture",
        "Reaccion\u00f3 con \u2764\ufe0f a una imagen",
    ],
)
def test_a_reaction_to_a_picture_is_to_the_last_one_of_ours(text: str) -> None:
    found = to_ours(parse(text), [(OURS, False), ("Our menu", True), ("Older", True)])
    assert found.kind in ("like", "love")
    assert found.text == "Our menu"


def test_a_text_without_spaces_is_known_by_its_beginning() -> None:
    """And a word or two letters are too little."""
    ours = "営業時間は月曜日から金曜日の9時から17時までです"
    assert to_ours(parse("Liked “営業時間は月曜日…”"), [(ours, False)]) == Reaction("like", ours)
    assert to_ours(parse("Liked “営業…”"), [(ours, False)]) == NONE
    assert to_ours(parse("Liked “ご来店お待ちして…”"), [(ours, False)]) == NONE


def test_a_key_of_a_telephone_is_an_emoji() -> None:
    assert parse("Reacted 1\ufe0f\u20e3 to “Ok”") == Reaction("1\u20e3", "ok")
    assert parse("Reacted 1 to “Ok”") == NONE


@pytest.mark.parametrize("ours", ["\U0001f44b", "Question", "Reply \u201cQuestion\u201d or STOP"])
def test_an_emoji_or_a_name_of_a_reaction_that_we_sent_can_be_liked(ours: str) -> None:
    assert to_ours(parse(f"Liked \u201c{ours}\u201d"), [(ours, False)]).kind == "like"


PROJECT = Path(__file__).parents[2]


def test_a_liked_answer_gets_no_other_answer() -> None:
    """It quotes the word that the rule listens to, and a day later the backstop would answer."""
    bench = Bench.load(PROJECT)
    assert bench.react(sms("What are your hours?")).texts == [OURS]
    bench.wait("1d")
    assert bench.react(sms(f"Liked \u201c{OURS}\u201d")).texts == []
    assert bench.react(sms("Liked your place. Are you open on Monday?")).texts == [OURS]


def test_a_reaction_to_what_somebody_else_was_sent_is_a_text() -> None:
    bench = Bench.load(PROJECT)
    bench.react(sms("What are your hours?"))
    other = sms(f"Liked \u201c{OURS}\u201d", from_="+14155550199")
    assert bench.react(other).texts == [OURS]
