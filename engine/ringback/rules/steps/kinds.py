"""Steps: the table of every step that the language itself has, under its word."""

from ringback.rules.steps import calls, flow, group_texts, members, messages, questions, voice
from ringback.rules.steps.base import StepModel

STEPS: dict[str, type[StepModel]] = {
    model.step: model
    for module in (messages, members, group_texts, calls, voice, questions, flow)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, StepModel) and model.step
}
"""In the order in which their modules define them."""

CALL_STEPS = tuple(word for word, model in STEPS.items() if model.in_call)
"""The steps that may stand under `do` of a `call` step: what the callee hears."""
