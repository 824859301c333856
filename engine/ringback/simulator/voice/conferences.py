"""Who is in which conference, when does it start and end, and who is told?

https://www.twilio.com/docs/voice/twiml/conference and the Conference resource of the REST API.
"""

from xml.sax.saxutils import escape, quoteattr

from ringback.simulator.voice import leg as programs
from ringback.simulator.voice import params
from ringback.simulator.voice.effects import JoinRoom, LeaveRoom, Stay
from ringback.simulator.voice.legs import Leg
from ringback.simulator.voice.listening import Ears
from ringback.simulator.voice.ports import NOBODY, Callback, Fields, Script, Tell
from ringback.simulator.voice.recorder import Recorder
from ringback.simulator.voice.records import Conference, Participant, Recording
from ringback.simulator.voice.results import Joined, LeftRoom, RoomChanged
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


class Rooms:
    """All conferences of the account."""

    def __init__(self, switch: Switch, recorder: Recorder, ears: Ears) -> None:
        self.switch = switch
        self.kernel = switch.kernel
        self.recorder = recorder
        self.ears = ears
        self.conferences: dict[str, Conference] = {}
        self._callbacks: dict[str, Callback] = {}
        self._recordings: dict[str, Recording] = {}
        switch.handlers[JoinRoom] = self._join
        switch.handlers[Stay] = self._stay
        switch.handlers[LeaveRoom] = lambda leg, effect: self.leave(leg)

    def running(self, name: str) -> Conference | None:
        """The room of that name that has not ended."""
        alive = (room for room in self.conferences.values() if room.status != "completed")
        return next((room for room in alive if room.friendly_name == name), None)

    def find(self, sid_or_name: str) -> Conference:
        """Raises ExchangeError 20404."""
        room = self.conferences.get(sid_or_name) or self.running(sid_or_name)
        if room is None:
            raise ExchangeError(20404, f"there is no conference {sid_or_name}", 404)
        return room

    # --- in and out ---

    def _join(self, leg: Leg, effect: JoinRoom) -> Joined:
        room = self.running(effect.name) or self._open(effect)
        if len(room.participants) >= room.max_participants:
            return Joined("", waiting=False, code=FULL)
        now = self.kernel.now()
        who = room.participants[leg.sid] = Participant(
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
        leg.room_sid, leg.room = room.sid, effect
        if effect.status.url and not self._callbacks[room.sid].url:
            self._callbacks[room.sid] = effect.status
        self._event(room, "participant-join", who)
        if effect.beep in {"true", "onEnter"}:
            self._beep(room)
        if effect.record is not None and room.sid not in self._recordings:
            self._recordings[room.sid] = self.recorder.start(effect.record, conference=room.sid)
        self._maybe_start(room, leg)
        waiting = room.status == "init"
        leg.waits = "room" if waiting else ""
        return Joined(room.sid, waiting)

    def _open(self, effect: JoinRoom) -> Conference:
        now = self.kernel.now()
        sid = self.kernel.mint("CF")
        room = Conference(sid, effect.name, now, now, max_participants=effect.limit)
        self.conferences[sid] = room
        self._callbacks[sid] = NOBODY
        return room

    def _beep(self, room: Conference) -> None:
        for sid in room.participants:
            self.ears.hear(self.switch.legs[sid], "beep")

    def _maybe_start(self, room: Conference, newcomer: Leg) -> None:
        """Two are there, and one of them may start it: the music stops."""
        people = room.participants.values()
        if room.status != "init" or len(people) < 2 or not any(p.start_on_enter for p in people):
            return
        room.status = "in-progress"
        self._event(room, "conference-start")
        for sid in room.participants:
            if sid != newcomer.sid:
                self.switch.interrupt(self.switch.legs[sid], RoomChanged(running=True))

    def _stay(self, leg: Leg, effect: Stay) -> object:
        # The room may have ended between the start and this moment.
        return PENDING if leg.room_sid else LeftRoom()

    def leave(self, leg: Leg, kicked: bool = False) -> None:
        """Take a leg out of its room. The last one, or one whose exit ends it, closes the room."""
        room = self.conferences.get(leg.room_sid)
        settings = leg.room
        leg.room_sid, leg.room, leg.waits = "", None, ""
        if room is None or leg.sid not in room.participants:
            return
        who = room.participants.pop(leg.sid)
        who.status = "complete"
        self._event(room, "participant-leave", who)
        if settings is not None and settings.beep in {"true", "onExit"}:
            self._beep(room)
        how = "kicked" if kicked else "left"
        if who.end_on_exit:
            self.close(room, f"participant-with-end-conference-on-exit-{how}", leg.sid)
        elif not room.participants:
            self.close(room, f"last-participant-{how}", leg.sid)

    def close(self, room: Conference, reason: str, by: str = "") -> None:
        """End a room; everyone in it goes on with what follows in the own document."""
        if room.status == "completed":
            return
        room.status = "completed"
        room.reason_ended, room.call_sid_ending = reason, by
        for sid in tuple(room.participants):
            leg = self.switch.legs[sid]
            who = room.participants.pop(sid)
            leg.room_sid, leg.room = "", None
            self._event(room, "participant-leave", who)
            if isinstance(leg.effect, Stay):
                self.switch.wake(leg, LeftRoom())
            else:
                self.switch.interrupt(leg, RoomChanged(running=False))
        if room.sid in self._recordings:
            self.recorder.finish(self._recordings[room.sid])
        self._event(room, "conference-end")

    def star(self, leg: Leg) -> None:
        """The key that leaves a room, where the document allows it."""
        if leg.room is not None and leg.room.star_leaves and isinstance(leg.effect, Stay):
            self.leave(leg)
            self.switch.wake(leg, LeftRoom())

    def _event(self, room: Conference, event: str, who: Participant | None = None) -> None:
        now = self.kernel.now()
        room.updated_at = now
        self.kernel.changed("conference", room.sid)
        callback = self._callbacks[room.sid]
        if not callback.url or WORDS[event] not in callback.events:
            return
        room.sequence += 1
        at, account = self.kernel.date(now), self.switch.account_sid
        fields = params.conference_event(room, account, event, at, who)
        if event == "participant-leave" and who is not None:
            status = self.switch.legs[who.call_sid].call.status
            reason = "participant_hung_up" if status == "completed" else "participant_updated"
            fields = (
                *fields,
                ("ParticipantCallStatus", status),
                ("ReasonParticipantLeft", reason),
            )
        told = Tell(callback.url, callback.method, fields, "conference", room.sid)
        self.kernel.tell(told)

    # --- what REST does to a room ---

    def participant(self, room: Conference, call_or_label: str) -> Participant:
        """Raises ExchangeError 20404."""
        for who in room.participants.values():
            if call_or_label in {who.call_sid, who.label} and call_or_label:
                return who
        raise ExchangeError(20404, f"{call_or_label} is not in conference {room.sid}", 404)

    def update(
        self,
        room: Conference,
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
            self._event(room, "participant-mute" if muted else "participant-unmute", who)
        if hold is not None and hold != who.hold:
            who.hold = hold
            self._event(room, "participant-hold" if hold else "participant-unhold", who)
        modified = False
        if end_on_exit is not None and end_on_exit != who.end_on_exit:
            who.end_on_exit, modified = end_on_exit, True
        if call_sid_to_coach is not None and call_sid_to_coach != who.call_sid_to_coach:
            who.call_sid_to_coach, modified = call_sid_to_coach, True
        if coaching is not None and coaching != who.coaching:
            who.coaching, modified = coaching, True
        if modified:
            self._event(room, "participant-modify", who)

    def play(self, room: Conference, call_sids: list[str], script: Script) -> None:
        """Play a document once to these participants, who hear it as an announcement."""
        if not call_sids:
            return
        legs = [self.switch.find(sid) for sid in call_sids]
        ghost = Leg(legs[0].call)

        def done(outcome: object) -> None:
            for sound in ghost.heard:
                for leg in legs:
                    self.ears.hear(leg, "announcement", sound.text)
            self._event(room, "announcement-end")

        self.switch.begin(ghost, programs.aside(script, "announce"), done)


def room_script(name: str, attributes: Fields, events: Callback | None) -> Script:
    """The document that puts a call into a room; `attributes` are those of the Conference noun."""
    if events is not None and events.url:
        told = ("statusCallback", events.url), ("statusCallbackMethod", events.method)
        attributes = (
            *attributes,
            *told,
            ("statusCallbackEvent", " ".join(sorted(events.events))),
        )
    written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes)
    room = f"<Conference{written}>{escape(name)}</Conference>"
    return Script(twiml=f"<Response><Dial>{room}</Dial></Response>")
