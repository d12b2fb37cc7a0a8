"""The table of recorded sounds: the recordings and the words that people use for them."""

from __future__ import annotations

from dataclasses import dataclass

from training.data.synthesis import phrases


@dataclass(frozen=True, slots=True)
class SampleKind:
    """Recordings that the same words describe.

    Attributes:
        sound: label; the same as a procedural sound's if there is one of this kind.
        phrases: ways to describe the sound; the first is complete.
        names: file names without their suffix.
        modifiers: qualities of the sound, each a word of the first phrase.
        loop: whether the sound continues without a pause; otherwise it is repeated with pauses.
    """

    sound: str
    phrases: tuple[str, ...]
    names: tuple[str, ...]
    modifiers: tuple[str, ...] = ()
    loop: bool = False


def _kind(sound: str, said: str, names: str, modifiers: str = "", *, loop: bool = False) -> SampleKind:
    return SampleKind(sound, phrases(*said.split("|")), tuple(names.split()), tuple(modifiers.split()), loop)


SAMPLE_KINDS: tuple[SampleKind, ...] = (
    _kind(
        "kick",
        "a kick drum|a bass drum|kick drum hits",
        "bd_ada bd_boom bd_fat bd_gas bd_haus bd_klub bd_pure bd_sone bd_tek bd_zome bd_zum",
    ),
    _kind("kick", "an 808 kick drum|an 808 bass drum|a kick drum", "bd_808", "808"),
    _kind(
        "kick", "a hard bass drum hit|a hard kick drum|a bass drum hit hard", "drum_bass_hard drum_heavy_kick", "hard"
    ),
    _kind(
        "kick", "a soft bass drum hit|a soft kick drum|a bass drum hit softly", "drum_bass_soft elec_soft_kick", "soft"
    ),
    _kind("snare", "a snare drum|snare drum hits|a snare", "sn_dolf sn_dub sn_generic sn_zome"),
    _kind("snare", "a hard snare drum hit|a hard snare|a snare drum hit hard", "drum_snare_hard", "hard"),
    _kind("snare", "a soft snare drum hit|a soft snare|a snare drum hit softly", "drum_snare_soft", "soft"),
    _kind(
        "snare",
        "an electronic snare drum|an electronic snare|a drum machine snare",
        "elec_snare elec_hi_snare elec_lo_snare elec_mid_snare elec_filt_snare",
        "electronic",
    ),
    _kind(
        "hi_hat",
        "a hi-hat|hi-hat hits|a hi-hat cymbal",
        "hat_bdu hat_cab hat_gem hat_gnu hat_gump hat_hier hat_len hat_mess hat_noiz hat_raw hat_star "
        "hat_tap hat_zan hat_zild",
    ),
    _kind(
        "hi_hat",
        "a closed hi-hat|closed hi-hat hits|a closed hi-hat cymbal",
        "drum_cymbal_closed drum_cymbal_pedal",
        "closed",
    ),
    _kind("hi_hat", "an open hi-hat|open hi-hat hits|an open hi-hat cymbal", "drum_cymbal_open", "open"),
    _kind("cymbal", "a cymbal crash|a crash cymbal|a cymbal hit hard", "drum_cymbal_hard drum_splash_hard"),
    _kind("cymbal", "a soft cymbal|a soft cymbal hit|a cymbal hit softly", "drum_cymbal_soft drum_splash_soft", "soft"),
    _kind("cymbal", "a ride cymbal|ride cymbal hits|a drummer's ride cymbal", "ride_tri ride_via", "ride"),
    _kind("tom", "a high tom drum|a high tom|high tom hits", "drum_tom_hi_hard drum_tom_hi_soft", "high"),
    _kind("tom", "a tom drum|a tom|tom drum hits", "drum_tom_mid_hard drum_tom_mid_soft"),
    _kind("tom", "a low tom drum|a low tom|low tom hits", "drum_tom_lo_hard drum_tom_lo_soft", "low"),
    _kind("cowbell", "a cowbell|a cowbell hit|somebody hitting a cowbell", "drum_cowbell"),
    _kind("drum_roll", "a drum roll|a snare drum roll|a rolling drum", "drum_roll", loop=True),
    _kind("triangle", "a triangle|a triangle ringing|a triangle being struck", "elec_triangle"),
    _kind("wood_block", "a wood block|a wooden knock|wood block hits", "elec_wood"),
    _kind("beep", "an electronic beep|electronic beeps|beeping", "elec_beep", "electronic"),
    _kind(
        "blip",
        "an electronic blip|electronic blips|blips of a computer",
        "elec_blip elec_blip2 elec_plip elec_blup",
        "electronic",
    ),
    _kind("bell", "an electronic bell|an electronic bell ringing|a bell", "elec_bell elec_ping", "electronic"),
    _kind("chime", "a chime|a chime ringing|chimes", "elec_chime"),
    _kind("pop", "a pop|popping sounds|pops", "elec_pop"),
    _kind(
        "tabla",
        "a tabla drum|tabla hits|an Indian tabla drum",
        "tabla_dhec tabla_ghe1 tabla_ghe2 tabla_ghe3 tabla_ghe4 tabla_ghe5 tabla_ghe6 tabla_ghe7 "
        "tabla_ghe8 tabla_na tabla_na_o tabla_na_s tabla_re tabla_tas1 tabla_tas2 tabla_tas3 tabla_te1 "
        "tabla_te2 tabla_te_m tabla_te_ne tabla_tun1 tabla_tun2 tabla_tun3",
    ),
    _kind("tabla", "a tabla playing|Indian tabla drumming|a tabla rhythm", "loop_tabla", loop=True),
    _kind(
        "guitar",
        "an electric guitar chord|an electric guitar|a guitar chord",
        "guit_e_fifths guit_em9",
        "electric",
        loop=True,
    ),
    _kind(
        "guitar",
        "an electric guitar slide|a slide on an electric guitar|a guitar slide",
        "guit_e_slide",
        "electric slide",
        loop=True,
    ),
    _kind(
        "guitar",
        "guitar harmonics|harmonics on a guitar|a guitar playing harmonics",
        "guit_harmonics",
        "harmonics",
        loop=True,
    ),
    _kind("burp", "a burp|somebody burping|a person burping", "misc_burp"),
    _kind("crow", "a crow cawing|a crow|a cawing crow", "misc_crow"),
    _kind(
        "boom", "a cinematic boom|a deep cinematic boom|a film trailer boom", "misc_cineboom", "cinematic", loop=True
    ),
    _kind("bell", "a metal bell ringing|a metal bell|a bell ringing", "perc_bell perc_bell2", "metal"),
    _kind("door", "a door closing|a door being shut|closing a door", "perc_door"),
    _kind("finger_snap", "finger snaps|somebody snapping fingers|a finger snap", "perc_snap perc_snap2"),
    _kind("swoosh", "a swoosh|a whoosh|a swooshing sound", "perc_swoosh perc_swash ambi_swoosh ambi_dark_woosh"),
    _kind("cash_register", "a cash register|a till opening|a shop's cash register", "perc_till"),
    _kind("vinyl", "a record scratch|scratching a record|a vinyl scratch", "vinyl_scratch", "scratch"),
    _kind(
        "vinyl",
        "a record rewinding|a vinyl record rewinding|rewinding a record",
        "vinyl_backspin vinyl_rewind",
        "rewinding",
    ),
    _kind("vinyl", "vinyl hiss|the hiss of a vinyl record|an old record's hiss", "vinyl_hiss", "hiss", loop=True),
    _kind("choir", "a choir singing|a choir|a choir holding a chord", "ambi_choir", loop=True),
    _kind("drone", "a dark drone|an ambient drone|a low drone", "ambi_drone loop_drone_g_97", loop=True),
    _kind(
        "glass", "a humming glass|a glass being rubbed|a wine glass humming", "ambi_glass_hum ambi_glass_rub", loop=True
    ),
    _kind("piano", "a soft piano note|a piano|ambient piano", "ambi_piano", "soft", loop=True),
    _kind("printer", "a 3D printer|a 3D printer working|the motors of a 3D printer", "loop_3d_printer", loop=True),
    _kind(
        "drum_loop",
        "an electronic drum loop|an electronic beat|electronic drums",
        "arovane_beat_a arovane_beat_b arovane_beat_c arovane_beat_d arovane_beat_e loop_electric "
        "loop_mehackit1 loop_mehackit2",
        "electronic",
        loop=True,
    ),
    _kind(
        "drum_loop",
        "an industrial drum loop|an industrial beat|industrial drums",
        "loop_industrial",
        "industrial",
        loop=True,
    ),
    _kind(
        "drum_loop",
        "a percussion loop|looped percussion|a percussion rhythm",
        "loop_perc1 loop_perc2",
        "percussion",
        loop=True,
    ),
    _kind(
        "bass",
        "a synth bass note|a synthesizer bass|a bass note",
        "bass_dnb_f bass_hard_c bass_hit_c bass_thick_c bass_trance_c bass_woodsy_c",
        "synth",
    ),
    _kind("bass", "a bass drop|a dropping bass|a synth bass drop", "bass_drop_c", "drop"),
    _kind("robot", "a robot|robot sounds|a glitchy robot", "glitch_robot1 glitch_robot2", loop=True),
)

# About a tenth of the recordings; each has others of its kind in training, so that the model knows its words.
HELD_OUT_SAMPLES = frozenset(
    [
        "bd_fat",
        "bd_klub",
        "drum_heavy_kick",
        "sn_dub",
        "elec_mid_snare",
        "hat_gem",
        "hat_tap",
        "drum_splash_hard",
        "drum_tom_mid_soft",
        "elec_blip2",
        "tabla_ghe5",
        "tabla_tun2",
        "tabla_te2",
        "perc_bell2",
        "perc_snap2",
        "perc_swoosh",
        "arovane_beat_c",
        "bass_trance_c",
        "ride_via",
    ]
)


def sample_names() -> tuple[str, ...]:
    """Lists all recordings of the table."""
    return tuple(name for kind in SAMPLE_KINDS for name in kind.names)
