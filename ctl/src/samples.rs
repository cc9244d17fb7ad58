//! A small session and a status, for tests.

use std::sync::Arc;

use aulos_protocol::{
    Bpm, Clip, ClipId, Decibels, DeviceInfo, DriverInfo, DriverKind, DriverStatus, Frames, Link, LinkId,
    Node, NodeFaults, NodeId, NodeKind, OperationState, PortRef, Rate, Session, Slug, Status, StreamStatus,
    TransportState, Value,
};

/// A master, an output, two tracks (one with a wire that crosses sides), a send and a delay.
pub fn session() -> Session {
    let mut session = Session::new("evening", Rate::default());
    session.tempo = Bpm::new(120.0).unwrap();
    for (id, slug, kind, channels) in [
        (1, "output", NodeKind::Output, 2),
        (2, "master", NodeKind::Master, 2),
        (3, "drums", NodeKind::Track, 2),
        (4, "voice", NodeKind::Track, 1),
        (5, "room", NodeKind::Send, 2),
        (6, "late", NodeKind::Delay, 2),
        (7, "band", NodeKind::Vca, 2),
    ] {
        let node = Node::new(NodeId(id), Slug::new(slug).unwrap(), kind, channels);
        session.nodes.insert(Arc::new(node));
    }
    let mut band = (*session.nodes[&NodeId(7)]).clone();
    band.members = [NodeId(3)].into();
    session.nodes.insert(Arc::new(band));
    let mut drums = (*session.nodes[&NodeId(3)]).clone();
    drums.params.insert("gain".into(), Value::Number(-3.0));
    drums.params.insert("pan".into(), Value::Number(-0.3));
    drums.params.insert("mute".into(), Value::Switch(true));
    drums.clips.push(Clip {
        id: ClipId(20),
        file: "audio/loop.wav".into(),
        at: Frames(96_000),
        offset: Frames(0),
        length: None,
    });
    drums.clips.push(Clip {
        id: ClipId(21),
        file: "/home/me/fill \u{1b}[2J.wav".into(),
        at: Frames(288_000),
        offset: Frames(480),
        length: Some(Frames(24_000)),
    });
    session.nodes.insert(Arc::new(drums));
    let mut late = (*session.nodes[&NodeId(6)]).clone();
    late.params.insert("frames".into(), Value::Number(480.0));
    session.nodes.insert(Arc::new(late));
    let quiet = Decibels::new(-6.0).unwrap();
    for (id, from, from_port, to, to_port, gain) in [
        (30, 2, "out_L", 1, "in_L", Decibels::UNITY),
        (31, 2, "out_R", 1, "in_R", Decibels::UNITY),
        (32, 3, "out_L", 2, "in_L", Decibels::UNITY),
        (33, 3, "out_R", 2, "in_R", Decibels::UNITY),
        (34, 3, "pre_L", 5, "in_L", quiet),
        (35, 3, "pre_R", 5, "in_R", quiet),
        (36, 4, "out_L", 2, "in_R", Decibels::UNITY),
        (37, 5, "out_L", 2, "in_L", Decibels::SILENCE),
        (38, 5, "out_R", 2, "in_R", Decibels::SILENCE),
    ] {
        let end = |node, port: &str| PortRef { node: NodeId(node), port: port.into() };
        let link = Link {
            id: LinkId(id),
            from: end(from, from_port),
            to: end(to, to_port),
            gain,
            unknown: Default::default(),
        };
        session.links.insert(Arc::new(link));
    }
    session.next_id = 40;
    session
}

/// Drivers and devices of every sort.
pub fn drivers() -> Vec<DriverInfo> {
    let device = |name: &str, playback, problem: Option<&str>| DeviceInfo {
        name: name.into(),
        description: "A sound card".into(),
        playback,
        capture: 2,
        rates: Some((44_100, 192_000)),
        formats: vec!["S16".into(), "S32".into()],
        problem: problem.map(str::to_owned),
    };
    let driver = |driver, problem: Option<&str>, devices| DriverInfo {
        driver,
        text: "what it is".into(),
        available: problem.is_none(),
        problem: problem.map(str::to_owned),
        rate: Some(48_000),
        block: Some(256),
        devices,
    };
    let devices = vec![device("default", 2, None), device("hw:CARD=0,DEV=0", 8, Some("busy"))];
    vec![
        driver(DriverKind::Jack, None, Vec::new()),
        driver(DriverKind::Alsa, None, devices),
        driver(DriverKind::Dummy, Some("it is not there"), Vec::new()),
    ]
}

/// A status with something in every field.
pub fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        pid: 4242,
        session: "evening".into(),
        path: Some("/home/me/evening".into()),
        unsaved: true,
        revision: 17,
        rate: Rate::default(),
        tempo: 120.0,
        signature: Default::default(),
        driver: DriverStatus {
            running: true,
            reason: None,
            device: None,
            lost: None,
            losses: 0,
            xruns: 0,
            playback_latency: Frames(0),
            capture_latency: Frames(0),
            other_rate: None,
            name: "dummy".into(),
            block: 256,
            cycles: 123_456,
            frame: Frames(31_604_736),
            late: 2,
            load: 0.123,
            realtime: Ok(70),
            unlocked: None,
        },
        worst_load: 0.62,
        soloed: vec!["drums".into()],
        transport: TransportState { rolling: true, waiting: false, position: Frames(592_560) },
        loop_range: Some((Frames(0), Frames(768_000))),
        nodes: 6,
        links: 9,
        tasks: 14,
        latency: Frames(512),
        streams: StreamStatus { open: 3, underruns: 0 },
        undo: Some("set drums gain".into()),
        redo: None,
        operations: vec![OperationState {
            operation: 3,
            title: "render /home/me/mix.wav".into(),
            progress: 0.43,
            ended: false,
            error: None,
            report: Vec::new(),
        }],
        warnings: vec!["the file audio/gone.wav of clip 22 is missing".into()],
        warnings_left_out: 0,
        faults: vec![
            NodeFaults {
                node: "late".into(),
                not_finite: 3,
                denormal: 1,
                late: 0,
                midi_dropped: 0,
                hurried: 0,
            },
            NodeFaults {
                node: "drums".into(),
                not_finite: 0,
                denormal: 0,
                late: 1,
                midi_dropped: 2,
                hurried: 0,
            },
        ],
    }
}

/// Compares `text` with the snapshot `name` among the package's tests.
pub fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
