"""Opt-out: STOP, START and HELP come before every other rule, and nobody answers a STOP.

On SMS Twilio acts on these words by itself: after a STOP it blocks further texts to that person (a
send fails with 21610), and it answers all three. What is left to us is to keep every other rule
silent, so that nobody gets two answers; where Twilio does not answer, on WhatsApp or when its
answers were switched off, we answer START and HELP. A word counts only when it is the whole text:
"STOP 12345" is not a STOP. On channels other than SMS everyday words such as CANCEL are the labels
of buttons, and no opt-out. YES counts only for a person who has left before; to everybody else it
is the answer to a question.
https://help.twilio.com/articles/223134027-Twilio-support-for-opt-out-keywords
"""

import click
from pydantic import BaseModel, ConfigDict, Field

from ringback import (
    Action,
    Contact,
    Event,
    FunctionRegistrar,
    Stop,
    hookimpl,
    opt_out_word,
    reply,
    rule,
)


class Config(BaseModel):
    """`[plugins.opt_out]`: what to answer; an empty text stays silent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    twilio_answers: bool = Field(True, description="false where Twilio's own answers are off")
    started: str = Field("You will get our texts again. Reply STOP to end them.", max_length=1600)
    help: str = Field("Reply STOP to get no more texts, START to get them again.", max_length=1600)


@rule(
    "message.received",
    if_=[
        "opt_out_word_from(event.body, event.from) != ''",
        "!event.body.is_phrase('yes') || remembered('opted_out') != ''",
    ],
    priority=1000,
    also_answers=True,
)
def opt_out(event: Event, contact: Contact, config: Config) -> list[Action]:
    """Let no other rule see these words, and answer START and HELP where Twilio does not."""
    word = opt_out_word(event.body, event.from_)
    actions: list[Action] = []
    if word == "STOP":
        actions.append(contact.remember("opted_out", "yes"))
    if word == "START":
        actions.append(contact.forget("opted_out"))
    text = {"START": config.started, "HELP": config.help}.get(word, "")
    if text and not answered_by_twilio(event, config):
        actions.append(reply(event, text))
    return [*actions, Stop(f"{word} is answered before all other rules")]


def answered_by_twilio(event: Event, config: Config) -> bool:
    """Whether this person has an answer already: Advanced Opt-Out says so, plain SMS implies it."""
    plain_sms = ":" not in event.from_
    return bool(event.fields.get("OptOutType")) or (plain_sms and config.twilio_answers)


@hookimpl
def register_functions(register: FunctionRegistrar) -> None:
    """Let every rule ask for these words."""
    register("opt_out_word", opt_out_word, args=["string"], returns="string")
    register("opt_out_word_from", opt_out_word, args=["string", "string"], returns="string")


@hookimpl
def register_commands(cli: click.Group) -> None:
    """Let a person try a text in the shell."""

    @cli.command("opt-out-word")
    @click.argument("text")
    def opt_out_word_command(text: str) -> None:
        """Tell whether Twilio takes TEXT for STOP, START or HELP."""
        click.echo(opt_out_word(text) or "an ordinary text")
