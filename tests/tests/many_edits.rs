//! Thousands of edits while two things play side by side: what is edited makes no step beyond what its fades
//! explain, and what is not stays bit-exact, even where the edited part takes from it.

use aulos_engine::{Start, TransportChange};
use aulos_protocol::{Change, Command, Endpoint, NodeId, NodeKind, Session, Value, mirror, ports};
use aulos_tests::{
    commands::{add, link, link_at, members, session, set, unlink},
    compare,
    random::{self, Rng, Scene},
    stepped::{Files, Stepped},
};

#[global_allocator]
static GUARD: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;

const FADE_MS: f64 = 50.0;
const FADE_FRAMES: f32 = 2400.0;
/// The edited part plays on this channel, the other on those behind it.
const EDITED: usize = 0;
const SEEDS: u64 = 90;
const EDITS: usize = 100;

/// Slow sines through what is edited.
fn edited() -> Vec<Command> {
    let mut commands = vec![
        Command::SetSession {
            name: None,
            tempo: None,
            signature: None,
            edit_fade_ms: Some(FADE_MS),
            max_latency_ms: None,
        },
        add(NodeKind::Tone, "t0", 1, &[("frequency", 11.0), ("level", -20.0)]),
        add(NodeKind::Tone, "t1", 1, &[("frequency", 17.0), ("level", -20.0)]),
        add(NodeKind::Output, "out", 1, &[("first_channel", 1.0), ("align_group", 2.0)]),
        add(NodeKind::Track, "track", 1, &[("pan", -1.0)]),
        add(NodeKind::Send, "send", 1, &[("pan", -1.0)]),
        add(NodeKind::Bus, "bus", 2, &[]),
        add(NodeKind::Feedback, "loop", 1, &[("frames", 20_000.0)]),
        add(NodeKind::Vca, "vca", 1, &[]),
        add(NodeKind::Group, "together", 1, &[("mix", 1.0)]),
        members("vca", &["track", "send", "bus"]),
        members("together", &["track", "bus"]),
    ];
    for n in 0..4 {
        commands.push(add(NodeKind::Delay, &format!("d{n}"), 1, &[("report", 1.0)]));
    }
    commands.extend([
        link_at("t0", "track", -6.0),
        link_at("track:out_L", "bus:in_L", -6.0),
        link_at("track:pre", "send", -6.0),
        link_at("send:out_L", "d0", -6.0),
        link_at("d0", "bus:in_R", -6.0),
        link_at("bus:out_L", "out", -6.0),
        link_at("bus:out_R", "out", -6.0),
        link_at("t1", "d1", -6.0),
        link_at("d1", "out", -6.0),
        link_at("loop", "bus:in_R", -12.0),
        link_at("bus:out_L", "loop", -12.0),
    ]);
    commands
}

/// Joins a random scene to `session`, on channels of its own and in an alignment group of its own; strips are
/// safe from solo and there is none that cannot be, so that what the others solo does not shut it.
fn beside(mut session: Session, scene: &Scene, channel: f64) -> Session {
    let shift = session.next_id;
    // They are made delays, which cannot be members.
    let mut masters = std::collections::BTreeSet::new();
    for node in scene.session.nodes.values() {
        let mut node = (**node).clone();
        node.id.0 += shift;
        node.slug = aulos_protocol::Slug::new(format!("x-{}", node.slug)).unwrap();
        node.clips.iter_mut().for_each(|clip| clip.id.0 += shift);
        node.members = node.members.iter().map(|member| NodeId(member.0 + shift)).collect();
        if node.kind == NodeKind::Master {
            (node.kind, node.params) = (NodeKind::Delay, Default::default());
            masters.insert(node.id);
        }
        if matches!(node.kind, NodeKind::Track | NodeKind::Bus) {
            node.params.insert("solo_safe".into(), Value::Switch(true));
            node.params.remove("solo");
        }
        if node.kind == NodeKind::Vca {
            node.params.remove("solo");
        }
        if node.kind == NodeKind::Output {
            node.params.insert("align_group".into(), Value::Number(3.0));
            node.params.insert("first_channel".into(), Value::Number(channel));
            node.params.remove("solo_safe");
        }
        session.nodes.insert(std::sync::Arc::new(node));
    }
    for mut node in
        session.nodes.values().filter(|node| !node.members.is_disjoint(&masters)).cloned().collect::<Vec<_>>()
    {
        let members = &mut std::sync::Arc::make_mut(&mut node).members;
        members.retain(|member| !masters.contains(member));
        session.nodes.insert(node);
    }
    for link in scene.session.links.values() {
        let mut link = (**link).clone();
        link.id.0 += shift;
        link.from.node.0 += shift;
        link.to.node.0 += shift;
        session.links.insert(std::sync::Arc::new(link));
    }
    session.next_id = shift + scene.session.next_id;
    (session.tempo, session.max_block) = (scene.session.tempo, scene.session.max_block);
    session.signature = scene.session.signature;
    session
}

