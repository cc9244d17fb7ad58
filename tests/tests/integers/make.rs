//! Sessions in which every gain is 1.

use std::{collections::BTreeMap, sync::Arc};

use aulos_protocol::{
    Decibels, Link, LinkId, Node, NodeId, NodeKind, PortRef, Rate, Session, Slug, Value, params, ports,
};
use aulos_tests::random::Rng;

use super::count;

/// The most ways to one output.
const MOST_PATHS: usize = 256;
pub(crate) const RECORDED_CHANNELS: u16 = 4;

/// A group of output ports.
type Tap = (NodeId, &'static str);

struct Maker<'a> {
    rng: &'a mut Rng,
    session: Session,
    taps: Vec<Tap>,
    /// How many ways lead into each input port.
    ways: BTreeMap<PortRef, usize>,
}

/// A session of up to some eighty nodes.
pub(crate) fn session(rng: &mut Rng) -> Session {
    let session = Session::new("integers", Rate::default());
    let mut maker = Maker { rng, session, taps: Vec::new(), ways: BTreeMap::new() };
    for _ in 0..maker.rng.range(1, 2) {
        maker.input();
    }
    let size = maker.rng.range(8, 60) as usize;
    while maker.session.nodes.len() < size {
        match maker.rng.below(100) {
            0..65 => maker.parallel(),
            65..75 => maker.insert(),
            75..85 => maker.fan(),
            _ => {
                let taps = maker.some_taps(3);
                let kind = maker.kind();
                maker.single(kind, &taps);
            }
        }
    }
    let taps = maker.some_taps(2);
    maker.single(NodeKind::Master, &taps);
    for _ in 0..maker.rng.range(1, 3) {
        maker.output();
    }
    maker.session
}

