#!/usr/bin/env python3
"""Prints the commands that build the demo session from score.json, as a batch for aulosctl.

Run make_stems.py first; then, with a server that has this folder's session open and empty:

    python3 make_session.py | aulosctl batch -
"""

import json
import pathlib

score = json.loads((pathlib.Path(__file__).parent / "score.json").read_text())
commands = [{"method": "session_set", "params": {"name": "Aulos demo", "tempo": score["bpm"]}}]


def add(kind, name, channels=2, **params):
    params = {"kind": kind, "name": name, "channels": channels, "params": params}
    commands.append({"method": "node_add", "params": params})


def link(source, destination, gain=None):
    params = {"from": source, "to": destination}
    if gain is not None:
        params["gain"] = gain
    commands.append({"method": "link", "params": params})


def set_param(node, param, value):
    commands.append({"method": "set", "params": {"node": node, "param": param, "value": value}})


def members(group, nodes):
    commands.append({"method": "members_add", "params": {"group": group, "nodes": nodes}})


# Groups. The drums are also squeezed on a path beside, which is 480 frames late: the direct path is delayed to match,
# so that both arrive together.
add("bus", "drums")
add("bus", "music")
add("delay", "look-ahead", frames=480, report=True)
add("dynamics", "squeeze", threshold=-34.0, ratio=8.0, attack=3.0, release=120.0, makeup=8.0)
add("bus", "drums-parallel", gain=-11.0)
link("drums", "look-ahead")
link("look-ahead", "squeeze")
link("squeeze", "drums-parallel")

# Room for the bass drum below, less of what is crowded, more air.
add("eq", "music-eq", band1_on=True, band1_frequency=45.0, band3_frequency=320.0, band3_gain=-2.0,
    band7_frequency=7000.0, band7_gain=2.5)
link("music", "music-eq")

# An echo of three eighths on the right and six on the left, and a short widening of the chords.
beat = score["beat_frames"]
add("send", "echo-send", level=-11.0)
add("delay", "echo-right", 1, frames=beat * 3 // 2)
add("delay", "echo-left", 1, frames=beat * 3)
add("bus", "echo", gain=-3.0)
link("echo-send", "echo-right")
link("echo-send", "echo-left", -4.0)
link("echo-right", "echo:in_R")
link("echo-left", "echo:in_L")

add("send", "room-send", level=-14.0)
add("delay", "room-left", 1, frames=1103)
add("delay", "room-right", 1, frames=1531)
add("bus", "room")
link("room-send:out_L", "room-right")
link("room-send:out_R", "room-left")
link("room-left", "room:in_L")
link("room-right", "room:in_R")

GROUPS = {"drums": ["kick", "snare", "hat-closed", "hat-open", "shaker", "congas", "crash"]}
ECHOES = ["guitar", "lead"]
ROOMS = ["keys", "pad", "snare"]

for track in score["tracks"]:
    name = track["track"]
    add("track", name, track["channels"], gain=track["gain_db"], pan=track["pan"])
    link(name, "drums" if name in GROUPS["drums"] else "music")
    if name in ECHOES:
        link(name, "echo-send")
    if name in ROOMS:
        link(name, "room-send")
    for clip in track["clips"]:
        params = {"track": name, "file": clip["file"], "at": clip["at_frames"]}
        commands.append({"method": "clip_add", "params": params})

# The pad makes way for the bass drum.
add("dynamics", "duck", sidechain=True, threshold=-30.0, ratio=4.0, attack=5.0, release=180.0)
link("pad:insert_out", "duck")
link("duck", "pad:insert_in")
link("kick:pre", "duck:sidechain")

# One fader for all that plays a melody, and one mute for all that is shaken or struck by hand.
add("vca", "melody", gain=0.5)
members("melody", ["keys", "guitar", "lead"])
add("group", "percussion")
members("percussion", ["shaker", "congas"])

for group in ["drums", "drums-parallel", "music-eq", "echo", "room"]:
    link(group, "master")

# About -16 LUFS, with no true peak above -1 dB.
set_param("master", "limiter", True)
set_param("master", "gain", 4.5)

print(json.dumps(commands))