/// An edit of the part that is edited. May be refused.
fn edit(rng: &mut Rng, session: &Session) -> Command {
    let mine: Vec<_> = session.nodes.values().filter(|n| !n.slug.as_str().starts_with("x-")).collect();
    let port = |rng: &mut Rng, direction| {
        let node = *rng.pick(&mine);
        let groups = ports::groups(node.kind, node.channels);
        let fits = |g: &&ports::Group| g.direction == direction && g.signal == ports::Signal::Audio;
        let names: Vec<String> = groups.iter().filter(fits).flat_map(ports::Group::port_names).collect();
        if names.is_empty() { node.slug.to_string() } else { format!("{}:{}", node.slug, rng.pick(&names)) }
    };
    // Levels stay low: a path more is at most half as loud.
    let soft = |rng: &mut Rng| -6.0 - rng.tenths(0, 60);
    let delay = format!("d{}", rng.below(4));
    let strip = *rng.pick(&["track", "bus"]);
    match rng.below(100) {
        0..25 => {
            let (from, to) = (port(rng, ports::Direction::Out), port(rng, ports::Direction::In));
            link_at(&from, &to, soft(rng))
        }
        25..40 => {
            let links: Vec<_> = session.links.values().collect();
            let link = *rng.pick(&links);
            let [from, to] = [&link.from, &link.to].map(|port| session.port_text(port));
            if to.starts_with("x-") { Command::Undo } else { unlink(&from, &to) }
        }
        40..47 => set(&delay, "frames", rng.range(0, 6000) as f64),
        47..50 => set(&delay, "report", rng.below(2) as f64),
        50..54 => set(strip, "gain", -rng.tenths(0, 120)),
        54..56 => set(strip, "mute", rng.below(2) as f64),
        56..58 => match rng.below(5) {
            0 => set(strip, "trim", -rng.tenths(0, 120)),
            1 => set(strip, "polarity", rng.below(2) as f64),
            2 => set("track", "pan_law", rng.below(3) as f64),
            3 => set("together", "mute", rng.below(2) as f64),
            _ => set("out", "delay", rng.tenths(0, 200)),
        },
        58..61 => set(strip, "solo", rng.below(2) as f64),
        61..63 => match rng.below(5) {
            0 | 1 => set("vca", "gain", -rng.tenths(0, 120)),
            2 => set("vca", rng.pick::<&str>(&["mute", "solo"]), rng.below(2) as f64),
            3 => members("vca", &[strip]),
            _ => Command::RemoveMembers { group: "vca".into(), nodes: vec![strip.into()] },
        },
        63..65 => set("track", "low_latency_monitor", rng.below(2) as f64),
        65..68 => set("send", "level", -rng.tenths(0, 120)),
        68..70 => set("loop", "frames", rng.range(18_000, 30_000) as f64),
        70..75 => {
            let kind = *rng.pick(&[
                NodeKind::Bus,
                NodeKind::Delay,
                NodeKind::Send,
                NodeKind::Feedback,
                NodeKind::Output,
            ]);
            // An output of its own would be heard beside the path that is looked at.
            let params: &[(&str, f64)] =
                if kind == NodeKind::Output { &[("first_channel", 60.0)] } else { &[] };
            let Command::AddNode(mut new) = add(kind, "n", 1, params) else { unreachable!() };
            new.name = None;
            Command::AddNode(new)
        }
        75..79 => Command::RemoveNode { node: rng.pick(&mine).slug.to_string() },
        79..84 => reversal(session, rng),
        84..88 => Command::Batch {
            commands: vec![
                set(strip, "gain", -rng.tenths(0, 120)),
                link_at(&port(rng, ports::Direction::Out), &port(rng, ports::Direction::In), soft(rng)),
                set(&delay, "frames", rng.range(0, 3000) as f64),
            ],
        },
        // The edited part may take from the other, never the other way round.
        88..91 => {
            let theirs: Vec<_> =
                session.nodes.values().filter(|n| n.slug.as_str().starts_with("x-tone")).collect();
            let to = port(rng, ports::Direction::In);
            match theirs.first() {
                Some(tone) if session.node("probe").is_none() => Command::Batch {
                    commands: vec![
                        add(NodeKind::Output, "probe", 1, &[("first_channel", 60.0), ("align_group", 2.0)]),
                        link(tone.slug.as_str(), "probe"),
                    ],
                },
                _ => link_at("t0", &to, soft(rng)),
            }
        }
        91..96 => Command::Undo,
        _ => Command::Redo,
    }
}

