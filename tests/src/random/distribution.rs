//! What the sessions are like, so that nobody believes in tests that test nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use aulos_protocol::{NodeKind, Session, params};

use crate::oracle::{
    arrival,
    wiring::{self, Stage, Term, Wiring},
};

/// What a session is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// How many nodes it has.
    pub nodes: usize,
    /// How many links.
    pub links: usize,
    /// How many links come from a send and go to a bus.
    pub sends: usize,
    /// How many connections must be delayed because a path beside them is latent.
    pub latent_paths: usize,
    /// How many nodes report a latency.
    pub latent_nodes: usize,
    /// How many tracks have something patched into their insert.
    pub inserts: usize,
    /// How many strips are muted.
    pub muted: usize,
    /// How many clips there are.
    pub clips: usize,
    /// How many stages the longest path has.
    pub depth: usize,
    /// How many terms the longest sum has.
    pub widest_sum: usize,
    /// How many connections begin at the port that has the most.
    pub widest_fan: usize,
    /// How many ports have six connections or more.
    pub fans: usize,
    /// How many feedbacks hear what they give back.
    pub loops: usize,
    /// How many links carry MIDI.
    pub midi_links: usize,
    /// How many MIDI inputs have more than one link.
    pub merges: usize,
    /// How many tones follow notes.
    pub notes: usize,
    /// How many nodes hear one thing in some of their channels and another in others.
    pub sidechains: usize,
    /// How many strips are soloed.
    pub soloed: usize,
    /// How many masters have a limiter.
    pub limited: usize,
    /// How many links are shut because of that.
    pub shut: usize,
    /// How many tracks ask for low latency.
    pub low_latency: usize,
    /// How many links are not aligned because of that.
    pub unaligned: usize,
    /// How many groups the outputs are in.
    pub groups: usize,
    /// The latest arrival, in frames.
    pub max_arrival: u64,
    /// How many nodes there are of each kind.
    pub kinds: BTreeMap<NodeKind, usize>,
}

/// What `session` is like.
///
/// # Panics
/// If the session is not one that commands can make, as the oracle does.
pub fn describe(session: &Session) -> Distribution {
    let Wiring { stages, order } = wiring::wire(session);
    let mut depths = vec![0; stages.len()];
    let mut fans = BTreeMap::new();
    for &number in &order {
        let terms = stages[number].terms();
        depths[number] = 1 + terms.map(|term| depths[term.stage]).max().unwrap_or(0);
    }
    for term in stages.iter().flat_map(|stage| &stage.inputs).flatten() {
        *fans.entry((term.stage, term.output)).or_insert(0) += 1;
    }

    let kind = |id| session.nodes[&id].kind;
    let mut patched: Vec<_> =
        session.links.values().filter(|link| link.to.port.starts_with("insert_in")).collect();
    patched.sort_by_key(|link| link.to.node);
    patched.dedup_by_key(|link| link.to.node);
    let sends = session
        .links
        .values()
        .filter(|link| kind(link.from.node) == NodeKind::Send && kind(link.to.node) == NodeKind::Bus);
    let inputs = || stages.iter().flat_map(|stage| &stage.inputs);
    let on = |name| session.nodes.values().filter(|node| params::number(node, name) == Some(1.0)).count();
    let shut = inputs().flatten().filter(|term| {
        let gain = term.link.map(|link| session.links[&link].gain);
        term.gain == 0.0 && gain.is_some_and(|gain| !gain.is_silence())
    });
    let outputs = session.nodes.values().filter(|node| node.kind == NodeKind::Output);
    let groups: BTreeSet<_> =
        outputs.filter_map(|node| params::number(node, "align_group")).map(|group| group as u64).collect();
    let mut kinds = BTreeMap::new();
    for node in session.nodes.values() {
        *kinds.entry(node.kind).or_insert(0) += 1;
    }
    Distribution {
        nodes: session.nodes.len(),
        links: session.links.len(),
        sends: sends.count(),
        latent_paths: inputs().flatten().filter(|term| term.delay > 0).count(),
        latent_nodes: stages.iter().filter(|stage| stage.latency > 0).count(),
        inserts: patched.len(),
        muted: on("mute"),
        clips: session.nodes.values().map(|node| node.clips.len()).sum(),
        depth: depths.into_iter().max().unwrap_or(0),
        widest_sum: inputs().map(Vec::len).max().unwrap_or(0),
        widest_fan: fans.values().copied().max().unwrap_or(0),
        fans: fans.into_values().filter(|count| *count >= 6).count(),
        loops: (0..stages.len()).filter(|stage| closes_a_loop(&stages, *stage)).count(),
        midi_links: stages.iter().map(|stage| stage.midi.len()).sum(),
        merges: stages.iter().filter(|stage| stage.midi.len() > 1).count(),
        notes: on("notes"),
        sidechains: stages.iter().filter(|stage| hears_two_things(stage)).count(),
        soloed: on("solo"),
        limited: on("limiter"),
        shut: shut.count(),
        low_latency: on("low_latency_monitor"),
        unaligned: arrival::unaligned(session, &stages).len(),
        groups: groups.len(),
        max_arrival: stages.iter().map(|stage| stage.arrival).max().unwrap_or(0),
        kinds,
    }
}

