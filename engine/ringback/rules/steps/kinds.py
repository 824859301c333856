"""Table of the steps that the language itself has."""

from ringback.rules.steps import calls, flow, messages, voice
from ringback.rules.steps.base import StepModel

STEPS: dict[str, type[StepModel]] = {
    model.step: model
    for model in (
        messages.Reply, messages.Send, calls.Call, calls.EndCallStep, voice.EnqueueStep,
        calls.Dequeue, voice.RedirectStep, messages.NotifyStep, messages.Http,
        messages.RememberStep, messages.Forget, flow.Wait, flow.WaitFor, flow.Choose, flow.StopStep,
        flow.Run, voice.SayStep, voice.PlayStep, voice.GatherStep, voice.RecordStep,
        voice.DialStep, voice.PauseStep, voice.RejectStep, voice.HangupStep,
    )
}  # fmt: skip
