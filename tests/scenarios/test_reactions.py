"""Reactions of phones on a node: from its journal, through a service, and what the gate says."""

from scenarios.test_gate import Begin, ends, refused, says
from simulation.twilio import OURS, SERVICE

RULES = """
rules:
  - name: hours
    on: message.received
    if: event.body.keyword('hours') || event.body.keyword('open')
    do: [{reply: We are open Mon-Fri 9-17.}]
  - name: served
    on: message.received
    if: event.body == 'served'
    do: [{send: {to: "${{ event.from }}", body: Your table is booked., service: SERVICE}}]
  - name: liked
    on: message.received
    if: event.reaction == 'like'
    do: [{reply: "You liked: ${{ event.reaction_to }}"}]
""".replace("SERVICE", SERVICE)


def test_a_reaction_is_known_by_the_texts_that_left(begin: Begin) -> None:
    """Also when a messaging service sent the text, and after a restart."""
    story = begin(rules=RULES)
    says(story, "served", service=SERVICE)
    story.kill()
    story.start()
    says(story, "Liked \u201cYour table is booked.\u201d", service=SERVICE)
    says(story, "Liked \u201cYour table is free.\u201d", service=SERVICE)
    assert ends(story, "liked") == ["sent"]
    assert story.ask("select json_extract(params, '$.body') from actions where rule = 'liked'") == [
        ("You liked: Your table is booked.",)
    ]


def test_the_text_that_a_phone_reacts_to_is_not_sent_again(begin: Begin) -> None:
    """A rule that does not know reactions hears its own words in the quotation."""
    story = begin(rules=RULES)
    says(story, "your hours?", to=OURS)
    story.run(60.0)
    says(story, "Liked \u201cWe are open Mon-Fri 9-17.\u201d")
    first, again = ends(story, "hours")
    assert first == "sent"
    assert refused(again, "reacts to this very text")
    assert ends(story, "liked") == ["sent"]
    story.run(120.0)
    says(story, "And are you open on Saturday?")
    assert ends(story, "hours")[2] == "sent"
