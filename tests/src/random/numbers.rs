//! What is drawn when everything is there: the order, the clock, and what concerns the session as a whole.

use std::{collections::BTreeMap, sync::Arc};

use aulos_protocol::{
    Bpm, ClipId, Link, LinkId, Node, NodeId, NodeKind, PortRef, Rate, Session, Value, params,
};

use super::{
    build::{Builder, Wire, set},
    level::Level,
};
use crate::oracle::wiring;

impl Builder<'_> {
    /// Solo, monitoring and what is kept heard.
    pub(super) fn attitudes(&mut self) {
        let of_kind = |nodes: &[Node], kinds: &[NodeKind]| -> Vec<usize> {
            (0..nodes.len()).filter(|node| kinds.contains(&nodes[*node].kind)).collect()
        };
        let mut strips = of_kind(&self.nodes, &[NodeKind::Track, NodeKind::Bus]);
        self.rng.shuffle(&mut strips);
        if self.rng.percent(if self.forgets { 15 } else { 19 }) {
            // More often what sounds.
            let sounds = |node: &usize| {
                let of_node = self.taps.iter().filter(|tap| tap.node == *node && tap.group.name == "out");
                of_node.into_iter().any(|tap| tap.level != Level::SILENT)
            };
            strips.sort_by_key(|strip| !sounds(strip));
            let soloed = self.rng.range(1, 3) as usize;
            let safe = self.rng.range(0, 3) as usize;
            for (place, strip) in strips.into_iter().enumerate() {
                if place < soloed {
                    self.set(strip, "solo", Value::Switch(true));
                }
                // Now and then one is both.
                if (soloed..soloed + safe).contains(&place) || self.rng.percent(2) {
                    self.set(strip, "solo_safe", Value::Switch(true));
                }
            }
        } else if let Some(strip) = strips.first()
            && self.rng.percent(5)
        {
            self.set(*strip, "solo_safe", Value::Switch(true));
        }
        for node in of_kind(&self.nodes, &[NodeKind::Click, NodeKind::Output]) {
            if self.rng.percent(15) {
                self.set(node, "solo_safe", Value::Switch(false));
            }
        }
        let mut tracks = of_kind(&self.nodes, &[NodeKind::Track]);
        if self.rng.percent(13) {
            self.rng.shuffle(&mut tracks);
            tracks.truncate(self.rng.range(1, 3) as usize);
            for track in tracks {
                self.set(track, "low_latency_monitor", Value::Switch(true));
            }
        }
    }

    /// Mostly so fast that there are some beats in the few frames that a scene has.
    fn tempo(&mut self) -> Bpm {
        let bpm = match self.rng.below(100) {
            0..15 => 120.0,
            15..35 => self.rng.tenths(600, 2000),
            35..40 => *self.rng.pick(&[Bpm::MIN, Bpm::MAX]),
            _ => self.rng.tenths(2000, 10_000) - 0.05,
        };
        Bpm::new(bpm).expect("a tempo")
    }

    /// Gives everything its number.
    pub(super) fn numbered(mut self, name: String) -> Session {
        let rate = *self.rng.pick(&[48_000, 48_000, 48_000, 44_100, 96_000]);
        let mut session = Session::new(name, Rate::new(rate).expect("a valid rate"));
        session.tempo = self.tempo();
        session.signature = self.signature();
        session.max_block = self.max_block;

        let gaps = self.rng.below(10);
        let mut numbers: Vec<_> = (1..=self.nodes.len() as u64 + gaps).collect();
        self.rng.shuffle(&mut numbers);
        for (node, number) in self.nodes.iter_mut().zip(&numbers) {
            node.id = NodeId(*number);
        }

        let clips: usize = self.nodes.iter().map(|node| node.clips.len()).sum();
        let first = numbers.len() as u64 + 1;
        session.next_id = first + (clips + self.wires.len()) as u64;
        let mut numbers: Vec<_> = (first..session.next_id).collect();
        self.rng.shuffle(&mut numbers);
        let mut next = || numbers.pop().expect("a number for each clip and link");
        for node in &mut self.nodes {
            for clip in &mut node.clips {
                clip.id = ClipId(next());
            }
            node.clips.sort_by_key(|clip| clip.id);
        }
        for (group, members) in self.members {
            self.nodes[group].members = members.into_iter().map(|member| self.nodes[member].id).collect();
        }
        for Wire { from, to, gain } in self.wires {
            let id = LinkId(next());
            let port = |(node, port): (usize, String)| PortRef { node: self.nodes[node].id, port };
            let (from, to) = (port(from), port(to));
            session.links.insert(Arc::new(Link { id, from, to, gain, unknown: BTreeMap::new() }));
        }
        for node in self.nodes {
            session.nodes.insert(Arc::new(node));
        }
        while wiring::try_wire(&session).is_none() {
            lengthen(&mut session);
        }
        session
    }
}

/// Makes all feedbacks a little longer, so that in the end they are no shorter than the latency of their loops.
fn lengthen(session: &mut Session) {
    let nodes: Vec<_> =
        session.nodes.values().filter(|node| node.kind == NodeKind::Feedback).cloned().collect();
    for mut node in nodes {
        let frames = params::number(&node, "frames").expect("the length of a feedback");
        set(Arc::make_mut(&mut node), "frames", Value::Number(frames + 50.0));
        session.nodes.insert(node);
    }
}
