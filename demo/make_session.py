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


# Groups. The drums also go through a path that is 480 frames late, as a limiter with look-ahead would be: the
# direct path is delayed to match, so that both arrive together.
add("bus", "drums")
add("bus", "music")
add("delay", "look-ahead", frames=480, report=True)
add("bus", "drums-parallel", gain=-9.0)
link("drums", "look-ahead")
link("look-ahead", "drums-parallel")

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

for group in ["drums", "drums-parallel", "music", "echo", "room"]:
    link(group, "master")

print(json.dumps(commands))