/// Turns a link between two nodes of the edited part round, with the links that would close a cycle.
fn reversal(session: &Session, rng: &mut Rng) -> Command {
    let is_plain = |id| {
        session
            .nodes
            .get(&id)
            .is_some_and(|n| n.kind == NodeKind::Delay && !n.slug.as_str().starts_with("x-"))
    };
    let links: Vec<_> =
        session.links.values().filter(|l| is_plain(l.from.node) && is_plain(l.to.node)).collect();
    if links.is_empty() {
        return link_at("d0", "d2", -6.0);
    }
    let turned = *rng.pick(&links);
    let end = |id| -> Endpoint { session.nodes[id].slug.as_str().parse().unwrap() };
    let (from, to) = (end(&turned.from.node), end(&turned.to.node));
    Command::Batch {
        commands: vec![
            Command::Unlink { from: from.clone(), to: to.clone() },
            Command::Link { from: to, to: from, gain: aulos_protocol::Decibels::new(-9.0) },
        ],
    }
}

fn steepest(samples: &[f32]) -> f32 {
    samples.windows(2).fold(0.0, |most, pair| most.max((pair[1] - pair[0]).abs()))
}

fn engine(session: Session, scene: &Scene) -> Stepped {
    let start = Start {
        position: scene.start.position,
        rolling: scene.start.rolling,
        loop_range: scene.start.loop_range,
    };
    Stepped::new(session, Files(scene.files.clone()), scene.capture.clone(), 1 + 8, 256, start)
}

#[test]
fn thousands_of_edits_leave_what_is_beside_them_bit_exact_and_make_no_step() {
    let (mut done, mut by_kind) = (0, std::collections::BTreeMap::<&str, usize>::new());
    for seed in 0..SEEDS {
        let mut rng = Rng::new(seed);
        let scene = random::scene(9000 + seed);
        let both = beside(session(edited()), &scene, 2.0);
        let mut engine_ = engine(both.clone(), &scene);
        let blocks = [256usize, 64, 17];
        for _ in 0..EDITS {
            let next = engine_.frame() + if rng.percent(30) { 1 } else { rng.range(1, 2500) } as usize;
            let block = *rng.pick(&blocks);
            engine_.run_to(next, || block);
            let command = edit(&mut rng, engine_.controller.session());
            let before = engine_.controller.session().clone();
            if engine_.perform(&command).is_ok() {
                let changes = mirror::difference(&before, engine_.controller.session());
                let touched = |change: &Change| match change {
                    Change::Node(node) => node.slug.as_str().starts_with("x-"),
                    _ => false,
                };
                assert!(!changes.iter().any(touched), "the edit reaches what must stay as it is");
                done += usize::from(!changes.is_empty());
                *by_kind.entry(kind(&command)).or_default() += usize::from(!changes.is_empty());
            }
        }
        let frames = engine_.frame() + 10_000;
        engine_.run_to(frames, || 256);
        let mut control = engine(both, &scene);
        control.run_to(frames, || 256);
        compare(&format!("seed {seed}: beside"), &control.played()[1..], &engine_.played()[1..]).unwrap();

        let played = &engine_.played()[EDITED];
        let peak = played.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        // What moves by itself, and ten fades of the loudest that was heard, at once.
        let allowed = peak.max(0.1) * (0.003 + 10.0 / FADE_FRAMES);
        let step = steepest(played);
        assert!(step <= allowed, "seed {seed}: a step of {step}, allowed are {allowed} at a peak of {peak}");
        assert!(peak > 0.01, "seed {seed}: nothing is heard of what is edited");
    }
    assert!(done >= 5000, "only {done} edits changed something: {by_kind:?}");
    assert!(by_kind.len() >= 8 && by_kind.values().all(|count| *count >= 15), "{by_kind:?}");
}

fn kind(command: &Command) -> &'static str {
    match command {
        Command::Link { .. } => "link",
        Command::Unlink { .. } => "unlink",
        Command::SetParam { param, .. } if param == "solo" => "solo",
        Command::SetParam { .. } => "parameter",
        Command::AddMembers { .. } | Command::RemoveMembers { .. } => "members",
        Command::AddNode(_) => "add",
        Command::RemoveNode { .. } => "remove",
        Command::Batch { .. } => "batch",
        Command::Undo => "undo",
        _ => "redo",
    }
}

#[test]
fn the_transport_and_what_it_plays_stay_in_step_while_links_are_edited() {
    // The same edits with the transport moving: what is beside them hears the same timeline.
    let scene = random::scene(9001);
    let both = beside(session(edited()), &scene, 2.0);
    let run = |edits: bool| {
        let mut rng = Rng::new(7);
        let mut engine = engine(both.clone(), &scene);
        for step in 0..40usize {
            let next = engine.frame() + 1500;
            engine.run_to(next, || 128);
            match step % 4 {
                0 => engine.transport(TransportChange::Locate(step as u64 * 100)),
                1 => engine.transport(TransportChange::Play),
                2 => engine.transport(TransportChange::Pause),
                _ => engine.transport(TransportChange::Play),
            }
            for _ in 0..3 {
                let command = edit(&mut rng, engine.controller.session());
                if edits {
                    // Refusals are part of it.
                    let _ = engine.perform(&command);
                }
            }
        }
        engine.run_to(70_000, || 128);
        engine.played()[1..].to_vec()
    };
    compare("beside", &run(false), &run(true)).unwrap();
}
