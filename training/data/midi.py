"""Converts composed pieces to standard MIDI files."""

from __future__ import annotations

import mido

from training.data.notes import Part, Piece

TICKS_PER_BEAT = 480


def to_midi(piece: Piece) -> mido.MidiFile:
    """Builds a type 1 file: one track with tempo and meter, then one track per part."""
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    conductor = mido.MidiTrack()
    conductor.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(piece.bpm), time=0))
    conductor.append(mido.MetaMessage("time_signature", numerator=piece.beats_per_bar, denominator=4, time=0))
    file.tracks.append(conductor)
    file.tracks.extend(_track(part) for part in piece.parts)
    return file


def _track(part: Part) -> mido.MidiTrack:
    track = mido.MidiTrack()
    track.append(mido.Message("program_change", channel=part.channel, program=part.program, time=0))
    track.append(mido.Message("control_change", channel=part.channel, control=7, value=part.volume, time=0))
    # 0 before 1: a note that ends when the next one of its pitch begins must end first, or it would silence that one.
    events = []
    for note in part.notes:
        start = round(note.start * TICKS_PER_BEAT)
        end = max(round((note.start + note.length) * TICKS_PER_BEAT), start + 1)
        events.append((start, 1, note.pitch, note.velocity))
        events.append((end, 0, note.pitch, 0))
    now = 0
    for tick, is_start, pitch, velocity in sorted(events):
        kind = "note_on" if is_start else "note_off"
        track.append(mido.Message(kind, channel=part.channel, note=pitch, velocity=velocity, time=tick - now))
        now = tick
    return track