impl Maker<'_> {
    fn number(&mut self) -> u64 {
        self.session.next_id += 1;
        self.session.next_id - 1
    }

    fn add(&mut self, kind: NodeKind, channels: u16, params: &[(&str, f64)]) -> NodeId {
        let id = NodeId(self.number());
        let slug = Slug::new(format!("{kind}{id}")).unwrap();
        let mut node = Node::new(id, slug, kind, channels);
        for (name, number) in params {
            let param = params::find(&node, name).unwrap();
            let value = param.accept(Value::Number(*number)).unwrap();
            if value != param.default {
                node.params.insert((*name).to_owned(), value);
            }
        }
        self.session.nodes.insert(Arc::new(node));
        id
    }

    fn input(&mut self) {
        let channels = self.rng.range(1, 2) as u16;
        let first = self.rng.range(1, u64::from(RECORDED_CHANNELS - channels) + 1);
        let id = self.add(NodeKind::Input, channels, &[("first_channel", first as f64)]);
        self.taps.push((id, "out"));
    }

    fn kind(&mut self) -> NodeKind {
        use NodeKind::{Bus, Delay, Send, Track};
        *self.rng.pick(&[Delay, Delay, Delay, Bus, Bus, Send, Track])
    }

    /// A node that passes on what it hears.
    fn pass(&mut self, kind: NodeKind) -> NodeId {
        let channels = *self.rng.pick(&[1, 2, 2, 2, 2, 3]);
        match kind {
            NodeKind::Delay => {
                let frames =
                    if self.rng.percent(70) { self.rng.range(0, 40) } else { self.rng.range(40, 300) };
                let report = f64::from(u8::from(self.rng.percent(60)));
                self.add(kind, channels, &[("frames", frames as f64), ("report", report)])
            }
            // In the middle a mono strip has no gain of 1.
            NodeKind::Bus | NodeKind::Send | NodeKind::Track if channels == 1 => {
                let pan = *self.rng.pick(&[-1.0, 1.0]);
                self.add(kind, channels, &[("pan", pan)])
            }
            kind => self.add(kind, channels, &[]),
        }
    }

    fn single(&mut self, kind: NodeKind, taps: &[Tap]) -> Tap {
        let node = self.pass(kind);
        for tap in taps {
            self.link(*tap, node, "in");
        }
        if matches!(kind, NodeKind::Bus | NodeKind::Track) && self.rng.percent(40) {
            self.taps.push((node, "pre"));
        }
        self.taps.push((node, "out"));
        (node, "out")
    }

    fn some_taps(&mut self, most: u64) -> Vec<Tap> {
        let count = self.rng.range(1, most);
        (0..count).map(|_| self.tap()).collect()
    }

    /// Mostly a recent one, so that there is depth.
    fn tap(&mut self) -> Tap {
        let reach = if self.rng.percent(85) { 3 } else { self.taps.len() };
        let back = self.rng.below(self.taps.len().min(reach) as u64) as usize;
        self.taps[self.taps.len() - 1 - back]
    }

    /// Ways of several nodes beside each other, which meet again.
    fn parallel(&mut self) {
        let begin = self.tap();
        let mut ends = if self.rng.percent(30) { vec![begin] } else { Vec::new() };
        for _ in 0..self.rng.range(2, 3) {
            let mut end = begin;
            let length = if self.rng.percent(85) { self.rng.range(1, 2) } else { self.rng.range(3, 12) };
            for _ in 0..length {
                let kind = self.kind();
                end = self.single(kind, &[end]);
            }
            ends.push(end);
        }
        self.single(NodeKind::Bus, &ends);
    }

    /// One to many, some of which meet again.
    fn fan(&mut self) {
        let begin = self.tap();
        let mut ends = Vec::new();
        for _ in 0..self.rng.range(3, 8) {
            let kind = self.kind();
            ends.push(self.single(kind, &[begin]));
        }
        ends.truncate(self.rng.range(2, 8) as usize);
        self.single(NodeKind::Bus, &ends);
    }

    /// A track with something in its insert.
    fn insert(&mut self) {
        let begin = self.tap();
        let track = self.pass(NodeKind::Track);
        self.link(begin, track, "in");
        let mut end = (track, "insert_out");
        for _ in 0..self.rng.range(1, 3) {
            let kind = self.kind();
            end = self.single(kind, &[end]);
        }
        self.link(end, track, "insert_in");
        self.taps.push((track, "insert_out"));
        self.taps.push((track, "out"));
    }

    /// An output that hears most of what there is much of.
    fn output(&mut self) {
        let channels = self.rng.range(1, 2) as u16;
        let (first, group) = (self.rng.range(1, 3), *self.rng.pick(&[1, 1, 1, 2, 0]));
        let params = [("first_channel", first as f64), ("align_group", f64::from(group))];
        let node = self.add(NodeKind::Output, channels, &params);
        let ways = |(node, group): &Tap| self.ports(*node, group).iter().map(|port| self.leaving(port)).max();
        let mut taps = self.taps.clone();
        taps.sort_by_key(ways);
        let mut taps = taps.split_off(taps.len().saturating_sub(6));
        self.rng.shuffle(&mut taps);
        taps.truncate(2);
        taps.extend(self.some_taps(2));
        for tap in taps {
            self.link(tap, node, "in");
        }
    }

    fn ports(&self, node: NodeId, group: &str) -> Vec<PortRef> {
        let of = &self.session.nodes[&node];
        let mut groups = ports::groups(of.kind, of.channels).into_iter();
        let names = groups.find(|each| each.name == group).unwrap().port_names();
        names.into_iter().map(|port| PortRef { node, port }).collect()
    }

    /// How many ways lead to an output port.
    fn leaving(&self, from: &PortRef) -> usize {
        if self.session.nodes[&from.node].kind == NodeKind::Input {
            return 1;
        }
        count::entry(&self.session, from).and_then(|to| self.ways.get(&to).copied()).unwrap_or(0)
    }

    /// Links channel by channel, sometimes across, as long as there are not too many ways.
    fn link(&mut self, tap: Tap, node: NodeId, group: &str) {
        let (from, to) = (self.ports(tap.0, tap.1), self.ports(node, group));
        // What goes to one side only would end on the other.
        let sounding: Vec<_> = from.iter().filter(|port| self.leaving(port) > 0).cloned().collect();
        let from = if sounding.is_empty() { from } else { sounding };
        for (channel, port) in to.iter().enumerate() {
            let channel = if self.rng.percent(85) { channel } else { self.rng.below(8) as usize };
            let from = from[channel % from.len()].clone();
            let gain = if self.rng.percent(2) { Decibels::SILENCE } else { Decibels::UNITY };
            let more = if gain.is_silence() { 0 } else { self.leaving(&from) };
            let of_node = self.session.nodes[&node].kind;
            let here: usize = if of_node == NodeKind::Output {
                to.iter().filter_map(|port| self.ways.get(port)).sum()
            } else {
                self.ways.get(port).copied().unwrap_or(0)
            };
            let exists = self.session.links.values().any(|link| link.from == from && link.to == *port);
            if exists || here + more > MOST_PATHS {
                continue;
            }
            *self.ways.entry(port.clone()).or_insert(0) += more;
            let id = LinkId(self.number());
            let (to, unknown) = (port.clone(), BTreeMap::new());
            self.session.links.insert(Arc::new(Link { id, from, to, gain, unknown }));
        }
    }
}