/// Whether a stage gives back what it hears of itself, with no other feedback on the way.
fn closes_a_loop(stages: &[Stage], number: usize) -> bool {
    let Some((hears, _)) = stages[number].echo else { return false };
    let mut seen = BTreeSet::new();
    let mut open = vec![hears];
    while let Some(stage) = open.pop() {
        let above = stages[stage].terms().filter(|term| term.gain != 0.0).map(|term| term.stage);
        open.extend(above.filter(|above| seen.insert(*above)));
    }
    seen.contains(&number)
}

/// Whether the first channel and the last hear different nodes.
fn hears_two_things(stage: &Stage) -> bool {
    let sources = |terms: &Vec<Term>| terms.iter().map(|term| term.stage).collect::<BTreeSet<_>>();
    match (stage.inputs.first().map(sources), stage.inputs.last().map(sources)) {
        (Some(first), Some(last)) => !first.is_empty() && !last.is_empty() && first.is_disjoint(&last),
        _ => false,
    }
}

/// How many frames it takes until everything that came in has come out, where each loop is gone round.
pub(super) fn longest_way(session: &Session) -> u64 {
    let Wiring { stages, order } = wiring::wire(session);
    let takes = |stage: &Stage| {
        let frames = params::number(stage.node, "frames").unwrap_or(0.0) as u64;
        if stage.node.kind == NodeKind::Delay { frames } else { 0 }
    };
    let mut ways = vec![0; stages.len()];
    let feedbacks = stages.iter().filter(|stage| stage.echo.is_some()).count();
    for _ in 0..=feedbacks {
        let before = ways.clone();
        for &number in &order {
            let stage = &stages[number];
            let enters = stage.terms().map(|term| ways[term.stage] + takes(&stages[term.stage]) + term.delay);
            let returns = stage.echo.map(|(hears, ago)| before[hears] + ago);
            ways[number] = enters.chain(returns).max().unwrap_or(0);
        }
    }
    ways.into_iter().max().unwrap_or(0)
}

/// A table of what many sessions are like: for each measure how many sessions have any of it, and the least,
/// the median, the ninth decile, the most and the mean.
pub fn table(distributions: &[Distribution]) -> String {
    type Measure = fn(&Distribution) -> u64;
    let measures: [(&str, Measure); 24] = [
        ("nodes", |d| d.nodes as u64),
        ("links", |d| d.links as u64),
        ("sends to buses", |d| d.sends as u64),
        ("latent paths", |d| d.latent_paths as u64),
        ("latent nodes", |d| d.latent_nodes as u64),
        ("inserts", |d| d.inserts as u64),
        ("muted strips", |d| d.muted as u64),
        ("clips", |d| d.clips as u64),
        ("depth", |d| d.depth as u64),
        ("widest sum", |d| d.widest_sum as u64),
        ("widest fan", |d| d.widest_fan as u64),
        ("fans of 6", |d| d.fans as u64),
        ("latest arrival", |d| d.max_arrival),
        ("loops", |d| d.loops as u64),
        ("MIDI links", |d| d.midi_links as u64),
        ("MIDI merges", |d| d.merges as u64),
        ("notes", |d| d.notes as u64),
        ("sidechains", |d| d.sidechains as u64),
        ("limiters", |d| d.limited as u64),
        ("soloed strips", |d| d.soloed as u64),
        ("shut links", |d| d.shut as u64),
        ("low latency", |d| d.low_latency as u64),
        ("unaligned links", |d| d.unaligned as u64),
        ("output groups", |d| d.groups as u64),
    ];
    let mut text = format!("{} sessions\n", distributions.len());
    row(&mut text, "", ["any", "least", "median", "90 %", "most", "mean"].map(str::to_owned));
    for (name, measure) in measures {
        measured(&mut text, name, distributions.iter().map(measure).collect());
    }
    for kind in NodeKind::ALL {
        let count = |d: &Distribution| d.kinds.get(&kind).copied().unwrap_or(0) as u64;
        measured(&mut text, kind.name(), distributions.iter().map(count).collect());
    }
    text
}

fn measured(text: &mut String, name: &str, mut values: Vec<u64>) {
    values.sort_unstable();
    let count = values.len().max(1);
    let any = values.iter().filter(|value| **value > 0).count();
    let at = |index: usize| values.get(index.min(count - 1)).copied().unwrap_or(0).to_string();
    let mean = values.iter().sum::<u64>() as f64 / count as f64;
    let any = format!("{} %", any * 100 / count);
    row(text, name, [any, at(0), at(count / 2), at(count * 9 / 10), at(count - 1), format!("{mean:.1}")]);
}

fn row(text: &mut String, name: &str, cells: [String; 6]) {
    let _ = write!(text, "{name:<16}");
    for cell in cells {
        let _ = write!(text, "{cell:>9}");
    }
    text.push('\n');
}
