"""Conferences: who is in which, how they start and end, and their events.

https://www.twilio.com/docs/voice/twiml/conference and the Conference resource of the REST API.
"""

from xml.sax.saxutils import escape, quoteattr

from ringback.simulator.voice import leg as programs
from ringback.simulator.voice import params
from ringback.simulator.voice.call_records import Conference, Participant, Recording
from ringback.simulator.voice.effects import JoinConference, LeaveConference, Stay
from ringback.simulator.voice.legs import Leg
from ringback.simulator.voice.listening import Listener
from ringback.simulator.voice.ports import NOBODY, Callback, Fields, Notice, Script
from ringback.simulator.voice.recorder import Recorder
from ringback.simulator.voice.results import ConferenceChanged, Joined, LeftConference
from ringback.simulator.voice.switch import PENDING, ExchangeError, Switch

FULL = 16020
# The word that asks for an event, and the events it stands for.
WORDS = {
    "conference-start": "start",
    "conference-end": "end",
    "participant-join": "join",
    "participant-leave": "leave",
    "participant-mute": "mute",
    "participant-unmute": "mute",
    "participant-hold": "hold",
    "participant-unhold": "hold",
    "participant-modify": "modify",
    "announcement-end": "announcement",
}


class Conferences:
    """All conferences of the account."""

    def __init__(self, switch: Switch, recorder: Recorder, listener: Listener) -> None:
        self.switch = switch
        self.kernel = switch.kernel
        self.recorder = recorder
        self.listener = listener
        self.conferences: dict[str, Conference] = {}
        self._callbacks: dict[str, Callback] = {}
        self._recordings: dict[str, Recording] = {}
        switch.handlers[JoinConference] = self._join
        switch.handlers[Stay] = self._stay
        switch.handlers[LeaveConference] = lambda leg, effect: self.leave(leg)

    def running(self, name: str) -> Conference | None:
        """The conference of that name that has not ended."""
        alive = (
            conference
            for conference in self.conferences.values()
            if conference.status != "completed"
        )
        return next((conference for conference in alive if conference.friendly_name == name), None)

    def find(self, sid_or_name: str) -> Conference:
        """Raises ExchangeError 20404."""
        conference = self.conferences.get(sid_or_name) or self.running(sid_or_name)
        if conference is None:
            raise ExchangeError(20404, f"there is no conference {sid_or_name}", 404)
        return conference

    # --- in and out ---

    def _join(self, leg: Leg, effect: JoinConference) -> Joined:
        conference = self.running(effect.name) or self._open(effect)
        if len(conference.participants) >= conference.max_participants:
            return Joined("", waiting=False, code=FULL)
        now = self.kernel.now()
        who = conference.participants[leg.sid] = Participant(
            leg.sid,
            now,
            now,
            label=effect.label,
            muted=effect.muted,
            coaching=bool(effect.coach),
            call_sid_to_coach=effect.coach,
            start_on_enter=effect.start_on_enter,
            end_on_exit=effect.end_on_exit,
        )
        leg.conference_sid, leg.conference = conference.sid, effect
        if effect.status.url and not self._callbacks[conference.sid].url:
            self._callbacks[conference.sid] = effect.status
        self._event(conference, "participant-join", who)
        if effect.beep in {"true", "onEnter"}:
            self._beep(conference)
        if effect.record is not None and conference.sid not in self._recordings:
            self._recordings[conference.sid] = self.recorder.start(
                effect.record, conference=conference.sid
            )
        self._maybe_start(conference, leg)
        waiting = conference.status == "init"
        leg.waits = "conference" if waiting else ""
        return Joined(conference.sid, waiting)

    def _open(self, effect: JoinConference) -> Conference:
        now = self.kernel.now()
        sid = self.kernel.mint("CF")
        conference = Conference(sid, effect.name, now, now, max_participants=effect.limit)
        self.conferences[sid] = conference
        self._callbacks[sid] = NOBODY
        return conference

    def _beep(self, conference: Conference) -> None:
        for sid in conference.participants:
            self.listener.hear(self.switch.legs[sid], "beep")

    def _maybe_start(self, conference: Conference, newcomer: Leg) -> None:
        """Two are there, and one of them may start it: the music stops."""
        people = conference.participants.values()
        if (
            conference.status != "init"
            or len(people) < 2
            or not any(p.start_on_enter for p in people)
        ):
            return
        conference.status = "in-progress"
        self._event(conference, "conference-start")
        for sid in conference.participants:
            if sid != newcomer.sid:
                self.switch.interrupt(self.switch.legs[sid], ConferenceChanged(running=True))

    def _stay(self, leg: Leg, effect: Stay) -> object:
        # The conference may have ended between the start and this moment.
        return PENDING if leg.conference_sid else LeftConference()

    def leave(self, leg: Leg, kicked: bool = False) -> None:
        """Take a leg out of its conference. The last one, or one whose exit ends it, closes it."""
        conference = self.conferences.get(leg.conference_sid)
        settings = leg.conference
        leg.conference_sid, leg.conference, leg.waits = "", None, ""
        if conference is None or leg.sid not in conference.participants:
            return
        who = conference.participants.pop(leg.sid)
        who.status = "complete"
        self._event(conference, "participant-leave", who)
        if settings is not None and settings.beep in {"true", "onExit"}:
            self._beep(conference)
        how = "kicked" if kicked else "left"
        if who.end_on_exit:
            self.close(conference, f"participant-with-end-conference-on-exit-{how}", leg.sid)
        elif not conference.participants:
            self.close(conference, f"last-participant-{how}", leg.sid)

    def close(self, conference: Conference, reason: str, by: str = "") -> None:
        """End a conference; everyone in it goes on with what follows in the own document."""
        if conference.status == "completed":
            return
        conference.status = "completed"
        conference.reason_ended, conference.call_sid_ending = reason, by
        for sid in tuple(conference.participants):
            leg = self.switch.legs[sid]
            who = conference.participants.pop(sid)
            leg.conference_sid, leg.conference = "", None
            self._event(conference, "participant-leave", who)
            if isinstance(leg.effect, Stay):
                self.switch.wake(leg, LeftConference())
            else:
                self.switch.interrupt(leg, ConferenceChanged(running=False))
        if conference.sid in self._recordings:
            self.recorder.finish(self._recordings[conference.sid])
        self._event(conference, "conference-end")

    def star(self, leg: Leg) -> None:
        """The key that leaves a conference, where the document allows it."""
        if (
            leg.conference is not None
            and leg.conference.star_leaves
            and isinstance(leg.effect, Stay)
        ):
            self.leave(leg)
            self.switch.wake(leg, LeftConference())

    def _event(self, conference: Conference, event: str, who: Participant | None = None) -> None:
        now = self.kernel.now()
        conference.updated_at = now
        self.kernel.changed("conference", conference.sid)
        callback = self._callbacks[conference.sid]
        if not callback.url or WORDS[event] not in callback.events:
            return
        conference.sequence += 1
        at, account = self.kernel.date(now), self.switch.account_sid
        fields = params.conference_event(conference, account, event, at, who)
        if event == "participant-leave" and who is not None:
            status = self.switch.legs[who.call_sid].call.status
            reason = "participant_hung_up" if status == "completed" else "participant_updated"
            fields = (
                *fields,
                ("ParticipantCallStatus", status),
                ("ReasonParticipantLeft", reason),
            )
        self.kernel.notify(
            Notice(callback.url, callback.method, fields, "conference", conference.sid)
        )

    # --- what REST does to a conference ---

    def participant(self, conference: Conference, call_or_label: str) -> Participant:
        """Raises ExchangeError 20404."""
        for who in conference.participants.values():
            if call_or_label in {who.call_sid, who.label} and call_or_label:
                return who
        raise ExchangeError(20404, f"{call_or_label} is not in conference {conference.sid}", 404)

    def update(
        self,
        conference: Conference,
        who: Participant,
        *,
        muted: bool | None = None,
        hold: bool | None = None,
        end_on_exit: bool | None = None,
        coaching: bool | None = None,
        call_sid_to_coach: str | None = None,
    ) -> None:
        """Mute, hold or change a participant; each change is an event."""
        who.updated_at = self.kernel.now()
        if muted is not None and muted != who.muted:
            who.muted = muted
            self._event(conference, "participant-mute" if muted else "participant-unmute", who)
        if hold is not None and hold != who.hold:
            who.hold = hold
            self._event(conference, "participant-hold" if hold else "participant-unhold", who)
        modified = False
        if end_on_exit is not None and end_on_exit != who.end_on_exit:
            who.end_on_exit, modified = end_on_exit, True
        if call_sid_to_coach is not None and call_sid_to_coach != who.call_sid_to_coach:
            who.call_sid_to_coach, modified = call_sid_to_coach, True
        if coaching is not None and coaching != who.coaching:
            who.coaching, modified = coaching, True
        if modified:
            self._event(conference, "participant-modify", who)

    def play(self, conference: Conference, call_sids: list[str], script: Script) -> None:
        """Play a document once to these participants, who hear it as an announcement."""
        if not call_sids:
            return
        legs = [self.switch.find(sid) for sid in call_sids]
        ghost = Leg(legs[0].call)

        def done(outcome: object) -> None:
            for sound in ghost.heard:
                for leg in legs:
                    self.listener.hear(leg, "announcement", sound.text)
            self._event(conference, "announcement-end")

        self.switch.begin(ghost, programs.aside(script, "announce"), done)


def conference_script(name: str, attributes: Fields, events: Callback | None) -> Script:
    """The document that puts a call into a conference; `attributes` are those of the noun."""
    if events is not None and events.url:
        where = ("statusCallback", events.url), ("statusCallbackMethod", events.method)
        attributes = (
            *attributes,
            *where,
            ("statusCallbackEvent", " ".join(sorted(events.events))),
        )
    written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes)
    conference = f"<Conference{written}>{escape(name)}</Conference>"
    return Script(twiml=f"<Response><Dial>{conference}</Dial></Response>")
