//! What is asked: of each method the parameters on the socket, and the same in the words of each surface. `FOLDER` is
//! the folder of the server that is asked.

use aulos_protocol::registry;
use serde_json::{Value as Json, json};

/// How OSC asks.
pub enum Osc {
    /// At the method's address, with the parameters as arguments in the registry's order.
    Registry,
    /// In a way of its own: the address, and arguments as JSON.
    Own(&'static str, Json),
    /// By a bundle of these messages.
    Bundle(Vec<(&'static str, Json)>),
}

/// A call of a method.
pub struct Row {
    /// Its name on the socket.
    pub method: &'static str,
    /// What is asked by the socket of every server before, as parts of a request.
    pub before: Vec<Json>,
    /// The parameters on the socket.
    pub params: Json,
    /// The words for `aulosctl`.
    pub ctl: &'static str,
    /// How OSC asks.
    pub osc: Osc,
    /// Object, member, signature and arguments on D-Bus.
    pub dbus: (&'static str, &'static str, &'static str),
    /// The tool of an agent, and its arguments.
    pub mcp: (&'static str, Json),
    /// What every answer has in it.
    pub says: &'static str,
    /// Whether the state is another one after it.
    pub changes: bool,
    /// Whether the clock must move meanwhile.
    pub stepping: bool,
}

impl Row {
    fn new(
        method: &'static str,
        params: Json,
        ctl: &'static str,
        dbus: (&'static str, &'static str, &'static str),
        mcp: (&'static str, Json),
    ) -> Self {
        let changes = registry::method(method).is_ok_and(|method| method.is_command);
        let (before, osc) = (Vec::new(), Osc::Registry);
        Self { method, before, params, ctl, osc, dbus, mcp, says: "", changes, stepping: false }
    }

    fn osc(self, osc: Osc) -> Self {
        Self { osc, ..self }
    }

    fn after(self, before: Vec<Json>) -> Self {
        Self { before, ..self }
    }

    fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    fn leaves_all(self) -> Self {
        Self { changes: false, ..self }
    }

    fn while_it_runs(self) -> Self {
        Self { stepping: true, ..self }
    }
}

fn apply(operation: Json) -> (&'static str, Json) {
    ("apply", json!({ "operations": [operation] }))
}

fn transport(action: &str) -> (&'static str, Json) {
    ("transport", json!({ "action": action }))
}

/// What can be asked of a server whose clock stands.
pub fn stepped() -> Vec<Row> {
    let none = || json!({});
    [edits(), steps(), times(), files(), questions(none), ends()].into_iter().flatten().collect()
}

fn edits() -> Vec<Row> {
    let set = json!({ "node": "lead-vox", "param": "gain", "value": -12 });
    let (clip, clips) =
        (json!({ "track": "lead-vox", "clip": 10, "at": 882 }), json!({ "track": "lead-vox", "clip": 10 }));
    let added = json!({ "track": "lead-vox", "file": "FOLDER/noise.wav", "at": 441, "offset": 10 });
    let with_op = |op: &str, params: &Json| {
        let mut params = params.clone();
        params["op"] = op.into();
        apply(params)
    };
    vec![
        Row::new(
            "session_new",
            json!({ "path": "FOLDER/one", "rate": 44_100 }),
            "session new FOLDER/one --rate 44100",
            ("session", "Session1.New", "sa{sv} FOLDER/one 1 rate t 44100"),
            ("session", json!({ "action": "new", "path": "FOLDER/one", "rate": 44_100 })),
        ),
        Row::new(
            "session_set",
            json!({ "tempo": 93.5, "signature": "7/8" }),
            "tempo 93.5 --signature 7/8",
            ("session", "Session1.Set", "a{sv} 2 tempo d 93.5 signature s 7/8"),
            ("transport", json!({ "action": "set", "tempo": 93.5, "signature": "7/8" })),
        ),
        Row::new(
            "node_add",
            json!({ "kind": "track", "name": "drums", "channels": 1, "params": { "gain": -6 } }),
            "track add drums --channels 1 --gain -6dB",
            ("node", "Nodes1.Add", "sa{sv} track 3 name s drums channels t 1 params a{sv} 1 gain d -6"),
            with_op(
                "node_add",
                &json!({ "kind": "track", "name": "drums", "channels": 1, "params": { "gain": -6 } }),
            ),
        ),
        Row::new(
            "node_rename",
            json!({ "node": "drums", "name": "lead-vox" }),
            "rename drums lead-vox",
            ("node", "Nodes1.Rename", "ssa{sv} drums lead-vox 0"),
            with_op("node_rename", &json!({ "node": "drums", "name": "lead-vox" })),
        ),
        Row::new(
            "node_duplicate",
            json!({ "node": "lead-vox", "name": "copy" }),
            "duplicate lead-vox copy",
            ("node", "Nodes1.Duplicate", "sa{sv} lead-vox 1 name s copy"),
            with_op("node_duplicate", &json!({ "node": "lead-vox", "name": "copy" })),
        ),
        Row::new(
            "node_move",
            json!({ "node": "copy", "to": "first" }),
            "reorder copy --first",
            ("node", "Nodes1.Move", "ssa{sv} copy first 0"),
            with_op("node_move", &json!({ "node": "copy", "to": "first" })),
        ),
        Row::new(
            "node_remove",
            json!({ "node": "copy" }),
            "node rm copy",
            ("node", "Nodes1.Remove", "sa{sv} copy 0"),
            ("remove", json!({ "nodes": ["copy"] })),
        ),
        Row::new(
            "set",
            set.clone(),
            "set lead-vox gain -12dB",
            ("node", "Nodes1.Set", "ssva{sv} lead-vox gain d -12 0"),
            ("set", json!({ "values": [set] })),
        )
        .osc(Osc::Own("/track/lead-vox/gain", json!([-12.0]))),
        Row::new(
            "set",
            json!({ "node": "lead-vox", "param": "mute", "value": true }),
            "mute lead-vox",
            ("node", "Nodes1.Set", "ssva{sv} lead-vox mute b true 0"),
            with_op("set", &json!({ "node": "lead-vox", "param": "mute", "value": true })),
        ),
        Row::new(
            "link",
            json!({ "from": "lead-vox", "to": "master", "gain": -3 }),
            "link lead-vox master --gain -3dB",
            ("graph", "Graph1.Connect", "ssa{sv} lead-vox master 1 gain d -3"),
            ("connect", json!({ "links": [{ "from": "lead-vox", "to": "master", "gain_db": -3 }] })),
        ),
        Row::new(
            "unlink",
            json!({ "from": "lead-vox", "to": "master" }),
            "unlink lead-vox master",
            ("graph", "Graph1.Disconnect", "ssa{sv} lead-vox master 0"),
            ("disconnect", json!({ "links": [{ "from": "lead-vox", "to": "master" }] })),
        ),
        Row::new(
            "members_add",
            json!({ "group": "band", "nodes": ["lead-vox", "master"] }),
            "vca assign band lead-vox master",
            ("members", "Members1.Add", "sasa{sv} band 2 lead-vox master 0"),
            with_op("members_add", &json!({ "group": "band", "nodes": ["lead-vox", "master"] })),
        )
        .after(vec![json!({ "method": "node_add", "params": { "kind": "vca", "name": "band" } })]),
        Row::new(
            "members_remove",
            json!({ "group": "band", "nodes": ["master"] }),
            "vca release band master",
            ("members", "Members1.Remove", "sasa{sv} band 1 master 0"),
            with_op("members_remove", &json!({ "group": "band", "nodes": ["master"] })),
        ),
        Row::new(
            "clip_add",
            added.clone(),
            "clip add lead-vox FOLDER/noise.wav --at 441 --offset 10",
            ("clip", "Clip1.Add", "ssa{sv} lead-vox FOLDER/noise.wav 2 at t 441 offset t 10"),
            with_op("clip_add", &added),
        ),
        Row::new(
            "clip_set",
            clip.clone(),
            "clip set lead-vox 10 --at 882",
            ("clip", "Clip1.Set", "sta{sv} lead-vox 10 1 at t 882"),
            with_op("clip_set", &clip),
        ),
        Row::new(
            "clip_remove",
            clips.clone(),
            "clip rm lead-vox 10",
            ("clip", "Clip1.Remove", "sta{sv} lead-vox 10 0"),
            with_op("clip_remove", &clips),
        ),
    ]
}

fn steps() -> Vec<Row> {
    let commands = json!([
        { "method": "node_add", "params": { "kind": "bus", "name": "room" } },
        { "method": "link", "params": { "from": "lead-vox", "to": "room", "gain": -10 } },
        { "method": "set", "params": { "node": "room", "param": "mute", "value": true } },
    ]);
    let operations = json!([
        { "op": "node_add", "kind": "bus", "name": "room" },
        { "op": "link", "from": "lead-vox", "to": "room", "gain": -10 },
        { "op": "set", "node": "room", "param": "mute", "value": true },
    ]);
    let bundle = vec![
        ("/node/add", json!(["bus", "room"])),
        ("/graph/connect", json!(["lead-vox", "room", -10.0])),
        ("/bus/room/mute", json!([1])),
    ];
    vec![
        Row::new(
            "batch",
            json!({ "commands": commands }),
            "batch FOLDER/batch.json",
            (
                "",
                "Manager1.Batch",
                "a(sa{sv})a{sv} 3 node_add 2 kind s bus name s room link 3 from s lead-vox to s room gain d -10 \
                 set 3 node s room param s mute value b true 0",
            ),
            ("apply", json!({ "operations": operations })),
        )
        .osc(Osc::Bundle(bundle)),
        Row::new("undo", json!({}), "undo", ("", "Manager1.Undo", "a{sv} 0"), ("undo", json!({}))),
        Row::new("redo", json!({}), "redo", ("", "Manager1.Redo", "a{sv} 0"), ("redo", json!({}))),
    ]
}

fn times() -> Vec<Row> {
    let timed = json!({ "method": "set", "at": 4000,
        "params": { "node": "lead-vox", "param": "gain", "value": -20 } });
    vec![
        Row::new(
            "locate",
            json!({ "position": 4410 }),
            "locate 4410",
            ("transport", "Transport1.Locate", "ta{sv} 4410 0"),
            ("transport", json!({ "action": "locate", "position": 4410 })),
        ),
        Row::new("play", json!({}), "play", ("transport", "Transport1.Play", "a{sv} 0"), transport("play")),
        Row::new(
            "step",
            json!({ "blocks": [441, 100] }),
            "step 441 100",
            ("", "Manager1.Step", "ata{sv} 2 441 100 0"),
            ("transport", json!({ "action": "step", "blocks": [441, 100] })),
        ),
        Row::new(
            "pause",
            json!({}),
            "pause",
            ("transport", "Transport1.Pause", "a{sv} 0"),
            transport("pause"),
        ),
        Row::new("stop", json!({}), "stop", ("transport", "Transport1.Stop", "a{sv} 0"), transport("stop"))
            .after(vec![
                json!({ "method": "play" }),
                json!({ "method": "step", "params": { "blocks": [1000] } }),
            ]),
        Row::new(
            "loop",
            json!({ "start": 441, "end": 44_100 }),
            "loop 441 44100",
            ("transport", "Transport1.Loop", "a{sv} 2 start t 441 end t 44100"),
            ("transport", json!({ "action": "loop", "start": 441, "end": 44_100 })),
        )
        .osc(Osc::Own("/transport/loop", json!([441, 44_100]))),
        Row::new(
            "loop",
            json!({}),
            "loop off",
            ("transport", "Transport1.Loop", "a{sv} 0"),
            transport("loop_off"),
        )
        .osc(Osc::Own("/transport/loop", json!([0, 0, 0]))),
        // What was to come does not come: the state afterwards would have it otherwise.
        Row::new(
            "schedule_clear",
            json!({}),
            "forget",
            ("", "Manager1.SchedClear", "a{sv} 0"),
            transport("clear_schedule"),
        )
        .after(vec![timed])
        .leaves_all(),
        Row::new(
            "step",
            json!({ "blocks": [1024, 1024, 1024] }),
            "step 1024x3",
            ("", "Manager1.Step", "ata{sv} 3 1024 1024 1024 0"),
            ("transport", json!({ "action": "step", "blocks": [1024, 1024, 1024] })),
        ),
        Row::new(
            "loudness_reset",
            json!({ "node": "master" }),
            "meters --reset master",
            ("loudness", "Loudness1.Reset", "a{sv} 1 node s master"),
            ("reset_loudness", json!({ "node": "master" })),
        )
        .leaves_all(),
    ]
}

fn files() -> Vec<Row> {
    let render = json!({ "path": "FOLDER/mix.wav", "end": 1000, "depth": "16" });
    let long =
        json!({ "method": "render", "params": { "path": "FOLDER/long.wav", "end": 4_000_000_000_u64 } });
    vec![
        Row::new(
            "render",
            render.clone(),
            "render FOLDER/mix.wav --to 1000 --depth 16",
            ("", "Manager1.Render", "sa{sv} FOLDER/mix.wav 2 end t 1000 depth s 16"),
            ("render", render),
        ),
        Row::new(
            "operation",
            json!({ "operation": 1 }),
            "operation show 1",
            ("operation", "Operation1.Show", "t 1"),
            ("query", json!({ "what": "operation", "operation": 1 })),
        )
        .says("mix.wav"),
        Row::new(
            "operation_cancel",
            json!({ "operation": 2 }),
            "operation cancel 2",
            ("operation", "Operation1.Cancel", "ta{sv} 2 0"),
            ("cancel_operation", json!({ "operation": 2 })),
        )
        .after(vec![long]),
        Row::new(
            "session_save",
            json!({}),
            "session save",
            ("session", "Session1.Save", "a{sv} 0"),
            ("session", json!({ "action": "save" })),
        ),
        Row::new(
            "session_open",
            json!({ "path": "FOLDER/one", "discard": true }),
            "session open FOLDER/one --discard",
            ("session", "Session1.Open", "sa{sv} FOLDER/one 1 discard b true"),
            ("session", json!({ "action": "open", "path": "FOLDER/one", "discard": true })),
        )
        .after(vec![json!({ "method": "node_remove", "params": { "node": "band" } })]),
    ]
}

fn questions(none: fn() -> Json) -> Vec<Row> {
    let row = Row::new;
    vec![
        row("hello", json!({ "protocol": 1 }), "status", ("", "Manager1.Hello", "t 1"), ("diagnose", none()))
            .says("0.1.0"),
        row("status", none(), "status", ("", "Manager1.Status", ""), ("get_overview", none()))
            .says("stepped"),
        row("session", none(), "ls", ("session", "Session1.Show", ""), ("query", json!({ "what": "nodes" })))
            .says("lead-vox"),
        row(
            "node",
            json!({ "node": "lead-vox" }),
            "node show lead-vox",
            ("node", "Nodes1.Show", "s lead-vox"),
            ("query", json!({ "what": "nodes", "node": "lead-vox" })),
        )
        .says("track"),
        row(
            "get",
            json!({ "node": "lead-vox", "param": "gain" }),
            "get lead-vox gain",
            ("node", "Nodes1.Get", "sa{sv} lead-vox 1 param s gain"),
            ("get_params", json!({ "node": "lead-vox", "param": "gain" })),
        )
        .says("-12"),
        row(
            "latency",
            none(),
            "latency",
            ("engine", "Engine1.Latency", ""),
            ("query", json!({ "what": "latency" })),
        )
        .says("master"),
        row("clock", none(), "driver clock", ("", "Manager1.Clock", ""), transport("tell"))
            .osc(Osc::Own("/sys/time/map", json!([])))
            .says("44100"),
        row("meters", none(), "meters --once", ("engine", "Engine1.Meters", ""), ("get_meters", none()))
            .says("master"),
        row(
            "analyze",
            json!({ "node": "master", "seconds": 0.2 }),
            "analyze master --for 0.2",
            ("node", "Nodes1.Analyze", "sd master 0.2"),
            ("analyze", json!({ "node": "master", "seconds": 0.2 })),
        )
        .says("0.2")
        .while_it_runs(),
        row(
            "drivers",
            none(),
            "driver ls",
            ("driver", "Driver1.List", ""),
            ("driver", json!({ "action": "list" })),
        )
        .says("dummy"),
        row("schema", none(), "schema", ("", "Manager1.Schema", ""), ("describe", none())).says("node_add"),
        row(
            "subscribe",
            json!({ "telemetry_hz": 0 }),
            "watch --for 0.1",
            ("", "Manager1.Subscribe", "a{sv} 0"),
            ("get_meters", json!({ "seconds": 0.2 })),
        )
        .osc(Osc::Own("/sys/subscribe", json!(["/master/*/gain"])))
        .while_it_runs(),
        row(
            "unsubscribe",
            none(),
            "watch --for 0.1",
            ("", "Manager1.Unsubscribe", ""),
            ("get_meters", json!({ "seconds": 0.2 })),
        )
        .osc(Osc::Own("/sys/unsubscribe", json!([])))
        .while_it_runs(),
    ]
}

fn ends() -> Vec<Row> {
    vec![Row::new(
        "shutdown",
        json!({}),
        "shutdown",
        ("", "Manager1.Shutdown", "a{sv} 0"),
        ("shutdown", json!({})),
    )]
}

/// What wants a clock that goes.
pub fn dummy() -> Vec<Row> {
    vec![Row::new(
        "driver_set",
        json!({ "block": 128 }),
        "driver set --block 128",
        ("driver", "Driver1.Set", "a{sv} 1 block t 128"),
        ("driver", json!({ "action": "set", "block": 128 })),
    )]
}

/// The calls as a table of Markdown, in the registry's order.
pub fn table(rows: &[Row]) -> String {
    let cell = |text: String| format!("`{}`", text.replace("FOLDER/", "").replace('|', "\\|"));
    let mut out =
        String::from("| socket | aulosctl | OSC | D-Bus | agents |\n| --- | --- | --- | --- | --- |\n");
    for method in registry::methods() {
        for row in rows.iter().filter(|row| row.method == method.name) {
            let osc = match &row.osc {
                Osc::Registry => super::doors::usage(row),
                Osc::Own(address, args) => super::doors::line(address, args),
                Osc::Bundle(messages) => {
                    let lines = messages.iter().map(|(address, args)| super::doors::line(address, args));
                    format!("#bundle: {}", lines.collect::<Vec<_>>().join("; "))
                }
            };
            let params = match &row.params {
                Json::Object(params) if params.is_empty() => String::new(),
                params => format!(" {params}"),
            };
            let (_, member, words) = row.dbus;
            let arguments = if row.mcp.1 == json!({}) { String::new() } else { format!(" {}", row.mcp.1) };
            let cells = [
                format!("{}{params}", row.method),
                row.ctl.to_owned(),
                osc,
                format!("{member} {words}").trim_end().to_owned(),
                format!("{}{arguments}", row.mcp.0),
            ];
            out += &format!("| {} |\n", cells.map(cell).join(" | "));
        }
    }
    out
}
