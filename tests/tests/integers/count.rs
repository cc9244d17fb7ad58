//! Every way from a channel that the driver records to one that it plays.
//!
//! A sample comes out as late as the output arrives, and later by what the delays on its way keep to themselves.
//! An output arrives as late as the most that delays report on any way to it, or to another of its group.

use std::collections::BTreeMap;

use aulos_protocol::{Link, Node, NodeId, NodeKind, PortRef, Session, params, ports};

/// A way that leads somewhere.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    /// Where it begins.
    channel: usize,
    /// What the delays on it keep to themselves.
    unreported: u64,
}

pub(crate) struct Count<'a> {
    session: &'a Session,
    paths: BTreeMap<PortRef, Vec<Path>>,
    reported: BTreeMap<(NodeId, bool), u64>,
}

/// The input port whose sum leaves by an output port; `None` if nothing leaves there.
pub(crate) fn entry(session: &Session, from: &PortRef) -> Option<PortRef> {
    let node = &session.nodes[&from.node];
    let (group, mut channel) = from.port.rsplit_once('_').unwrap();
    if node.channels == 1 && group == "out" && params::number(node, "pan").is_some() {
        // A mono strip is turned to one side as a whole.
        let side = if number(node, "pan") < 0.0 { "L" } else { "R" };
        if channel != side {
            return None;
        }
        channel = "1";
    }
    let port = |group: &str| PortRef { node: from.node, port: format!("{group}_{channel}") };
    let is_behind = node.kind == NodeKind::Track && group != "insert_out";
    let is_patched = is_behind && links_into(session, &port("insert_in")).next().is_some();
    Some(port(if is_patched { "insert_in" } else { "in" }))
}

fn links_into<'a>(session: &'a Session, to: &PortRef) -> impl Iterator<Item = &'a Link> {
    session.links.values().map(|link| &**link).filter(move |link| link.to == *to)
}

fn number(node: &Node, name: &str) -> f64 {
    params::number(node, name).unwrap_or(0.0)
}

/// What a delay keeps to itself, and what it reports.
fn delays(node: &Node) -> (u64, u64) {
    let frames = number(node, "frames") as u64;
    if number(node, "report") == 1.0 { (0, frames) } else { (frames, 0) }
}

impl<'a> Count<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        Self { session, paths: BTreeMap::new(), reported: BTreeMap::new() }
    }

    fn paths_from(&mut self, from: &PortRef) -> Vec<Path> {
        if let Some(paths) = self.paths.get(from) {
            return paths.clone();
        }
        let node = &self.session.nodes[&from.node];
        let mut paths = Vec::new();
        if node.kind == NodeKind::Input {
            let (_, channel) = ports::find(node, &from.port).unwrap();
            let channel = number(node, "first_channel") as usize - 1 + usize::from(channel);
            paths.push(Path { channel, unreported: 0 });
        } else if let Some(to) = entry(self.session, from) {
            paths = self.paths_into(&to);
        }
        let (unreported, _) = delays(node);
        paths.iter_mut().for_each(|path| path.unreported += unreported);
        self.paths.insert(from.clone(), paths.clone());
        paths
    }

    fn paths_into(&mut self, to: &PortRef) -> Vec<Path> {
        let open = links_into(self.session, to).filter(|link| !link.gain.is_silence());
        open.flat_map(|link| self.paths_from(&link.from)).collect()
    }

    /// The most that delays report on any way to a node: to any of its ports, and behind the insert of a track
    /// or not.
    fn reported(&mut self, node: NodeId, is_behind: bool) -> u64 {
        if let Some(reported) = self.reported.get(&(node, is_behind)) {
            return *reported;
        }
        let Session { nodes, links, .. } = self.session;
        let enters_behind = |link: &Link| link.to.port.starts_with("insert_in");
        let mut most = 0;
        for link in links.values().filter(|link| link.to.node == node && enters_behind(link) == is_behind) {
            let from = &nodes[&link.from.node];
            let leaves_behind = from.kind == NodeKind::Track && !link.from.port.starts_with("insert_out");
            most = most.max(self.reported(from.id, leaves_behind) + delays(from).1);
        }
        // What is not patched goes through.
        let is_unpatched = |channel: u16| {
            let groups = ports::groups(nodes[&node].kind, nodes[&node].channels);
            let insert = groups.iter().find(|group| group.name == "insert_in").unwrap();
            let port = PortRef { node, port: insert.port_name(channel) };
            links_into(self.session, &port).next().is_none()
        };
        if is_behind && (0..nodes[&node].channels).any(is_unpatched) {
            most = most.max(self.reported(node, false));
        }
        self.reported.insert((node, is_behind), most);
        most
    }

    fn outputs(&self) -> Vec<&'a Node> {
        let nodes = self.session.nodes.values().map(|node| &**node);
        nodes.filter(|node| node.kind == NodeKind::Output).collect()
    }

    /// When an output and its group arrive.
    fn arrival(&mut self, output: &Node) -> u64 {
        let group = number(output, "align_group");
        let mut arrival = self.reported(output.id, false);
        for other in self.outputs() {
            if group != 0.0 && number(other, "align_group") == group {
                arrival = arrival.max(self.reported(other.id, false));
            }
        }
        arrival
    }

    /// The ways to an output, by channel.
    fn ways(&mut self, output: &Node) -> Vec<Vec<Path>> {
        let group = ports::groups(output.kind, output.channels)[0];
        let port = |port| PortRef { node: output.id, port };
        group.port_names().into_iter().map(|name| self.paths_into(&port(name))).collect()
    }

    /// The most ways to one output.
    pub(crate) fn most_paths(&mut self) -> usize {
        let outputs = self.outputs().into_iter();
        outputs.map(|output| self.ways(output).iter().map(Vec::len).sum()).max().unwrap_or(0)
    }

    /// The longest delay of any way to an output.
    pub(crate) fn longest(&mut self) -> u64 {
        let mut longest = 0;
        for output in self.outputs() {
            let unreported = self.ways(output).into_iter().flatten().map(|path| path.unreported).max();
            longest = longest.max(self.arrival(output) + unreported.unwrap_or(0));
        }
        longest
    }

    /// What the driver plays in so many `channels` of what it `recorded`.
    pub(crate) fn playback(
        &mut self,
        recorded: &[Vec<i64>],
        channels: usize,
        frames: usize,
    ) -> Vec<Vec<i64>> {
        let mut played = vec![vec![0; frames]; channels];
        for output in self.outputs() {
            let arrival = self.arrival(output);
            let channels = played.iter_mut().skip(number(output, "first_channel") as usize - 1);
            for (played, paths) in channels.zip(self.ways(output)) {
                for path in paths {
                    let later = played.iter_mut().skip((arrival + path.unreported) as usize);
                    later.zip(&recorded[path.channel]).for_each(|(sum, sample)| *sum += sample);
                }
            }
        }
        played
    }
}
