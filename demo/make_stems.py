#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Synthesise the stems of the demo session.

Writes audio/NAME.flac and score.json beside this script.  Needs Python 3.9 or
newer (standard library only) and the `flac` command.  Every stem has its own
fixed random seed, so a stem does not change when another one is edited.
"""
import json
import math
import random
import subprocess
import tempfile
import wave
from array import array
from itertools import repeat
from pathlib import Path

HERE = Path(__file__).resolve().parent
RATE = 48_000
BPM = 120
BEAT = RATE * 60 // BPM  # 24000: whole, so that every bar starts on a frame
BAR = 4 * BEAT
STEP = BEAT // 4  # a sixteenth note
SWING = 540  # frames by which every second sixteenth is late
TAU = 2 * math.pi


# --- helpers ---------------------------------------------------------------

def hz(note):
    """Frequency of a (possibly fractional) MIDI note."""
    return 440.0 * 2.0 ** ((note - 69) / 12)

def at(step):
    """Frame of a sixteenth note, with swing."""
    return step * STEP + (SWING if step % 2 else 0)

def seconds(t):
    return int(t * RATE)

def silence(frames):
    return array("d", bytes(8 * frames))

def mix(into, start, what, gain=1.0):
    """Add a sound to a buffer; what passes the end of the buffer is cut."""
    for i in range(min(len(what), len(into) - start)):
        into[start + i] += gain * what[i]

def noise(rng, frames):
    return array("d", (rng.uniform(-1, 1) for _ in range(frames)))

def decay(x, tau, attack=0.0005):
    """Shape with a short linear attack and an exponential decay."""
    k, a = -1 / (tau * RATE), 1 / (attack * RATE)
    return array("d", (v * math.exp(k * i) * min(1.0, a * i) for i, v in enumerate(x)))

def gate(x, hold, attack, release):
    """Shape with an attack, a hold of so many frames, and a release."""
    a, r = max(1, seconds(attack)), max(1, seconds(release))
    for i, v in enumerate(x):
        up = min(1.0, i / a)
        down = 1.0 if i < hold else max(0.0, 1 - (i - hold) / r)
        x[i] = v * up * up * (3 - 2 * up) * down * down
    return x

def saw(freqs, phase=0.0):
    """Sawtooth, with the step rounded off by a polyBLEP against aliasing."""
    out = array("d")
    for f in freqs:
        d = f / RATE
        v = 2 * phase - 1
        if phase < d:
            v += (1 - phase / d) ** 2
        elif phase > 1 - d:
            v -= (1 + (phase - 1) / d) ** 2
        out.append(v)
        phase = (phase + d) % 1.0
    return out

def sine(freqs, phase=0.0):
    out = array("d")
    for f in freqs:
        out.append(math.sin(TAU * phase))
        phase += f / RATE
    return out

def svf(x, cutoff, q=0.7, kind="low"):
    """State variable filter; the cutoff is a number or a function of seconds."""
    moving = callable(cutoff)
    s1 = s2 = 0.0
    out, k = array("d"), 1 / q
    for start in range(0, len(x), 32):  # a new cutoff every 32 frames is enough
        if moving or start == 0:
            f = cutoff(start / RATE) if moving else cutoff
            g = math.tan(math.pi * min(f, 20_000) / RATE)
            a1 = 1 / (1 + g * (g + k))
            a2, a3 = g * a1, g * g * a1
        for v in x[start:start + 32]:
            v3 = v - s2
            band = a1 * s1 + a2 * v3
            low = s2 + a2 * s1 + a3 * v3
            s1, s2 = 2 * band - s1, 2 * low - s2
            out.append(low if kind == "low" else
                       band * k if kind == "band" else v - k * band - low)
    return out

def drive(x, amount):
    return array("d", (math.tanh(amount * v) / amount for v in x))


# --- drums -----------------------------------------------------------------

def kick(rng, _vel):
    n = seconds(0.42)
    body = sine(46 + 60 * math.exp(-i / 1500) + 190 * math.exp(-i / 240) for i in range(n))
    out = decay(body, 0.11, 0.0015)
    mix(out, 0, decay(svf(noise(rng, 600), 3500), 0.0022), 0.35)
    return drive(gate(out, seconds(0.3), 0, 0.12), 1.6)

def snare(rng, vel):
    n = seconds(0.32)
    out = silence(n)
    for f, level, tau in ((182, 0.75, 0.060), (331, 0.40, 0.035)):
        pitch = (f * (1 + 0.25 * math.exp(-i / 350)) for i in range(n))
        mix(out, 0, decay(sine(pitch), tau), level)
    rattle = svf(svf(noise(rng, n), 1400, 0.7, "high"), 7500)
    # A softer hit has less of the wires, and a shorter sound.
    mix(out, 0, decay(rattle, 0.03 + 0.045 * vel, 0.001), 0.35 + 0.45 * vel)
    return drive(gate(out, seconds(0.2), 0, 0.12), 1.3)

def hat(rng, tau, frames):
    x = noise(rng, frames)
    for f in (5410, 6270, 6890, 7930, 8480, 9610, 10_370, 11_240, 12_310):
        mix(x, 0, sine(repeat(f, frames), rng.random()), 0.16)  # inharmonic: the ring of metal
    x = svf(svf(svf(x, 7000, 0.8, "high"), 6000, 0.7, "high"), 14_000)
    return gate(decay(x, tau), frames // 2, 0, frames / 2 / RATE)

def closed_hat(rng, vel):
    return hat(rng, 0.014 + 0.018 * vel, 5200)

def open_hat(rng, _vel):
    return hat(rng, 0.11, 11_500)

def shake(rng, _vel, frames=4200):
    x = svf(svf(noise(rng, frames), 5600, 1.2, "band"), 3500, 0.7, "high")
    # Grains swell: no click at the start.
    return array("d", (v * math.sin(math.pi * (i / frames) ** 0.7) ** 2 for i, v in enumerate(x)))

def conga(rng, note):
    n, f, tau = seconds(0.4), hz(note), 0.05 if note == 64 else 0.085  # slap or tone
    out = decay(sine(f * (1 + 0.10 * math.exp(-i / 700)) for i in range(n)), tau, 0.001)
    mix(out, 0, decay(sine(repeat(f * 1.59, n)), tau * 0.4), 0.3)
    mix(out, 0, decay(svf(noise(rng, 1500), 1800, 1.0, "band"), 0.006), 0.5)
    return gate(out, n // 2, 0, 0.18)

def crash(rng):
    n = seconds(2.0)  # one bar, so that it can be reversed into a downbeat
    x = noise(rng, n)
    for _ in range(14):
        mix(x, 0, sine(repeat(rng.uniform(2400, 9500), n), rng.random()), 0.3)
    x = svf(x, 2600, 0.7, "high")
    x = svf(x, lambda t: 3000 + 9000 * math.exp(-t / 0.5))  # the top dies first
    return gate(decay(x, 0.42, 0.002), n // 2, 0, 0.98)

def beats(seed, voice, steps, bars=1, tail=0.45, loosen=0.04):
    """A drum phrase from {step: strength} or, for tuned drums, {step: (note, strength)}."""
    rng, out = random.Random(seed), silence(bars * BAR + seconds(tail))
    for step, vel in sorted(steps.items()):
        what, vel = vel if isinstance(vel, tuple) else (vel, vel)
        mix(out, at(step), voice(rng, what), vel * (1 + rng.uniform(-loosen, loosen)))
    return [out]


# --- bass, keys, pad, guitar, lead -----------------------------------------

def bass_note(note, frames, vel):
    f, n = hz(note), frames + seconds(0.05)
    x = saw(repeat(f, n), 0.5)
    mix(x, 0, saw(repeat(f * 1.003, n), 0.5), 0.5)
    x = svf(x, lambda t: 150 + 2.5 * f + 1300 * vel * vel * math.exp(-t / 0.11), 1.1)
    mix(x, 0, sine(repeat(f, n)), 1.1)
    return gate(drive(x, 0.7), frames, 0.004, 0.05)

def bass(phrase, bars):
    out = silence(bars * BAR + seconds(0.2))
    for step, length, note, vel in phrase:
        frames = int(length * STEP) - 400  # a hair of air before the next note
        mix(out, at(step), bass_note(note, frames, vel), vel)
    return [out]

def ep_note(note, frames, vel):
    """Electric piano: a 1:1 FM pair for the body, a 1:14 pair for the tine."""
    f, n = hz(note), frames + seconds(0.25)
    shine = min(1.0, 260 / f)  # high notes get fewer side bands
    ring, soften, ping = (math.exp(-1 / (RATE * t)) for t in (1.6 * (220 / f) ** 0.4, 0.5, 0.06))
    level, index, tine = vel, 2.4 * vel * shine, 0.9 * vel * vel * shine
    out = array("d")
    for i in range(n):
        p = TAU * f / RATE * i
        out.append(level * (math.sin(p + (0.35 + index) * math.sin(p))
                            + 0.4 * math.sin(p + tine * math.sin(14 * p))))
        level, index, tine = level * ring, index * soften, tine * ping
    return gate(out, frames, 0.002, 0.25)

def keys(seed, phrase, bars, tail):
    rng, dry = random.Random(seed), silence(bars * BAR + seconds(tail))
    for step, length, chord, vel in phrase:
        for k, note in enumerate(chord):
            strum = 0 if k == 0 else k * 130 + rng.randrange(120)
            touch = vel * (1 + rng.uniform(-0.08, 0.08)) * (0.8 if note < 50 else 1.0)
            mix(dry, at(step) + strum, ep_note(note, int(length * STEP), touch))
    # Chorus: the two sides read one delay line at opposite points of the LFO.
    sides = []
    for side in (0.0, 0.5):
        out = array("d")
        for i, v in enumerate(dry):
            turn = math.sin(TAU * (side + i / (2 * BAR)))
            pos = i - (430 + 75 * math.sin(TAU * (side + 0.7 * i / RATE)))
            j = math.floor(pos)
            wet = dry[j] + (pos - j) * (dry[j + 1] - dry[j]) if j >= 0 else 0.0
            out.append((v + 0.6 * wet) * (1 + 0.15 * turn))
        sides.append(out)
    return sides

def pad(seed, chord):
    rng, n, sides = random.Random(seed), BAR + seconds(1.1), []
    for _ in range(2):  # other phases and detunings on each side make it wide
        x = silence(n)
        for note in chord:
            for cents in (-7, 6):
                f = hz(note + (cents + rng.uniform(-2, 2)) / 100)
                mix(x, 0, saw(repeat(f, n), rng.random()))
        x = svf(x, lambda t: 600 + 1300 * math.sin(math.pi * min(1.0, t / 2.8)), 0.8)
        x = svf(x, 3500, 0.6)
        x = svf(x, 140, 0.7, "high")  # leaves the low end to the bass
        sides.append(gate(x, BAR, 0.5, 1.05))
    return sides

def string(rng, note, frames, vel):
    """Karplus-Strong string: noise in a tuned loop that loses its highs."""
    f, n = hz(note), frames + seconds(0.06)
    period = RATE / f
    size = int(period - 0.6)
    frac = period - 0.5 - size  # what the whole delay and the loop filter lack
    tune = (1 - frac) / (1 + frac)
    line = svf(noise(rng, size), 1400 + 3600 * vel)
    mean, pick = sum(line) / size, size // 5
    line = [v - mean - 0.8 * (line[i - pick] - mean) for i, v in enumerate(line)]  # pick: a comb
    top = max(abs(v) for v in line)
    line = [v / top for v in line]
    loss = 0.001 ** (1 / (f * 2.2))  # silent after about two seconds
    out, last, ap_in, ap_out, k = array("d"), 0.0, 0.0, 0.0, 0
    for _ in range(n):
        v = line[k]
        low, last = loss * 0.5 * (v + last), v
        line[k] = ap_out = tune * (low - ap_out) + ap_in
        ap_in = low
        k = k + 1 if k + 1 < size else 0
        out.append(v)
    return gate(svf(out, 90, 0.7, "high"), frames, 0.0006, 0.06)

def guitar(seed, phrase, bars, tail=0.5):
    rng, out = random.Random(seed), silence(bars * BAR + seconds(tail))
    for step, length, note, vel in phrase:
        vel *= 1 + rng.uniform(-0.07, 0.07)
        mix(out, at(step), string(rng, note, int(length * STEP), vel), vel)
    mix(out, 0, svf(out, 210, 1.5, "band"), 0.4)  # a little wood
    return [svf(out, 5500)]

def lead(phrase, bars, tail=1.0):
    n = bars * BAR + seconds(tail)
    pitch, level, bright = array("d"), array("d"), array("d")
    events = [(at(s), at(s) + int(l * STEP) - 500, p, v) for s, l, p, v in phrase]
    note, amp, glow, k, onset = events[0][2], 0.0, 0.0, 0, 0
    for i in range(n):
        if k + 1 < len(events) and i >= events[k + 1][0]:
            k, onset = k + 1, i
        _, end, target, vel = events[k]
        on = i < end
        note += (target - note) * 0.0011  # portamento, about 20 ms
        amp += ((vel if on else 0.0) - amp) * (0.0025 if on else 0.0006)
        glow += ((vel if on else 0.2) - glow) * 0.0004
        age = (i - onset) / RATE
        wobble = 0.22 * max(0.0, min(1.0, (age - 0.22) / 0.4))  # vibrato comes late
        pitch.append(hz(note + wobble * math.sin(TAU * 5.4 * age)))
        level.append(amp)
        bright.append(glow)
    x = saw(pitch, 0.5)
    mix(x, 0, saw((1.004 * f for f in pitch), 0.2), 0.7)
    mix(x, 0, sine(0.5 * f for f in pitch), 0.35)
    x = svf(x, lambda t: 500 + 2300 * bright[min(n - 1, seconds(t))], 0.9)
    x = array("d", (a * b for a, b in zip(svf(x, 4500), level)))
    # A dotted-eighth echo, darker with every turn.
    gap, low, echo = 3 * STEP, 0.0, silence(n)
    for i in range(gap, n):
        low += (x[i - gap] + 0.45 * echo[i - gap] - low) * 0.16
        echo[i] = low
    mix(x, 0, echo, 0.27)
    return [gate(x, n - seconds(0.35), 0, 0.35)]


# --- the music: Am9 | Fmaj9 | Dm9 | E7sus4 E7b9 ----------------------------

KEY_CHORDS = {"am": (45, 55, 59, 60, 64), "f": (41, 55, 57, 60, 64), "d": (50, 53, 57, 60, 64),
              "sus": (40, 57, 59, 62, 64), "e": (52, 56, 59, 62, 65)}
PAD_CHORDS = {"am": (57, 64, 67, 71), "f": (53, 60, 67, 69), "d": (50, 57, 60, 65),
              "e": (52, 59, 62, 71)}
GTR_CHORDS = {"am": (57, 64, 67, 71, 72), "f": (53, 60, 67, 69, 72), "d": (50, 57, 65, 69, 76),
              "sus": (52, 59, 62, 69, 71), "e": (52, 59, 62, 68, 71)}

def comp(bar, first, second, lift):
    """One bar of chords; the second half may be another chord."""
    s, one, two = 16 * bar, KEY_CHORDS[first], KEY_CHORDS[second][1:]
    return [(s, 5.5, one, .85), (s + 6, 1.2, one[1:], .5)] + (
        [(s + 9, 1.5, two, .6), (s + 11, 4.6, two, .75)] if lift else [(s + 10, 5.5, two, .7)])

def arpeggio(bar, first, second):
    order = ((0, 0, .95), (2, 1, .6), (3, 2, .7), (5, 3, .6), (6, 4, .85), (8, 2, .6),
             (10, 3, .8), (11, 1, .55), (13, 2, .7), (14, 4, .75))
    return [(16 * bar + s, 5, (GTR_CHORDS[first] if s < 8 else GTR_CHORDS[second])[k], v)
            for s, k, v in order]


ROOTS = (33, 29, 38, 40)
WALK = (31, 36, 39, 35)  # the last note of each bar leans on the next root
BASS_A = [e for b, r in enumerate(ROOTS) for e in (
    (16 * b, 6, r, .9), (16 * b + 7, 1, r, .6), (16 * b + 10, 4, r, .8),
    (16 * b + 14, 2, WALK[b], .7))]
BASS_B = [e for b, r in enumerate(ROOTS) for e in (
    (16 * b, 2.5, r, 1.0), (16 * b + 3, 1, r, .65), (16 * b + 4, 1.4, r + 12, .8),
    (16 * b + 6, 2, r, .85), (16 * b + 8, 1.5, r, .9), (16 * b + 10, 1.4, r + 12, .8),
    (16 * b + 11, 1, r + 7, .65), (16 * b + 12, 1.6, r + (10 if b % 2 == 0 else 12), .8),
    (16 * b + 14, 2, WALK[b], .85))]
# F, then G under the same Fmaj9 (a G13sus4), then home.
BASS_END = [(0, 5, 29, 1.0), (6, 2, 29, .8), (8, 4, 31, .9), (12, 2, 31, .8), (14, 2, 32, .8),
            (16, 15, 33, 1.0)]

LEAD_A = [(0, 3, 76, .9), (3, 3, 74, .8), (6, 2, 72, .8), (8, 6, 76, .95), (14, 2, 79, .85),
          (16, 3, 79, 1.0), (19, 3, 76, .8), (22, 4, 72, .85), (26, 2, 74, .8), (28, 4, 76, .9),
          (32, 6, 77, 1.0), (38, 2, 76, .8), (40, 3, 74, .85), (43, 3, 72, .8), (46, 2, 69, .75),
          (48, 8, 71, .95), (58, 2, 68, .75), (60, 2, 71, .8), (62, 2, 74, .85)]
LEAD_B = [(0, 3, 72, .85), (3, 3, 74, .85), (6, 5, 76, .9), (12, 4, 81, .95),
          (16, 6, 81, 1.0), (22, 2, 79, .85), (24, 6, 76, .9), (30, 2, 72, .8),
          (32, 3, 74, .85), (35, 3, 77, .9), (38, 4, 81, .95), (42, 6, 84, 1.0),
          (48, 7, 83, 1.0), (56, 3, 80, .9), (59, 2, 76, .8), (61, 1, 77, .8), (62, 11, 76, .9),
          (74, 2, 74, .75), (76, 2, 72, .75), (78, 2, 74, .8), (80, 13, 76, .85)]

CLOSED = {0: .9, 2: .55, 3: .35, 4: .75, 6: .6, 7: .35, 8: .9, 10: .55, 11: .4, 12: .75, 15: .45}
FILL = {4: .95, 8: .45, 10: .6, 12: 1, 13: .55, 14: .8, 15: .95}
OPEN = {2: .8, 6: 1, 10: .8, 14: 1}
SHAKER = {s: (.45, .35, 1.0, .4)[s % 4] for s in range(16)}
CONGAS = {0: (60, .5), 3: (60, .7), 6: (55, .9), 7: (55, .6), 10: (60, .8), 14: (64, .7),
          16: (60, .5), 19: (60, .7), 22: (55, .9), 24: (64, .6), 26: (60, .8), 28: (55, .8),
          29: (55, .6), 30: (51, .9)}

# Track: (peak of its loudest file in dBFS, {file: how to make it}).
STEMS = {
    "kick": (-5, {
        "kick-a": lambda: beats(11, kick, {0: 1, 7: .7, 10: .9}),
        "kick-b": lambda: beats(12, kick, {0: 1, 4: .93, 8: 1, 12: .93, 15: .6}),
        "kick-hit": lambda: beats(13, kick, {0: 1}, 0)}),
    "snare": (-6, {
        "snare-a": lambda: beats(21, snare, {4: .88, 12: .92}),
        "snare-b": lambda: beats(22, snare, {4: .98, 7: .25, 9: .2, 12: 1, 15: .3}),
        "snare-fill": lambda: beats(23, snare, FILL)}),
    "hat-closed": (-9, {"hat-closed": lambda: beats(31, closed_hat, CLOSED, 1, 0.1)}),
    "hat-open": (-9, {"hat-open": lambda: beats(41, open_hat, OPEN, 1, 0.2)}),
    "shaker": (-10, {"shaker": lambda: beats(51, shake, SHAKER, 1, 0.1)}),
    "congas": (-8, {"congas": lambda: beats(61, conga, CONGAS, 2, 0.4)}),
    "crash": (-8, {"crash": lambda: [crash(random.Random(71))],
                   "swell": lambda: [crash(random.Random(72))[::-1]]}),
    "bass": (-7, {
        "bass-a": lambda: bass(BASS_A, 4), "bass-b": lambda: bass(BASS_B, 4),
        "bass-end": lambda: bass(BASS_END, 2)}),
    "keys": (-8, {
        "keys-a": lambda: keys(81, comp(0, "am", "am", 0) + comp(1, "f", "f", 1), 2, 0.4),
        "keys-b": lambda: keys(82, comp(0, "d", "d", 0) + comp(1, "sus", "e", 1), 2, 0.4),
        "keys-end": lambda: keys(83, [(0, 7, KEY_CHORDS["f"], .8), (8, 7, KEY_CHORDS["f"][1:], .6),
                                      (16, 24, KEY_CHORDS["am"] + (71,), .85)], 2, 1.4)}),
    "pad": (-10, {
        f"pad-{c}": lambda c=c: pad(91 + ord(c[0]), PAD_CHORDS[c]) for c in PAD_CHORDS}),
    "guitar": (-7, {
        "guitar-a": lambda: guitar(101, arpeggio(0, "am", "am") + arpeggio(1, "f", "f"), 2),
        "guitar-b": lambda: guitar(102, arpeggio(0, "d", "d") + arpeggio(1, "sus", "e"), 2),
        "guitar-end": lambda: guitar(103, [(i // 2, 18, n, .8) for i, n in
                                           enumerate((45, 57, 64, 67, 71, 76))], 1, 1.0)}),
    "lead": (-8, {"lead-a": lambda: lead(LEAD_A, 4), "lead-b": lambda: lead(LEAD_B, 6)}),
}

# Track: (channels, gain in dB, pan, {file: the bars where it starts}).
# Bars 0-3 intro, 4-7 build, 8-15 full, 16-18 ending.
SCORE = {
    "kick": (1, -7, 0, {"kick-a": [4, 5, 6, 7, 16], "kick-b": range(8, 16), "kick-hit": [17]}),
    "snare": (1, -6, .05, {"snare-a": [4, 5, 6], "snare-b": range(8, 15),
                           "snare-fill": [7, 15, 16]}),
    "hat-closed": (1, -7, .3, {"hat-closed": range(4, 17)}),
    "hat-open": (1, -10, .3, {"hat-open": range(8, 16)}),
    "shaker": (1, -11, -.4, {"shaker": [2, 3, *range(6, 16)]}),
    "congas": (1, -9, -.35, {"congas": [2, 8, 10, 12, 14]}),
    "crash": (1, -8, .2, {"swell": [3, 7], "crash": [8, 12, 17]}),
    "bass": (1, -8, 0, {"bass-a": [4], "bass-b": [8, 12], "bass-end": [16]}),
    "keys": (2, -8, 0, {"keys-a": [0, 4, 8, 12], "keys-b": [2, 6, 10, 14], "keys-end": [16]}),
    "pad": (2, -9, 0, {"pad-am": [0, 4, 8, 12, 17], "pad-f": [1, 5, 9, 13, 16],
                       "pad-d": [2, 6, 10, 14], "pad-e": [3, 7, 11, 15]}),
    "guitar": (1, -5.5, -.45, {"guitar-a": [4, 8, 12], "guitar-b": [2, 6, 10, 14],
                              "guitar-end": [17]}),
    "lead": (1, -7.5, .12, {"lead-a": [8], "lead-b": [12]}),
}
BARS = 19


# --- output ----------------------------------------------------------------

def clean(x):
    """Remove what lies below hearing, and bring both ends to zero."""
    x = svf(x, 18, 0.7, "high")
    x = array("d", (v - m for v, m in zip(x, repeat(sum(x) / len(x)))))
    head, tail = 24, min(960, len(x) // 4)
    for i in range(head):
        x[i] *= i / head
    for i in range(tail):
        x[-1 - i] *= i / tail
    return x

def write(name, sides, gain, folder):
    """Encode one stem, and print what came out."""
    pcm = array("h", (round(gain * v) for frame in zip(*sides) for v in frame))
    with wave.open(str(folder / f"{name}.wav"), "wb") as f:
        f.setnchannels(len(sides))
        f.setsampwidth(2)
        f.setframerate(RATE)
        f.writeframes(pcm.tobytes())
    target = HERE / "audio" / f"{name}.flac"
    subprocess.run(["flac", "--best", "--no-padding", "--silent", "--force",
                    "-o", str(target), str(folder / f"{name}.wav")], check=True)
    db = [20 * math.log10(v * gain / 32768) for v in
          (max(abs(v) for s in sides for v in s),
           math.sqrt(sum(v * v for s in sides for v in s) / len(sides) / len(sides[0])))]
    size = target.stat().st_size
    print(f"{name:12} {len(sides)} ch {len(sides[0]) / RATE:6.2f} s {size:8} bytes"
          f"  peak {db[0]:6.1f} dBFS  rms {db[1]:6.1f} dBFS", flush=True)
    return size

def main():
    (HERE / "audio").mkdir(exist_ok=True)
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for peak_db, files in STEMS.values():
            # One gain for all files of a track, so that they stay in balance.
            made = {name: [clean(s) for s in make()] for name, make in files.items()}
            peak = max(abs(v) for sides in made.values() for s in sides for v in s)
            gain = 32768 * 10 ** (peak_db / 20) / peak
            total += sum(write(n, sides, gain, Path(folder)) for n, sides in made.items())
    print(f"total {total} bytes")
    tracks = []
    for track, (channels, gain_db, pan, files) in SCORE.items():
        clips = [{"file": f"audio/{name}.flac", "at_frames": bar * BAR}
                 for name, bars in files.items() for bar in bars]
        tracks.append({"track": track, "channels": channels, "gain_db": float(gain_db),
                       "pan": float(pan), "clips": sorted(clips, key=lambda c: c["at_frames"])})
    score = {"bpm": BPM, "beat_frames": BEAT, "length_frames": BARS * BAR, "tracks": tracks}
    (HERE / "score.json").write_text(json.dumps(score, indent=2) + "\n")


if __name__ == "__main__":
    main()
